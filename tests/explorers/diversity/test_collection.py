import numpy as np
import pandas as pd
import pytest
import timm
import torch

from workbook.errors import CheckpointError
from workbook.explorers.diversity.collection import COLUMNS, START, Collection, named_models, paper_models, step_name
from workbook.papers.tables import models_of_paper_b


def test_paper_b_is_as_printed_in_the_order_of_its_trajectories():
    paper, printed = paper_models(), models_of_paper_b()
    assert len(paper.models) == 39
    assert paper.families == list(printed["base"].unique())
    assert paper.steps == ["start", "T = 100", "T = 50", "T = 10", "T = 5", "T = 4", "T = 3", "T = 2", "T = 1"]
    swav = paper.models[paper.models["family"] == "SwAV"]
    assert list(swav["step"]) == paper.steps
    np.testing.assert_allclose(swav["accuracy"].iloc[-2:], [78.96, 79.17])
    assert paper.models.loc["SwAV, T = 3", "linear"] == printed.loc["SwAV_T3", "linear"]
    np.testing.assert_allclose(sorted(paper.models["cluster_cis"]), sorted(printed["cluster_cis"]))
    assert paper.models.loc[["Supervised", "SupCon", "CE+SelfSupCon"], "step"].tolist() == ["", "", ""]
    assert not paper.layers
    assert "not published" in paper.no_layers


def test_the_start_of_a_trajectory():
    paper = paper_models()
    assert paper.start_of("DINO, T = 4") == "DINO"
    assert paper.start_of("DINO") is None
    assert paper.start_of("Supervised") is None


def test_points_have_a_size_where_transfer_is_measured():
    paper = paper_models()
    points = paper.points("spectral", "finetune")
    assert list(points.columns) == ["name", "group", "accuracy", "diversity", "transferability"]
    np.testing.assert_allclose(points["accuracy"] * points["diversity"], paper.models["spectral_cis"])
    assert list(points["group"].unique()) == paper.families


def test_points_of_several_seeds_without_a_trajectory_are_not_joined():
    seeds = pd.concat([collection().models] * 2).set_axis(["SL, seed 0", "SL, seed 1"])
    assert list(collection(models=seeds).points("cluster", "linear")["group"]) == ["SL, seed 0", "SL, seed 1"]


def collection(**changes) -> Collection:
    row = dict(zip(COLUMNS, ("f", "SL", "", 50.0, 0.5, 0.2, 1.0, 2.0), strict=True))
    fields = {"name": "c", "about": "", "accuracy_title": "", "transfer_unit": {}}
    return Collection(**(fields | {"models": pd.DataFrame([row], index=["m"])} | changes))


def test_cis_is_accuracy_times_diversity_and_unknown_without_accuracy():
    assert collection().models.loc["m", "cluster_cis"] == 25
    unknown = collection(models=collection().models.assign(accuracy=np.nan))
    assert np.isnan(unknown.models.loc["m", "cluster_cis"])
    assert unknown.points("cluster", "linear").empty


def test_what_is_no_collection_is_refused():
    with pytest.raises(ValueError, match=r"columns .*\['accuracy'\] are missing"):
        collection(models=collection().models.drop(columns="accuracy"))
    with pytest.raises(ValueError, match="twice there: m"):
        collection(models=pd.concat([collection().models] * 2))
    with pytest.raises(ValueError, match=r"accuracy must lie in \[0, 100\]"):
        collection(models=collection().models.assign(accuracy=101.0))


def test_step_names():
    assert [step_name(cycle) for cycle in (1, 100.0, None)] == ["T = 1", "T = 100", "T = ∞"]
    rows = pd.concat([collection().models] * 4).assign(step=["T = 1", START, "T = ∞", "T = 10"])
    assert collection(models=rows.set_axis(list("abcd"))).steps == ["start", "T = ∞", "T = 10", "T = 1"]


def test_models_of_ones_own_have_layers_and_a_place_where_the_accuracy_is_known(store, tmp_path):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "a.pth")
    mine = {"model": str(tmp_path / "a.pth"), "architecture": "test_resnet", "name": "mine", "accuracy": 60}
    yours = named_models([mine, {"model": "test_vit", "fresh": True}], store)
    assert list(yours.models.index) == ["mine", "test_vit"]
    assert yours.models.loc["mine", "cluster"] == pytest.approx(yours.layers["mine"]["cluster"].mean())
    assert yours.models.loc["mine", "cluster_cis"] == pytest.approx(60 * yours.models.loc["mine", "cluster"])
    assert list(yours.points("cluster", "linear")["name"]) == ["mine"]
    assert "transferability" not in yours.points("cluster", "linear")
    assert yours.notes == ("No accuracy was given for test_vit: layers, but no place on the map.",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "test_resnet", "acuracy": 70}, "a model is described by model, architecture"),
        ({"name": "mine"}, "a model is described by model"),
        ("no_such_model", "no_such_model"),
        ({"model": "test_resnet", "fresh": True, "accuracy": 70}, "is freshly initialised, and an accuracy of 70 %"),
    ],
)
def test_a_model_that_cannot_be_opened_is_refused(given, said, store):
    with pytest.raises(CheckpointError, match=said):
        named_models([given], store)
