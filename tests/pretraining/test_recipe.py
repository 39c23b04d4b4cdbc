from dataclasses import replace

import pytest

from tests.pretraining.small import SQUARES
from workbook.data.augmentation import Augmentation
from workbook.pretraining.methods import SETTINGS, Projector, method_name, recipe_name
from workbook.pretraining.moco import Moco
from workbook.pretraining.recipe import METHODS, Recipe, sweep, with_method
from workbook.pretraining.starts import RunStart
from workbook.pretraining.supervised import Centroids, CrossEntropy
from workbook.profiles import PROFILES
from workbook.store import _plain, key_of

LARGE = Recipe(dataset="imagenet1k")


def test_both_papers_methods_are_known():
    assert {
        *("SL", "SL-MLP", "Byol", "Byol w/o MLP", "Mocov1", "Mocov1 w/ MLP", "Mocov2", "Mocov2 w/o MLP"),
        *("SimCLR", "SimCLR w/o MLP", "SupCon", "SupCon w/o MLP", "CE+SelfSupCon", "SelfSupCon", "SwAV", "DINO", "MAE"),
    } <= set(METHODS)


@pytest.mark.parametrize("base", [SQUARES, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("name", METHODS)
def test_a_recipe_is_called_by_its_method_and_differs_from_its_pair_in_the_mlp_alone(name, base):
    recipe = with_method(base, name)
    assert recipe.method == name
    assert recipe_name(_plain(recipe)) == name
    other = SETTINGS[recipe.objective.name].projector if recipe.projector is None else None
    assert with_method(base, method_name(recipe.objective.name, other)) == replace(recipe, projector=other)


def test_sl_keeps_all_that_the_recipe_says():
    for profile in PROFILES.values():
        assert with_method(profile.recipe, "SL") == profile.recipe
        assert with_method(profile.recipe, "SL-MLP") == replace(profile.recipe, projector=Projector())


def test_byol_as_the_paper_trains_it():
    recipe = with_method(LARGE, "Byol")
    assert recipe.lr * recipe.batch_size / 1024 == pytest.approx(4.8)
    assert (recipe.optimizer, recipe.batch_size, recipe.warmup_epochs) == ("lars", 4096, 10)
    assert recipe.objective.momentum == 0.99
    assert recipe.projector == Projector(), "SL-MLP and Byol share the same MLP projector (A Table 2)"


def test_a_small_batch_keeps_the_base_s_optimiser_and_gets_a_small_queue():
    recipe = with_method(SQUARES, "Mocov2")
    assert (recipe.optimizer, recipe.lr) == (SQUARES.optimizer, SQUARES.lr)
    assert recipe.objective == Moco(queue=256, momentum=0.99)
    assert with_method(LARGE, "Mocov2").objective == Moco()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"norm": False, "relu": False, "output_fc": False}, "SL-MLP (Input FC)"),
        ({"relu": False}, "SL-MLP (Input FC, BN, Output FC)"),
        ({"input_fc": False, "output_fc": False}, "SL-MLP (BN, ReLU)"),
        ({"count": 2}, "SL-MLP x 2"),
        ({"hidden_dim": 2048, "out_dim": 2048}, "SL-MLP"),
    ],
)
def test_variants_are_named_by_their_components(changes, name):
    assert method_name("SL", Projector(**changes)) == name


def test_a_method_s_own_components_need_no_mention():
    assert method_name("Mocov2", Projector(norm=False)) == "Mocov2"
    assert method_name("Mocov2", Projector()) == "Mocov2 (Input FC, BN, ReLU, Output FC)"


def test_later_fields_do_not_change_the_keys_of_earlier_runs():
    """The key of a recipe of before there were objectives, as the store holds it."""
    plain = _plain(with_method(SQUARES, "SL-MLP"))
    assert set(plain) == {
        *("dataset", "side", "images_per_class", "image_size", "backbone", "small_stem", "projector", "augmentation"),
        *("epochs", "checkpoint_epochs", "batch_size", "lr", "momentum", "weight_decay", "warmup_epochs", "clip_norm"),
        "seed",
    }
    assert set(plain["augmentation"]) == {"crop_scale", "crop_ratio", "flip"}
    assert set(plain["projector"]) == {"hidden_dim", "out_dim", "input_fc", "norm", "relu", "output_fc"}
    assert key_of({"recipe": plain}) == "dc5075373d0d3e18f4a4"


@pytest.mark.parametrize(
    ("base", "key"),
    [(SQUARES, "637d6b3c304f18fe6681"), (LARGE, "28f8b8b1cf84d53038ff")],
    ids=["small", "large"],
)
def test_fields_for_finetuning_change_no_key_of_any_method(base, key):
    """One digest over two seeds of every method, as it was before recipes had a start."""
    assert key_of({"recipes": sweep(base, list(METHODS), [0, 1])}) == key


def test_what_finetuning_adds_is_part_of_the_key():
    objectives = [CrossEntropy(smoothing=0.1), CrossEntropy(mixup=0.8), CrossEntropy(cutmix=1.0)]
    objectives.append(CrossEntropy(head=Centroids()))
    augmentations = [Augmentation(policy="autoaugment"), Augmentation(cutout=0.5), Augmentation(erase=0.25)]
    changes = [{"objective": one} for one in objectives] + [{"augmentation": one} for one in augmentations]
    changes += [{"images": 100}, {"ema": 0.99}, {"drop_path": 0.1}, {"layer_decay": 0.7}, {"optimizer": "adam"}]
    changes += [{"start": RunStart(run="0" * 20, epoch=epoch)} for epoch in (1, 2)]
    keys = {key_of({"recipe": replace(SQUARES, **change)}) for change in [{}, *changes]}
    assert len(keys) == 1 + len(changes)


def test_every_method_has_a_key_of_its_own():
    keys = {key_of({"recipe": recipe}) for recipe in sweep(SQUARES, list(METHODS), [0])}
    assert len(keys) == len(METHODS)
    assert _plain(with_method(SQUARES, "Byol"))["objective"]["name"] == "Byol"


def test_refusals():
    with pytest.raises(ValueError, match="unknown method 'BYOL'; known: SL"):
        with_method(SQUARES, "BYOL")
    with pytest.raises(ValueError, match="optimizer must be one of sgd, lars, adam, adamw, got 'adamax'"):
        replace(SQUARES, optimizer="adamax")
    with pytest.raises(ValueError, match=r"images \(9\) and images_per_class \(3\) exclude each other"):
        replace(SQUARES, images=9, images_per_class=3)
    with pytest.raises(ValueError, match="a start is for finetuning with labels, got it with the objective Byol"):
        replace(with_method(SQUARES, "Byol"), start=RunStart(run="0" * 20, epoch=1))
    with pytest.raises(ValueError, match=r"ema must lie in \[0, 1\), got 1"):
        replace(SQUARES, ema=1)
    with pytest.raises(ValueError, match=r"drop_path must lie in \[0, 1\), got -0.1"):
        replace(SQUARES, drop_path=-0.1)
    with pytest.raises(ValueError, match=r"layer_decay must lie in \(0, 1\], got 0"):
        replace(SQUARES, layer_decay=0)
    with pytest.raises(ValueError, match="smoothing must lie in"):
        CrossEntropy(smoothing=1.0)
