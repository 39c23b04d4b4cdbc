"""Runs of the store: trained once, in the order asked, and opened again without their images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from tests.conftest import make_images
from tests.pretraining.small import FEW, PROJECTOR
from workbook.errors import CheckpointError, MissingDataError, NotStoredError
from workbook.evaluation.extraction import POOLED, extract
from workbook.files import CHECKOUT
from workbook.keys import key_of, plain
from workbook.lab import Lab
from workbook.pretraining import runs as runs_module
from workbook.pretraining.recipe import with_method
from workbook.pretraining.runs import (
    Run,
    Runs,
    load_run,
    pretraining_images,
    run_table,
    start_weights,
    train,
    train_all,
)
from workbook.pretraining.starts import RunStart
from workbook.store import Store


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def run(lab) -> Run:
    return train(replace(FEW, projector=PROJECTOR), lab)


def test_runs_come_in_the_order_asked_and_are_trained_once(lab, run):
    other = replace(FEW, projector=PROJECTOR, seed=1)
    found = train_all([other, run.recipe, other], lab)
    assert [(one.recipe.seed, one.stored) for one in found] == [(1, False), (0, True), (1, True)]
    assert found[1].key == run.key and found[0].key == found[2].key
    assert [one.stored for one in train_all([other, run.recipe], lab)] == [True, True]


def test_a_run_without_its_images(lab, run, monkeypatch):
    def missing(*_, **__):
        raise MissingDataError("gone")

    monkeypatch.setattr(runs_module, "load_images", missing)
    found = load_run(run.key, lab.store)
    assert found.recipe == run.recipe and found.stored and found.class_names is None
    state, stored = found.model().state_dict(), run.model().state_dict()
    assert state.keys() == stored.keys() and all(torch.equal(state[name], stored[name]) for name in state)
    assert found.history.equals(run.history)
    with pytest.raises(MissingDataError):
        train(run.recipe, lab)


def test_the_backbone_alone_gives_the_features_of_the_run(lab, run):
    images = make_images(20, size=8)
    for epoch in (0, 1):
        alone = run.backbone(epoch)
        assert (alone.architecture, alone.image_size, alone.name) == ("narrow_resnet", 8, run.recipe.name)
        found, own = (
            extract(source, images, POOLED, lab, epoch=epoch if source is run else None) for source in (alone, run)
        )
        # of one network in two layouts of memory: on some CPUs a last bit differs
        np.testing.assert_allclose(found.layer("pooled"), own.layer("pooled"), rtol=1e-6)
        assert found.key != own.key
    assert run.backbone(0).digest != run.backbone(1).digest
    assert run.backbone(image_size=16).image_size == 16


def test_the_head_of_a_run_reads_its_features_through_the_projector(lab, run):
    """SL-MLP's classifier reads the projector's output, SL's the features; SimCLR has none."""
    images = make_images(6, size=8).tensor(8).float() / 255
    for one in (run, train(FEW, lab), train(with_method(FEW, "CE+SelfSupCon"), lab)):
        alone = one.backbone()
        with torch.inference_mode():
            logits = one.model().classify(images)
            torch.testing.assert_close(alone.logits(alone.backbone(images)), logits)
        assert alone.head_digest != one.backbone(0).head_digest and not alone.fresh
    assert train(with_method(FEW, "SimCLR"), lab).backbone().head is None


@pytest.mark.parametrize("key", ["0" * 20, "", "..", "runs"])
def test_an_unknown_key_is_no_run(lab, run, key):
    with pytest.raises(CheckpointError, match=f"has no run {key}: train it first, .*`workbook store list`"):
        load_run(key, lab.store)


def test_a_run_whose_recipe_is_not_known_any_more(tmp_path):
    store = Store(tmp_path)
    spec = {"recipe": plain(with_method(FEW, "BYOL")), "data": "abc"}
    spec["recipe"]["objective"]["name"] = "Byol"
    artefact = store.get_or_make("runs", spec, lambda folder: None)
    with pytest.raises(CheckpointError, match=f"run {artefact.key} was trained by another version .*: train its"):
        load_run(artefact.key, store)


def test_what_is_not_stored_is_not_trained_where_nothing_is_made(lab, run):
    assert train(run.recipe, lab.reading()).key == run.key
    with pytest.raises(NotStoredError, match="run what makes it first"):
        train(replace(run.recipe, seed=9), lab.reading())


def test_a_start_is_a_run_s_epoch(lab, run):
    assert run.start() == RunStart(run=run.key, epoch=1) and run.start(0).epoch == 0
    recipe = replace(FEW, start=run.start(0))
    weights, own = start_weights(recipe, lab.store), run.model(0).backbone.model.state_dict()
    assert weights.keys() == own.keys() and all(torch.equal(weights[name], own[name]) for name in own)
    assert start_weights(FEW, lab.store) is None


def test_the_table_of_runs(lab, run):
    simclr = train(with_method(FEW, "SimCLR"), lab)
    table = run_table([run, simclr])
    assert list(table["method"]) == ["SL-MLP", "SimCLR"] and list(table["key"]) == [run.key, simclr.key]
    assert table["loss"][0] == run.history["loss"].iloc[-1]
    assert list(table["train_accuracy"].isna()) == [False, True], "SimCLR does not classify"
    assert list(table["from_store"]) == [run.stored, simclr.stored]


def test_runs_say_where_another_version_made_them(run):
    own = Runs([run])
    assert "another version" not in own._repr_html_()
    older = replace(run.artefact, provenance=run.artefact.provenance | {"code": "<i>old</i>"})
    shown = Runs([run, replace(run, artefact=older)])._repr_html_()
    assert "<p>1 of 2 were made by another version: code &lt;i&gt;old&lt;/i&gt;, torch " in shown


def test_images_are_the_same_draw_for_every_method_and_seed():
    recipe = replace(FEW, images_per_class=None, images=100)
    images = pretraining_images(recipe)
    assert len(images) == 100 and len(set(images.labels)) == 10
    for other in (
        with_method(recipe, "SimCLR"),
        replace(recipe, seed=3),
        replace(recipe, start=RunStart(run="", epoch=0)),
    ):
        assert pretraining_images(other).digest == images.digest
    fewer = pretraining_images(replace(FEW, images_per_class=None, classes=4))
    assert len(fewer.class_names) == 4 and len(set(fewer.labels)) == 4
    with pytest.raises(ValueError, match="classes must be at least 2"):
        replace(FEW, classes=1)


def test_a_manifest_counts_by_its_name_and_content_and_not_by_its_place(lab, run, tmp_path, monkeypatch):
    text = (CHECKOUT / "data_manifests" / "digits.yaml").read_text()
    places = [tmp_path / "here.yaml", tmp_path / "there" / "digits.yaml"]
    places[1].parent.mkdir()
    for place in places:
        place.write_text(text)
        (found,) = train_all([replace(run.recipe, dataset=str(place))], lab)
        assert found.stored and found.key == run.key
    monkeypatch.setenv("HOME", str(tmp_path))
    assert train(replace(run.recipe, dataset="~/here.yaml"), lab).key == run.key
    assert str(tmp_path) not in (run.artefact.path / "artefact.json").read_text()

    def key_with(**changes) -> str:
        places[0].write_text(yaml.safe_dump(yaml.safe_load(text) | changes))
        (plan,) = runs_module._plan([replace(run.recipe, dataset=str(places[0]))], lab)
        return key_of(plan.spec)

    assert key_with(url="elsewhere", obtain="otherwise") == run.key
    holdout = yaml.safe_load(text)["holdout"]
    assert len({run.key, key_with(name="my digits"), key_with(holdout=holdout | {"seed": 99})}) == 3


def test_one_damaged_artefact_does_not_stop_a_start(lab, run):
    other = lab.store.get_or_make("things", {"a": 1}, lambda folder: (folder / "x").write_text("x"))
    (other.path / "artefact.json").write_text("[1]")
    assert load_run(run.key, lab.store).artefact == run.artefact
    assert start_weights(replace(FEW, start=run.start()), lab.store)
    lab.store.remove(other.key)
