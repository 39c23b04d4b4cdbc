"""AP over steps and of frozen backbones: what is stored is found again, and drawn as it is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.detection.made import found, nothing, objects, perfect, square, squares
from tests.detection.test_training import RECIPE
from tests.detection.toys import toy_scenes
from workbook.commands.summaries import records_of
from workbook.detection import evaluation
from workbook.detection.evaluation import detection_table, drawn, frozen_table, train_detectors
from workbook.detection.probe import DetectionProbeRecipe
from workbook.detection.runs import Runs
from workbook.errors import NotStoredError
from workbook.lab import Lab
from workbook.models.checkpoints import from_timm
from workbook.store import Store


@pytest.fixture
def lab(fabric, tmp_path):
    return Lab(Store(tmp_path / "store"), fabric)


@pytest.fixture(scope="module")
def backbones():
    return {
        (method, 0): from_timm("narrow_resnet", pretrained=False, image_size=64, small_stem=True)
        for method in ("SL", "SL-MLP")
    }


def test_a_row_for_every_kept_step_and_target_of_every_detector(backbones, lab):
    scenes, recipe = toy_scenes(4), replace(RECIPE, checkpoint_steps=(2,))
    detectors = train_detectors(recipe, backbones, scenes, lab)
    table = detection_table(detectors, scenes, lab)
    assert table.groupby(["method", "seed", "step"])["target"].agg(list).to_dict() == {
        (method, 0, step): ["box", "mask"] for method in ("SL", "SL-MLP") for step in (2, 4)
    }
    pd.testing.assert_frame_equal(detection_table(detectors, scenes, lab.reading()), table)
    with pytest.raises(NotStoredError):
        detection_table(detectors, toy_scenes(3), lab.reading())


def test_the_store_s_list_tells_them_apart(backbones, lab):
    scenes, recipe = toy_scenes(2), DetectionProbeRecipe(epochs=1, batch_size=2)
    detectors = train_detectors(replace(RECIPE, seed=3), {("SL", 3): backbones["SL", 0]}, scenes, lab)
    detection_table(detectors, scenes, lab)
    frozen_table(recipe, {("SL", 3): backbones["SL", 0]}, scenes, scenes, lab)
    told = {record["kind"]: record["about"] for record in records_of(lab.store.entries())}
    assert set(told) == {"detectors", "detections", "detection_probes"}
    assert "seed 3, from weights from outside, narrow_resnet" in told["detectors"]
    assert told["detections"].startswith("by step 4 of a detector, seed 3")
    assert "seed 3, of weights from outside, narrow_resnet" in told["detection_probes"]


def test_each_detector_has_the_seed_of_its_backbone(backbones, lab):
    others = {("SL", seed): backbones["SL", 0] for seed in (3, 4)}
    detectors = train_detectors(RECIPE, others, toy_scenes(2), lab)
    assert [one.recipe.seed for one in detectors.values()] == [3, 4]


def test_the_ap_of_a_step_is_that_of_its_weights(backbones, lab, monkeypatch):
    scenes, recipe = toy_scenes(2), replace(RECIPE, checkpoint_steps=(2,))
    detectors = train_detectors(recipe, {("SL", 0): backbones["SL", 0]}, scenes, lab)
    early, late = (detectors["SL", 0].model(step).state_dict() for step in (2, None))
    assert any(not torch.equal(early[name], late[name]) for name in early)
    weights = {2: early["backbone.fpn.inner_blocks.0.0.weight"], 4: late["backbone.fpn.inner_blocks.0.0.weight"]}

    def as_the_step_is(model, scenes, fabric):
        own = model.state_dict()["backbone.fpn.inner_blocks.0.0.weight"]
        return perfect(scenes) if torch.equal(own, weights[4]) else [replace(nothing(), runs=Runs((), 64, 64))] * 2

    monkeypatch.setattr(evaluation, "detect", as_the_step_is)
    table = detection_table(detectors, scenes, lab).set_index(["step", "target"])["AP50"]
    assert table.to_dict() == {(2, "box"): 0, (2, "mask"): 0, (4, "box"): 100, (4, "mask"): 100}


def test_weights_are_the_same_whether_earlier_ones_are_kept_or_not(backbones, lab):
    scenes, longer = toy_scenes(2), replace(RECIPE, steps=52)
    with_all, alone = (
        train_detectors(recipe, {("SL", 0): backbones["SL", 0]}, scenes, lab)["SL", 0].model().state_dict()
        for recipe in (replace(longer, checkpoint_steps=(50,)), longer)
    )
    assert all(torch.equal(with_all[name], alone[name]) for name in alone)


def test_frozen_backbones_have_boxes_alone_and_are_stored(backbones, lab):
    recipe = DetectionProbeRecipe(epochs=1, batch_size=2)
    train, test = toy_scenes(4), toy_scenes(2, seed=1)
    table = frozen_table(recipe, backbones, train, test, lab)
    assert table["method"].tolist() == ["SL", "SL-MLP"]
    assert list(table.columns) == ["AP", "AP50", "AP75", "method", "seed"]
    pd.testing.assert_frame_equal(frozen_table(recipe, backbones, train, test, lab.reading()), table)


def test_what_is_drawn():
    masks = torch.stack([square(3, 5), square(10, 10)])
    scenes = squares(objects(masks[:1], [2]), objects(masks[1:], [0]))
    images, boxes, seen = drawn(scenes, [found(masks, [1, 1], [0.9, 0.4]), nothing()])
    assert [image.shape for image in images] == [(20, 20, 3)] * 2
    names = scenes.class_names
    assert boxes.drop(columns=["left", "top", "right", "bottom"]).to_numpy().tolist() == [
        [0, "there", names[2]],
        [0, "found", f"{names[1]}, 0.90"],
        [1, "there", names[0]],
    ]
    assert boxes.iloc[1][["left", "top", "right", "bottom"]].tolist() == [3, 5, 7, 9]
    assert np.array_equal(seen[0], masks[0].numpy())
    assert not seen[1].any()
