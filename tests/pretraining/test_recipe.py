from dataclasses import replace

import pytest

from tests.pretraining.small import SQUARES
from workbook.data.augmentation import Augmentation
from workbook.evaluation.finetuning import finetune_1000_recipe, finetune_recipe
from workbook.keys import key_of, plain
from workbook.pretraining.heads import Centroids
from workbook.pretraining.injection import injection_recipe, injection_vit_recipe, supervised_vit_recipe
from workbook.pretraining.methods import SETTINGS
from workbook.pretraining.moco import MoCoChoices
from workbook.pretraining.names import Projector, method_name, recipe_name
from workbook.pretraining.recipe import METHODS, Recipe, sweep, with_method
from workbook.pretraining.starts import RunStart
from workbook.pretraining.supervised import CrossEntropy
from workbook.profiles import PROFILES

LARGE = Recipe(dataset="imagenet1k")
POCKET = PROFILES["pocket"].recipe
RUN = RunStart(run="0" * 20, epoch=60)
FORMER_NAMES = {"BYOL": "Byol", "MoCo v1": "Mocov1", "MoCo v2": "Mocov2"}


@pytest.mark.parametrize("base", [SQUARES, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("name", METHODS)
def test_a_recipe_is_called_by_its_method_and_differs_from_its_pair_in_the_mlp_alone(name, base):
    recipe = with_method(base, name)
    assert recipe.method == name
    assert recipe_name(plain(recipe)) == name
    other = SETTINGS[recipe.objective.name].projector if recipe.projector is None else None
    assert with_method(base, method_name(recipe.objective.name, other)) == replace(recipe, projector=other)


def test_sl_keeps_all_that_the_recipe_says():
    for profile in PROFILES.values():
        assert with_method(profile.recipe, "SL") == profile.recipe
        assert with_method(profile.recipe, "SL-MLP") == replace(profile.recipe, projector=Projector())


def test_a_small_batch_keeps_the_base_s_optimiser_and_gets_a_small_queue():
    recipe = with_method(SQUARES, "MoCo v2")
    assert (recipe.optimizer, recipe.lr) == (SQUARES.optimizer, SQUARES.lr)
    assert recipe.objective == MoCoChoices(queue=256, momentum=0.99)
    assert with_method(LARGE, "MoCo v2").objective == MoCoChoices()


def test_later_fields_do_not_change_the_keys_of_earlier_runs():
    """The key of a recipe of before there were objectives, as the store holds it."""
    held = plain(with_method(SQUARES, "SL-MLP"))
    assert set(held) == {
        *("dataset", "side", "images_per_class", "image_size", "backbone", "small_stem", "projector", "augmentation"),
        *("epochs", "checkpoint_epochs", "batch_size", "lr", "momentum", "weight_decay", "warmup_epochs", "clip_norm"),
        "seed",
    }
    assert set(held["augmentation"]) == {"crop_scale", "crop_ratio", "flip"}
    assert set(held["projector"]) == {"hidden_dim", "out_dim", "input_fc", "norm", "relu", "output_fc"}
    assert key_of({"recipe": held}) == "dc5075373d0d3e18f4a4"


@pytest.mark.parametrize(
    ("base", "key"),
    [(SQUARES, "8f604675440f3840ee26"), (LARGE, "9473df73a104da5ce785")],
    ids=["small", "large"],
)
def test_fields_for_finetuning_change_no_key_of_any_method(base, key):
    """One digest over two seeds of every method that there was before recipes had a start, but for three names,
    SwAV and DINO."""
    recipes = plain(sweep(base, [name for name in METHODS if not name.startswith(("t-ReX", "SwAV"))], [0, 1]))
    for recipe in recipes:
        if "objective" in recipe:
            name = recipe["objective"]["name"]
            recipe["objective"]["name"] = FORMER_NAMES.get(name, name)
    assert key_of({"recipes": recipes}) == key


@pytest.mark.parametrize(
    ("recipe", "key"),
    [
        (with_method(PROFILES["smoke"].recipe, "SL"), "762d447b72d6467aabf1"),
        (with_method(PROFILES["smoke"].recipe, "SL-MLP"), "f965b7e087f4f46e4de8"),
        (with_method(POCKET, "SL"), "785c51011c7b8291de59"),
        (with_method(POCKET, "SL-MLP"), "284facb7a43136d12c3c"),
        (with_method(POCKET, "SimCLR"), "716df83a57d54a8b2c87"),
        (with_method(POCKET, "DINO"), "832f2020002c52f05613"),
        (with_method(POCKET, "MAE"), "83ee595038c50f03f6eb"),
        (finetune_recipe(POCKET, "digits", RUN), "0c89fdb9357ee1ea17c4"),
        (finetune_1000_recipe(POCKET, "digits", RUN), "6bd4e0d012b27ad9b0e8"),
        (finetune_recipe(replace(POCKET, backbone="tiny_vit"), "digits", RUN), "c51e99306263ac28c68f"),
        (injection_recipe(POCKET, RUN, 4, epochs=20), "8ebb47c07f76edc4a466"),
        (injection_vit_recipe(replace(POCKET, backbone="tiny_vit"), RUN, None, epochs=20), "a1a40bd5d2f01b49b966"),
        (supervised_vit_recipe(replace(POCKET, backbone="tiny_vit")), "0ee90c2debc2a60ffd2b"),
    ],
    ids=lambda value: None if isinstance(value, str) else value.title,
)
def test_runs_that_were_trained_are_found_again(recipe, key):
    """The keys of recipes as stores hold them; a change costs everyone their runs."""
    assert key_of({"recipe": recipe}) == key


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("BYOL", "d652a3efb456b70c0da0"),
        ("BYOL w/o MLP", "ad5a01e02e92bcb5167a"),
        ("MoCo v1", "bb6166a08f313b0461eb"),
        ("MoCo v1 w/ MLP", "84821b5942c7042d3fdf"),
        ("MoCo v2", "0becb4213d43fc36c948"),
        ("MoCo v2 w/o MLP", "f96a104b571b06f325b7"),
    ],
)
def test_the_keys_of_renamed_methods_differ_by_the_name_alone(method, key):
    held = plain(with_method(POCKET, method))
    assert key_of({"recipe": held}) != key
    held["objective"]["name"] = FORMER_NAMES[held["objective"]["name"]]
    assert key_of({"recipe": held}) == key


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
    assert plain(with_method(SQUARES, "BYOL"))["objective"]["name"] == "BYOL"


def test_refusals():
    with pytest.raises(ValueError, match="unknown method 'BYOL2' .*'BYOL'"):
        with_method(SQUARES, "BYOL2")
    with pytest.raises(ValueError, match="optimizer: 'adamax' is unknown .*; known: sgd, lars"):
        replace(SQUARES, optimizer="adamax")
    with pytest.raises(ValueError, match=r"images \(9\) and images_per_class \(3\) exclude each other"):
        replace(SQUARES, images=9, images_per_class=3)
    with pytest.raises(ValueError, match="a start is for finetuning with labels, got it with the objective BYOL"):
        replace(with_method(SQUARES, "BYOL"), start=RunStart(run="0" * 20, epoch=1))
    with pytest.raises(ValueError, match="backbone: 'resnet9999' is unknown .did you mean"):
        replace(SQUARES, backbone="resnet9999")
    with pytest.raises(ValueError, match="ema must be less than 1, got 1"):
        replace(SQUARES, ema=1)
    with pytest.raises(ValueError, match="drop_path must be at least 0, got -0.1"):
        replace(SQUARES, drop_path=-0.1)
    with pytest.raises(ValueError, match="layer_decay must be greater than 0, got 0"):
        replace(SQUARES, layer_decay=0)
    with pytest.raises(ValueError, match="smoothing must lie in"):
        CrossEntropy(smoothing=1.0)
