"""Probes of every stage: which rows a table has, and whose numbers they are."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import make_images
from tests.pretraining.small import DIGITS, PROJECTOR
from workbook.data.images import Images
from workbook.data.sources import load_images
from workbook.errors import NotStoredError
from workbook.evaluation.extraction import CUT_POINTS, POOLED, Extraction, extract
from workbook.evaluation.stagewise import pooled_accuracy, probe_layers, stagewise_evaluation
from workbook.lab import Lab
from workbook.pretraining.recipe import with_method
from workbook.pretraining.runs import Run, train
from workbook.probes.linear import ProbeRecipe, linear_probe
from workbook.store import Store

PROBE = ProbeRecipe(c_values=(0.01, 1.0))
TWO_LAYERS = Extraction(layers=("stage4", "pooled"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def runs(lab) -> list[Run]:
    recipes = [replace(DIGITS, epochs=1, images_per_class=8), replace(DIGITS, epochs=1, projector=PROJECTOR)]
    return [train(recipe, lab) for recipe in recipes]


@pytest.fixture(scope="module")
def parts() -> tuple[Images, Images]:
    return load_images("digits", "train").per_class(6), load_images("digits", "test").per_class(4)


def test_a_row_for_every_run_and_layer(runs, parts, lab):
    table = stagewise_evaluation(runs, parts, TWO_LAYERS, PROBE, lab)
    assert list(table.columns) == ["method", "seed", "epoch", "layer", "dims", "accuracy", "c"]
    assert table[["method", "epoch", "layer"]].values.tolist() == [
        [method, 1, layer] for method in ("SL", "SL-MLP") for layer in TWO_LAYERS.layers
    ]
    assert set(table["c"]) <= set(PROBE.c_values)


def test_no_runs_are_an_empty_table(parts, lab):
    table = stagewise_evaluation([], parts, TWO_LAYERS, PROBE, lab, every_epoch=True)
    assert len(table) == 0 and {"method", "seed", "epoch", "layer", "accuracy"} <= {*table}


def test_every_epoch_adds_the_checkpoints_before_the_last(runs, parts, lab):
    table = stagewise_evaluation(runs, parts, POOLED, PROBE, lab, every_epoch=True)
    assert list(table["epoch"]) == [0, 1, 0, 1]
    last = stagewise_evaluation(runs, parts, POOLED, PROBE, lab)
    assert table[table["epoch"] == 1].reset_index(drop=True).equals(last)


def test_the_numbers_are_those_of_the_probe_on_the_layer_s_features(runs, parts, lab):
    fitted, tested = (extract(runs[0], part, TWO_LAYERS, lab) for part in parts)
    rows = probe_layers(fitted, tested, PROBE, lab)
    assert [row["layer"] for row in rows] == list(TWO_LAYERS.layers)
    for row in rows:
        x, test_x = (np.array(features.layer(row["layer"])) for features in (fitted, tested))
        expected = linear_probe(x, fitted.labels, test_x, tested.labels, PROBE)
        assert (row["dims"], row["accuracy"], row["c"]) == (x.shape[1], expected.accuracy, expected.c)


def test_c_can_be_chosen_on_other_images(runs, parts, lab):
    fitted, tested = (extract(runs[0], part, POOLED, lab) for part in parts)
    alone, chosen = (pooled_accuracy(fitted, tested, PROBE, lab, validation=other) for other in (None, tested))
    x, test_x = np.array(fitted.layer("pooled")), np.array(tested.layer("pooled"))
    expected = linear_probe(x, fitted.labels, test_x, tested.labels, PROBE, validation=(test_x, tested.labels))
    assert chosen == expected.accuracy != alone


def test_a_patient_probe_says_how_far_its_path_went_and_older_keys_hold(runs, parts, lab):
    fitted, tested = (extract(runs[0], part, POOLED, lab) for part in parts)
    (row,) = probe_layers(fitted, tested, replace(PROBE, patience=2.0), lab)
    (all_tried,) = probe_layers(fitted, tested, PROBE, lab)
    assert row == all_tried | {"largest_c": 1.0}, "two values are two decades apart: both are tried"
    specs = [artefact.spec["probe"] for artefact in lab.store.artefacts() if artefact.kind == "probes"]
    without = {"c_values": [0.01, 1.0], "validation_fraction": 0.2, "seed": 0}
    assert without in specs and without | {"patience": 2.0} in specs


def test_probes_are_computed_once(runs, parts, lab, monkeypatch):
    first = stagewise_evaluation(runs, parts, POOLED, PROBE, lab)
    monkeypatch.setattr("workbook.evaluation.stagewise.linear_probe", None)
    assert stagewise_evaluation(runs, parts, POOLED, PROBE, lab.reading()).equals(first)
    with pytest.raises(NotStoredError):
        stagewise_evaluation(runs, parts, POOLED, ProbeRecipe(c_values=(0.5,)), lab.reading())


def test_features_are_dropped_when_their_probes_are_stored(runs, parts, lab, monkeypatch):
    def kept():
        found = [
            artefact.spec["extraction"] for artefact in lab.store.artefacts() if artefact.kind in ("features", "probed")
        ]
        return sorted(spec["layers"] for spec in found if spec["stage_budget"] == 512)

    few = Extraction(layers=("stage4", "stage5", "pooled"), stage_budget=512)
    table = stagewise_evaluation(runs[:1], parts, few, PROBE, lab)
    assert kept() == [] and list(table["layer"]) == ["stage4", "stage5", "pooled"]
    with monkeypatch.context() as nothing:
        nothing.setattr("workbook.evaluation.extraction._write_layers", None)
        assert stagewise_evaluation(runs[:1], parts, few, PROBE, lab).equals(table), "no features are needed"
    extract(runs[0], parts[0], replace(few, layers=("stage4",)), lab)
    stagewise_evaluation(runs[:1], parts, few, PROBE, lab)
    other = replace(PROBE, c_values=(0.1,))
    stagewise_evaluation(runs[:1], parts, few, replace(PROBE, seed=1), lab)
    assert kept() == [["stage4"]], "what was there before was asked for by somebody else"
    again = stagewise_evaluation(runs[:1], parts, few, other, replace(lab, keep_features=True))
    assert kept() == [["stage4"], ["stage4"], ["stage5"], ["stage5"]] and set(again["c"]) == {0.1}


def test_what_a_killed_process_extracted_for_its_probes_goes_with_them(runs, parts, lab, monkeypatch):
    few, probe = Extraction(layers=("stage5",), stage_budget=256), replace(PROBE, seed=3)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("workbook.evaluation.stagewise.linear_probe", interrupted)
        stagewise_evaluation(runs[:1], parts, few, probe, lab)
    assert {artefact.kind for artefact in lab.store.artefacts()} >= {"probed"}
    with monkeypatch.context() as nothing:
        nothing.setattr("workbook.evaluation.extraction._write_layers", None)
        stagewise_evaluation(runs[:1], parts, few, probe, lab)  # the same features serve
    assert "probed" not in {artefact.kind for artefact in lab.store.artefacts()}


def interrupted(*given, **more):
    raise KeyboardInterrupt


def test_stages_in_half_precision_give_the_same_c_and_accuracy(runs, parts, lab):
    found = [
        stagewise_evaluation(runs, parts, Extraction(layers=("stage2", "stage5"), dtype=dtype), PROBE, lab)
        for dtype in ("float32", "float16")
    ]
    assert found[0].equals(found[1])


def test_a_probe_reads_every_cut_point(lab):
    run = train(with_method(DIGITS, "SL-MLP"), lab)
    images = make_images(40, size=8), make_images(20, size=8, digest="test")
    table = stagewise_evaluation([run], images, Extraction(layers=("pooled", CUT_POINTS)), PROBE, lab)
    expected = {"pooled": 1024, "projector.1.fc": 4096, "projector.2.norm": 4096, "projector.3.relu": 4096}
    expected |= {"projector.4.fc": 256}
    assert list(zip(table["layer"], table["dims"], strict=True)) == list(expected.items())
    assert table["accuracy"].between(0, 100).all()
