"""How many directions features fill: ranks and decay of their spectrum, without labels but for LiDAR.

Each takes the features or their moments (`feature_moments`): all of them together cost one pass.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbook.metrics.blocks import Array, add_gram, blocks_of, check_classes, device_of, read
from workbook.metrics.moments import ClassSums, Moments, moments_of

# A ratio of the variance between objects to that within them below this is what rounding leaves of a zero.
_NO_DISTANCE = 1e-24


def rankme(features: Array | Moments, *, eps: float = 1e-7) -> float:
    """RankMe: the exponential of the entropy of the singular values (Garrido et al. 2023).

    exp(-sum p_k log p_k) with p_k = s_k / sum s + eps over the min(N, D) singular values s of the features, not
    centred. (Centred features, or the eigenvalues of their covariance, give another number: `effective_rank`.)

    features: (N, D) float. In [1, min(N, D)] but for eps; higher = more directions are used. Unchanged by scale and
    rotation, not by an offset. 1 where all samples lie on one line through 0; ValueError where all are 0.
    """
    moments = moments_of(features)
    singular = moments.spread_from_zero[0].sqrt()
    return _entropy_rank(singular, min(moments.shape), eps)


def effective_rank(features: Array | Moments) -> float:
    """Effective rank of the covariance of the features (Roy & Vetterli 2007): exp of the entropy of its eigenvalues.

    features: (N, D) float. In [1, min(N - 1, D)]; higher = the variance is spread over more directions; never above
    the rank. Unchanged by scale, rotation and offset. ValueError where all samples are the same.
    """
    values = moments_of(features).spread[0]
    return _entropy_rank(values, len(values), 0.0)


def participation_ratio(features: Array | Moments) -> float:
    """Participation ratio, (sum l)^2 / sum l^2 over the eigenvalues l of the covariance (Gao et al. 2017).

    features: (N, D) float. In [1, min(N - 1, D)]; higher = the variance is spread over more directions. Unchanged by
    scale, rotation and offset. ValueError where all samples are the same.
    """
    values = moments_of(features).spread[0]
    return float(values.sum().square() / values.square().sum())


def nesum(features: Array | Moments) -> float:
    """NESum, the sum of the eigenvalues of the covariance over the largest (He & Ozay 2022).

    features: (N, D) float. In [1, min(N - 1, D)]; higher = the first direction dominates less. Unchanged by scale,
    rotation and offset. ValueError where all samples are the same.
    """
    values = moments_of(features).spread[0]
    return float(values.sum() / values[0])


def alpha_req(features: Array | Moments, *, first: int = 3, last: int = 50, weighted: bool = True) -> float:
    """alpha-ReQ: the exponent of the power law that the eigenvalues of the covariance decay by (Agrawal et al. 2022).

    Minus the slope of log l_k over log k, k = first ... last, by least squares with the weights 1 / k (`weighted`),
    which make up for the many ranks that lie close together on a logarithmic axis, or with equal ones.

    features: (N, D) float; ranks beyond that of the features are left out, and three are needed. In [0, inf); near 1 =
    the decay that the paper finds with the best transfer; below = noise in many directions, above = few directions.
    Unchanged by scale, rotation and offset. ValueError where fewer than three eigenvalues lie in the range.
    """
    values = moments_of(features).spread[0][first - 1 : last]
    if first < 1 or len(values) < 3:
        raise ValueError(f"a slope needs three eigenvalues above 0 from rank {first} to {last}, got {len(values)}")
    ranks = torch.arange(first, first + len(values), dtype=torch.float64, device=values.device)
    weights = 1 / ranks if weighted else torch.ones_like(ranks)
    x, y = ranks.log(), values.log()
    x = x - (weights @ x) / weights.sum()
    return -float((weights * x) @ y / ((weights * x) @ x))


def lidar(features: Array, labels: Any, *, samples: int = 100, delta: float = 1e-4, eps: float = 1e-8) -> float:
    """LiDAR: the effective rank of linear discriminant analysis between objects (Thilak et al. 2024).

    exp of the entropy of p = l / sum l + eps over the D eigenvalues l of (S_w + delta I)^-1 S_b, S_b the covariance of
    the objects' means and S_w the mean of their own covariances, over samples - 1 as the paper's.

    features: (N, D) float. labels: (N,) int, the objects, at least two of two samples; the first `samples` of each are
    read. In the paper an object is an image and its samples are augmented views of it: give these for LiDAR proper.
    With the classes of a data set as objects, as in `measure_all`, the classes' own spread takes the views' place.
    In [1, min(C - 1, D)] but for eps; higher = objects are told apart in more directions. Unchanged by rotation and
    offset, and nearly by scale: delta is not scaled. ValueError where the means of all objects are the same.
    """
    classes = check_classes(features, labels, samples=2)
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}")
    rows = np.concatenate([own[:samples] for own in classes.rows()])
    counts = torch.from_numpy(classes.counts.clip(max=samples)).to(device_of(features), torch.float64)
    sums = ClassSums(read(features, classes.first), counts)
    gram = sums.pivot.new_zeros(features.shape[1], features.shape[1])
    for numbers, block in blocks_of(features, rows):
        sums.add(block, classes.of(numbers, block.device))
        add_gram(gram, block)
    within = sums.within(gram) / (len(rows) - len(classes))
    within.diagonal().add_(delta)
    means = sums.moments().means
    means = means - means.mean(0)
    # with S_w + delta I = L L^T: the eigenvalues of L^-1 S_b L^-T are the squared singular values of the means in it
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(within), means.T, upper=False)
    values = torch.linalg.svdvals(whitened).square()
    if not bool(values[0] > _NO_DISTANCE):
        raise ValueError("the means of all objects are the same: no direction tells them apart")
    return _entropy_rank(values, within.shape[0], eps)


def _entropy_rank(values: Tensor, count: int, eps: float) -> float:
    """exp(-sum p log p), p = v / sum v + eps, over `count` values: those that are not given are 0."""
    shares = torch.zeros(count, dtype=values.dtype, device=values.device)
    shares[: len(values)] = (values / values.sum())[:count]
    shares += eps
    return float(torch.special.entr(shares).sum().exp())
