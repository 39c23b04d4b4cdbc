"""A study on tiny generated images: what it trains, in which order, and whose numbers come out."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbook.data import load_images
from workbook.data.factors import VIEWS
from workbook.devices import precision_of
from workbook.errors import NotStoredError, ProfileError
from workbook.evaluation.extraction import POOLED, READINGS, STAGES, Extraction, extract
from workbook.evaluation.stagewise import stagewise_evaluation
from workbook.evaluation.transfer import Finetuning, LinearProbe
from workbook.lab import Lab
from workbook.papers.claims import CLAIMS
from workbook.pretraining.ablations import Arm
from workbook.pretraining.injection import injection_recipe, injection_vit_recipe, over_cycles, supervised_vit_recipe
from workbook.pretraining.recipe import with_method
from workbook.probes.linear import ProbeRecipe
from workbook.profiles import PROFILES, PROTOCOLS, Ablation, Injection, Transfer
from workbook.provenance import hardware
from workbook.store import Store
from workbook.study import Study

SMOKE = PROFILES["smoke"]
TINY = replace(
    SMOKE,
    recipe=replace(
        SMOKE.recipe, images_per_class=2, epochs=2, checkpoint_epochs=(0,), batch_size=20, warmup_epochs=0, image_size=8
    ),
    seeds=2,
    # label injection takes batches of 200
    ablation=Ablation(seeds=1, epochs=1, images_per_class=8, batch_size=10),
    probe_images_per_class=3,
    measured_per_class=4,
    probe=ProbeRecipe(c_values=(0.1,)),
    transfer=Transfer(
        sets_a=("digits",), sets_b=("digits",), images_per_class=4, protocols=("k-NN",), finetune_epochs=1
    ),
    injection=Injection(methods=("SimCLR",), vit_methods=("MAE",), cycles=(1, None), epochs=1),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory, fabric) -> Study:
    return Study(TINY, Lab(Store(tmp_path_factory.mktemp("store")), fabric))


@pytest.fixture(scope="module")
def runs(study):
    return study.train("SL", "SimCLR")


@pytest.fixture(scope="module")
def start(runs):
    return runs[-1]


# --- how it is shown


def test_what_it_gives_is_shown_by_a_line(study, start):
    many = study.held_out()
    assert repr(many) == f"Images(generated, test: {len(many):,} of {len(many.class_names)} classes)"
    assert repr(start) == f"Run(SimCLR on generated, seed 0, to epoch 1: {start.key})"
    assert repr(start.backbone()).startswith("Pretrained(SimCLR, seed 0: ")
    assert repr(start.backbone()).endswith(" channels, reads 8 pixels)")
    scenes, _ = study.scenes()
    assert repr(scenes).startswith("Scenes(generated, train: ")
    root = study.lab.store.root
    assert repr(study.lab.store) == f"Store({str(root)!r})"
    assert repr(Store(root, read_only=True)) == f"Store({str(root)!r}, read_only=True)"
    shown = [study.tasks(), study.probe_parts(), [scenes, start, start.backbone(), many]]
    assert max(map(len, map(repr, shown))) < 500


# --- what is trained


def test_sl_and_slmlp_are_as_the_profile_has_them_and_all_others_as_its_ablation(study):
    base, small = TINY.recipe, TINY.ablation_recipe
    assert study.recipes("BYOL", "SL", "SL-MLP") == [
        with_method(small, "BYOL"),
        base,
        replace(base, seed=1),
        with_method(base, "SL-MLP"),
        replace(with_method(base, "SL-MLP"), seed=1),
    ]
    assert study.recipes() == []


def test_runs_come_in_the_order_asked(study, runs):
    assert [(run.recipe.method, run.recipe.seed) for run in runs] == [("SL", 0), ("SL", 1), ("SimCLR", 0)]
    again = study.train(runs[1].recipe, "SimCLR", "SL")
    assert [run.key for run in again] == [runs[1].key, runs[2].key, runs[0].key, runs[1].key]
    assert all(run.stored for run in again)
    with pytest.raises(ValueError, match="unknown method 'SL2'"):
        study.train("SL2")


def test_backbones_are_of_the_runs_that_the_ablations_have(study, runs):
    found = study.backbones(["SL", "SimCLR"])
    assert list(found) == [("SL", 0), ("SimCLR", 0)], "SL's second seed is none of the ablations'"
    assert [found["SL", 0].digest, found["SimCLR", 0].digest] == [runs[i].backbone().digest for i in (0, 2)]


def test_backbones_of_a_list_are_the_seeds_of_their_name(study, runs, tmp_path):
    rows = [f"{run.key},{name}" for run, name in zip(runs, ("mine", "mine", "other"), strict=True)]
    (tmp_path / "list.csv").write_text("\n".join(["model,name", *rows]))
    found = study.backbones([], [str(tmp_path / "list.csv"), runs[0].key])
    assert list(found) == [("mine", 0), ("mine", 1), ("other", 0), (runs[0].recipe.name, 0)]
    assert found["mine", 1].digest == runs[1].backbone().digest


def test_starts_are_the_self_supervised_runs_on_both_backbones(study):
    base = TINY.ablation_recipe
    vit = with_method(replace(base, backbone="tiny_vit"), "MAE")
    assert study.starts() == [with_method(base, "SimCLR"), vit]
    assert study.starts(["BYOL"], []) == [with_method(base, "BYOL")]


def test_label_injections_follow_their_start(study, start):
    models = study.injections([start])
    assert [model.stage for model in models] == ["start", "T = 1", "T = ∞"]
    assert all(model.start is start for model in models)
    expected = over_cycles(injection_recipe(TINY.ablation_recipe, start.start(), 1, epochs=1), (1, None))
    assert [model.run.recipe for model in models[1:]] == expected == study.injection_recipes(start)
    assert [recipe.objective.control_cycle for recipe in study.injection_recipes(start, [3])] == [3]
    vit = replace(start, recipe=replace(start.recipe, backbone="tiny_vit", seed=5))
    (recipe,) = study.injection_recipes(vit, [3])
    base = replace(TINY.ablation_recipe, backbone="tiny_vit", seed=5)
    assert recipe == injection_vit_recipe(base, start.start(), 3, epochs=1)


def test_models_that_learned_from_labels_alone(study, runs, start):
    vit = replace(start, recipe=replace(start.recipe, backbone="tiny_vit"), artefact=runs[0].artefact)
    found = study.labels_alone([start, vit])
    assert list(found) == [start.key, vit.key]
    assert found[start.key].key == runs[0].key, "of the same seed"
    assert found[vit.key].recipe == supervised_vit_recipe(replace(TINY.recipe, backbone="tiny_vit"))


def test_where_eval_d_has_distances_the_set_is_the_profile_s_and_the_seeds_the_ablations(study):
    apart = study.of_distances()
    assert study.distances == () and apart.distances == ("near", "middle", "far")
    assert apart.recipes("SL") == [replace(TINY.recipe, dataset="generated-distances")], "one seed"
    assert len(apart.measured("middle").class_names) == 8
    with pytest.raises(ProfileError, match="generated has one eval-D. Name a manifest"):
        replace(study, profile=replace(TINY, distances=None)).of_distances()


def test_a_run_is_probed_on_the_side_that_is_asked_for(study, runs):
    apart = study.of_distances()
    found = apart.stagewise(runs[:1], ("pooled",), side="far")
    parts = apart.probe_parts("far")
    assert found.equals(stagewise_evaluation(runs[:1], parts, POOLED, TINY.probe, study.lab))


# --- which images


@pytest.mark.parametrize(("all_classes", "side"), [(False, "pre"), (True, None)])
def test_transfer_is_asked_of_models_of_all_classes_where_the_profile_says_so(study, all_classes, side):
    """Table 4 of A and all of B pretrain on the whole of ImageNet."""
    profile = replace(TINY, transfer=replace(TINY.transfer, all_classes=all_classes))
    upstream = replace(study, profile=profile).upstream()
    injected = upstream.injection_recipes(replace(upstream.train("SL")[0], recipe=upstream.starts()[0]))
    recipes = [*upstream.recipes("SL", "SimCLR"), *upstream.starts(), *injected]
    assert {recipe.side for recipe in recipes} == {side}
    assert upstream.held_out().digest == load_images("generated", "test", side=side).digest


def test_which_images_are_measured_probed_and_held_out(study):
    assert study.dataset == "generated"
    pre, evaluation = (set(load_images("generated", "train", side=side).class_names) for side in ("pre", "eval"))
    measured = study.measured("pre")
    assert set(measured.class_names) == pre and set(np.bincount(measured.labels)) == {4}
    assert set(study.measured().class_names) == pre | evaluation
    fitted, tested = study.probe_parts()
    assert (fitted.split, tested.split) == ("train", "test") and set(np.bincount(fitted.labels)) == {3}
    assert set(fitted.class_names) == set(tested.class_names) == evaluation
    assert tested.digest == load_images("generated", "test", side="eval").digest
    assert study.held_out().digest == load_images("generated", "test", side="pre").digest
    assert set(study.probe_parts(None)[0].class_names) == pre | evaluation


# --- whose numbers


@pytest.mark.parametrize(("every_epoch", "epochs"), [(True, [0, 2, 0, 1]), (False, [2, 1])])
def test_features_say_whose_they_are_and_of_which_images(study, runs, every_epoch, epochs):
    images, chosen = study.measured("eval"), [runs[1], runs[2]]
    found = list(study.features(chosen, images, "stage4", every_epoch=every_epoch))
    assert [who["epoch"] for who, _, _ in found] == epochs
    for who, features, labels in found:
        run = next(run for run in chosen if run.recipe.method == who["method"])
        assert who == {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": who["epoch"]}
        own = extract(run, images, Extraction(layers=("stage4",)), study.lab, epoch=who["epoch"])
        np.testing.assert_array_equal(features, own.layer("stage4"))
        np.testing.assert_array_equal(labels, images.labels)


def test_stages_are_those_of_the_profile_or_those_asked_for(study, runs):
    parts = study.probe_parts()
    table = study.stagewise(runs[:1])
    assert table.equals(stagewise_evaluation(runs[:1], parts, TINY.extraction, TINY.probe, study.lab))
    assert list(table["layer"])[-2:] == ["stage5", "pooled"]
    pooled = study.stagewise(runs[:1], ("pooled",), every_epoch=True)
    assert pooled.equals(stagewise_evaluation(runs[:1], parts, POOLED, TINY.probe, study.lab, every_epoch=True))


def test_factors_are_those_of_the_drawings_or_applied_where_asked_or_needed(study):
    drawn, applied = study.varied(), study.varied(applied=True)
    assert len(drawn.images) == 28 * TINY.readout_per_class and "light" in drawn.factors
    assert len(applied.images) == 28 * VIEWS and "blur" in applied.factors
    other = replace(study, profile=replace(TINY, recipe=replace(TINY.recipe, dataset="digits", side=None)))
    assert "blur" in other.varied().factors


def test_readouts_are_of_the_layers_asked_for(study, runs):
    table = study.readouts(runs[:1], study.varied(), ("stage5", "pooled"), epochs="first")
    assert table["layer"].unique().tolist() == ["stage5", "pooled"] and set(table["epoch"]) == {0}


def test_readings_are_of_every_stage_and_the_first_is_the_profile_s(study, runs):
    table = study.readings(runs[:1])
    assert list(table["reading"].unique()) == list(READINGS)
    assert [set(rows["layer"]) for _, rows in table.groupby("reading")] == [set(STAGES)] * 4
    whole = table[table["reading"] == "whole maps"].drop(columns="reading").reset_index(drop=True)
    assert whole.equals(study.stagewise(runs[:1]).head(len(STAGES)))
    assert set(table[table["reading"] == "averaged"]["dims"]) == {16, 32, 64, 1024}


def test_arms_are_probed_in_their_order_with_every_seed(study, runs):
    two = replace(study, profile=replace(TINY, ablation=replace(TINY.ablation, seeds=2)))
    table = two.arms([Arm("b", runs[2].recipe), Arm("a", runs[0].recipe)])
    assert list(table["arm"]) == ["b", "b", "a", "a"] and list(table["seed"]) == [0, 1, 0, 1]
    assert table["accuracy"].nunique() > 1
    for row, run in ((0, runs[2]), (2, runs[0]), (3, runs[1])):
        alone = study.stagewise([run], ("pooled",)).iloc[0]
        assert alone.equals(table.drop(columns="arm").iloc[row].rename(0))


def test_maps_name_the_classes(study, runs):
    images = load_images("generated", "train", side="eval").per_class(5)
    points = study.maps(runs[:1], images)
    assert set(points["method"]) == {"SL"} and set(points["epoch"]) == {0, 2}
    assert list(points["class_name"]) == [images.class_names[label] for label in points["label"]]
    assert len(points) == 2 * len(images) and np.isfinite(points[["x", "y"]]).all(axis=None)


def test_transfer_is_to_the_sets_that_are_here(study, runs, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    tasks = study.tasks(["cifar100:eval", "digits"])
    assert capsys.readouterr().out == "cifar100:eval is not on this machine: workbook data show cifar100\n"
    assert [task.name for task in tasks] == ["digits"] == [task.name for task in study.tasks()]
    assert set(np.bincount(tasks[0].train.labels)) == {4}
    table = study.transfer(runs[:1], tasks)
    assert table[["method", "dataset", "protocol"]].values.tolist() == [["SL", "digits", "k-NN"]]
    assert list(study.transfer(runs[:1], tasks, "linear")["protocol"]) == ["linear"]


def test_protocols_take_the_profile_s_choices(study):
    protocols = study.protocols(*PROTOCOLS)
    assert protocols["linear"] == LinearProbe(TINY.probe)
    finetuned = protocols["finetuned"]
    assert isinstance(finetuned, Finetuning) and (finetuned.base, finetuned.epochs) == (TINY.recipe, 1)
    assert list(study.protocols()) == ["k-NN"]


def test_where_one_only_reads_nothing_is_trained(study, runs):
    reading = replace(study, lab=study.lab.reading())
    assert [run.key for run in reading.train("SL")] == [run.key for run in runs[:2]]
    with pytest.raises(NotStoredError):
        reading.train("SL-MLP")


# --- what is recorded


def test_the_hardware_is_what_trained_the_runs_wherever_that_was(study, runs, monkeypatch):
    fresh = Study(study.profile, study.lab)
    assert fresh.provenance()["hardware"] == hardware(), "of no runs, this machine's"
    made = [
        replace(run, artefact=replace(run.artefact, provenance={"hardware": name}))
        for run, name in zip(runs, ("8 x GPU", "a CPU", "8 x GPU"), strict=False)
    ]
    monkeypatch.setattr("workbook.study.train_all", lambda recipes, lab: made)
    fresh.upstream().train("SL")
    assert fresh.provenance()["hardware"] == "8 x GPU; a CPU"


def test_verdicts_are_judged_shown_and_recorded(study, runs, tmp_path, monkeypatch):
    claims = ["A.pooled.slmlp-above", "A.mlp.byol"]
    table = study.stagewise(runs, ("pooled",))
    monkeypatch.setenv("WORKBOOK_REPORT", str(tmp_path / "verdicts.json"))
    differences = {claims[0]: pd.Series([1.0, 2.0]), claims[1]: pd.Series([-1.0, -1.1, -0.9], index=[5, 6, 7])}
    shown = study.verdicts(differences, table)
    assert list(shown["claim"]) == [CLAIMS[claim].statement for claim in claims]
    assert all(verdict.startswith("not evaluated (the smoke") for verdict in shown["verdict"])
    written = json.loads((tmp_path / "verdicts.json").read_text())
    assert [verdict["claim"]["id"] for verdict in written["verdicts"]] == claims
    assert written["seeds"] == [0, 1, 5, 6, 7] and written["hardware"]
    assert [row["accuracy"] for row in written["measurements"]] == list(table["accuracy"])
    pocket = Study(PROFILES["pocket"], study.lab)
    assert pocket.verdicts(differences, table)["verdict"][1] == "differs"
    assert pocket.verdicts(differences, table, sets=None)["verdict"][1] == "differs"
    of_sets = pocket.verdicts(differences, table, sets=["digits"])["verdict"][1]
    assert of_sets == "exploratory (differs; sets = ['digits'] is not the protocol's)"
    other = replace(pocket, profile=replace(pocket.profile, measured_per_class=7)).judged(differences)
    assert other[1].status == "exploratory" and "measured_per_class = 7" in other[1].detail
    premises = {claims[1]: pd.Series([-1.0, 1.0, 0.0])}
    assert pocket.judged(differences, premises=premises)[1].status == "not evaluated"


def test_a_statement_names_the_sets_that_it_was_measured_on(study, runs):
    claim = "A.transfer.linear"
    found = study.verdicts({claim: pd.Series([1.0])}, study.stagewise(runs, ("pooled",)), over=["dtd", "svhn"])
    (said,) = found["claim"]
    own = CLAIMS[claim].statement
    assert said == f"{own} (measured: mean of dtd, svhn; its interval covers seeds alone)"


def test_other_sets_than_the_profile_s_are_exploratory(study):
    """Those that are on this machine may be fewer; whose choice they are does not matter."""
    pocket = replace(study, profile=PROFILES["pocket"])
    found = {"A.transfer.linear": pd.Series([1.0, 1.1, 0.9, 1.0, 1.2], index=range(5, 10))}
    assert [v.status for v in pocket.judged(found, over=pocket.profile.transfer.sets_a)] == ["agrees"]
    (fewer,) = pocket.judged(found, over=["digits"])
    assert (fewer.status, fewer.said) == ("exploratory", "agrees")
    assert fewer.detail.endswith("sets = digits is not the protocol's")


# --- how it is made


def test_a_study_of_a_profile_with_some_fields_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_STORE", str(tmp_path / "store"))
    study = Study.of("smoke", device="cpu", precision="bfloat16", epochs=3, **{"transfer.sets_a": ["digits"]})
    assert (study.profile.recipe.epochs, study.profile.transfer.sets_a) == (3, ("digits",))
    assert study.lab.store.root == tmp_path / "store" and precision_of(study.lab.fabric) == "bf16-mixed"
    assert study.dataset == "generated" and Study.of("smoke", dataset="digits").dataset == "digits"
    assert [Study.of("smoke", keep_features=keep).lab.keep_features for keep in (False, True)] == [False, True]
    with pytest.raises(ProfileError, match="did you mean 'epochs'"):
        Study.of("smoke", epoch=3)
