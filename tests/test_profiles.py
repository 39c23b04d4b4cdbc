from dataclasses import replace

import pytest

from workbook.data.sources import check_set
from workbook.engines.local import Local
from workbook.engines.ray import Ray
from workbook.errors import ManifestError, ProfileError
from workbook.profiles import (
    PROFILES,
    PROTOCOLS,
    SETS_A,
    SETS_B,
    Ablation,
    Injection,
    Transfer,
    field_path,
    load_profile,
    override_fields,
)


def test_every_profile_has_its_own_name():
    assert {name: profile.name for name, profile in PROFILES.items()} == {
        name: name for name in ("smoke", "sketch", "pocket", "study", "paper")
    }


def test_seeds_begin_where_the_profile_says():
    profile = load_profile("smoke", seeds=3, first_seed=7)
    assert list(profile.own_seeds) == [7, 8, 9] and list(profile.ablation_seeds) == [7]
    assert list(load_profile("smoke").own_seeds) == [0, 1]


def test_where_jobs_are_done_is_the_profile_s_and_no_design(monkeypatch):
    profile = load_profile("pocket", runs_at_a_time=2, cpus_a_job=4)
    assert profile.changed == {} and profile.engine("cuda") == Local(2)
    monkeypatch.setenv("WORKBOOK_ENGINE", "ray")
    assert (profile.engine("cuda"), profile.engine("cpu")) == (Ray(4, 0.5), Ray(4, 0))
    assert load_profile("pocket", gpus_a_job=1).engine("cpu") == Ray(1, 1)


def test_what_was_changed_is_told_but_for_what_changes_no_design():
    assert load_profile("pocket", seeds=2, first_seed=0, device="cpu", precision="bfloat16").changed == {}
    changed = load_profile("pocket", lr=0.2, sets_b=["digits"]).changed
    assert changed == {"recipe.lr": 0.2, "transfer.sets_b": ("digits",)}
    mine = replace(load_profile("pocket"), name="mine")
    assert mine.changed["recipe.dataset"] == "cifar100", "nothing of a profile of one's own was fixed"


# --- the names of fields


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("epochs", "recipe.epochs"),  # the recipe's, though others have one
        ("images_per_class", "recipe.images_per_class"),
        ("recipe.epochs", "recipe.epochs"),
        ("ablation.epochs", "ablation.epochs"),
        ("seeds", "seeds"),  # the profile's own, though its ablation has one
        ("ablation.seeds", "ablation.seeds"),
        ("crop_scale", "recipe.augmentation.crop_scale"),
        ("stage_budget", "extraction.stage_budget"),
        ("c_values", "probe.c_values"),
        ("finetune_epochs", "transfer.finetune_epochs"),
        ("episodes", "transfer.few_shot.episodes"),
        ("vit", "injection.vit"),
        ("injection.cka.seed", "injection.cka.seed"),
    ],
)
def test_a_name_says_enough_where_only_one_field_is_meant(name, path):
    assert field_path(name) == path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seed", "several fields are called 'seed': say which of .*probe.seed.*injection.cka.seed"),
        ("epoch", "no profile has a field 'epoch' .did you mean 'epochs'..; `workbook profile` lists them all"),
        ("transfer.image_per_class", "did you mean 'transfer.images_per_class'"),
        ("recipe.seed", "no profile has a field"),
        ("transfer", "no profile has a field 'transfer'"),
        ("name", "no profile has a field 'name'"),
    ],
)
def test_names_of_none_or_several_fields(name, message):
    with pytest.raises(ProfileError, match=message):
        field_path(name)
    with pytest.raises(ProfileError, match=message):
        load_profile("smoke", **{name: 3})


def test_what_a_sweep_sets_is_not_overridden():
    assert not {"name", "recipe.seed", "recipe.projector", "recipe.objective", "recipe.start"} & set(override_fields())


# --- what overrides do


def test_overrides_go_where_the_field_lies():
    profile = load_profile("pocket", epochs=40, stage_budget=2048, seeds=5, c_values=[0.1, 1], lr=1)
    assert profile.recipe.epochs == 40
    assert profile.extraction.stage_budget == 2048
    assert profile.seeds == 5
    assert profile.probe.c_values == (0.1, 1)
    assert profile.recipe.lr == 1.0 and isinstance(profile.recipe.lr, float)
    dotted = load_profile("pocket", **{"transfer.images_per_class": 7, "injection.cka.passes": 2, "jitter": 0.5})
    assert (dotted.transfer.images_per_class, dotted.recipe.images_per_class) == (7, 100)
    assert dotted.injection.cka.passes == 2 and dotted.recipe.augmentation.jitter == 0.5
    assert load_profile("pocket") == PROFILES["pocket"]


def test_none_is_a_value():
    profile = load_profile("pocket", images_per_class=None, **{"ablation.epochs": None, "injection.cycles": [1, None]})
    assert profile.recipe.images_per_class is None and profile.ablation_recipe.epochs == profile.recipe.epochs
    assert profile.injection.cycles == (1, None)
    for name in ("dataset", "epochs", "c_values", "transfer.sets_a", "vit"):
        with pytest.raises(ProfileError, match=f"{name.rpartition('.')[2]} takes .*, got None"):
            load_profile("pocket", **{name: None})


def test_the_side_of_pretraining_may_be_all_classes():
    assert load_profile("paper", side=None).recipe.side is None
    with pytest.raises(ProfileError, match="recipe.side: 'all' is unknown; known: pre, eval"):
        load_profile("paper", side="all")


def test_transfer_is_asked_of_the_papers_own_pretraining():
    assert {name: profile.transfer.all_classes for name, profile in PROFILES.items()} == {
        "smoke": False,
        "sketch": False,
        "pocket": False,
        "study": False,
        "paper": True,
    }


def test_sets_of_the_two_papers_are_not_mixed():
    """What one paper alone has is never among the other's."""
    a, b = ({name.partition(":")[0] for name in names} for names in (SETS_A, SETS_B))
    for profile in PROFILES.values():
        of_a, of_b = (
            {n.partition(":")[0] for n in names} for names in (profile.transfer.sets_a, profile.transfer.sets_b)
        )
        assert not of_a & (b - a) and not of_b & (a - b), profile.name
        assert of_a and len(of_b) >= 2, "log-odds over data sets take two"
    assert (PROFILES["paper"].transfer.sets_a, PROFILES["paper"].transfer.sets_b) == (SETS_A, SETS_B)


def test_fewer_epochs_shorten_warm_up_and_checkpoints():
    recipe = load_profile("pocket", epochs=2).recipe
    assert recipe.epochs == 2 and recipe.warmup_epochs == 1 and recipe.saved_epochs == (0, 2)


def test_the_other_methods_epochs_follow_those_of_sl():
    assert load_profile("smoke", epochs=6).ablation.epochs == 2
    assert load_profile("smoke", epochs=1).ablation.epochs == 1
    assert load_profile("smoke", epochs=9, **{"ablation.epochs": 7}).ablation.epochs == 7
    study = load_profile("study", epochs=10)
    assert study.ablation.epochs is None and study.ablation_recipe.epochs == 10


def test_the_ablations_start_from_the_recipe_with_their_own_size():
    pocket = PROFILES["pocket"]
    base = pocket.ablation_recipe
    assert base == pocket.recipe and pocket.other_recipe == replace(base, lr=1.6)
    assert PROFILES["study"].other_recipe == PROFILES["study"].recipe
    shorter = replace(pocket, ablation=Ablation(epochs=30)).ablation_recipe
    assert (shorter.epochs, shorter.warmup_epochs, shorter.saved_epochs) == (30, 2, (0, 2, 5, 10, 20, 30))
    changed = {name: getattr(pocket.recipe, name) for name in ("epochs", "checkpoint_epochs")}
    assert replace(shorter, **changed) == pocket.recipe
    sized = replace(pocket, ablation=Ablation(images_per_class=3, batch_size=6)).ablation_recipe
    assert sized == replace(pocket.recipe, images_per_class=3, batch_size=6)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_made_with_the_choices_of_the_profile(name):
    profile = load_profile("pocket", finetune_epochs=3, c_values=[0.5], episodes=7)
    made = PROTOCOLS[name](profile)
    choices = {"base": profile.recipe, "epochs": 3, "episodes": profile.transfer.few_shot}
    if name == "linear":
        choices["probe"] = profile.probe
    given = {field: value for field, value in choices.items() if hasattr(made, field)}
    assert all(getattr(made, field) == value for field, value in given.items())
    assert bool(given) == (name not in ("SGD probe", "k-NN"))


# --- what is refused, in an override as in a profile that is made by hand

WRONG = [
    ("epochs", "three", "recipe.epochs takes int, got 'three'"),
    ("epochs", True, "recipe.epochs takes int, got True"),
    ("epochs", 0, "recipe.epochs must be at least 1, got 0"),
    ("epochs", 2.5, "recipe.epochs takes int, got 2.5"),
    ("warmup_epochs", -1, "recipe.warmup_epochs must be at least 0, got -1"),
    ("checkpoint_epochs", 3, r"recipe.checkpoint_epochs takes list\[int, ...\], got 3"),
    ("checkpoint_epochs", [99], "checkpoint_epochs must lie in .0, 3., got 99"),
    ("dtype", "int8", "extraction.dtype must be 'float32' or 'float16', got 'int8'"),
    ("seeds", -3, "seeds must be at least 1, got -3"),
    ("injection.methods", ["Mocov9"], r"methods\[0\]: 'Mocov9' is unknown .did you mean 'MoCo v"),
    ("injection.methods", ["MoCo v2", 3], r"injection.methods takes list\[str, ...\], got"),
    ("vit_methods", ["SL2"], r"vit_methods\[0\]: 'SL2' is unknown"),
    ("vit", "resnet18", "vit: 'resnet18' is unknown"),
    ("sweeps", ["bogus"], r"sweeps\[0\]: 'bogus' is unknown; known: number of projectors, batch size"),
    ("ablation.backbones", ["ResNet999"], r"backbones\[0\]: 'ResNet999' is unknown .did you mean"),
    ("protocols", ["linaer"], r"protocols\[0\]: 'linaer' is unknown .did you mean 'linear'"),
    ("finetune_epochs", "abc", "transfer.finetune_epochs takes int | None, got 'abc'"),
    ("finetune_epochs", 0, "transfer.finetune_epochs must be at least 1, got 0"),
    ("backbone", "resnet9999", "backbone: 'resnet9999' is unknown .did you mean 'resnet"),
    ("cycles", [0], r"injection.cycles\[0\] must be at least 1, got 0"),
    ("cycles", 4, "injection.cycles takes list"),
    ("device", "gpu", "device: 'gpu' is unknown.*known: auto, cpu, cuda, mps"),
    ("precision", "float8", "precision: 'float8' is unknown .did you mean 'float"),
    ("lr", -1, "recipe.lr must be greater than 0, got -1"),
    ("lr", float("nan"), "recipe.lr must be a finite number, got nan"),
    ("weight_decay", float("inf"), "recipe.weight_decay must be a finite number, got inf"),
    ("momentum", 1, "recipe.momentum must be less than 1, got 1"),
    ("batch_size", 1, "recipe.batch_size must be at least 2, got 1"),
    ("image_size", 0, "recipe.image_size must be at least 1, got 0"),
    ("crop_scale", [5, -1], r"augmentation.crop_scale\[0\] must be at most 1, got 5"),
    ("crop_scale", [0.9, 0.2], r"augmentation.crop_scale: must ascend, got \[0.9, 0.2\]"),
    ("crop_scale", [0.2], "augmentation.crop_scale takes list"),
    ("flip", 7, "augmentation.flip must be at most 1, got 7"),
    ("c_values", [], "probe.c_values must have at least 1 item"),
    ("c_values", [1, -1], r"probe.c_values\[1\] must be greater than 0, got -1"),
    ("validation_fraction", 3, "probe.validation_fraction must be less than 1, got 3"),
    ("minibatch", 3, "cka.minibatch must be at least 4, got 3"),
    ("layers", ["stage6"], r"extraction.layers\[0\]: 'stage6' is unknown .did you mean 'stage"),
    ("protocols", [], "transfer.protocols must have at least 1 item"),
    ("classifier", "svm", "few_shot.classifier: 'svm' is unknown"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_refusals(name, value, message):
    with pytest.raises(ProfileError, match=message):
        load_profile("smoke", **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dataset", "cifar10O", "no manifest 'cifar10O' .did you mean 'cifar10"),
        ("sets_a", ["digits", "nope"], "no manifest 'nope'"),
        ("sets_b", ["digits:eval"], "digits has no concept split"),
        ("sets_b", ["cifar100:evil"], "cifar100 has no side 'evil'"),
        ("sets_b", ["cifar100:"], "cifar100 has no side ''"),
    ],
)
def test_data_sets_are_looked_up_where_they_are_given(name, value, message):
    with pytest.raises(ManifestError, match=message):
        load_profile("smoke", **{name: value})


def test_the_sets_of_every_profile_are_there():
    for profile in PROFILES.values():
        for name in (profile.recipe.dataset, *profile.transfer.sets):
            assert check_set(name) == name


SMOKE = PROFILES["smoke"]
BY_HAND = {
    "seeds": (lambda: replace(SMOKE, seeds=-3), "seeds must be at least 1, got -3"),
    "device": (lambda: replace(SMOKE, device="gpu"), "device: 'gpu' is unknown"),
    "precision": (lambda: replace(SMOKE, precision="float8"), "precision: 'float8' is unknown"),
    "methods": (lambda: Injection(methods=("Mocov9",)), r"methods\[0\]: 'Mocov9' is unknown"),
    "vit": (lambda: Injection(vit="resnet50"), "vit: 'resnet50' is unknown"),
    "sweeps": (lambda: Ablation(sweeps=("bogus",)), r"sweeps\[0\]: 'bogus' is unknown"),
    "protocols": (lambda: Transfer(protocols=("linaer",)), r"protocols\[0\]: 'linaer' is unknown"),
    "cycles": (lambda: replace(SMOKE, injection=Injection(cycles=(0,))), r"cycles\[0\] must be at least 1, got 0"),
    "finetune_epochs": (
        lambda: replace(SMOKE, transfer=Transfer(finetune_epochs="abc")),
        "finetune_epochs takes int . None, got 'abc'",
    ),
    "a list": (lambda: replace(SMOKE, transfer=Transfer(sets_a=["digits"])), "sets_a takes list"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_profile_made_by_hand_is_checked_when_it_is_made(name):
    make, message = BY_HAND[name]
    with pytest.raises(ProfileError, match=message):
        make()


def test_an_unknown_profile():
    with pytest.raises(
        ProfileError, match="unknown profile 'pockt' .did you mean 'pocket'.*: smoke, sketch, pocket, study"
    ):
        load_profile("pockt")
