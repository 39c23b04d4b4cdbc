from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import make_images
from tests.pretraining.small import DIGITS
from workbook.data.batches import plain_batches
from workbook.evaluation.extraction import CUT_POINTS, Extraction, extract, head_accuracy, pool_to_budget
from workbook.evaluation.linear_probe import ProbeRecipe
from workbook.evaluation.stagewise import stagewise_evaluation
from workbook.pretraining.recipe import Projector, with_method
from workbook.pretraining.runs import Run, train
from workbook.store import Store

RECIPE = replace(DIGITS, epochs=2)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module", params=["SL", "SL-MLP"])
def run(request, shared, fabric) -> Run:
    return train(with_method(RECIPE, request.param), shared, fabric)


def test_every_layer_is_what_the_modules_give(run, shared, fabric):
    images = make_images(40, size=8)
    features = extract(run, images, Extraction(stage_budget=64 * 16), shared, fabric)
    method = run.method()
    pixels = images.tensor(8).float() / 255
    with torch.inference_mode():
        maps, pooled = method.backbone.stages(pixels)
        expected = {"stage1": maps[0].flatten(1), "stage5": maps[4].mean((2, 3)), "pooled": pooled}
        if run.recipe.method == "SL-MLP":
            expected["projector"] = method.projector(pooled)
    assert set(features.layers) == {"stage2", "stage3", "stage4", *expected}
    for name, value in expected.items():
        np.testing.assert_allclose(features.layer(name), value.numpy(), rtol=1e-4, atol=1e-5)
    assert np.array_equal(features.labels, images.labels)


def test_features_are_made_once_and_depend_on_epoch_data_and_extraction(run, shared, fabric):
    images, extraction = make_images(40, size=8), Extraction(stage_budget=1024)
    keys = {
        extract(run, images, extraction, shared, fabric).artefact.key,
        extract(run, images, extraction, shared, fabric, epoch=2).artefact.key,
        extract(run, images, extraction, shared, fabric, epoch=0).artefact.key,
        extract(run, make_images(40, size=8, digest="other"), extraction, shared, fabric).artefact.key,
        extract(run, images, replace(extraction, stage_budget=2048), shared, fabric).artefact.key,
    }
    assert len(keys) == 4


def test_cut_points_are_what_stands_after_every_component(run, shared, fabric):
    images = make_images(40, size=8)
    layers = ("projector", CUT_POINTS, "pooled")
    features = extract(run, images, Extraction(layers=layers), shared, fabric)
    if run.recipe.method == "SL":
        assert features.layers == ("pooled",)
        return
    within = ("projector.1.fc", "projector.2.norm", "projector.3.relu", "projector.4.fc")
    assert features.layers == ("pooled", *within, "projector")
    method = run.method()
    with torch.inference_mode():
        x = method.backbone(images.tensor(8).float() / 255)
        for name, layer in zip(within, method.projector.layers, strict=True):
            x = layer(x.clone())
            np.testing.assert_allclose(features.layer(name), x.numpy(), rtol=1e-4, atol=1e-5)
    assert features.layer("projector.2.norm").min() < 0 <= features.layer("projector.3.relu").min()
    assert np.array_equal(features.layer("projector"), features.layer("projector.4.fc"))


def test_cut_points_of_many_projectors_stay_in_order(shared, fabric):
    recipe = replace(RECIPE, epochs=1, checkpoint_epochs=(), projector=Projector(hidden_dim=8, out_dim=8, count=3))
    run = train(recipe, shared, fabric)
    features = extract(run, make_images(10, size=8), Extraction(layers=(CUT_POINTS,)), shared, fabric)
    assert [int(name.split(".")[1]) for name in features.layers] == list(range(1, 13))


def test_a_probe_reads_every_cut_point(run, shared, fabric):
    table = stagewise_evaluation(
        [run],
        make_images(40, size=8),
        make_images(20, size=8, digest="test"),
        extraction=Extraction(layers=("pooled", CUT_POINTS)),
        probe=ProbeRecipe(c_values=(0.01, 1.0)),
        store=shared,
        fabric=fabric,
    )
    within = {"projector.1.fc": 4096, "projector.2.norm": 4096, "projector.3.relu": 4096, "projector.4.fc": 256}
    expected = {"pooled": 1024} | (within if run.recipe.method == "SL-MLP" else {})
    assert dict(zip(table["layer"], table["dims"], strict=True)) == expected
    assert list(table["layer"]) == list(expected)
    assert table["accuracy"].between(0, 100).all()


def test_half_precision_is_stored_as_asked(run, shared, fabric):
    features = extract(run, make_images(10, size=8), Extraction(stage_budget=1024, dtype="float16"), shared, fabric)
    assert features.layer("pooled").dtype == np.float16


def test_an_epoch_without_checkpoint_is_refused(run, shared, fabric):
    with pytest.raises(ValueError, match=r"no checkpoint of epoch 1; it has \(0, 2\)"):
        extract(run, make_images(10, size=8), Extraction(), shared, fabric, epoch=1)


def test_head_accuracy_needs_the_run_s_classes(run, fabric):
    with pytest.raises(ValueError, match="the run's 10 classes"):
        head_accuracy(run, make_images(10, size=8), fabric)


@pytest.mark.parametrize(
    ("shape", "budget", "dims"),
    [
        ((16, 32, 32), 1024, 16 * 8 * 8),
        ((16, 32, 32), 100, 16 * 2 * 2),
        ((64, 8, 8), 10**9, 64 * 8 * 8),
        ((2048, 7, 7), 2048, 2048),
    ],
)
def test_pooling_keeps_to_its_budget(shape, budget, dims):
    assert pool_to_budget(torch.rand(2, *shape), budget).shape == (2, dims)


def test_pooling_is_the_mean_of_equal_squares():
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    expected = [(0 + 1 + 4 + 5) / 4, (2 + 3 + 6 + 7) / 4, (8 + 9 + 12 + 13) / 4, (10 + 11 + 14 + 15) / 4]
    assert pool_to_budget(maps, 4).tolist() == [expected]


def test_more_channels_than_the_budget_are_refused():
    with pytest.raises(ValueError, match="2048 channels do not fit a stage_budget of 1024"):
        pool_to_budget(torch.rand(2, 2048, 7, 7), 1024)


def test_plain_batches_keep_the_order_and_the_remainder():
    images = make_images(10)
    batches = list(plain_batches(images, 16, 4, torch.device("cpu")))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == images.labels.tolist()
    torch.testing.assert_close(torch.cat([b for b, _ in batches]), images.tensor(16).float() / 255)
