import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.pretraining.small import DIGITS
from workbook.data import load_images
from workbook.evaluation.extraction import head_accuracy
from workbook.evaluation.injection import CKARecipe, Injected, injection_table, stage_cka, upstream_accuracy
from workbook.lab import Lab
from workbook.metrics import minibatch_cka, model_diversity
from workbook.pretraining.injection import injection_recipe, over_cycles
from workbook.pretraining.recipe import with_method
from workbook.pretraining.runs import train
from workbook.probes.linear import ProbeRecipe
from workbook.store import Store

LABELLED = replace(DIGITS, image_size=16, epochs=1, batch_size=50, checkpoint_epochs=())
BASE = with_method(LABELLED, "SimCLR")
CKA = CKARecipe(minibatch=40, passes=2, cka_images_per_class=10)


@pytest.fixture(scope="module")
def swept(tmp_path_factory, fabric):
    """A lab, its sweep (the start, T = 1, T = 2 and the head alone) and test images."""
    lab = Lab(Store(tmp_path_factory.mktemp("store")), fabric)
    start = train(BASE, lab)
    recipe = replace(injection_recipe(LABELLED, start.start(), 1, epochs=2), batch_size=50)
    models = [Injected(start, start)]
    models += [Injected(start, train(cycle, lab)) for cycle in over_cycles(recipe, [1, 2, None])]
    return lab, models, load_images("digits", "test")


def test_a_row_a_model_with_the_start_first(swept):
    lab, models, test = swept
    table = injection_table(models, test, ProbeRecipe(c_values=(0.01, 0.1)), lab)
    assert list(table["stage"]) == ["start", "T = 1", "T = 2", "T = ∞"]
    assert list(table["control_cycle"].isna()) == [True, False, False, True]
    assert set(table["method"]) == {"SimCLR"}
    np.testing.assert_allclose(table["cluster_cis"], table["accuracy"] * table["cluster"])
    np.testing.assert_allclose(table["spectral_cis"], table["accuracy"] * table["spectral"])
    # the start has no head: every point of a trajectory has the accuracy of the same probe
    probe = ProbeRecipe(c_values=(0.01, 0.1))
    assert list(table["accuracy"]) == [upstream_accuracy(model.run, test, probe, lab) for model in models]
    assert table["accuracy"][0] > 20, "ten classes"
    assert table["head"].isna().tolist() == [True, False, False, False]
    assert table["head"][1] == head_accuracy(models[1].run, test, lab)
    kept = [found.spec["data"] for found in lab.store.artefacts() if found.kind == "features"]
    assert kept == [test.digest] * 4, "what the probes were fitted to is dropped; the test images are measured as well"
    # without a gradient the weights are the start's, and so is their diversity
    assert table["cluster"][3] == pytest.approx(table["cluster"][0])
    by_layer = model_diversity(models[1].run.model().backbone.model)
    assert table["cluster"][1] == pytest.approx(by_layer["cluster"].mean())


def test_cka_of_a_model_with_itself_is_one_on_the_diagonal_and_symmetric(swept):
    lab, models, test = swept
    own = stage_cka(models[0].run, models[0].run, test, CKA, lab)
    assert own.shape == (5, 5)
    np.testing.assert_allclose(np.diag(own), 1)
    np.testing.assert_allclose(own, own.T)


def test_cka_of_a_model_from_outside_is_that_of_the_same_run(swept):
    lab, (start, *_), test = swept
    own = start.run.backbone()
    np.testing.assert_allclose(stage_cka(own, own, test, CKA, lab), stage_cka(start.run, start.run, test, CKA, lab))


def test_cka_is_of_the_whole_maps_of_the_stages_rows_first(swept):
    lab, models, test = swept
    one = CKARecipe(minibatch=60, passes=1, cka_images_per_class=6)
    found = stage_cka(models[0].run, models[1].run, test, one, lab)
    pixels = test.per_class(6).tensor(16).float() / 255
    with torch.inference_mode():
        x, y = (model.run.model().backbone.stages(pixels)[0] for model in models[:2])
    assert found[1, 3] == pytest.approx(minibatch_cka([(x[1].flatten(1), y[3].flatten(1))]), abs=1e-5)


def test_a_map_is_made_once(swept, monkeypatch):
    lab, models, test = swept
    first = stage_cka(models[0].run, models[2].run, test, CKA, lab)
    monkeypatch.setattr("workbook.evaluation.injection.minibatch_cka_matrix", None)
    np.testing.assert_array_equal(stage_cka(models[0].run, models[2].run, test, CKA, lab), first)


def test_a_sweep_that_is_run_again_trains_what_is_left_alone(swept):
    lab, models, _ = swept
    recipe = models[1].run.recipe
    runs = [train(cycle, lab) for cycle in over_cycles(recipe, [1, 3])]
    assert [run.stored for run in runs] == [True, False]


def test_the_same_method_on_a_vit_has_a_name_of_its_own(swept):
    _, (start, *_), _ = swept
    run = replace(start.run, recipe=replace(start.run.recipe, backbone="tiny_vit"))
    assert (start.method, Injected(run, run).method) == ("SimCLR", "SimCLR (ViT)")


def test_stages_are_what_tables_call_them(swept):
    _, models, _ = swept
    assert [model.control_cycle for model in models] == [None, 1, 2, None]
    assert [model.stage for model in models] == ["start", "T = 1", "T = 2", "T = ∞"]


def test_maps_of_before_lie_in_a_file_of_another_name(swept):
    """Stores hold CKA maps as cka.json from before small results had one name."""
    lab, models, test = swept
    expected = stage_cka(models[1].run, models[2].run, test, CKA, lab)
    (artefact,) = (
        found
        for found in lab.store.artefacts()
        if found.kind == "cka" and (found.spec["x"], found.spec["y"]) == (models[1].run.key, models[2].run.key)
    )
    record = json.loads((artefact.path / "artefact.json").read_text())
    record["checksums"] = {"cka.json": record["checksums"]["result.json"]}
    (artefact.path / "result.json").rename(artefact.path / "cka.json")
    (artefact.path / "artefact.json").write_text(json.dumps(record))
    np.testing.assert_array_equal(stage_cka(models[1].run, models[2].run, test, CKA, lab.reading()), expected)
