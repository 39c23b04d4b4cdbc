"""What the store has of notebooks 06 and 07, and what it has not; nothing is ever trained for it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.pretraining.small import DIGITS
from workbook.data import load_images
from workbook.evaluation.injection import Injected, injection_table
from workbook.evaluation.linear_probe import ProbeRecipe
from workbook.evaluation.transfer import LinearProbe, load_present, transfer_suite
from workbook.explorers.own_models import own_models
from workbook.papers.transfer import transferability
from workbook.pretraining.injection import injection_recipe, over_cycles
from workbook.pretraining.recipe import sweep
from workbook.pretraining.runs import train_all
from workbook.profiles import SMOKE
from workbook.store import CHECKOUT, Store


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """Digits, one SimCLR with T = 1 and the head alone, one SL and SL-MLP, and two downstream sets."""
    other = tmp_path_factory.mktemp("manifests") / "again.yaml"
    other.write_text((CHECKOUT / "data_manifests" / "digits.yaml").read_text().replace("name: digits", "name: again"))
    return replace(
        SMOKE,
        recipe=replace(DIGITS, image_size=16, epochs=1, batch_size=50, checkpoint_epochs=()),
        seeds=1,
        ablation_images_per_class=None,
        ablation_batch_size=None,
        ablation_epochs=None,
        injected=("SimCLR",),
        control_cycles=(1, None),
        injection_epochs=1,
        probe=ProbeRecipe(c_values=(0.01,)),
        transfer_sets=("digits", str(other)),
    )


@pytest.fixture(scope="module")
def filled(setting, tmp_path_factory, fabric):
    """A store after an interrupted notebook 07: the start and T = 1, with their transfer by linear probe; and SL."""
    store = Store(tmp_path_factory.mktemp("filled"))
    (start,) = train_all(sweep(setting.ablation, ["SimCLR"], [0]), store, fabric)
    recipe = injection_recipe(setting.ablation, start.start(), 1, epochs=1)
    (injected,) = train_all(over_cycles(recipe, [1]), store, fabric)
    train_all(sweep(setting.recipe, ["SL"], [0]), store, fabric)
    models = [Injected(start, start), Injected(start, injected)]
    table = injection_table(models, load_images("digits", "test"), probe=setting.probe, store=store, fabric=fabric)
    tasks, _ = load_present(setting.transfer_sets, setting.transfer_images_per_class)
    protocols = {"linear": LinearProbe(setting.probe)}
    scores = transfer_suite([start, injected], tasks, protocols, store=store, fabric=fabric)
    return store, table, scores.pivot(index="run", columns="dataset", values="accuracy")


@pytest.fixture
def copied(filled, tmp_path):
    """The filled store, to be spoilt."""
    return Store(shutil.copytree(filled[0].root, tmp_path / "copy"))


def test_an_empty_store_says_what_to_run_and_stays_empty(setting, store, fabric):
    own = own_models(setting, store, fabric)
    assert own.models.empty
    assert "has no run of profile smoke" in own.notes[0]
    assert "make reports PROFILE=smoke" in own.notes[0]
    assert not store.root.exists()


def test_what_is_stored_is_shown_as_notebook_07_measures_it(setting, filled, fabric):
    store, table, scores = filled
    own = own_models(setting, store, fabric).models
    assert list(own.index) == ["SimCLR", "SimCLR, T = 1", "SL"]
    assert list(own["step"]) == ["start", "T = 1", ""]
    for column in ("accuracy", "cluster", "spectral", "cluster_cis", "spectral_cis"):
        np.testing.assert_allclose(own[column].iloc[:2], table[column], err_msg=column)
    expected = transferability(scores.clip(0.05, 99.95))["mean"]
    np.testing.assert_allclose(own["linear"].iloc[:2], expected.loc[own["run"].iloc[:2]])
    assert own["linear"].isna().tolist() == [False, False, True]
    assert own["finetune"].isna().all()


def test_layers_are_those_of_the_weights(setting, filled, fabric):
    own = own_models(setting, filled[0], fabric)
    assert set(own.layers) == set(own.models.index)
    assert own.layers["SL"]["spectral"].mean() == pytest.approx(own.models.loc["SL", "spectral"])


def test_what_is_missing_is_named_and_not_trained(setting, filled, fabric):
    store, *_ = filled
    before = {path.name for path in (store.root / "runs").iterdir()}
    notes = own_models(setting, store, fabric).notes
    assert "Not trained: SimCLR, T = ∞, SL-MLP." in notes
    assert any(note.startswith("Trained, but transfer not yet measured: SimCLR (finetuning)") for note in notes)
    assert "make reports PROFILE=smoke" in notes[-1]
    assert {path.name for path in (store.root / "runs").iterdir()} == before


def test_unfinished_and_damaged_runs_are_not_shown_and_called_so(setting, copied, fabric):
    keys = own_models(setting, copied, fabric).models["run"]
    (copied.root / "partial" / "runs").mkdir(parents=True, exist_ok=True)
    (copied.root / "runs" / keys["SL"]).rename(copied.root / "partial" / "runs" / keys["SL"])
    for weights in (copied.root / "runs" / keys["SimCLR, T = 1"]).glob("*.safetensors"):
        weights.write_bytes(b"half")
    own = own_models(setting, copied, fabric)
    assert list(own.models.index) == ["SimCLR"]
    assert "Unfinished: SL." in own.notes
    assert any(note.startswith("Damaged") and "workbook store remove" in note for note in own.notes)


def test_a_run_of_another_recipe_is_not_shown(setting, copied, fabric):
    longer = replace(setting, recipe=replace(setting.recipe, epochs=2))
    assert own_models(longer, copied, fabric).models.empty


def test_data_that_is_not_there_is_no_failure(setting, store, fabric, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    own = own_models(replace(setting, recipe=replace(setting.recipe, dataset="cifar100")), store, fabric)
    assert own.models.empty
    assert "cannot be looked up without their data" in own.notes[0]
    assert str(tmp_path) in own.notes[0]


def test_the_paper_is_not_to_be_compared_and_smoke_is_no_evidence(setting, store, fabric):
    about = own_models(setting, store, fabric).about
    assert "not to be compared" in about
    assert "no evidence" in about
    assert "no evidence" not in own_models(replace(setting, name="pocket"), store, fabric).about
