"""Neural collapse: how near features are to one point a class, evenly apart (Papyan, Han & Donoho 2020)."""

from typing import Any

import torch
from torch import Tensor

from workbook.metrics.blocks import Array, check_classes, read, row_blocks
from workbook.metrics.moments import ClassMoments, Moments, class_moments, class_moments_of, moments_of, principal

# Squared distances of two means below this, beside the largest or the variance, are what rounding leaves of a zero.
_NO_DISTANCE = 1e-24


def nc1(features: Array | Moments, labels: Any = None) -> float:
    """NC1, variability within classes against that between them: tr(S_w pinv(S_b)) / C (Papyan et al. 2020, Fig. 6).

    S_w: the covariance of all samples about their class's mean; S_b: that of the C class means about their mean, each
    counting alike, over C.

    features: (N, D) float. labels: (N,) int, at least two classes. In [0, inf); 0 = collapsed to a point a class.
    Unchanged by scale, rotation and offset. ValueError where all class means are the same.
    """
    moments = moments_of(features, labels, samples=1)
    apart = _from_centre(moments.rows)
    values, axes = principal(apart.T @ apart / len(apart), "all class means are the same")
    # between directions in which the means differ there are at most C - 1: the rest of pinv(S_b) is 0
    return float((((moments.within @ axes) * axes).sum(0) / values).sum()) / len(moments) / len(apart)


def nc2(features: Array | Moments, labels: Any = None) -> dict[str, float]:
    """NC2, how far the class means are from a simplex whose corners are equally long and equally far apart.

    With m_k the class means about their own mean: "equinorm", the standard deviation of |m_k| over its mean; "cos", the
    mean |cos(m_j, m_k) + 1 / (C - 1)| over pairs of classes (Papyan et al. 2020, Figs. 2 and 4); "ETF error", the
    distance of M M^T / |M M^T| to that of a simplex, (I - 1/C) / sqrt(C - 1) (Zhu et al. 2021).

    features: (N, D) float. labels: (N,) int, at least two classes. Each in [0, inf), ETF error at most 2; 0 = a
    simplex. Unchanged by scale, rotation and offset. ValueError where a class mean is the mean of all.
    """
    apart = _from_centre(class_moments_of(features, labels, samples=1))
    count, lengths = len(apart), torch.linalg.vector_norm(apart, dim=1)
    if not bool((lengths > 0).all()):
        raise ValueError("a class whose mean is that of all has no direction from it")
    gram = apart @ apart.T
    pairs = ~torch.eye(count, dtype=torch.bool, device=gram.device)
    cosines = (gram / lengths / lengths[:, None])[pairs]
    simplex = (pairs.logical_not().double() - 1 / count) / (count - 1) ** 0.5
    return {
        "equinorm": float(lengths.std(correction=0) / lengths.mean()),
        "cos": float((cosines + 1 / (count - 1)).abs().mean()),
        "ETF error": float(torch.linalg.matrix_norm(gram / torch.linalg.matrix_norm(gram) - simplex)),
    }


def nc3(features: Array | Moments, labels: Any = None, *, weight: Array) -> float:
    """NC3, the distance of the head to the class means, |W / |W| - M / |M||^2 (Papyan et al. 2020, Fig. 5).

    M: the class means about their own mean, (C, D), |.| the Frobenius norm.

    features: (N, D) float. labels: (N,) int, at least two classes. weight: (C, D), the head's, one row a class in the
    sorted order of the labels. In [0, 4]; 0 = self-dual; 2 = nothing in common. Unchanged by scale and offset of the
    features and by scale of the head, and by a rotation of both. ValueError where one of the two is 0.
    """
    apart = _from_centre(class_moments_of(features, labels, samples=1))
    head = _head(weight, None, apart)[0]
    sizes = torch.linalg.matrix_norm(head), torch.linalg.matrix_norm(apart)
    if not bool(sizes[0] > 0 and sizes[1] > 0):
        raise ValueError("a head of zeros, or class means that are all the same, have no direction")
    return float((head / sizes[0] - apart / sizes[1]).square().sum())


def nc4(features: Array, labels: Any, *, weight: Array, bias: Array | None = None) -> float:
    """NC4, the share of samples that the head gives to the class whose mean is nearest (Papyan et al. 2020, Fig. 7).

    features: (N, D) float. labels: (N,) int, at least two classes. weight: (C, D) and bias: (C,), the head's, one row a
    class in the sorted order of the labels. In [0, 1]; higher = nearer to collapse (the paper draws 1 minus it).
    Unchanged by scale of the head, and by a rotation of features and weight. Two passes over the features.
    """
    moments = class_moments(features, check_classes(features, labels))
    head, offset = _head(weight, bias, moments.means)
    same = 0
    for _, block in row_blocks(features, width=len(head)):
        decided = (block @ head.T + offset).argmax(1)
        same += int((decided == _nearest_mean(block, moments)).sum())
    return same / len(features)


def class_mean_accuracy(features: Array, labels: Any) -> float:
    """Share of the samples whose nearest class mean is that of their own class (NC4's rule, without a head).

    The means are of these samples themselves, each sample in its own: an optimistic number where classes are small.

    features: (N, D) float. labels: (N,) int, at least two classes. In [0, 1]; higher = better separated. Unchanged by
    scale, rotation and offset. Of means equally near the first class is taken. Two passes over the features.
    """
    classes = check_classes(features, labels)
    moments = class_moments(features, classes)
    correct = 0
    for rows, block in row_blocks(features, width=len(classes)):
        correct += int((_nearest_mean(block, moments) == classes.of(rows, block.device)).sum())
    return correct / len(features)


def cdnv(features: Array | Moments, labels: Any = None) -> float:
    """Class-distance normalised variance, the mean over pairs of classes of (v_j + v_k) / (2 |mu_j - mu_k|^2).

    v: the mean squared distance of a class's samples to its mean (Galanti et al. 2022). A mean of ratios, where
    `discriminative_ratio` is a ratio of means, so that the nearest pairs of classes weigh most.

    features: (N, D) float. labels: (N,) int, at least two classes of two samples. In [0, inf); lower = narrower for
    their distance; 0 = collapsed. Unchanged by scale, rotation and offset. ValueError where two class means are equal.
    """
    moments = class_moments_of(features, labels, samples=2)
    inverse = _inverse_distances(moments)
    ratios = (moments.scatter[:, None] + moments.scatter) / 2 * inverse
    return float(ratios.sum()) / (len(inverse) * (len(inverse) - 1))


def directional_cdnv(features: Array, labels: Any) -> float:
    """CDNV with the variance of a class along the line to the other alone, the mean over ordered pairs of classes.

    mean over j != k of d^T S_j d / |d|^4, d = mu_j - mu_k, S_j the covariance of class j (Luthra et al. 2025). It is
    what decides whether few samples tell two classes apart: variance across the line harms less.

    features: (N, D) float. labels: (N,) int, at least two classes of two samples. In [0, inf); lower = better apart;
    below 2 CDNV. Unchanged by scale, rotation and offset. ValueError where two class means are equal. Two passes.
    """
    classes = check_classes(features, labels, samples=2)
    moments = class_moments(features, classes)
    inverse, apart = _inverse_distances(moments), _from_centre(moments)
    along = torch.zeros_like(inverse)
    for rows, block in row_blocks(features, width=len(classes)):
        own = classes.of(rows, block.device)
        product = (block - moments.means[own]) @ apart.T
        along.index_add_(0, own, (product.gather(1, own[:, None]) - product).square())
    variances = along / moments.counts[:, None] * inverse.square()
    return float(variances.sum()) / (len(classes) * (len(classes) - 1))


def _from_centre(moments: ClassMoments) -> Tensor:
    """(C, D): the class means less their mean, each class counting alike; 0 where all are the same."""
    shifted = moments.means - moments.means[0]
    shifted -= shifted.mean(0)
    varies = shifted.square().sum(1).max() > _NO_DISTANCE * moments.scatter.max()
    return shifted if bool(varies) else torch.zeros_like(shifted)


def _inverse_distances(moments: ClassMoments) -> Tensor:
    """(C, C): one over the squared distance of two class means, 0 of a class with itself."""
    apart = _from_centre(moments)
    squares = torch.cdist(apart, apart, compute_mode="donot_use_mm_for_euclid_dist").square()
    least = _NO_DISTANCE * max(float(squares.max()), float(moments.scatter.max()))
    squares.fill_diagonal_(torch.inf)
    if not bool((squares > least).all()):
        raise ValueError("two classes have the same mean: no distance to set their width against")
    return 1 / squares


def _nearest_mean(block: Tensor, moments: ClassMoments) -> Tensor:
    """(n,): the class whose mean is nearest to each row."""
    # |x - mu|^2 = |x|^2 - 2 (x . mu - |mu|^2 / 2), about any centre; near to the means next to nothing cancels
    apart = _from_centre(moments)
    centre = moments.means[0] - apart[0]
    return ((block - centre) @ apart.T - apart.square().sum(1) / 2).argmax(1)


def _head(weight: Array, bias: Array | None, means: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (C, D) and bias (C,) in float64 beside the class means; no bias is 0."""
    if tuple(weight.shape) != tuple(means.shape):
        raise ValueError(f"weight must have shape {tuple(means.shape)}, one row a class, got {tuple(weight.shape)}")
    head = read(weight, slice(None), name="weight").to(means.device)
    if bias is None:
        return head, torch.zeros_like(head[:, 0])
    if tuple(bias.shape) != (len(means),):
        raise ValueError(f"bias must have shape ({len(means)},), got {tuple(bias.shape)}")
    return head, read(bias[:, None], slice(None), name="bias")[:, 0].to(means.device)
