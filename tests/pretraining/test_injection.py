"""The recipes of label injection."""

from dataclasses import replace

import pytest

from tests.pretraining.small import SQUARES
from workbook.data.augmentation import Augmentation
from workbook.pretraining.heads import Centroids
from workbook.pretraining.injection import (
    CYCLES,
    injection_recipe,
    injection_vit_recipe,
    over_cycles,
    supervised_vit_recipe,
)
from workbook.pretraining.recipe import Recipe, with_method
from workbook.pretraining.starts import RunStart


def test_recipes_keep_data_backbone_and_seed_of_the_base_and_nothing_else_of_its_method():
    base = Recipe(dataset="cifar100", images_per_class=7, seed=3, augmentation=Augmentation(blur=(1.0, 0.1)))
    start = RunStart(run="0" * 20, epoch=9)
    recipe = injection_recipe(base, start, 4)
    assert (recipe.dataset, recipe.side, recipe.images_per_class, recipe.seed) == ("cifar100", "pre", 7, 3)
    assert recipe.start == start and recipe.method == "CLI" and recipe.augmentation.blur == (0.0, 0.0)
    # B 5.3: the rate is 0.1 at batches of 200
    assert recipe.lr * recipe.batch_size / 1024 == pytest.approx(0.1)
    # and "3 warmup epochs with lr = 1e-4": timm's warm-up begins there
    assert (recipe.warmup_epochs, recipe.warmup_lr * recipe.batch_size / 1024) == (3, pytest.approx(1e-4))
    vit = injection_vit_recipe(base, start, None)
    assert (vit.global_pool, vit.decay_embeddings, vit.warmup_lr) == (True, False, 0.0), "MAE's scripts"
    assert vit.lr * vit.batch_size / 1024 == pytest.approx(5e-4 * 32 / 256)
    assert (vit.layer_decay, vit.drop_path, vit.objective.mixup, vit.objective.cutmix) == (0.65, 0.1, 0.8, 1.0)
    assert isinstance(recipe.objective.head, Centroids)


def test_crops_of_a_self_supervised_method_are_refused():
    for method in ("SimCLR", "MAE", "SupCon w/o MLP"):
        base = with_method(replace(SQUARES, backbone="tiny_vit"), method)
        with pytest.raises(ValueError, match=f"from a supervised recipe, got one of {method}"):
            injection_recipe(base, None, 1)


def test_the_vit_to_compare_with_differs_in_what_a_start_is_for():
    base = replace(SQUARES, backbone="tiny_vit")
    alone, injected = supervised_vit_recipe(base), injection_vit_recipe(base, None, 1, epochs=base.epochs)
    assert alone.method == "SL"
    assert (alone.start, alone.layer_decay, alone.objective.head) == (None, 1.0, base.objective.head)
    kept = {"objective": injected.objective, "layer_decay": 0.65, "checkpoint_epochs": ()}
    assert replace(alone, **kept) == injected


def test_a_sweep_changes_the_cycle_alone():
    base = injection_recipe(Recipe(dataset="cifar100"), RunStart(run="0" * 20, epoch=1), 1)
    recipes = over_cycles(base, [*CYCLES, None])
    assert [recipe.objective.control_cycle for recipe in recipes] == [1, 2, 3, 4, 5, 10, 50, 100, None]
    assert all(replace(r, objective=base.objective) == base for r in recipes)
    with pytest.raises(ValueError, match="of a label injection, got a recipe of SL"):
        over_cycles(Recipe(dataset="cifar100"), [1])
