"""Measures of runs: whose numbers they are, and that they outlive the features."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.pretraining.small import DIGITS, PROJECTOR
from workbook.data.sources import load_images
from workbook.evaluation.extraction import POOLED, Extraction, extract
from workbook.evaluation.measures import feature_measures, weight_diversity
from workbook.lab import Lab
from workbook.metrics import (
    discriminative_ratio,
    feature_mixture,
    feature_redundancy,
    h_score,
    mean_diversity,
    model_diversity,
)
from workbook.pretraining.runs import train
from workbook.store import Store

IS_EVAL = [label >= 7 for label in range(10)]
MEASURES = {
    "phi": discriminative_ratio,
    "R": feature_redundancy,
    "pi": partial(feature_mixture, is_eval_class=IS_EVAL, k=3),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric):
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def runs(lab):
    base = replace(DIGITS, epochs=2, checkpoint_epochs=(1,), images_per_class=8)
    return [train(recipe, lab) for recipe in (base, replace(base, projector=PROJECTOR, seed=3))]


@pytest.fixture(scope="module")
def images():
    return load_images("digits", "train").per_class(6)


@pytest.mark.parametrize("layer", ["pooled", "stage3"])
@pytest.mark.parametrize(("every_epoch", "epochs"), [(True, [1, 2]), (False, [2])])
def test_a_row_is_of_its_run_its_checkpoint_and_its_layer(lab, runs, images, layer, every_epoch, epochs):
    extraction = Extraction(layers=(layer,))
    table = feature_measures(runs, images, MEASURES, extraction, lab, every_epoch=every_epoch)
    assert list(table.columns) == ["method", "seed", "epoch", "phi", "R", "pi"]
    expected = [(run, epoch) for run in runs for epoch in epochs]
    assert len(table) == len(expected)
    for row, (run, epoch) in zip(table.itertuples(), expected, strict=True):
        x, y = extract(run, images, extraction, lab, epoch=epoch).layer(layer), images.labels
        assert (row.method, row.seed, row.epoch) == (run.recipe.method, run.recipe.seed, epoch)
        assert (row.phi, row.R) == (discriminative_ratio(x, y), feature_redundancy(x))
        assert row.pi == feature_mixture(x, y, IS_EVAL, k=3)


def test_they_are_stored_one_by_one_and_outlive_features_and_weights(lab, runs, images, monkeypatch):
    first = feature_measures(runs, images, MEASURES, POOLED, lab)
    monkeypatch.setattr("workbook.evaluation.extraction.Features.layer", lambda *_: pytest.fail("features are read"))
    assert feature_measures(runs, images, MEASURES, POOLED, lab.reading()).equals(first)
    same = {"R": partial(feature_redundancy), "pi": partial(MEASURES["pi"], k=3)}
    assert feature_measures(runs, images, same, POOLED, lab).equals(first[["method", "seed", "epoch", "R", "pi"]])


@pytest.mark.parametrize("other", [{"k": 2}, {"is_eval_class": [label < 2 for label in range(10)]}])
def test_what_a_measure_is_given_is_part_of_its_key(lab, runs, images, other):
    x = extract(runs[0], images, POOLED, lab).layer("pooled")
    for given in ({}, other):
        measures = {"pi": partial(MEASURES["pi"], **given)}
        found = feature_measures(runs[:1], images, measures, POOLED, lab, every_epoch=False)
        assert found["pi"].item() == feature_mixture(x, images.labels, **{"is_eval_class": IS_EVAL, "k": 3} | given)


def test_a_default_that_is_written_out_is_the_same_measure(lab, runs, images):
    bare = feature_measures(runs, images, {"h": h_score}, POOLED, lab)
    written = {"h": partial(h_score, shrinkage=None)}
    assert feature_measures(runs, images, written, POOLED, lab.reading()).equals(bare)


def elsewhere(features, labels):
    return float(np.mean(features))


@pytest.mark.parametrize(
    "measure",
    [elsewhere, partial(elsewhere), partial(feature_mixture, None), lambda features: 0.0, np.mean],
    ids=["own", "partial of one", "given by place", "lambda", "numpy's"],
)
def test_a_function_from_elsewhere_is_refused_before_anything_is_read(lab, runs, images, measure):
    with pytest.raises(ValueError, match=r"a function of workbook\.metrics.*Study\.features"):
        feature_measures(runs, images, {"R": feature_redundancy, "own": measure}, POOLED, lab)


@pytest.mark.parametrize(("every_epoch", "epochs"), [(True, [1, 2]), (False, [2])])
def test_diversity_of_every_checkpoint_is_stored(lab, runs, monkeypatch, every_epoch, epochs):
    table = weight_diversity(runs, lab, every_epoch=every_epoch)
    expected = [(run, epoch) for run in runs for epoch in epochs]
    for row, (run, epoch) in zip(table.to_dict("records"), expected, strict=True):
        who = {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": epoch}
        assert row == who | mean_diversity(model_diversity(run.model(epoch).backbone.model)).to_dict()
    monkeypatch.setattr("workbook.evaluation.measures.backbone_diversity", lambda _: pytest.fail("weights are read"))
    assert weight_diversity(runs, lab.reading(), every_epoch=every_epoch).equals(table)
