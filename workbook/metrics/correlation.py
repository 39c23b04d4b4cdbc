"""How two scores of the same models go together: four coefficients, each with a bootstrap interval."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

COEFFICIENTS = ("spearman", "pearson", "r2", "kendall")
_LEAST_MODELS = 4
_LEAST_FAMILIES = 3
# A coefficient is undefined where a resample holds one value only; more of them than this bend the interval.
_MOST_UNDEFINED = 0.05


def rank_correlations(
    x: ArrayLike,
    y: ArrayLike,
    *,
    families: ArrayLike | None = None,
    resamples: int = 10_000,
    generator: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Spearman, Pearson, R2 and Kendall of x and y, each with a 95 % bootstrap interval.

    x, y: (n,) float, one value a model, at least four models. families: (n,) labels; whole families are drawn then
    instead of models, because models of one trajectory are not independent. generator: what draws; the default
    draws the same resamples every time.
    DataFrame, one row a coefficient (`spearman`, `pearson`, `r2`, `kendall`), columns `value`, `low`, `high`.
    Spearman, Pearson and Kendall (tau-b) in [-1, 1]; higher = rise together. R2 is Pearson's squared, in [0, 1]: the
    share of the variance of y that the best straight line explains. (Nayman et al. 2022, Table 1, print another R2
    and define none: see `workbook.papers.reproduction`.)
    Raises ValueError for other shapes, NaN, a score that never varies, and for fewer than three families.
    """
    (x, y), draws = _resampled((x, y), families, resamples, generator)
    return _with_intervals(lambda counts: coefficients(counts, x, y), draws)


def correlation_differences(
    x: ArrayLike,
    other: ArrayLike,
    y: ArrayLike,
    *,
    families: ArrayLike | None = None,
    resamples: int = 10_000,
    generator: np.random.Generator | None = None,
) -> pd.DataFrame:
    """How much more x correlates with y than `other` does, with a paired 95 % bootstrap interval.

    Both correlations are taken on the same resamples, so what all scores share cancels: two overlapping intervals of
    `rank_correlations` say little about their difference. Arguments, errors and form as there; `value` is the
    coefficient of (x, y) minus that of (other, y), in [-2, 2]; above 0 = x goes with y more closely.
    """
    (x, other, y), draws = _resampled((x, other, y), families, resamples, generator)
    return _with_intervals(lambda counts: coefficients(counts, x, y) - coefficients(counts, other, y), draws)


def _resampled(
    scores: tuple[ArrayLike, ...], families: ArrayLike | None, resamples: int, generator: np.random.Generator | None
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The scores, and how often each model is in each resample: (resamples, n)."""
    arrays = tuple(np.asarray(score, dtype=np.float64) for score in scores)
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1 or arrays[0].ndim != 1 or len(arrays[0]) < _LEAST_MODELS:
        raise ValueError(f"scores must have one shape (n,) with n >= {_LEAST_MODELS}, got {shapes}")
    for array in arrays:
        if not np.isfinite(array).all():
            raise ValueError(f"scores must be finite, got {np.count_nonzero(~np.isfinite(array))} values that are not")
        if np.ptp(array) == 0:
            raise ValueError(f"a score that never varies has no correlation, got {array[0]} {len(array)} times")
    n = len(arrays[0])
    names: Any = np.arange(n) if families is None else np.asarray(families)
    if names.shape != (n,):
        raise ValueError(f"families must have shape ({n},), one label a model, got {names.shape}")
    return arrays, counts_of(names, resamples, np.random.default_rng(0) if generator is None else generator)


def counts_of(families: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each model is in each resample of whole families, (resamples, n). families: (n,), at least three."""
    found, labels = np.unique(families, return_inverse=True)
    if len(found) < _LEAST_FAMILIES:
        raise ValueError(f"an interval over families needs {_LEAST_FAMILIES} of them, got {found.tolist()}")
    if resamples < 100:
        raise ValueError(f"resamples must be at least 100 for a 95 % interval, got {resamples}")
    drawn = generator.multinomial(len(found), np.full(len(found), 1 / len(found)), size=resamples)
    return drawn[:, labels].astype(float)


def coefficients(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(resamples, 4): the coefficients of samples that hold model i counts[:, i] times; nan where undefined."""
    above_x, above_y = (np.sign(score[:, None] - score[None, :]) for score in (x, y))
    concordant, differ_x, differ_y = (
        ((counts @ signs) * counts).sum(axis=1) for signs in (above_x * above_y, above_x**2, above_y**2)
    )
    defined = (differ_x > 0) & (differ_y > 0)
    # the middle rank of a value: the models below it and half of those beside it, itself among them
    rank_x, rank_y = (counts @ (1 + above).T / 2 for above in (above_x, above_y))
    with np.errstate(invalid="ignore", divide="ignore"):
        spearman = _pearson(counts, rank_x, rank_y)
        pearson = _pearson(counts, x[None, :], y[None, :])
        # tau-b: concordant less discordant pairs, over the root of the pairs that differ in x and of those in y
        kendall = concordant / np.sqrt(differ_x * differ_y)
    return np.where(defined[:, None], np.stack([spearman, pearson, pearson**2, kendall], axis=1), np.nan)


def _pearson(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=1, keepdims=True)
    x, y = (score - (counts * score).sum(axis=1, keepdims=True) / total for score in (x, y))
    together, alone_x, alone_y = ((counts * product).sum(axis=1) for product in (x * y, x * x, y * y))
    return np.clip(together / np.sqrt(alone_x * alone_y), -1, 1)


def _with_intervals(statistic: Callable[[np.ndarray], np.ndarray], draws: np.ndarray) -> pd.DataFrame:
    """Percentile intervals, and not BCa.

    In a simulation of 39 models, four families of nine and three of one (400 times), the percentile interval over
    families covered the truth in 91 to 95 % of the cases and BCa in 82 to 87 %; BCa estimates its acceleration from
    seven values there. With 39 independent models both covered 91 to 98 %. An interval over models, where models of
    a family go together, covered 67 to 82 %: families are not a refinement but the condition of an honest interval.
    """
    (value,), drawn = statistic(np.ones((1, draws.shape[1]))), statistic(draws)
    undefined = np.isnan(drawn).any(axis=1)
    if undefined.mean() > _MOST_UNDEFINED:
        raise ValueError(f"{undefined.mean():.0%} of the resamples hold one value only; there are too few families")
    low, high = np.quantile(drawn[~undefined], [0.025, 0.975], axis=0)
    return pd.DataFrame({"value": value, "low": low, "high": high}, index=pd.Index(COEFFICIENTS, name="coefficient"))
