"""How well labels follow from features by a linear model, without training one: LogME, H-score, TransRate."""

import math
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from workbook.metrics.blocks import Array, add_gram, blocks_of, check_classes, mirror, read
from workbook.metrics.moments import Moments, feature_moments, moments_of

_ROUNDS = 11  # of LogME's fixed point, as its authors': on scikit-learn's digits 200 give the same eight digits
_LOGME_EPS = 1e-5  # of its two divisions, as its authors'


def logme(features: Array | Moments, labels: Any = None) -> float:
    """LogME, the log evidence of a Bayesian linear model of the labels, a sample (You et al. 2021).

    The mean over classes of the evidence of "is of this class" (0 or 1), maximised over the precisions of prior and
    noise by the fixed point of You et al. (2022). Features are not centred and there is no intercept, as theirs.
    A direction that no feature has counts nothing; their code adds the log of the prior's precision of each, which on
    scikit-learn's digits, rank 61 of 64, gives 0.273995 for 0.270278.

    features: (N, D) float. labels: (N,) int, at least two classes. Any real number, mostly below 1; higher = the labels
    follow better. Unchanged by rotation; not by an offset; nearly by scale, until the squares of the weights are no
    longer large beside the 1e-5 of its divisions: a hundred times larger features lose the fourth digit. ValueError
    where all features are 0, and where a fit is so exact that its evidence is infinite.
    """
    moments = moments_of(features, labels, samples=1)
    squares, axes = moments.spread_from_zero  # of X = U s V^T: s^2 and V
    counts, n = moments.rows.counts, len(moments)
    # X^T y = N_k mu_k is all of the labels that is needed: U^T y = s^-1 V^T X^T y, and |y|^2 = N_k
    along = ((counts[:, None] * moments.rows.means) @ axes).square() / squares
    beyond = (counts - along.sum(1)).clamp(min=0)
    prior = noise = torch.ones_like(counts)
    for _ in range(_ROUNDS):
        ratio = (prior / noise)[:, None]
        fitted = (squares / (squares + ratio)).sum(1)
        weights = (squares * along / (squares + ratio).square()).sum(1)
        residual = (along / (1 + squares / ratio).square()).sum(1) + beyond
        prior, noise = fitted / (weights + _LOGME_EPS), (n - fitted) / (residual + _LOGME_EPS)
    evidence = len(squares) * prior.log() + n * noise.log() - (prior[:, None] + noise[:, None] * squares).log().sum(1)
    evidence = (evidence - noise * residual - prior * weights) / n - math.log(2 * math.pi)
    if not bool(torch.isfinite(evidence).all()):
        raise ValueError(f"the labels follow exactly from the {moments.shape} features: the evidence is infinite")
    return float(evidence.mean()) / 2


def h_score(features: Array | Moments, labels: Any = None, *, shrinkage: Literal["ledoit-wolf"] | None = None) -> float:
    """H-score, tr(S^-1 S_b): the covariance of the class means in units of that of the features (Bao et al. 2019).

    shrinkage: None = the pseudo-inverse, which overfits where N is not far above D; "ledoit-wolf" = the regularised
    H-score (Ibrahim et al. 2022), (1 - a) tr(((1 - a) S + a m I)^-1 S_b), a of `ledoit_wolf_shrinkage` and m the mean
    variance. As in their code S_b is over N - 1 and the S that is shrunk over N, so that this one is not in [0, C - 1].

    features: (N, D) float. labels: (N,) int, at least two classes. In [0, min(C - 1, D)]; higher = classes further
    apart. Unchanged by scale, rotation and offset, without shrinkage by every invertible linear map. ValueError where
    all samples are the same.
    """
    if shrinkage not in (None, "ledoit-wolf"):
        raise ValueError(f'shrinkage must be None or "ledoit-wolf", got {shrinkage!r}')
    moments = moments_of(features, labels, samples=1)
    values, axes = moments.spread
    between = (moments.deviations @ axes).square().sum(0)
    if shrinkage is None:
        return float((between / values).sum())
    share, n = ledoit_wolf_shrinkage(moments), len(moments)
    # the means differ within the span of the features alone, so that beyond it the target adds nothing
    shrunk = (1 - share) * values / n + share * float(values.sum()) / n / moments.shape[1]
    return (1 - share) * float((between / shrunk).sum()) / (n - 1)


def ledoit_wolf_shrinkage(features: Array | Moments) -> float:
    """How far the covariance of the features is best shrunk towards its mean variance (Ledoit & Wolf 2004).

    features: (N, D) float. In [0, 1]; higher = N is too small for D; as scikit-learn's `ledoit_wolf`. Unchanged by
    scale, rotation and offset. ValueError where all samples are the same. 0 where all variances are equal, and D = 1.
    """
    moments = moments_of(features)
    n, dim = moments.shape
    values = moments.spread[0] / n
    # b^2 = sum |x x^T - S|^2 / N^2 = (sum |x|^4 / N - |S|^2) / N and d^2 = |S - m I|^2, |.| the Frobenius norm
    error = (moments.fourth / n - float(values.square().sum())) / n
    distance = float(values.square().sum()) - float(values.sum()) ** 2 / dim
    return min(1.0, max(0.0, error / distance)) if distance > 1e-12 * float(values.square().sum()) else 0.0


def transrate(features: Array, labels: Any, *, eps: float = 1e-4, moments: Moments | None = None) -> float:
    """TransRate, the mutual information of features and labels by coding rates (Huang et al. 2022).

    R(Z) - sum N_k / N R(Z_k), R(Z) = 1/2 log det(I + Z^T Z / (N eps)) of the features less the mean of all, Z_k those
    of class k: classes count by size.

    features: (N, D) float. labels: (N,) int, at least two classes. In [0, inf); higher = classes further apart, each
    in few directions. In nats. Not standardised, as in its code, so that it rises with the scale of the features:
    compare models of one scale. Unchanged by rotation and offset. 0 where all samples are the same. Two passes;
    moments: of the same features and labels, where they are at hand, save one.
    """
    classes = check_classes(features, labels)
    if not eps > 0:
        raise ValueError(f"eps must be above 0, got {eps}")
    moments = moments or feature_moments(features, labels)
    rate = _coding_rate(moments.centred, len(moments) * eps)
    for rows in classes.rows():
        own = _class_products(features, rows, moments.mean)
        rate -= len(rows) / len(moments) * _coding_rate(own, len(rows) * eps)
    return max(0.0, rate)


def _class_products(features: Array, rows: np.ndarray, centre: Tensor) -> Tensor:
    """Z^T Z of these rows less the centre, or Z Z^T where that is smaller: their log determinants are the same."""
    if len(rows) < len(centre):
        block = read(features, rows) - centre
        return block @ block.T
    gram = centre.new_zeros(len(centre), len(centre))
    for _, block in blocks_of(features, rows):
        add_gram(gram, block - centre)
    return mirror(gram)


def _coding_rate(products: Tensor, scale: float) -> float:
    """1/2 log det(I + products / scale)."""
    matrix = products / scale
    matrix.diagonal().add_(1)
    return float(torch.linalg.cholesky(matrix).diagonal().log().sum())
