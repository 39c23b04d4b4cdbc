"""Profiles: how large everything is. One code path, four sizes; a profile is a value."""

from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any

from workbook.data.augmentation import Augmentation
from workbook.errors import ProfileError
from workbook.evaluation.extraction import Extraction
from workbook.evaluation.few_shot import FewShotRecipe
from workbook.evaluation.injection import CKARecipe
from workbook.evaluation.linear_probe import ProbeRecipe
from workbook.pretraining.ablations import TABLE_2
from workbook.pretraining.injection import CYCLES
from workbook.pretraining.recipe import Recipe

# the downstream sets of paper A (its twelve, of which Omniglot's are the evaluation alphabets) and of paper B
SETS_A: tuple[str, ...] = ("chestx", "cropdisease", "deepweeds", "dtd", "eurosat", "flowers102", "kaokore")
SETS_A += ("omniglot:eval", "resisc45", "imagenet-sketch", "svhn", "isic2018")
SETS_B: tuple[str, ...] = ("caltech256", "cifar10", "cifar100", "cub200", "dtd", "fgvc-aircraft", "food101")
SETS_B += ("mit-indoor-67", "nabirds", "flowers102", "oxford-pets", "stanford-cars", "stanford-dogs", "sun397")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The size of a study: what is pretrained, how often, and how it is evaluated."""

    name: str
    recipe: Recipe
    seeds: int = 3  # runs of SL and SL-MLP, with the seeds 0 ... seeds - 1
    ablation_seeds: int = 2  # runs of every other recipe
    ablation_images_per_class: int | None = None  # None = as many as the recipe says
    ablation_epochs: int | None = None  # None = as many as the recipe says
    ablation_batch_size: int | None = None  # None = the recipe's
    component_epochs: int | None = None  # of A Table 5's arms; None = as many as the recipe says
    ablation_sweeps: tuple[str, ...] = ("number of projectors", "batch size", "augmentation", "backbone")
    ablation_backbones: tuple[str, ...] = ()  # of A Table 2, as printed there
    probe_images_per_class: int | None = None  # of eval-D's training images; None = all
    measured_per_class: int | None = 100  # images a class that the feature metrics read; None = all
    extraction: Extraction = field(default_factory=Extraction)
    probe: ProbeRecipe = field(default_factory=ProbeRecipe)
    transfer_sets: tuple[str, ...] = ()  # a manifest's name, or one side of its split as in "cifar100:eval"
    transfer_images_per_class: int | None = None  # that probes are fitted to; None = all
    transfer_protocols: tuple[str, ...] = ("linear", "finetuned, 1,000 images", "5-way 5-shot")  # see notebook 08
    few_shot: FewShotRecipe = field(default_factory=FewShotRecipe)
    finetune_epochs: int | None = None  # None = as many as the papers'
    injected: tuple[str, ...] = ("Mocov2", "SimCLR", "SwAV", "DINO")  # the methods that label injection starts from
    injected_vit: tuple[str, ...] = ("DINO", "MAE")  # the same on `vit`
    vit: str = "tiny_vit"
    control_cycles: tuple[int | None, ...] = (*CYCLES, None)  # of label injection; None = the head alone
    injection_epochs: int = 100
    cka: CKARecipe = field(default_factory=CKARecipe)
    device: str = "auto"
    precision: str = "auto"  # see `make_fabric`

    @property
    def ablation(self) -> Recipe:
        """The recipe that the other methods and the ablations start from."""
        shorter = _shortened(self, self.ablation_epochs).recipe
        return replace(
            shorter,
            epochs=self.ablation_epochs or shorter.epochs,
            images_per_class=self.ablation_images_per_class or shorter.images_per_class,
            batch_size=self.ablation_batch_size or shorter.batch_size,
        )


SMOKE = Profile(
    name="smoke",
    recipe=Recipe(
        dataset="generated",
        images_per_class=20,
        image_size=16,
        backbone="narrow_resnet",
        small_stem=True,
        augmentation=Augmentation(crop_scale=(0.5, 1.0)),
        epochs=5,
        checkpoint_epochs=(0, 1, 2),
        batch_size=64,
        warmup_epochs=1,
    ),
    seeds=2,
    ablation_seeds=1,
    # MoCo's queue has 16 batches, and is no longer than the data
    ablation_images_per_class=10,
    ablation_batch_size=16,
    ablation_epochs=1,
    ablation_sweeps=("number of projectors",),
    probe_images_per_class=20,
    measured_per_class=20,
    extraction=Extraction(stage_budget=1024),
    probe=ProbeRecipe(c_values=(1e-3, 1e-1)),
    transfer_sets=("generated:eval", "digits"),
    transfer_images_per_class=20,
    few_shot=FewShotRecipe(episodes=60),
    finetune_epochs=1,
    injected=("Mocov2",),
    injected_vit=("MAE",),
    control_cycles=(1, 2, None),
    injection_epochs=4,
    cka=CKARecipe(minibatch=100, passes=1, cka_images_per_class=5),
)
"""Generated images, nothing to download; its verdicts read "not evaluated"."""

POCKET = replace(
    SMOKE,
    name="pocket",
    recipe=replace(
        SMOKE.recipe,
        dataset="cifar100",
        # not in the paper: few images seen often, so that SL's accuracy on eval-D falls after its best epoch, as
        # in A's 300 epochs. With 200 images a class and 30 epochs, as many steps, it ends flat.
        images_per_class=100,
        image_size=32,
        augmentation=Augmentation(crop_scale=(0.6, 1.0)),
        epochs=60,
        checkpoint_epochs=(0, 2, 5, 10, 20, 30, 40, 50),
        batch_size=128,
        # not in the paper: more makes projectors without a norm or a ReLU diverge (Table 5, c)
        lr=0.4,
        weight_decay=5e-4,
        warmup_epochs=2,
    ),
    seeds=3,
    ablation_seeds=2,
    ablation_images_per_class=None,
    ablation_batch_size=None,
    ablation_epochs=30,  # ours: two views an epoch are as many as SL sees in 60
    ablation_sweeps=("number of projectors",),  # the others take a night: overrides={"ablation_sweeps": [...]}
    probe_images_per_class=200,
    measured_per_class=100,
    # a coarser grid than B's 45 values: on these features a stage's C is about 0.01, the projector's 1 or above
    probe=ProbeRecipe(c_values=tuple(10.0**power for power in range(-6, 3))),
    transfer_sets=("cifar100:eval", "omniglot:eval", "digits"),
    transfer_images_per_class=200,
    transfer_protocols=("linear", "finetuned, 1,000 images", "5-way 5-shot", "SGD probe", "k-NN"),
    few_shot=FewShotRecipe(),
    finetune_epochs=None,
    injected=("SimCLR", "Mocov2"),
    injected_vit=(),  # a night for both: overrides={"injected_vit": ["DINO", "MAE"]}
    control_cycles=(1, 2, 4, 10, 100, None),
    injection_epochs=20,
    cka=CKARecipe(cka_images_per_class=30),
)
"""Real evidence on a laptop's CPU: CIFAR-100's concept split and a narrow ResNet."""

STUDY = replace(
    POCKET,
    name="study",
    recipe=replace(
        POCKET.recipe,
        images_per_class=None,
        backbone="resnet18",
        epochs=200,
        checkpoint_epochs=(0, 1, 10, 25, 50, 75, 100, 125, 150, 175),
        batch_size=256,
        lr=0.4,
        augmentation=Augmentation(crop_scale=(0.3, 1.0)),
        warmup_epochs=5,
    ),
    ablation_seeds=3,
    ablation_epochs=None,
    ablation_sweeps=("number of projectors", "batch size", "augmentation", "backbone"),
    ablation_backbones=("ResNet34", "ResNet50"),
    probe_images_per_class=None,
    measured_per_class=None,
    extraction=Extraction(stage_budget=4096),
    probe=ProbeRecipe(),
    # CIFAR-10 holds classes that the models were pretrained on
    transfer_sets=(
        "cifar100:eval",
        "digits",
        *(name for name in dict.fromkeys(SETS_A + SETS_B) if "cifar" not in name),
    ),
    transfer_images_per_class=None,
    injected=("Mocov2", "SimCLR", "SwAV", "DINO"),
    injected_vit=("DINO", "MAE"),
    control_cycles=(*CYCLES, None),
    injection_epochs=100,
    cka=CKARecipe(),
    transfer_protocols=("linear", "finetuned, 1,000 images", "finetuned", "5-way 5-shot", "SGD probe", "k-NN"),
)
"""The evidence that the README quotes: all of CIFAR-100, ResNet-18, one GPU."""

PAPER = replace(
    STUDY,
    name="paper",
    recipe=Recipe(
        dataset="imagenet1k",
        image_size=224,
        backbone="resnet50",
        epochs=300,
        checkpoint_epochs=(0, 30, 60, 90, 100, 120, 150, 180, 210, 240, 270),
    ),
    extraction=Extraction(stage_budget=8192, dtype="float16"),
    transfer_sets=tuple(dict.fromkeys(SETS_A + SETS_B)),
    seeds=1,  # as in the papers; a verdict takes seeds=3 and ablation_seeds=3
    ablation_seeds=1,
    component_epochs=100,
    ablation_backbones=tuple(TABLE_2),
    vit="vit_base_patch16_224",
)
"""The papers' own setting: ImageNet-1K 652/348, ResNet-50, many GPUs."""

# what a sweep sets for each of its recipes is not a profile's
_FIXED = {"name", "seed", "projector", "objective", "start"}

PROFILES = {profile.name: profile for profile in (SMOKE, POCKET, STUDY, PAPER)}


def load_profile(name: str, **overrides: Any) -> Profile:
    """The profile of this name with some fields replaced; None leaves a field as it is.

    A field is named by itself wherever it lies: `epochs` is the recipe's, `stage_budget` the extraction's.
    Raises ProfileError for an unknown profile or field and for a value that the field refuses.
    """
    if name not in PROFILES:
        raise ProfileError(f"unknown profile {name!r}{_near(name, PROFILES)}; known: {', '.join(PROFILES)}")
    known = override_fields()
    given = {key: value for key, value in overrides.items() if value is not None}
    for key in given:
        if key not in known:
            raise ProfileError(f"no profile has a field {key!r}{_near(key, known)}; known: {', '.join(sorted(known))}")
    try:
        return _replaced(_shortened(PROFILES[name], given.get("epochs")), _in_proportion(PROFILES[name], given))
    except (TypeError, ValueError) as error:
        raise ProfileError(f"profile {name} with {given}: {error}") from error


def override_fields() -> set[str]:
    """Every name that `load_profile` takes."""
    return set(_leaves(SMOKE)) - _FIXED


def _in_proportion(profile: Profile, given: dict[str, Any]) -> dict[str, Any]:
    """The other methods' epochs follow those of SL where only these are given."""
    epochs, of_others = given.get("epochs"), profile.ablation_epochs
    if not isinstance(epochs, int) or of_others is None:
        return given
    return {"ablation_epochs": max(1, round(of_others * epochs / profile.recipe.epochs))} | given


def _shortened(profile: Profile, epochs: int | None) -> Profile:
    """A profile whose warm-up and checkpoints fit into fewer epochs."""
    recipe = profile.recipe
    if not isinstance(epochs, int) or epochs >= recipe.epochs:
        return profile
    kept = tuple(epoch for epoch in recipe.checkpoint_epochs if epoch <= epochs)
    warmup = max(0, min(recipe.warmup_epochs, epochs - 1))
    return replace(profile, recipe=replace(recipe, checkpoint_epochs=kept, warmup_epochs=warmup))


def _leaves(value: Any) -> list[str]:
    names = []
    for item in fields(value):
        inner = getattr(value, item.name)
        names += _leaves(inner) if is_dataclass(inner) and item.name not in _FIXED else [item.name]
    return names


def _replaced(value: Any, given: dict[str, Any]) -> Any:
    changes = {}
    for item in fields(value):
        inner = getattr(value, item.name)
        if item.name in _FIXED:
            continue
        if is_dataclass(inner):
            changes[item.name] = _replaced(inner, given)
        elif item.name in given:
            changes[item.name] = _as_type_of(inner, given[item.name], item.name)
    return replace(value, **changes)


def _as_type_of(old: Any, new: Any, name: str) -> Any:
    """`new` in the type of the value that it replaces: lists become tuples, 1 becomes 1.0, "2" is refused for 3."""
    if isinstance(old, tuple):
        if not isinstance(new, list | tuple):
            raise TypeError(f"{name} takes a list, got {new!r}")
        return tuple(new)
    if isinstance(old, bool) or old is None:
        return new
    if isinstance(old, float) and isinstance(new, int | float) and not isinstance(new, bool):
        return float(new)
    if not isinstance(new, type(old)) or isinstance(new, bool):
        raise TypeError(f"{name} takes {type(old).__name__}, got {new!r}")
    return new


def _near(name: str, known: Any) -> str:
    near = get_close_matches(name, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
