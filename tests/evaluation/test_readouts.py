"""Readouts of runs: which rows a table has, and whose numbers they are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.pretraining.small import DIGITS, PROJECTOR
from workbook.data.factors import PERIODS, Varied, apply_factors
from workbook.data.sources import load_images
from workbook.evaluation.extraction import CUT_POINTS, Extraction, extract
from workbook.evaluation.readouts import factor_readouts
from workbook.lab import Lab
from workbook.metrics import readout_over_classes, readout_within_classes
from workbook.pretraining.runs import Run, train
from workbook.store import Store

LAYERS = Extraction(layers=("stage4", "pooled", CUT_POINTS))


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def runs(lab) -> list[Run]:
    base = replace(DIGITS, epochs=1, images_per_class=8)
    return [train(recipe, lab) for recipe in (base, replace(base, projector=PROJECTOR))]


@pytest.fixture(scope="module")
def varied() -> Varied:
    return apply_factors(load_images("digits", "train").per_class(2), views=4)


def test_a_row_for_every_run_layer_and_factor(runs, varied, lab):
    table = factor_readouts(runs, varied, LAYERS, lab)
    assert list(table.columns) == ["method", "seed", "epoch", "layer", "factor", "within", "unseen"]
    assert set(table["epoch"]) == {1}
    inner = ["projector.1.fc", "projector.2.norm", "projector.3.relu", "projector.4.fc"]
    rows = table.groupby("method", sort=False)["layer"].unique().map(list).to_dict()
    assert rows == {"SL": ["stage4", "pooled"], "SL-MLP": ["stage4", "pooled", *inner]}
    assert list(table["factor"][:6]) == list(varied.factors)


@pytest.mark.parametrize(("epochs", "expected"), [("first", [0]), ("last", [1]), ("all", [0, 1])])
def test_checkpoints_that_are_read(runs, varied, lab, epochs, expected):
    table = factor_readouts(runs[:1], varied, Extraction(layers=("pooled",)), lab, epochs=epochs)
    assert list(table["epoch"].unique()) == expected


def test_the_numbers_are_those_of_the_readouts_on_the_layer_s_features(runs, varied, lab):
    table = factor_readouts(runs[:1], varied, LAYERS, lab).set_index(["layer", "factor"])
    features = extract(runs[0], varied.images, LAYERS, lab)
    for layer in ("stage4", "pooled"):
        x = np.array(features.layer(layer))
        within = readout_within_classes(x, varied.factors, varied.groups, periods=PERIODS)
        unseen = readout_over_classes(x, varied.factors, varied.images.labels, periods=PERIODS)
        expected = pd.DataFrame({"within": within, "unseen": unseen})
        assert table.loc[layer, ["within", "unseen"]].to_numpy().tolist() == expected.to_numpy().tolist()


def test_readouts_are_stored_and_features_are_not(runs, varied, tmp_path, lab):
    own = Lab(Store(tmp_path), lab.fabric)
    table = factor_readouts(runs, varied, LAYERS, own)
    assert {artefact.kind for artefact in own.store.artefacts()} == {"readouts"}
    assert factor_readouts(runs, varied, LAYERS, own.reading()).equals(table)
