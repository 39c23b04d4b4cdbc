from collections import Counter

import pytest

from workbook.errors import ProfileError
from workbook.profiles import PROFILES, _leaves, load_profile, override_fields


def test_every_profile_has_its_own_name():
    assert {name: profile.name for name, profile in PROFILES.items()} == {
        name: name for name in ("smoke", "pocket", "study", "paper")
    }


def test_a_field_s_name_lies_in_one_place():
    assert [name for name, count in Counter(_leaves(PROFILES["paper"])).items() if count > 1 and name != "seed"] == []


def test_overrides_go_where_the_field_lies():
    profile = load_profile("pocket", epochs=40, stage_budget=2048, seeds=5, c_values=[0.1, 1], lr=1)
    assert profile.recipe.epochs == 40
    assert profile.extraction.stage_budget == 2048
    assert profile.seeds == 5
    assert profile.probe.c_values == (0.1, 1)
    assert profile.recipe.lr == 1.0 and isinstance(profile.recipe.lr, float)


def test_none_leaves_a_field_as_it_is():
    assert load_profile("pocket", dataset=None) == PROFILES["pocket"]


def test_fewer_epochs_shorten_warm_up_and_checkpoints():
    recipe = load_profile("pocket", epochs=2).recipe
    assert recipe.epochs == 2 and recipe.warmup_epochs == 1 and recipe.saved_epochs == (0, 2)


def test_what_a_sweep_sets_is_not_overridden():
    assert not {"name", "seed", "projector", "objective"} & override_fields()
    with pytest.raises(ProfileError, match="no profile has a field 'seed' .did you mean 'seeds'"):
        load_profile("smoke", seed=3)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("pockt", {}, "unknown profile 'pockt' .did you mean 'pocket'.*known: smoke, pocket, study, paper"),
        ("smoke", {"epoch": 3}, "no profile has a field 'epoch' .did you mean 'epochs'"),
        ("smoke", {"epochs": "three"}, "epochs takes int, got 'three'"),
        ("smoke", {"epochs": True}, "epochs takes int, got True"),
        ("smoke", {"epochs": 0}, "epochs must be at least 1"),
        ("smoke", {"checkpoint_epochs": 3}, "checkpoint_epochs takes a list, got 3"),
        ("smoke", {"checkpoint_epochs": [99]}, "checkpoint_epochs must lie in .0, 5., got 99"),
        ("smoke", {"dtype": "int8"}, 'dtype must be "float32" or "float16"'),
    ],
)
def test_refusals(name, overrides, message):
    with pytest.raises(ProfileError, match=message):
        load_profile(name, **overrides)


def test_the_other_methods_epochs_follow_those_of_sl():
    assert load_profile("pocket", epochs=10).ablation.epochs == 5
    assert load_profile("pocket", epochs=120).ablation.epochs == 60
    assert load_profile("pocket", epochs=10, ablation_epochs=7).ablation.epochs == 7
    assert load_profile("study", epochs=10).ablation.epochs == 10


def test_evidence_has_the_seeds_that_a_verdict_needs():
    assert load_profile("study").seeds >= 3 and load_profile("study").ablation_seeds >= 3
