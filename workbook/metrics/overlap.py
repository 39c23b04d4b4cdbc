"""How far the classes overlap, and whether samples are alike where their labels are: GBC and PARC."""

from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from workbook.metrics.blocks import Array, check_classes, check_directions, drawn, read, unit_or_zero
from workbook.metrics.moments import Moments, feature_moments, projected


def gbc(
    features: Array,
    labels: Any,
    *,
    covariance: Literal["spherical", "diagonal"] = "spherical",
    components: int = 32,
    moments: Moments | None = None,
) -> float:
    """GBC, minus the sum over ordered pairs of classes of their Bhattacharyya coefficient (Pandy et al. 2022).

    Each class is a Gaussian on the first principal components of the features, with one variance ("spherical", the mean
    of its variances, over N_k) or one a component ("diagonal"): coefficient exp(-d),
    d = sum (mu_j - mu_k)^2 / 8v + 1/2 sum log(v / sqrt(v_j v_k)), v = (v_j + v_k) / 2.

    features: (N, D) float. labels: (N,) int, at least two classes of two samples. In [-C (C - 1), 0]; higher = less
    overlap. Unchanged by scale, rotation and offset. ValueError where a class has no width in a component. Two passes;
    the components of all samples are kept. moments: see `transrate`.
    """
    if covariance not in ("spherical", "diagonal") or components < 1:
        raise ValueError(f"covariance must be spherical or diagonal, got {covariance!r} of {components} components")
    classes = check_classes(features, labels, samples=2)
    moments = moments or feature_moments(features, labels)
    axes = moments.spread[1][:, :components]
    means, own = (moments.rows.means - moments.mean) @ axes, classes.of(slice(None), axes.device)
    squares = (projected(features, moments.mean, axes) - means[own]).square()
    variances = torch.zeros_like(means).index_add_(0, own, squares) / moments.rows.counts[:, None]
    if covariance == "spherical":
        variances = variances.mean(1, keepdim=True).expand_as(variances)
    if not bool((variances > 0).all()):
        raise ValueError("a class has no width in some direction: its Gaussian overlaps with no other")
    return -float(sum(_coefficients(means, variances, label).sum() - 1 for label in range(len(classes))))


def parc(features: Array, labels: Any, *, rows: int = 3000, seed: int = 0) -> float:
    """PARC: how far pairs of samples that are unlike have other labels, Spearman's correlation (Bolya et al. 2021).

    Of 1 - the correlation of their channels, each channel standardised over the samples, with whether the classes
    differ; equal distances share a rank. The authors' code has 1 - the correlation of the one-hot labels, in which
    rounding breaks ties between classes: on scikit-learn's digits that gives 39.45 in place of 39.33. The time grows
    with the square of the samples: of more than `rows`, so many are drawn from `seed`.

    features: (N, D) float. labels: (N,) int, at least two classes. In [-100, 100]; higher = the labels follow the
    features. Unchanged by scale and offset, even of single channels; not by a rotation. A constant channel counts 0.
    A sample whose standardised channels are all the same correlates with none. ValueError where that is so of all, and
    where the drawn are of one class, or none of two.
    """
    classes = check_classes(features, labels)
    numbers = drawn(features, rows, seed)
    own, values = classes.index[numbers], read(features, numbers)
    values -= values[0].clone()  # a constant channel is now exactly 0
    values -= values.mean(0)
    deviation = values.std(0, correction=0)
    values /= torch.where(deviation > 0, deviation, 1.0)
    values -= values.mean(1, keepdim=True)
    check_directions(unit_or_zero(values), "standardised features")
    first, second = np.triu_indices(len(own), 1)
    differs = own[first] != own[second]
    if differs.all() or not differs.any():
        raise ValueError(f"pairs of one class and of two are needed, got {len(own)} samples without one of them")
    ranks = rankdata(-(values @ values.T).cpu().numpy()[first, second])
    return float(100 * np.corrcoef(ranks, differs)[0, 1])


def _coefficients(means: Tensor, variances: Tensor, label: int) -> Tensor:
    """(C,): Bhattacharyya's coefficient of every class with this one, 1 of itself."""
    middle = (variances + variances[label]) / 2
    apart = ((means - means[label]).square() / middle).sum(1) / 8
    wider = (middle.log() - (variances.log() + variances[label].log()) / 2).sum(1) / 2
    return (-apart - wider).exp()
