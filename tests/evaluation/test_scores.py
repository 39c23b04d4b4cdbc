"""Scores of several models on several sets, and the pool that is made of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.pretraining.small import FEW
from workbook.errors import ManifestError, WorkbookError
from workbook.evaluation.entries import Entry
from workbook.evaluation.extraction import POOLED, Extraction, extract
from workbook.evaluation.injection import CKARecipe
from workbook.evaluation.pool import pool_of
from workbook.evaluation.scores import ScoreRecipe, apart, score_models
from workbook.evaluation.scoring import LOO_KNN, backbone_diversity, open_model
from workbook.lab import Lab
from workbook.metrics import feature_redundancy, mean_diversity, merit, predict_transfer
from workbook.models.checkpoints import from_timm
from workbook.papers.transfer import measured_transferability
from workbook.pretraining.recipe import with_method
from workbook.pretraining.runs import train
from workbook.probes.few_shot import FewShotRecipe
from workbook.probes.linear import ProbeRecipe
from workbook.store import Store

HOW = ScoreRecipe(
    measured_per_class=4,
    probe_images_per_class=3,
    extraction=Extraction(stage_budget=64),
    probe=ProbeRecipe(c_values=(1e-3, 1e-1)),
    few_shot=FewShotRecipe(ways=3, shots=1, queries=2, episodes=3),
    cka=CKARecipe(cka_images_per_class=2),
)
RECIPE = replace(FEW, dataset="generated", side="pre", images_per_class=2, image_size=16)
NARROW = "mobilenetv2_035"
FRESH = Entry(model=NARROW, fresh=True, image_size=32, name="fresh")


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def entries(lab, tmp_path_factory) -> list[Entry]:
    """Two runs, a file, the same untrained, and a file that was cut short."""
    folder = tmp_path_factory.mktemp("files")
    runs = [train(replace(with_method(RECIPE, method), seed=3), lab).key for method in ("SL", "SL-MLP")]
    torch.manual_seed(1)
    torch.save(from_timm(NARROW, pretrained=False).backbone.model.state_dict(), folder / "own.pth")
    (folder / "short.pth").write_bytes((folder / "own.pth").read_bytes()[:20_000])
    how = {"architecture": NARROW, "image_size": 32}
    files = [Entry(model=str(folder / f"{name}.pth"), **how) for name in ("own", "short")]
    return [*(Entry(model=key) for key in runs), replace(files[0], accuracy=40.0, group="mine"), FRESH, files[1]]


@pytest.fixture(scope="module")
def scores(lab, entries):
    return score_models(entries, ["generated", "digits"], HOW, lab)


def test_one_that_cannot_be_read_is_told_and_the_others_go_on(scores):
    assert list(scores.models.index) == ["SL, seed 3", "SL-MLP, seed 3", "own", "fresh"]
    ((name, why),) = scores.problems.items()
    assert name.endswith("short.pth") and "short.pth" in why
    assert set(scores.notes) == set(scores.models.index)
    assert len(scores.measured) == 4 * 3 and set(scores.measured["dataset"]) == {
        "generated:pre",
        "generated:eval",
        "digits",
    }


def test_where_none_can_be_read_all_that_is_wrong_is_told(lab, entries):
    with pytest.raises(WorkbookError, match="short was not scored: .*; fresh was not scored: .*leave out accuracy"):
        score_models([replace(entries[-1], name="short"), replace(FRESH, accuracy=10.0)], [], HOW, lab)


def test_a_single_model_stands_in_no_ranking_and_is_measured_all_the_same(lab):
    alone = score_models([FRESH], ["digits"], HOW, lab)
    assert alone.measured["apart"].tolist() == ["not trained"] and alone.accuracies().empty
    assert measured_transferability(alone.accuracies()).empty


def test_what_is_known_of_the_weights(scores, lab):
    models = scores.models
    assert models["group"].fillna("").tolist() == ["SL", "SL-MLP", "mine", ""]
    assert models["run"].notna().tolist() == [True, True, False, False]
    assert models["trained"].tolist() == [True, True, True, False]
    fresh = open_model(NARROW, lab.store, fresh=True)
    expected = mean_diversity(backbone_diversity(fresh.backbone))
    for kind in ("cluster", "spectral"):
        assert models.loc["fresh", kind] == pytest.approx(expected[kind])
        assert models.loc["own", f"untrained_{kind}"] == pytest.approx(expected[kind])
        assert models.loc["own", f"{kind}_cis"] == pytest.approx(40 * models.loc["own", kind])
    assert models.loc[["fresh", "SL, seed 3"], "cluster_cis"].isna().all()
    told = models["reasons"].str.contains("are these weights trained")
    assert told["own"] and not told["fresh"]  # a file of random weights looks like one
    assert models.loc["fresh", "parameters"] == sum(p.numel() for p in fresh.backbone.model.parameters())


def test_every_measure_probe_and_stage_of_each_side(scores, lab, entries):
    rows = scores.measured.set_index(["model", "dataset"])
    assert {"phi", "RankMe", "LogME", "Pi", "CKA", LOO_KNN, "linear", "k-NN", "5-way 5-shot"} <= set(rows)
    features = extract(entries[2].open(lab.store), digits(), POOLED, lab)
    assert rows.loc[("own", "digits"), "R"] == pytest.approx(feature_redundancy(features.layer("pooled")))
    # the run's head knows the classes of its own side alone
    assert rows.loc[("SL, seed 3", "generated:pre"), "NC4"] >= 0
    assert "NC4: needs a linear head over these classes" in rows.loc[("SL, seed 3", "generated:eval"), "reasons"]
    assert rows.loc[("SL, seed 3", "generated:eval"), "LEEP"] < 0
    stages = scores.stages[scores.stages["model"] == "own"]
    assert set(stages["dataset"]) == {"generated:pre", "generated:eval", "digits"}
    assert stages.groupby("dataset")["layer"].nunique().tolist() == [6, 6, 6]
    pooled = stages[(stages["layer"] == "pooled") & (stages["dataset"] == "digits")]["accuracy"].item()
    assert rows.loc[("own", "digits"), "linear"] == pytest.approx(pooled)


def digits():
    from workbook.data import load_images

    return load_images("digits", "train").per_class(HOW.measured_per_class)


def test_models_that_were_not_measured_alike_stand_apart(scores):
    rows = scores.measured[scores.measured["dataset"] == "digits"].set_index("model")["apart"]
    assert rows["SL, seed 3"] == rows["SL-MLP, seed 3"] == ""
    assert rows["own"] == "images of another size" and rows["fresh"] == "not trained"
    assert list(scores.accuracies().index) == ["SL, seed 3", "SL-MLP, seed 3"]


def test_apart_is_what_fewer_share():
    table = pd.DataFrame(
        {
            "model": ["a", "b", "c", "d"],
            "dataset": "x",
            "data": ["1", "1", "2", "1"],
            "image_size": [32, 32, 32, 224],
            "how": ["p", "p", "p", "q"],
        }
    )
    trained = pd.Series(True, ["a", "b", "c", "d"])
    found = apart(table, trained).tolist()
    assert found == ["", "", "other images", "images of another size, another budget or protocol"]
    pair = table[table["model"].isin(["a", "c"])]  # as many of both: the first
    assert apart(pair, trained).tolist() == ["", "other images"]
    assert apart(table, trained & (trained.index != "a"))[0] == "not trained"


def test_a_second_time_everything_comes_from_the_store(scores, lab, entries):
    again = score_models(entries, ["generated", "digits"], HOW, lab.reading())
    pd.testing.assert_frame_equal(again.measured, scores.measured)
    pd.testing.assert_frame_equal(again.models, scores.models)
    assert again.problems == scores.problems


def test_equal_names_are_numbered(lab):
    twice = score_models([FRESH, FRESH], [], HOW, lab)
    assert list(twice.models.index) == ["fresh", "fresh (2)"]
    assert twice.measured.empty and twice.accuracies().empty


@pytest.fixture(scope="module")
def pool(lab):
    recipes = [with_method(RECIPE, method) for method in ("SL", "SL-MLP", "BYOL")]
    runs = [train(replace(recipe, seed=seed), lab).key for recipe in recipes for seed in (3, 4)]
    found = score_models(
        [Entry(model=key) for key in runs], ["generated", "digits"], replace(HOW, extraction=None), lab
    )
    assert found.stages.empty
    upstream = {name: 10.0 + number for number, name in enumerate(found.models.index)}
    return pool_of(found, ["generated:eval", "digits"], upstream=upstream), found


def test_a_pool_turns_measures_the_way_their_sources_do(pool):
    made, scores = pool
    assert repr(made) == f"Pool(6 models of 3 families, 2 data sets, {len(made.measures)} measures)"
    assert made.families.tolist() == ["SL", "SL", "SL-MLP", "SL-MLP", "BYOL", "BYOL"]
    rows = scores.measured.set_index(["model", "dataset"])
    name = made.transfer.index[2]
    assert made.transfer.loc[name, "digits"] == rows.loc[(name, "digits"), "linear"]
    assert made.measures["R"].loc[name, "digits"] == -rows.loc[(name, "digits"), "R"]
    assert made.measures["alpha-ReQ"].loc[name, "digits"] == merit("alpha-ReQ", rows.loc[(name, "digits"), "alpha-ReQ"])
    assert made.measures["upstream accuracy"][name] == 12
    assert made.measures["cluster CIS"][name] == pytest.approx(12 * scores.models.loc[name, "cluster"])


def test_what_ranks_nothing_is_left_out_and_says_why(pool):
    made, _ = pool
    assert made.lacking["parameters"] == "the same for all models" and "parameters" not in made.baselines
    assert made.lacking["LEEP"] == "2 of 6 models lack it"  # BYOL's
    assert not set(made.measures) & set(made.lacking)
    assert {"upstream accuracy", "other data sets", LOO_KNN} == set(made.baselines)
    assert "NCTI" in {*made.measures, *made.lacking} and not any("SELI" in name for name in made.measures)
    found = predict_transfer(made.measures, made.transfer, made.families, resamples=100).table()
    assert set(found["measure"]) == set(made.measures) and np.isfinite(found["value"]).all()


def test_a_set_of_many_labels_is_refused_before_any_model_is_opened(lab):
    with pytest.raises(ManifestError, match="an image of generated-multilabel has many labels, and a score takes one"):
        score_models([Entry(model="nothing")], ["generated-multilabel"], HOW, lab)
