"""How well a linear readout of frozen features tells what varies in an image besides its class.

Not in the papers: the measure. It is the informativeness of Eastwood and Williams (2018), by ridge regression, of the
variation within classes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbook.metrics.blocks import Array, check_classes, read

FOLDS = 4
# not in the papers: the grid, from a readout that is hardly held to one that says nothing. Features have the mean
# squared length 1 when it is applied
PENALTIES = tuple(10.0**power for power in range(-6, 5))
_NOTHING = 1e-12  # eigenvalues below this part of the largest are what rounding leaves of a zero


def readout_within_classes(
    features: Array, factors: pd.DataFrame, labels: Any, *, periods: Mapping[str, float] | None = None, seed: int = 0
) -> dict[str, float]:
    """R2 of each factor by a linear readout, among images of one class, on those that it was not fitted to.

    Each class's images are dealt into four parts, drawn with `seed`. Features and factors less their class's means over
    three parts are fitted, and read on the fourth: what tells classes apart counts for nothing.

    features: (N, D) float, all held at once. factors: (N, F), one row an image. labels: (N,) int, at least two classes
    of four samples. periods: name -> period of a circular factor, which is read as its sine and cosine, one R2 over
    both. At most 1; higher = the factor can be told more exactly. 0 = no better than the class's mean, as constant
    features are; below 0 = worse than that, by chance. Unchanged by scale and offset of a channel.
    Raises ValueError for factors that have not one row an image, are not finite, or never vary.
    """
    index = check_classes(features, labels, samples=FOLDS).index
    shuffled = np.random.default_rng(seed).permutation(len(index))
    by_class = shuffled[np.argsort(index[shuffled], kind="stable")]
    parts = np.empty(len(index), dtype=np.int64)
    parts[by_class] = np.arange(len(index)) % FOLDS  # of every class as many in each part, or one more
    return _r2(features, factors, periods or {}, parts, index)


def readout_over_classes(
    features: Array, factors: pd.DataFrame, labels: Any, *, periods: Mapping[str, float] | None = None, seed: int = 0
) -> dict[str, float]:
    """R2 of each factor by a linear readout, on images of classes that it was not fitted to.

    The classes are dealt into four parts, drawn with `seed`; a readout is fitted to three and read on the fourth.

    Arguments, range and errors as in `readout_within_classes`, but labels name at least four classes, of any size.
    0 = no better than the mean over the classes that were fitted; below 0 = what is read there means something else
    here, or chance.
    """
    classes = check_classes(features, labels)
    if len(classes) < FOLDS:
        raise ValueError(f"labels must name at least {FOLDS} classes, got {len(classes)}")
    parts = np.random.default_rng(seed).permutation(len(classes)) % FOLDS
    return _r2(features, factors, periods or {}, parts[classes.index], np.zeros_like(classes.index))


def _r2(
    features: Array, factors: pd.DataFrame, periods: Mapping[str, float], parts: np.ndarray, groups: np.ndarray
) -> dict[str, float]:
    """1 - sum (y - y')^2 / sum (y - m)^2 over all parts, m the mean over the group's images in the other parts."""
    x = read(features, slice(None))
    of_factor = _targets(factors, periods, len(x))
    owner = np.repeat(np.arange(len(of_factor)), [columns.shape[1] for columns in of_factor])
    targets = torch.from_numpy(np.concatenate(of_factor, axis=1)).to(x.device)
    missed, varied = torch.zeros(2, len(owner), dtype=torch.float64, device=x.device)
    for part in range(FOLDS):
        fitted = torch.from_numpy(parts != part).to(x.device)
        counts, group = np.bincount(groups[parts != part]), torch.from_numpy(groups).to(x.device)
        own_x, own_y = (_less_means(values, group, fitted) for values in (x, targets))
        share = torch.from_numpy(1 / counts).to(x.device)[group[fitted]]
        error = own_y[~fitted] - _ridge(own_x[fitted], own_y[fitted], share, own_x[~fitted])
        missed += error.square().sum(0)
        varied += own_y[~fitted].square().sum(0)
    sums = [np.bincount(owner, total.cpu().numpy()) for total in (missed, varied)]
    return dict(zip(map(str, factors), (1 - sums[0] / sums[1]).tolist(), strict=True))


def _targets(factors: pd.DataFrame, periods: Mapping[str, float], count: int) -> list[np.ndarray]:
    """What is read of each factor, (N, 1) or of a circular one (N, 2)."""
    values = factors.to_numpy(dtype=np.float64)
    if len(values) != count:
        raise ValueError(f"factors must have one row for each of {count} samples, got {len(values)}")
    if not np.isfinite(values).all():
        raise ValueError(f"factors must be finite, got {np.count_nonzero(~np.isfinite(values))} values that are not")
    if still := [name for name, column in zip(factors, values.T, strict=True) if np.ptp(column) == 0]:
        raise ValueError(f"a factor that never varies cannot be told, got {still[0]}")
    angles = {
        name: 2 * np.pi * factors[name].to_numpy() / period for name, period in periods.items() if name in factors
    }
    return [
        np.stack([np.sin(angles[name]), np.cos(angles[name])], axis=1) if name in angles else column[:, None]
        for name, column in zip(factors, values.T, strict=True)
    ]


def _less_means(values: Tensor, group: Tensor, fitted: Tensor) -> Tensor:
    """Rows (N, C) less the mean of the fitted rows of their group."""
    sums = values.new_zeros(int(group.max()) + 1, values.shape[1]).index_add_(0, group[fitted], values[fitted])
    return values - (sums / torch.bincount(group[fitted])[:, None])[group]


def _ridge(x: Tensor, y: Tensor, share: Tensor, others: Tensor) -> Tensor:
    """What ridge regression on rows x (n, D) and y (n, T), less their groups' means, says of other rows: (m, T).

    share: (n,) that of a row in its group's mean. Each target has the penalty with the least leave-one-out error; one
    eigendecomposition serves all targets and penalties. scikit-learn's `RidgeCV` has that error for one mean, not for
    one a group: there the rows left tell the one left out, whose group sums to 0.
    """
    scale = x.square().mean(0).sqrt()
    scale = torch.where(scale == 0, 1.0, scale) * x.shape[1] ** 0.5
    x, others = x / scale, others / scale
    # x = U S V^T, by the smaller of x^T x = V S^2 V^T and x x^T = U S^2 U^T
    wide = x.shape[1] > len(x)
    squares, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = squares > _NOTHING * squares[-1].clamp(min=_NOTHING)
    squares, vectors = squares[kept], vectors[:, kept]
    left, projected = (vectors, others @ x.T @ vectors) if wide else (x @ vectors, others @ vectors)
    if not wide:
        left, projected = left / squares.sqrt(), projected * squares.sqrt()
    # now projected = others x^T U = others V S, so that with w = U^T y a penalty p says projected (w / (S^2 + p))
    weights, errors = left.T @ y, []
    for penalty in PENALTIES:
        kept_part = squares / (squares + penalty)
        leverage = share + left.square() @ kept_part
        errors.append(((y - left @ (kept_part[:, None] * weights)) / (1 - leverage)[:, None]).square().sum(0))
    chosen = torch.tensor(PENALTIES, dtype=x.dtype, device=x.device)[torch.stack(errors).argmin(0)]
    return projected @ (weights / (squares[:, None] + chosen))
