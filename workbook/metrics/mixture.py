"""How well the classes of pre-D and eval-D are mixed in feature space, and the levels to read that against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import hypergeom

from workbook.metrics.blocks import Array, check_classes, row_blocks, to_unit_length
from workbook.metrics.moments import class_moments


@dataclass(frozen=True, kw_only=True)
class MixtureLevels:
    """Values of the feature mixture to read a measured one against."""

    separated: float  # the neighbours of every class are of its own side, as far as there are enough of them
    chance: float  # expected where the neighbours are drawn at random


def feature_mixture(features: Array, labels: Any, is_eval_class: Sequence[bool] | np.ndarray, k: int = 10) -> float:
    """Feature mixture Pi of pre-D and eval-D (Wang et al. 2022, Eq. 2).

    1 minus the mean over classes of |share of eval-D among the k nearest classes - share of eval-D among all|.

    features: (N, D) float, of pre-D and eval-D together. labels: (N,) int. is_eval_class: (C,) bool, one a class in
    the sorted order of the labels, with both sides present. k: 1 to C - 1.
    In [0, 1]; higher = better mixed; `mixture_levels` gives what separation and chance would yield. Unchanged by
    scale and rotation, not by an offset. A class whose mean is zero has no neighbours: ValueError.
    """
    classes = check_classes(features, labels)
    is_eval = torch.from_numpy(_check_sides(is_eval_class, k, len(classes)))
    # not in the paper: it does not say between what and in which distance neighbours are searched. Here they are
    # class means under the cosine, and a class is not a neighbour of itself
    units = class_moments(features, classes).means
    to_unit_length(units, range(len(units)), "the class means")
    share, total = is_eval.double().mean(), 0.0
    for rows, block in row_blocks(units, width=len(units)):
        cosine = block @ units.T
        cosine[:, rows].fill_diagonal_(-torch.inf)
        # not in the paper: cosines that agree to 12 decimals are ties, and of tied classes the first label is nearer
        nearest = cosine.round(decimals=12).argsort(dim=1, descending=True, stable=True)[:, :k].cpu()
        total += float((is_eval[nearest].double().mean(1) - share).abs().sum())
    return 1 - total / len(classes)


def mixture_levels(is_eval_class: Sequence[bool] | np.ndarray, k: int = 10) -> MixtureLevels:
    """What `feature_mixture` is under complete separation of the two sides, and expected to be under chance mixing.

    Not in the paper. is_eval_class: (C,) bool with both sides present. k: 1 to C - 1.
    separated: 1 - 2 p (1 - p) with p the share of eval-D, as long as k is below the number of classes of each side;
    beyond that even separated sides reach into each other, and the level rises. It is the floor for features whose
    neighbours are of the own side; sides that avoid themselves could lie lower.
    chance: exact, each class's k neighbours drawn without replacement from the other C - 1 classes. It is below 1,
    and more so for small k.
    """
    is_eval = _check_sides(is_eval_class, k, len(np.asarray(is_eval_class)))
    count, share = len(is_eval), is_eval.mean()
    separated = chance = 1.0
    for own_side, weight in ((True, share), (False, 1 - share)):
        found = min(k, (is_eval == own_side).sum() - 1)  # of its own side
        separated -= weight * abs((found if own_side else k - found) / k - share)
        # T of the k are of eval-D: hypergeometric, C_eval or (for a class of eval-D) C_eval - 1 among C - 1
        counts = np.arange(k + 1)
        probability = hypergeom(count - 1, is_eval.sum() - own_side, k).pmf(counts)
        chance -= weight * (probability * np.abs(counts / k - share)).sum()
    return MixtureLevels(separated=float(separated), chance=float(chance))


def _check_sides(is_eval_class: Sequence[bool] | np.ndarray, k: int, count: int) -> np.ndarray:
    is_eval = np.asarray(is_eval_class)
    if is_eval.shape != (count,) or is_eval.dtype != bool:
        raise ValueError(
            f"is_eval_class must be one bool a class, shape ({count},), got {is_eval.dtype} of shape {is_eval.shape}"
        )
    if is_eval.all() or not is_eval.any():
        raise ValueError(f"is_eval_class must name classes of both sides, got {is_eval.sum()} of {count} for eval-D")
    if not isinstance(k, int | np.integer) or not 1 <= k < count:
        raise ValueError(f"k must be a whole number from 1 to {count - 1}, one less than the classes, got {k!r}")
    return is_eval
