"""What the store has of notebooks 06 and 07, and what it has not; nothing is ever trained for it."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.pretraining.small import DIGITS
from workbook.evaluation.injection import injection_table
from workbook.explorers.diversity.own_models import own_models
from workbook.files import CHECKOUT
from workbook.lab import Lab
from workbook.papers.transfer import measured_transferability
from workbook.probes.linear import ProbeRecipe
from workbook.profiles import SMOKE, Ablation
from workbook.store import Store
from workbook.study import Study


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """Digits, one SimCLR with T = 1 and the head alone, one SL and SL-MLP, and two downstream sets."""
    other = tmp_path_factory.mktemp("manifests") / "again.yaml"
    other.write_text((CHECKOUT / "data_manifests" / "digits.yaml").read_text().replace("name: digits", "name: again"))
    return replace(
        SMOKE,
        recipe=replace(DIGITS, image_size=16, epochs=1, batch_size=50, checkpoint_epochs=()),
        seeds=1,
        ablation=Ablation(seeds=1),
        injection=replace(SMOKE.injection, methods=("SimCLR",), cycles=(1, None), epochs=1),
        probe=ProbeRecipe(c_values=(0.01,)),
        transfer=replace(SMOKE.transfer, sets_a=(), sets_b=("digits", str(other))),
    )


@pytest.fixture(scope="module")
def filled(profile, tmp_path_factory, fabric):
    """A store after an interrupted notebook 07: the start and T = 1, with their transfer by linear probe; and SL."""
    study = Study(profile, Lab(Store(tmp_path_factory.mktemp("filled")), fabric))
    models = study.injections(study.train("SimCLR"), [1])
    study.train("SL")
    table = injection_table(models, study.held_out(), profile.probe, study.lab)
    scores = study.transfer([model.run for model in models], study.tasks(), "linear")
    return study, table, scores.pivot(index="run", columns="dataset", values="accuracy")


@pytest.fixture
def empty(profile, store, fabric):
    return Study(profile, Lab(store, fabric))


@pytest.fixture
def copied(filled, tmp_path):
    """The study of the filled store, to be spoilt."""
    study, *_ = filled
    store = Store(shutil.copytree(study.lab.store.root, tmp_path / "copy"))
    return replace(study, lab=replace(study.lab, store=store))


def with_recipe(study, **changes):
    return replace(study, profile=replace(study.profile, recipe=replace(study.profile.recipe, **changes)))


def test_an_empty_store_says_what_to_run_and_stays_empty(empty):
    own = own_models(empty)
    assert own.models.empty
    assert "has no run of profile smoke" in own.notes[0]
    assert "make reports PROFILE=smoke" in own.notes[0]
    assert not empty.lab.store.root.exists()


def test_runs_of_another_version_are_told_of(copied):
    assert not any("another version" in note for note in own_models(copied).notes)
    for path in copied.lab.store.root.glob("runs/*/artefact.json"):
        path.write_text(re.sub(r'"torch": "[^"]*"', '"torch": "1.13.1"', path.read_text()))
    (told,) = (note for note in own_models(copied).notes if "another version" in note)
    assert told.startswith("Of these runs, 3 of 3 were made by another version: ") and "torch 1.13.1. This is" in told


def test_what_is_stored_is_shown_as_notebook_07_measures_it(filled):
    study, table, scores = filled
    own = own_models(study).models
    assert list(own.index) == ["SimCLR", "SimCLR, T = 1", "SL"]
    assert list(own["step"]) == ["start", "T = 1", ""]
    for column in ("accuracy", "cluster", "spectral", "cluster_cis", "spectral_cis"):
        np.testing.assert_allclose(own[column].iloc[:2], table[column], err_msg=column)
    expected = measured_transferability(scores)["mean"]
    np.testing.assert_allclose(own["linear"].iloc[:2], expected.loc[own["run"].iloc[:2]])
    assert own["linear"].isna().tolist() == [False, False, True]
    assert own["finetune"].isna().all()


def test_layers_are_those_of_the_weights(filled):
    own = own_models(filled[0])
    assert set(own.layers) == set(own.models.index)
    assert own.layers["SL"]["spectral"].mean() == pytest.approx(own.models.loc["SL", "spectral"])


def test_what_is_missing_is_named_and_not_trained(filled):
    study, *_ = filled
    before = {path.name for path in (study.lab.store.root / "runs").iterdir()}
    notes = own_models(study).notes
    assert "Not trained: SimCLR, T = ∞, SL-MLP." in notes
    assert any(note.startswith("Trained, but transfer not yet measured: SimCLR (finetuning)") for note in notes)
    assert "make reports PROFILE=smoke" in notes[-1]
    assert {path.name for path in (study.lab.store.root / "runs").iterdir()} == before


def test_the_accuracy_of_a_head_alone_is_computed_and_kept(copied):
    store = copied.lab.store
    own = own_models(copied).models
    assert own["accuracy"].notna().all()
    store.clear("accuracies")
    stored = {artefact.path for artefact in store.artefacts()}
    again = own_models(copied).models
    assert list(again["accuracy"]) == list(own["accuracy"])
    assert {artefact.kind for artefact in store.artefacts() if artefact.path not in stored} == {"accuracies"}


def test_unfinished_and_damaged_runs_are_not_shown_and_called_so(copied):
    keys, root = own_models(copied).models["run"], copied.lab.store.root
    (root / "partial" / "runs").mkdir(parents=True, exist_ok=True)
    (root / "runs" / keys["SL"]).rename(root / "partial" / "runs" / keys["SL"])
    for weights in (root / "runs" / keys["SimCLR, T = 1"]).glob("*.safetensors"):
        weights.write_bytes(b"half")
    own = own_models(copied)
    assert list(own.models.index) == ["SimCLR"]
    assert "Unfinished: SL." in own.notes
    assert any(note.startswith("Damaged") and "workbook store remove" in note for note in own.notes)


def test_a_run_of_another_recipe_is_not_shown(copied):
    assert own_models(with_recipe(copied, epochs=2)).models.empty


def test_data_that_is_not_there_is_no_failure(empty, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    own = own_models(with_recipe(empty, dataset="cifar100"))
    assert own.models.empty
    assert "cannot be looked up without their data" in own.notes[0]
    assert str(tmp_path) in own.notes[0]


def test_the_paper_is_not_to_be_compared_and_smoke_is_no_evidence(empty):
    about = own_models(empty).about
    assert "not to be compared" in about
    assert "no evidence" in about
    assert "no evidence" not in own_models(replace(empty, profile=replace(empty.profile, name="pocket"))).about
