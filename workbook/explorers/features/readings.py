"""The measures of paper A on a selection of images, or the words that say why one is not defined there."""

import math
from dataclasses import dataclass

import numpy as np

from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy, mixture_levels

# not in the paper: the neighbours of notebook 04, and of a few classes at most half, because with all other classes
# as neighbours the mixture is the same for all features
_MOST_NEIGHBOURS = 10


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One measure of one selection: its value, or None where `note` says why there is none."""

    name: str
    value: float | None
    note: str = ""


def readings(features: np.ndarray, labels: np.ndarray, sides: np.ndarray, rows: np.ndarray) -> list[Reading]:
    """phi, phi of each side where there are two, Pi and R of these rows of the features.

    features: (N, D), may be memory-mapped. labels: (N,) int, indices into `sides`. sides: (C,) str, "pre" or "eval"
    for each class, or one word for all where there is no concept split. rows: (n,) int, the selected images.
    """
    if not len(rows):
        return [Reading(name=name, value=None, note="no image is selected") for name in ("φ", "Π", "R")]
    part, own = np.asarray(features[np.sort(rows)]), labels[np.sort(rows)]
    found = [_ratio("φ", part, own)]
    if set(sides) == {"pre", "eval"}:
        on_side = {side: sides[own] == side for side in ("pre", "eval")}
        found += [_ratio(f"φ of {side}-D", part[chosen], own[chosen]) for side, chosen in on_side.items()]
    return [*found, _mixture(part, own, sides), _redundancy(part)]


def _ratio(name: str, features: np.ndarray, labels: np.ndarray) -> Reading:
    classes, counts = np.unique(labels, return_counts=True)
    enough = classes[counts >= 2]
    if len(enough) < 2:
        return Reading(name=name, value=None, note=f"needs two classes of two images, {_here(len(enough))}")
    kept = np.isin(labels, enough)
    value = discriminative_ratio(features[kept], labels[kept])
    if not math.isfinite(value):
        return Reading(name=name, value=None, note="the images of every class have the same features")
    lone = len(classes) - len(enough)
    note = f"without {lone} class{'es' * (lone > 1)} of one image" if lone else ""
    return Reading(name=name, value=value, note=note)


def _mixture(features: np.ndarray, labels: np.ndarray, sides: np.ndarray) -> Reading:
    if set(sides) != {"pre", "eval"}:
        return Reading(name="Π", value=None, note="the data set has no concept split")
    is_eval = sides[np.unique(labels)] == "eval"
    if is_eval.all() or not is_eval.any():
        return Reading(name="Π", value=None, note=f"no class of {'pre' if is_eval.all() else 'eval'}-D is selected")
    if len(is_eval) < 3:
        return Reading(name="Π", value=None, note=f"needs three classes, {_here(len(is_eval))}")
    k = min(_MOST_NEIGHBOURS, len(is_eval) // 2)
    try:
        value = feature_mixture(features, labels, is_eval, k=k)
    except ValueError as error:  # a class whose mean is zero
        return Reading(name="Π", value=None, note=str(error))
    levels = mixture_levels(is_eval, k)
    note = f"k = {k}; separated {levels.separated:.2f}, chance {levels.chance:.2f}"
    return Reading(name="Π", value=value, note=note)


def _redundancy(features: np.ndarray) -> Reading:
    if len(features) < 2:
        return Reading(name="R", value=None, note=f"needs two images, {_here(len(features))}")
    # the mean |correlation| of independent normal channels over n images is sqrt(2 / (pi (n - 1))), as n grows
    chance = min(1.0, math.sqrt(2 / (math.pi * (len(features) - 1))))
    return Reading(name="R", value=feature_redundancy(features), note=f"{len(features)} images: {chance:.2f} by chance")


def _here(number: int) -> str:
    return f"here {'is' if number == 1 else 'are'} {number}"
