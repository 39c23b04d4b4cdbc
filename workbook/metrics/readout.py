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
    three parts are fitted, and read on the fourth: what tells classes apart counts for nothing. The penalty is the one
    with the least error on images left out one by one.

    features: (N, D) float, all held at once. factors: (N, F), one row an image. labels: (N,) int, at least two classes
    of four samples. periods: name -> period of a circular factor, which is read as its sine and cosine, one R2 over
    both. At most 1; higher = the factor can be told more exactly. 0 = no better than the class's mean, as constant
    features are; below 0 = worse than that, by chance. Unchanged by scale, rotation and offset.
    Raises ValueError for factors that have not one row an image, are not finite, or never vary.
    """
    index = check_classes(features, labels, samples=FOLDS).index
    shuffled = np.random.default_rng(seed).permutation(len(index))
    by_class = shuffled[np.argsort(index[shuffled], kind="stable")]
    parts = np.empty(len(index), dtype=np.int64)
    parts[by_class] = np.arange(len(index)) % FOLDS  # of every class as many in each part, or one more
    return _r2(features, factors, periods or {}, parts, groups=index, units=np.arange(len(index)))


def readout_over_classes(
    features: Array, factors: pd.DataFrame, labels: Any, *, periods: Mapping[str, float] | None = None, seed: int = 0
) -> dict[str, float]:
    """R2 of each factor by a linear readout, on images of classes that it was not fitted to.

    The classes are dealt into four parts, drawn with `seed`; a readout is fitted to three and read on the fourth. The
    penalty is the one with the least error on classes left out one by one.

    Arguments, range and errors as in `readout_within_classes`, but labels name at least four classes, of any size.
    0 = no better than the mean over the classes that were fitted; below 0 = what is read there means something else
    here, or chance.
    """
    classes = check_classes(features, labels)
    if len(classes) < FOLDS:
        raise ValueError(f"labels must name at least {FOLDS} classes, got {len(classes)}")
    parts = np.random.default_rng(seed).permutation(len(classes)) % FOLDS
    everything = np.zeros_like(classes.index)
    return _r2(features, factors, periods or {}, parts[classes.index], groups=everything, units=classes.index)


def _r2(
    features: Array,
    factors: pd.DataFrame,
    periods: Mapping[str, float],
    parts: np.ndarray,
    *,
    groups: np.ndarray,
    units: np.ndarray,
) -> dict[str, float]:
    """1 - sum (y - y')^2 / sum (y - m)^2 over all parts, m the mean over the group's images in the other parts.

    groups: (N,) what means are taken of. units: (N,) what is left out together, all of one group, to choose a penalty.
    """
    x = read(features, slice(None))
    of_factor = _targets(factors, periods, len(x))
    owner = np.repeat(np.arange(len(of_factor)), [columns.shape[1] for columns in of_factor])
    targets = torch.from_numpy(np.concatenate(of_factor, axis=1)).to(x.device)
    missed, varied = torch.zeros(2, len(owner), dtype=torch.float64, device=x.device)
    group = torch.from_numpy(groups).to(x.device)
    for part in range(FOLDS):
        fitted = torch.from_numpy(parts != part).to(x.device)
        own_x, own_y = (_less_means(values, group, fitted) for values in (x, targets))
        share = (1 / torch.bincount(group[fitted]).double())[group[fitted]]
        members = _members(units[parts != part]).to(x.device)
        error = own_y[~fitted] - _ridge(own_x[fitted], own_y[fitted], share, members, own_x[~fitted])
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


def _members(units: np.ndarray) -> Tensor:
    """The rows of each unit, (U, most rows of one); where it has fewer, -1."""
    _, unit, counts = np.unique(units, return_inverse=True, return_counts=True)
    rows = np.argsort(unit, kind="stable")
    within = np.arange(len(units)) - np.repeat(np.cumsum(counts) - counts, counts)
    members = np.full((len(counts), counts.max()), -1)
    members[unit[rows], within] = rows
    return torch.from_numpy(members)


def _ridge(x: Tensor, y: Tensor, share: Tensor, members: Tensor, others: Tensor) -> Tensor:
    """What ridge regression on rows x (n, D) and y (n, T), less their groups' means, says of other rows: (m, T).

    share: (n,) that of a row in its group's mean. members: as from `_members`, of what is left out together. Each
    target has the penalty with the least error on that; one eigendecomposition serves all targets and penalties.
    """
    # One scale for all channels, and not one each: a channel that is silent in all rows but one, and loud in another
    # image, outweighs everything. In an untrained network a mean R2 of -112 came of that, and 0.38 of this
    length = x.square().sum(1).mean().sqrt().clamp(min=torch.finfo(x.dtype).tiny)
    x, others = x / length, others / length
    # x = U S V^T, by the smaller of x^T x = V S^2 V^T and x x^T = U S^2 U^T
    wide = x.shape[1] > len(x)
    squares, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = squares > _NOTHING * squares[-1].clamp(min=_NOTHING)
    squares, vectors = squares[kept], vectors[:, kept]
    if wide:
        left, projected = vectors, others @ x.T @ vectors
    else:
        left, projected = x @ vectors / squares.sqrt(), others @ vectors * squares.sqrt()
    # now projected = others x^T U = others V S, so that with w = U^T y a penalty p says projected (w / (S^2 + p))
    weights = left.T @ y
    errors = torch.stack([_left_out(y, left, weights, squares / (squares + p), share, members) for p in PENALTIES])
    chosen = torch.tensor(PENALTIES, dtype=x.dtype, device=x.device)[errors.argmin(0)]
    return projected @ (weights / (squares[:, None] + chosen))


def _left_out(y: Tensor, left: Tensor, weights: Tensor, passed: Tensor, share: Tensor, members: Tensor) -> Tensor:
    """Summed squared error (T,) on units that means and readout are fitted without, in closed form.

    The fit is linear, y' = H y with H = 1 / (rows of the group) + U passed U^T, and the residuals of a unit u that is
    left out are (I - H_uu)^-1 (y - y')_u. scikit-learn's `RidgeCV` has that for single rows and one mean. With a mean a
    class its error vanishes, since the rows left tell the one left out; noise came out at an R2 of -0.6.
    """
    nobody = y.new_zeros(1)  # the row -1
    residuals = torch.cat([y - left @ (passed[:, None] * weights), nobody[:, None].expand(1, y.shape[1])])[members]
    rows = torch.cat([left, nobody[:, None].expand(1, left.shape[1])])[members]
    shares = torch.cat([share, nobody])[members].sqrt()
    hat = rows * passed @ rows.mT + shares[:, :, None] * shares[:, None, :]
    identity = torch.eye(hat.shape[1], dtype=y.dtype, device=y.device)
    return torch.linalg.solve(identity - hat, residuals).square().sum((0, 1))
