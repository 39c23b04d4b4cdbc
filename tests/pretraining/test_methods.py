"""What methods are called, and what each brings."""

from typing import get_args

import pytest

from workbook.pretraining.methods import SETTINGS, Objective
from workbook.pretraining.model import MODELS
from workbook.pretraining.names import Projector, method_name, recipe_name
from workbook.pretraining.recipe import METHODS, Recipe, with_method

LARGE = Recipe(dataset="imagenet1k")


def test_both_papers_methods_are_known():
    assert {
        *("SL", "SL-MLP", "BYOL", "BYOL w/o MLP", "MoCo v1", "MoCo v1 w/ MLP", "MoCo v2", "MoCo v2 w/o MLP"),
        *("SimCLR", "SimCLR w/o MLP", "SupCon", "SupCon w/o MLP", "CE+SelfSupCon", "SelfSupCon", "SwAV", "DINO", "MAE"),
    } <= set(METHODS)


def test_byol_as_the_paper_trains_it():
    recipe = with_method(LARGE, "BYOL")
    assert recipe.lr * recipe.batch_size / 1024 == pytest.approx(4.8)
    assert (recipe.optimizer, recipe.batch_size, recipe.warmup_epochs) == ("lars", 4096, 10)
    assert recipe.objective.momentum == 0.99
    assert recipe.projector == Projector(), "SL-MLP and BYOL share the same MLP projector (A Table 2)"


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
    assert method_name("MoCo v2", Projector(norm=False)) == "MoCo v2"
    assert method_name("MoCo v2", Projector()) == "MoCo v2 (Input FC, BN, ReLU, Output FC)"


def test_a_recipe_as_the_store_holds_it_is_named():
    assert recipe_name({"projector": None}) == "SL", "before recipes had an objective"
    assert recipe_name({"projector": None, "objective": {"name": "BYOL", "momentum": 0.9}}) == "BYOL w/o MLP"
    assert recipe_name({"projector": {"norm": False}, "objective": {"name": "MoCo v1"}}) == "MoCo v1 w/ MLP"
    assert recipe_name({"projector": None, "objective": {"name": "CLI"}}) == "CLI", "no method of pretraining"


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_called_by_its_objective(name):
    setting = SETTINGS[name]
    objectives = [setting.objective] + ([] if setting.small_objective is None else [setting.small_objective(64)])
    assert {objective.name for objective in objectives} == {name}
    assert method_name(name, None if setting.plain else setting.projector) == name


def test_every_objective_has_a_model_of_its_own_or_its_parent_s():
    assert all(any(kind in MODELS for kind in objective.__mro__) for objective in get_args(Objective))
    assert {setting.objective.name for setting in SETTINGS.values()} == set(SETTINGS)
