from dataclasses import replace

import numpy as np
import pytest

from workbook.errors import ManifestError, MissingDataError
from workbook.evaluation import transfer
from workbook.evaluation.extraction import POOLED, extract
from workbook.evaluation.finetuning import finetune_1000_recipe, finetune_recipe
from workbook.files import CHECKOUT
from workbook.lab import Lab
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import train
from workbook.probes.few_shot import FewShotRecipe
from workbook.probes.linear import ProbeRecipe, linear_probe
from workbook.probes.many_labels import labels_probe
from workbook.probes.sgd import SGDProbeRecipe
from workbook.store import Store

RECIPE = Recipe(
    dataset="generated",
    side="pre",
    images_per_class=5,
    image_size=16,
    backbone="narrow_resnet",
    small_stem=True,
    epochs=2,
    batch_size=32,
    warmup_epochs=0,
)
PROTOCOLS = {
    "linear": transfer.LinearProbe(ProbeRecipe(c_values=(0.01, 0.1))),
    "SGD probe": transfer.SGDProbe(SGDProbeRecipe(epochs=20)),
    "k-NN": transfer.NearestNeighbours(),
    "5-way 5-shot": transfer.FewShot(FewShotRecipe(episodes=40)),
    "finetuned": transfer.Finetuning(finetune_1000_recipe, RECIPE, epochs=1),
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory, fabric):
    """Two untuned runs on two tasks by every protocol; the lab, the runs, the tasks and the table."""
    lab = Lab(Store(tmp_path_factory.mktemp("store")), fabric)
    runs = [train(replace(RECIPE, seed=seed), lab) for seed in (0, 1)]
    tasks, missing = transfer.load_present(["digits", "generated:eval"], images_per_class=15)
    assert not missing
    return lab, runs, tasks, transfer.transfer_suite(runs, tasks, PROTOCOLS, lab)


def test_a_row_for_every_run_task_and_protocol(scored):
    _, _, _, table = scored
    assert len(table) == len(table.drop_duplicates(["seed", "dataset", "protocol"])) == 2 * 2 * len(PROTOCOLS)
    assert table["accuracy"].between(0, 100).all()
    digits = table[table["dataset"] == "digits"].groupby("protocol")["accuracy"].mean()
    # ten classes, 15 images each, hardly a pretraining
    assert (digits[["linear", "SGD probe", "k-NN"]] > 35).all()
    assert digits["5-way 5-shot"] > 40
    assert table[table["protocol"] == "finetuned"]["accuracy_before"].notna().all()
    assert table[table["protocol"] == "5-way 5-shot"]["half_width"].gt(0).all()


def test_the_numbers_are_those_of_the_protocol_on_the_run_s_features(scored):
    lab, runs, tasks, table = scored
    train_part, test_part = transfer._features(runs[1], tasks[0], lab)
    expected = linear_probe(
        np.array(train_part.layer("pooled")),
        train_part.labels,
        np.array(test_part.layer("pooled")),
        test_part.labels,
        PROTOCOLS["linear"].probe,
    ).accuracy
    row = table[(table["seed"] == 1) & (table["dataset"] == "digits") & (table["protocol"] == "linear")]
    assert row["accuracy"].item() == pytest.approx(expected)


def test_a_second_time_everything_comes_from_the_store(scored):
    lab, runs, tasks, table = scored
    before = {artefact.key for artefact in lab.store.artefacts()}
    again = transfer.transfer_suite(runs, tasks, PROTOCOLS, lab)
    assert again.equals(table)
    assert {artefact.key for artefact in lab.store.artefacts()} == before


def test_other_choices_are_other_scores(scored):
    lab, runs, tasks, table = scored
    other = {"5-way 5-shot": transfer.FewShot(FewShotRecipe(episodes=37, seed=7))}
    again = transfer.transfer_suite(runs[:1], tasks[:1], other, lab)
    row = table[(table["seed"] == 0) & (table["dataset"] == "digits") & (table["protocol"] == "5-way 5-shot")]
    assert again["accuracy"].item() != row["accuracy"].item()


def test_what_is_missing_is_said_and_nothing_takes_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    tasks, missing = transfer.load_present(["cifar100:eval", "digits"])
    assert [task.name for task in tasks] == ["digits"]
    assert list(missing) == ["cifar100:eval"] and "To get it" in missing["cifar100:eval"]


def test_a_misspelt_set_or_side_is_an_error():
    with pytest.raises(ManifestError, match="there is no manifest 'digit'"):
        transfer.load_present(["digit"])
    with pytest.raises(ManifestError, match="no side 'evil'"):
        transfer.load_present(["generated:evil"])


def test_a_task_is_one_side_thinned_in_training_alone():
    task = transfer.load_task("generated:eval", images_per_class=3)
    assert task.name == "generated:eval"
    assert np.bincount(task.train.labels).tolist() == [3] * len(task.train.class_names)
    assert len(task.test) > len(task.test.class_names)


def test_official_validation_images_choose_c(scored):
    lab, runs, _, _ = scored
    task = transfer.load_task("digits", images_per_class=10)
    assert task.validation is None
    official = replace(task, validation=task.test)
    probe = transfer.LinearProbe(ProbeRecipe(c_values=(1e-6, 0.01, 0.1)))
    alone, chosen = (probe.score(runs[0], each, lab)["accuracy"] for each in (task, official))
    assert chosen != alone, "it is fitted to more images"
    pooled = POOLED
    train, test = (extract(runs[0], part, pooled, lab) for part in (task.train, task.test))
    parts = [part for found in (train, test) for part in (found.layer("pooled"), found.labels)]
    assert chosen == linear_probe(*parts, probe.probe, validation=(parts[2], parts[3])).accuracy


def test_a_set_without_enough_classes_is_no_task_for_few_shot_alone(scored):
    lab, runs, _, _ = scored
    few = transfer.load_task("digits", images_per_class=20)
    three = few.train.class_names[:3]
    small = replace(few, train=few.train.only_classes(three), test=few.test.only_classes(three))
    protocols = {name: PROTOCOLS[name] for name in ("k-NN", "5-way 5-shot")}
    table = transfer.transfer_suite(runs[:1], [small], protocols, lab).set_index("protocol")
    assert np.isnan(table.loc["5-way 5-shot", "accuracy"]) and table.loc["k-NN", "accuracy"] > 0
    assert "5 ways need as many classes, got 3" in table.loc["5-way 5-shot", "problem"]


def test_without_any_set_it_says_how_to_get_one(scored):
    lab, runs, _, _ = scored
    with pytest.raises(MissingDataError, match="workbook data show"):
        transfer.transfer_suite(runs, [], PROTOCOLS, lab)


def test_a_finetuning_of_fewer_epochs_than_its_warm_up_is_shortened_with_it(scored):
    """The recipe for ViTs warms up for five epochs, of which a short profile has one."""
    lab, _, tasks, _ = scored
    run = train(replace(RECIPE, backbone="tiny_vit", epochs=1), lab)
    score = transfer.Finetuning(finetune_recipe, RECIPE, epochs=1).score(run, tasks[0], lab)
    assert 0 <= score["accuracy"] <= 100


def test_b_s_finetuning_sees_as_many_images_as_the_probes_and_a_s_a_thousand(scored, monkeypatch):
    lab, runs, tasks, _ = scored
    seen = []

    def finetune(recipe, *given):
        seen.append((recipe.images_per_class, recipe.images))
        return {"accuracy": 1.0, "accuracy_before": 1.0}

    monkeypatch.setattr(transfer, "finetune", finetune)
    for recipe in (finetune_recipe, finetune_1000_recipe):
        transfer.Finetuning(recipe, RECIPE, images_per_class=20).score(runs[0], tasks[0], lab)
    assert seen == [(20, None), (None, 1000)]


def test_a_task_is_called_by_its_manifest_wherever_that_lies(tmp_path):
    path = tmp_path / "copy.yaml"
    path.write_text((CHECKOUT / "data_manifests" / "generated.yaml").read_text())
    task = transfer.load_task(f"{path}:eval", 3)
    assert (task.name, task.dataset) == ("generated:eval", str(path))


def test_a_task_of_many_labels_has_an_map_and_no_accuracy(scored):
    lab, runs, tasks, _ = scored
    task = transfer.load_task("generated-multilabel", images_per_class=20)
    assert task.many_labels and len(task.train) == 20 * 5 and not tasks[0].many_labels
    protocols = PROTOCOLS | {"finetuned": transfer.Finetuning(finetune_recipe, RECIPE, epochs=1, images_per_class=20)}
    protocols |= {"1,000 images": transfer.Finetuning(finetune_1000_recipe, RECIPE, epochs=1)}
    table = transfer.transfer_suite(runs[:1], [task], protocols, lab).set_index("protocol")
    assert table["accuracy"].isna().all(), "what is no top-1 accuracy does not stand among them"
    assert table.loc[["linear", "finetuned"], "mAP"].between(40, 100).all()
    assert table.loc["linear", "left_out"] == 0 and table.loc["finetuned", "mAP_before"] > 40
    others = table.loc[["SGD probe", "k-NN", "5-way 5-shot", "1,000 images"]]
    assert others["mAP"].isna().all()
    assert others["problem"].str.contains("an image of generated-multilabel has many labels").all()
    again = transfer.transfer_suite(runs[:1], [task], protocols, lab).set_index("protocol")
    assert again.equals(table)


def test_the_linear_map_is_that_of_the_probe_on_the_run_s_features(scored):
    lab, runs, _, _ = scored
    task = transfer.load_task("generated-multilabel", images_per_class=20)
    task = replace(task, validation=task.test)
    parts = [part for found in transfer._features(runs[0], task, lab) for part in (found.layer("pooled"), found.labels)]
    expected = labels_probe(*parts, PROTOCOLS["linear"].probe, validation=(parts[2], parts[3]))
    assert PROTOCOLS["linear"].score(runs[0], task, lab)["mAP"] == expected.mean_average_precision
