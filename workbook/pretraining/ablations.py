"""A's ablations (5.2, 5.3) as recipes: each function changes one choice of a base recipe and names every step.

for arm in over_seeds(components(base), range(3)): ...
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import torch

from workbook.models.backbones import NARROW, create_backbone
from workbook.models.projectors import MLPProjector
from workbook.pretraining.methods import BYOL_VIEWS
from workbook.pretraining.names import Projector
from workbook.pretraining.recipe import Recipe, with_method


class Arm(NamedTuple):
    """One step of an ablation: what the table or the axis calls it, and its recipe."""

    label: str
    recipe: Recipe


def components(base: Recipe) -> list[Arm]:
    """The projector's components, Table 5's rows (a) to (e) and SL-MLP, hidden and output as wide as the backbone."""
    width = _backbone_width(base)
    parts = {"input_fc": False, "norm": False, "relu": False, "output_fc": False}
    rows = {"(b)": ("input_fc",), "(c)": ("input_fc", "norm", "output_fc"), "(d)": ("input_fc", "relu", "output_fc")}
    rows |= {"(e)": ("norm", "relu"), "SL-MLP": tuple(parts)}
    arms = [Arm("(a)", with_method(base, "SL"))]
    for label, present in rows.items():
        projector = Projector(hidden_dim=width, out_dim=width, **(parts | dict.fromkeys(present, True)))
        arms.append(Arm(label, replace(base, projector=projector)))
    return arms


def later_heads(base: Recipe) -> list[Arm]:
    """What later work puts in the projector's place, trained as the base.

    t-ReX with one hidden layer and with three (Sariyildiz et al. 2023), hidden and output as wide as the backbone as in
    `components`, and channels that are weighted and nothing else (Xue et al. 2024).
    """
    width = _backbone_width(base)
    trex = with_method(base, "t-ReX")
    wide = Projector(hidden_dim=width, out_dim=width, gelu=True, unit_input=True)
    # not in their text as far as it was found: the last channel counts a hundredth of the first
    fixed = Projector(input_fc=False, norm=False, relu=False, output_fc=False, kappa=100 ** (1 / max(1, width - 1)))
    arms = {f"t-ReX, hidden layers: {n}": replace(trex, projector=replace(wide, hidden_layers=n)) for n in (1, 3)}
    return [*itertools.starmap(Arm, arms.items()), Arm("channels reweighted", replace(base, projector=fixed))]


def scales(base: Recipe, classes: int, per_class: int) -> dict[str, dict[int, Recipe]]:
    """What SL-MLP's gain over SL may hang on -> its steps, each the base with that alone changed; one is the base.

    A quarter, a half and all of the classes (of so many), of the images a class and of the epochs; and of the narrow
    ResNet a quarter of its channels, as many, and four times as many.
    """

    def parts(whole: int) -> list[int]:
        return sorted({max(2, whole // part) for part in (4, 2)} - {whole})

    found = {
        "pretraining classes": {n: replace(base, classes=n) for n in parts(classes)} | {classes: base},
        "images a class": {n: replace(base, images_per_class=n) for n in parts(per_class)} | {per_class: base},
        "epochs": {n: trained(base, n) for n in parts(base.epochs)} | {base.epochs: base},
    }
    if base.backbone not in NARROW:
        return found
    return {"channels": {n: replace(base, backbone=name) for name, n in NARROW.items()}, **found}


def added_parameters(recipe: Recipe) -> int:
    """Parameters of the recipe's projector, Table 5's "+Params"."""
    if recipe.projector is None:
        return 0
    with torch.device("meta"):
        projector = MLPProjector(_backbone_width(recipe), **asdict(recipe.projector))
    return sum(parameter.numel() for parameter in projector.parameters())


def projector_counts(base: Recipe, counts: Sequence[int] = (1, 2, 3), epochs: Sequence[int] = ()) -> list[Arm]:
    """Fig. 10a: so many projectors of SL-MLP, one after the other, each trained so many epochs (none: the base's)."""
    arms = ((Projector(count=count), trained(base, length)) for count in counts for length in epochs or (base.epochs,))
    return [Arm(f"{mlp.count} x MLP, {own.epochs} epochs", replace(own, projector=mlp)) for mlp, own in arms]


def batch_sizes(base: Recipe, method: str, sizes: Sequence[int]) -> list[Arm]:
    """Fig. 10b: the method at other batch sizes; its optimiser stays the base batch's."""
    recipe = with_method(base, method)
    return [Arm(f"{size:,}", replace(recipe, batch_size=size)) for size in sizes]


def augmentations(base: Recipe, method: str) -> list[Arm]:
    """Fig. 10c: BYOL's augmentation, and its parts taken away step by step; for SL-MLP one view is drawn so."""
    # not in the paper: it names no steps; these are those of BYOL's own paper (Grill et al. 2020, Fig. 3b)
    steps: dict[str, dict[str, Any]] = {
        "BYOL's": {},
        "no greyscale": {"greyscale": 0.0},
        "no colour": {"greyscale": 0.0, "jitter": 0.0},
        "crop and blur": {"greyscale": 0.0, "jitter": 0.0, "solarise": (0.0, 0.0), "flip": 0.0},
        "crop alone": {"greyscale": 0.0, "jitter": 0.0, "solarise": (0.0, 0.0), "flip": 0.0, "blur": (0.0, 0.0)},
    }
    recipe = with_method(base, method)
    return [
        Arm(label, replace(recipe, augmentation=replace(recipe.augmentation, **(BYOL_VIEWS | changes))))
        for label, changes in steps.items()
    ]


TABLE_2 = {
    "ResNet34": "resnet34",
    "ResNet50": "resnet50",
    "ResNet101": "resnet101",
    "Swin-tiny": "swin_tiny_patch4_window7_224",
    "EfficientNetb2": "efficientnet_b2",
}


# trained to the third alone; and where BYOL stands beside SL and SL-MLP, to the end alone
_SHORT = ("Swin-tiny", "EfficientNetb2")
_WITH_BYOL = ("ResNet34", "ResNet50")


def lengths(base: Recipe) -> tuple[int, int]:
    """The papers' 100 and 300 epochs: a third of the base's, and all."""
    return max(1, base.epochs // 3), base.epochs


def backbones(base: Recipe, names: Iterable[str] = tuple(TABLE_2)) -> list[Arm]:
    """Table 2's rows of these backbones, by the names printed there: SL, SL-MLP and BYOL, at the lengths printed."""
    short, full = lengths(base)
    arms = []
    for name in names:
        rows = [(method, epochs) for epochs in (short, full) for method in ("SL", "SL-MLP")]
        rows = rows[:2] if name in _SHORT else rows + [("BYOL", full)] * (name in _WITH_BYOL)
        own = replace(base, backbone=TABLE_2[name])
        for method, epochs in dict.fromkeys(rows):
            recipe = with_method(trained(own, epochs), method)
            arms.append(Arm(table_2_label(method, name, epochs), recipe))
    return arms


def table_2_label(method: str, name: str, epochs: int) -> str:
    """What an arm of `backbones` is called."""
    return f"{method}, {name}, {epochs} epochs"


# Fig. 10b's batch sizes are 256 to 4,096 for BYOL and to 1,024, the base's there, for SL-MLP: parts of the base's
_SIZES = {"SL-MLP": (1 / 4, 1 / 2, 1), "BYOL": (1 / 4, 1 / 2, 1, 2, 4)}
_BOTH = tuple(_SIZES)
# A Fig. 10 and Table 2: what is varied -> its arms, from the base recipe and those backbones of Table 2 asked for
SWEEPS: dict[str, Callable[[Recipe, Sequence[str]], list[Arm]]] = {
    "number of projectors": lambda base, _: projector_counts(base, epochs=sorted(set(lengths(base)))),
    "batch size": lambda base, _: [
        arm
        for method, parts in _SIZES.items()
        for arm in for_methods(batch_sizes, base, [method], [int(base.batch_size * part) for part in parts])
    ],
    "augmentation": lambda base, _: for_methods(augmentations, base, _BOTH),
    "backbone": backbones,
}


def for_methods(make: Callable[..., list[Arm]], base: Recipe, methods: Iterable[str], *steps: Any) -> list[Arm]:
    """`make(base, method, *steps)` for each method, which the labels then name."""
    return [Arm(f"{method}, {arm.label}", arm.recipe) for method in methods for arm in make(base, method, *steps)]


def over_seeds(arms: Iterable[Arm], seeds: Iterable[int]) -> list[Arm]:
    """Every arm with every seed, arms in the outer order."""
    seeds = tuple(seeds)
    return [Arm(arm.label, replace(arm.recipe, seed=seed)) for arm in arms for seed in seeds]


def trained(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe over so many epochs, warm-up and checkpoints within them."""
    kept = tuple(epoch for epoch in recipe.checkpoint_epochs if epoch <= epochs)
    warmup = min(recipe.warmup_epochs, max(0, epochs - 1))
    return replace(recipe, epochs=epochs, checkpoint_epochs=kept, warmup_epochs=warmup)


def _backbone_width(recipe: Recipe) -> int:
    with torch.device("meta"):  # the shape alone: no weights, no random draws
        return create_backbone(recipe.backbone, image_size=recipe.image_size, small_stem=recipe.small_stem).num_features
