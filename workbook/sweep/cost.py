"""What runs cost before they are trained: hours from images a second that were measured, and gigabytes.

A network that was not measured is told by one that was. Each step takes as long as the more of two ratios says: of
floating point operations, and of the numbers that layers write, by which a ResNet's time on a GPU goes rather than by
its operations (Radosavovic et al. 2020, section 4).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from statistics import median
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import nn

from workbook.keys import restored
from workbook.pretraining.label_injection import LabelInjector
from workbook.pretraining.loop import HISTORY, create_model
from workbook.pretraining.many_labels import MultiLabel
from workbook.pretraining.model import Moment
from workbook.pretraining.recipe import Recipe, with_method
from workbook.pretraining.runs import Planned
from workbook.pretraining.supervised import CrossEntropy
from workbook.store import Store

# assumed, and told so: the share of n times one device that n reach, within one machine and over eight
SCALING = {1: 1.0, 8: 0.9, 64: 0.8}
_BATCH = 4  # of the images that work is counted with; a batch norm needs several
_STEPS = 100  # of the training that it is counted in


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Images a second, as measured: on one device, of one kind of recipe."""

    hardware: str
    recipe: Recipe
    images_per_second: float
    how: str  # it was measured, and when


class Work(NamedTuple):
    """What an image of a training costs, its views and its way back among it."""

    operations: float
    written: float  # numbers


class Estimate(NamedTuple):
    """Of one run on one device."""

    seconds: float
    measured: bool  # the speed of this method and network, and not that of another one


def known_rates() -> list[Rate]:
    """Those of `rates.csv`, beside this module."""
    table = pd.read_csv(str(files("workbook.sweep") / "rates.csv"))
    found = []
    for row in table.to_dict("records"):
        fields = {name: row[name] for name in ("backbone", "small_stem", "image_size", "batch_size")}
        recipe = with_method(Recipe(dataset="", warmup_epochs=0, **fields), row["method"])
        how = f"{row['how']}, {row['date']}"
        rate = {name: row[name] for name in ("hardware", "images_per_second")}
        found.append(Rate(**rate, recipe=recipe, how=how))
    return found


def stored_rates(store: Store, hardware: str) -> list[Rate]:
    """Those of the runs in a store, each trained by one such device: the median of each method and network."""
    speeds: dict[tuple[object, ...], list[float]] = {}
    recipes: dict[tuple[object, ...], Recipe] = {}
    for artefact in store.artefacts():
        made = artefact.provenance
        if artefact.kind == "runs" and made["hardware"] == hardware and made.get("devices", 1) == 1:
            with suppress(ValueError):  # another version's recipe
                recipe = restored(Recipe, artefact.spec["recipe"])
                history = pd.read_json(artefact.file(HISTORY), orient="records")
                kind = (recipe.method, *_network(recipe))
                recipes[kind] = recipe
                speeds.setdefault(kind, []).append(float(history["images_per_second"].median()))
    return [
        Rate(
            hardware=hardware,
            recipe=recipes[kind],
            images_per_second=median(found),
            how=f"median of {len(found)} runs in the store",
        )
        for kind, found in speeds.items()
    ]


def estimate(run: Planned, rates: Sequence[Rate]) -> Estimate:
    """How long a run takes on one device of these rates, which are of one kind of hardware.

    By the slowest of its own method and network, else of its method, else of as many views an image, else of all.
    """
    recipe = run.recipe
    same_method = [rate for rate in rates if rate.recipe.method == recipe.method]
    own = [rate for rate in same_method if _network(rate.recipe) == _network(recipe)]
    as_many = [rate for rate in rates if (_views(rate.recipe) > 1) == (_views(recipe) > 1)]
    chosen = own or same_method or as_many or rates
    speed = min(rate.images_per_second / _times(recipe, rate.recipe) for rate in chosen)
    return Estimate(run.work / speed, bool(own))


def gigabytes(run: Planned) -> float:
    """Of its checkpoints, as they are stored."""
    count = len(run.images.class_names)
    one, two = (_state_bytes(_shape(run.recipe), classes) for classes in (1, 2))
    return (one + (count - 1) * (two - one)) * len(run.recipe.saved_epochs) / 1e9


def work_of(recipe: Recipe) -> Work:
    """Of an image; counted, without computing, in the layers of one step, those of a projector left out: a hundredth
    at most."""
    return _work(replace(_shape(recipe), projector=None))


def _times(recipe: Recipe, measured: Recipe) -> float:
    """How much longer an image of one takes than of the other."""
    mine, theirs = work_of(recipe), work_of(measured)
    return max(mine.operations / theirs.operations, mine.written / theirs.written)


def _network(recipe: Recipe) -> tuple[object, ...]:
    return recipe.backbone, recipe.small_stem, recipe.image_size


def _views(recipe: Recipe) -> int:
    return len(_model(_shape(recipe), 2).views(recipe.augmentation, recipe.image_size))


def _shape(recipe: Recipe) -> Recipe:
    """The recipe without what leaves its network and its step as they are."""
    own = ("image_size", "backbone", "small_stem", "global_pool", "objective", "projector")
    kept = {name: getattr(recipe, name) for name in own}
    if isinstance(recipe.objective, CrossEntropy):
        kept["objective"] = replace(recipe.objective, mixup=0.0, cutmix=0.0)
    return Recipe(dataset="", warmup_epochs=0, **kept)


@cache
def _model(shape: Recipe, classes: int) -> Any:
    with torch.device("meta"):
        return create_model(shape, classes)


@cache
def _state_bytes(shape: Recipe, classes: int) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in _model(shape, classes).state_dict().values())


@cache
def _work(shape: Recipe) -> Work:
    """Of a mean step: with label injection some reach the backbone, and the others the head alone."""
    model, counted = _model(shape, 2).train(), [0.0, 0.0]
    moments = [Moment(step, steps=_STEPS, epochs=1) for step in range(_STEPS)]
    kinds = [isinstance(model, LabelInjector) and model.reaches_backbone(moment) for moment in moments]
    share = 0.0

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        passes = 3 if torch.is_grad_enabled() else 1  # the way back costs twice the way there
        a_number = layer.weight[0].numel() if isinstance(layer.weight, torch.Tensor) else 0
        counted[0] += share * 2 * passes * out.numel() * a_number
        counted[1] += share * passes * out.numel()

    layers = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    sizes = [view.size for view in model.views(shape.augmentation, shape.image_size)]
    views = [torch.empty(_BATCH, 3, size, size, device="meta") for size in sizes]
    many = isinstance(shape.objective, MultiLabel)
    labels = torch.zeros(_BATCH, *([2] * many), dtype=torch.bool if many else torch.int64, device="meta")
    for kind in dict.fromkeys(kinds):
        share = kinds.count(kind) / _STEPS / _BATCH
        for part in model.parts(moments[kinds.index(kind)]):
            with suppress(RuntimeError, NotImplementedError):  # of a loss, after all layers
                model(views, labels, part)
    for handle in handles:
        handle.remove()
    return Work(*counted)
