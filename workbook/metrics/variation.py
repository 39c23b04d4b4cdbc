"""How wide classes are and how far apart: discriminative ratio, intra-class variance, separation, silhouette.

not in the papers: the cosine of a zero vector, which a backbone can give where all its units are silent. It is 0 here,
with every vector and with itself, so that its distance is 1, as scikit-learn has it between two samples.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from workbook.metrics.blocks import Array, check_classes, row_blocks, spread_of_means, unit_or_zero
from workbook.metrics.moments import ClassMoments, Moments, class_moments_of, principal, projected

# Mean cosine distances below this are what rounding leaves of a zero.
_NO_DISTANCE = 1e-12


def discriminative_ratio(features: Array | Moments, labels: Any = None) -> float:
    """Inter-class over intra-class distance, phi = D_inter / D_intra (Wang et al. 2022, Eq. 4).

    D_inter is the mean squared distance between the means of two different classes, D_intra the mean over classes,
    each counting alike, of the mean squared distance of a class's samples to its mean.

    features: (N, D) float. labels: (N,) int, at least two classes of two samples.
    In [0, inf]; higher = classes further apart for their width; smaller = more intra-class variation. Unchanged by
    scale, rotation and offset. inf where every class is a single point; nan where all samples are the same point.
    """
    return _ratio(*_inter_and_intra(class_moments_of(features, labels, samples=2)))


def _inter_and_intra(moments: ClassMoments) -> tuple[float, float]:
    count = len(moments.means)
    # sum_jk |mu_j - mu_k|^2 = 2 C sum_j |mu_j - mean mu|^2, and the pairs j = k add 0, so
    # D_inter = 2 / (C - 1) sum_j |mu_j - mean mu|^2 = 2 C / (C - 1) times the spread of the means
    return 2 * count / (count - 1) * spread_of_means(moments.means), float(moments.scatter.mean())


def _ratio(inter: float, intra: float) -> float:
    if intra == 0:
        return math.inf if inter > 0 else math.nan
    return inter / intra


@dataclass(frozen=True, kw_only=True)
class RatioParts:
    """phi in the directions along which seen classes differ, and in those that they share."""

    seen: float
    shared: float
    weight: float  # of `seen`, in [0, 1]: phi = weight * seen + (1 - weight) * shared


def ratio_parts(features: Array, labels: Any, seen: Array, seen_labels: Any) -> RatioParts:
    """The discriminative ratio of unseen classes, parted by the span of the seen classes' means.

    Not in the paper. D_inter and D_intra are sums over orthogonal directions, so that phi is the mean of what it is in
    the span and in its complement, each weighted by its part of D_intra.

    features: (N, D) float, of unseen classes. labels: (N,) int, at least two classes of two samples. seen, seen_labels:
    the same of seen classes, in the same D channels. Unchanged by scale, rotation and offset. A part without any width
    is inf or nan, as in `discriminative_ratio`.
    """
    means = class_moments_of(seen, seen_labels, samples=1).means
    _, axes = principal((means - means.mean(0)).T @ (means - means.mean(0)), "the seen classes have one mean")
    inner = projected(features, means.mean(0), axes)
    whole, inside = (_inter_and_intra(class_moments_of(part, labels, samples=2)) for part in (features, inner))
    inter, intra = (max(0.0, of_all - own) for of_all, own in zip(whole, inside, strict=True))
    return RatioParts(seen=_ratio(*inside), shared=_ratio(inter, intra), weight=inside[1] / whole[1])


def intra_class_variance(features: Array | Moments, labels: Any = None) -> float:
    """Mean cosine distance of two samples of one class, V_intra (Nayman et al. 2022, App. E, Eq. 4).

    The mean over classes, each counting alike, of the mean over all its N_k^2 pairs, a sample with itself included
    as printed; that makes it (N_k - 1) / N_k times the mean over pairs of two different samples.

    features: (N, D) float; a zero vector is at the distance 1 of all, itself included. labels: (N,) int, at least two
    classes of two samples. In [0, 1]; higher = more intra-class variation. Unchanged by scale and rotation, not by an
    offset. 0 where the samples of every class have one direction.
    """
    moments = class_moments_of(features, labels, samples=2, unit=True)
    # mean_mn (1 - u_m . u_n) = 1 - |mean u|^2 = mean |u|^2 - |mean u|^2 = mean |u - mean u|^2:
    # the scatter of the unit vectors, which unlike 1 - |mean u|^2 keeps its digits where a class is narrow; mean |u|^2
    # is 1 less the share of zero vectors
    return float((moments.scatter + moments.zeros).mean())


def inter_class_separation(features: Array | Moments, labels: Any = None) -> float:
    """Mean cosine distance of samples of two classes, S_inter (Nayman et al. 2022, App. E, Eq. 5).

    The mean over all K^2 pairs of classes (j, k), j = k included as printed, of the mean over their N_j N_k pairs of
    samples. Eq. 5 prints the index of the first sample as x_k,m; x_j,m is meant, as its sum over m to N_j shows.

    features: (N, D) float; a zero vector is at the distance 1 of all. labels: (N,) int, at least two classes.
    In [0, 1]; higher = classes further apart; at least V_intra. Unchanged by scale and rotation, not by an offset.
    0 where all samples have one direction.
    """
    moments = class_moments_of(features, labels, samples=1, unit=True)
    # with m_k the mean unit vector of class k and m their mean: mean_jk (1 - m_j . m_k) = 1 - |m|^2
    # = mean_k (1 - |m_k|^2) + mean_k |m_k - m|^2, the widths of the classes and the spread of their means
    return float((moments.scatter + moments.zeros).mean()) + spread_of_means(moments.means)


def mean_silhouette(features: Array, labels: Any) -> float:
    """Mean silhouette coefficient under the cosine distance, MSC (Nayman et al. 2022, App. E.1, Eqs. 6-8).

    For each sample, v is its mean distance to the others of its class, s the least of its mean distances to another
    class; its coefficient is (s - v) / max(s, v). Eq. 6 prints the denominator as max(s - v); the text around it and
    Rousseeuw (1987) have max(s, v). Every sample counts alike.

    features: (N, D) float; a zero vector is at the distance 1 of all others, and so counts 0. labels: (N,) int, at
    least two classes of two samples. In [-1, 1]; higher = classes better separated; negative = samples nearer to
    another class than to their own. Unchanged by scale and rotation, not by an offset. A sample with s = v = 0
    (everything near it has its direction) counts 0. Two passes over the features.
    """
    classes = check_classes(features, labels, samples=2)
    sizes = classes.sizes(features)
    sums = torch.zeros(len(classes), features.shape[1], dtype=torch.float64, device=sizes.device)
    lengths = torch.empty(len(features), 1, dtype=torch.float64, device=sizes.device)
    for rows, block in row_blocks(features):
        lengths[rows] = unit_or_zero(block)
        sums.index_add_(0, classes.of(rows, block.device), block)
    means = sums / sizes[:, None]
    total = 0.0
    for rows, block in row_blocks(features, width=len(classes)):
        own = classes.of(rows, block.device)[:, None]
        # mean over class j of 1 - u . x = 1 - u . S_j / N_j, S_j the sum of its unit vectors; to the own class u adds
        # a distance of 0, which N_k - 1 leaves out: v = (1 - u . S_k / N_k) N_k / (N_k - 1)
        cosine = (block @ means.T).div_(lengths[rows])
        within = ((1 - cosine.gather(1, own)) * sizes[own] / (sizes[own] - 1))[:, 0]
        nearest = 1 - cosine.scatter_(1, own, -math.inf).amax(1)
        larger = torch.maximum(within, nearest)
        # not in the paper: 0 / 0 counts 0, as in Rousseeuw (1987) a sample that is as near to both
        apart = (larger > _NO_DISTANCE) & (lengths[rows, 0] > 0)
        total += float(torch.where(apart, (nearest - within) / larger, 0.0).sum())
    return total / len(features)
