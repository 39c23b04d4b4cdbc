"""Transferability as paper B defines it, and its printed values held against the accuracies beside them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbook.papers.statistics import paired
from workbook.papers.tables import DATA_SETS, PrintedTable

# Paper B prints accuracies to a tenth of a point: the true one lies within half of that.
HALF_UNIT = 0.05
_LEAST_SETS = 5
Logarithm = Callable[[np.ndarray], np.ndarray]


def transferability(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Mean adjusted log-odds over data sets (Nayman et al. 2022, section 5.2, after Kornblith et al. 2019).

    With y the natural logit of an accuracy, acc(m, d) = y(m, d) - mean over the models of y(., d).

    accuracies: models x data sets, in percent, at least two of each.
    DataFrame, one row a model: `mean` of acc over data sets (higher = transfers better; 0 = as the average of these
    models) and `stderr`, its standard error times M / (M - 1) for M models. Both depend on which models are compared.
    Raises ValueError for NaN, for 0 and 100 % and beyond, whose log-odds are infinite, and for fractions.
    """
    values = accuracies.to_numpy(dtype=np.float64)
    if values.size == 0:
        raise ValueError(f"accuracies must hold models x data sets, got shape {values.shape}")
    if len(bad := values[~((values > 0) & (values < 100))]):
        raise ValueError(f"accuracies must lie above 0 and below 100 %, got {bad[:3].tolist()} among {values.size}")
    if values.max() <= 1:
        raise ValueError(f"accuracies must be percent; the largest is {values.max()}: multiply fractions by 100")
    models, sets = values.shape
    if models < 2 or sets < 2:
        raise ValueError(f"accuracies must hold at least 2 models and 2 data sets, got {models} and {sets}")
    adjusted = pd.DataFrame(np.log(values / (100 - values)), index=accuracies.index, columns=accuracies.columns)
    adjusted -= adjusted.mean()
    # not in the paper: the standard error with n - 1, as is usual; the correction is for the mean over models, which
    # takes 1 / M of each model's own value away
    stderr = adjusted.std(axis=1, ddof=1) / np.sqrt(sets) * models / (models - 1)
    return pd.DataFrame({"mean": adjusted.mean(axis=1), "stderr": stderr})


def measured_transferability(accuracies: pd.DataFrame) -> pd.DataFrame:
    """`transferability` of models that were measured, where an accuracy may be 0 or 100 %: it is kept 0.05 points off.

    No rows where there are fewer than two models or two data sets to compare.
    """
    if min(accuracies.shape) < 2:
        return pd.DataFrame(columns=["mean", "stderr"], dtype=float)
    return transferability(accuracies.clip(HALF_UNIT, 100 - HALF_UNIT))  # not in the paper


def interval_over_sets(gains: pd.Series) -> tuple[float | None, float | None]:
    """Student's 95 % interval of the mean over data sets; (None, None) for fewer than five.

    gains: (n,) one a data set, the mean over its seeds. Beside the interval over seeds, which says nothing of other
    data sets than these. Not in the paper: the number of sets at which it begins to mean something.
    """
    found = paired(gains)
    return (found.low, found.high) if len(gains) >= _LEAST_SETS else (None, None)


@dataclass(frozen=True, kw_only=True)
class Recomputation:
    """A printed Transfer column against the accuracies of its rows.

    rows: one a model, all in the units of the printed column: `printed`; `recomputed`, the mean log-odds plus
    `constant`; `residual`, printed less recomputed; `bound`, the most that rounding can make of a residual;
    `rounding`, the standard deviation that rounding gives it.
    constant: what the mean log-odds lack; -constant is the mean log-odds of the models that the paper adjusts by.
    low, high: every constant in between leaves as many rows within their bounds as any constant does.
    own: the constant if those models were the rows of this table.
    """

    rows: pd.DataFrame
    constant: float
    low: float
    high: float
    own: float

    @property
    def within(self) -> pd.Series:
        return self.rows["residual"].abs() <= self.rows["bound"]


def recompute_transfer(
    printed: pd.Series, accuracies: pd.DataFrame, *, scale: float = 1.0, logarithm: Logarithm = np.log
) -> Recomputation:
    """Printed Transfer = scale x mean log-odds + one constant a table: the constant, and what is left a row.

    printed: (models,) Transfer. accuracies: the same models x data sets, percent. scale: 100 in the linear tables.
    The constant is the mean log-odds of the models that were adjusted by, which need not be those of the table.
    The bound of a residual is that of rounding: an accuracy printed p lies within p +- 0.05, so its log-odds between
    those of the two ends, averaged over data sets; and half a unit of Transfer's last digit.
    """
    p = accuracies.loc[printed.index].to_numpy(dtype=np.float64)

    def mean_log_odds(values: np.ndarray) -> np.ndarray:
        return scale * logarithm(values / (100 - values)).mean(axis=1)

    unit = 0.001 * scale  # the papers' two scales have the same digits: 0.126 and 12.6
    middle, below, above = (mean_log_odds(p + shift) for shift in (0, -HALF_UNIT, HALF_UNIT))
    gap = printed.to_numpy(dtype=np.float64) - middle
    bound = np.maximum(above - middle, middle - below) + unit / 2
    low, high = _fullest_overlap(gap - bound, gap + bound)
    # a cell's error is uniform over one unit, of standard deviation unit / sqrt(12)
    slopes = scale * 100 / (p * (100 - p)) / p.shape[1]
    rounding = np.sqrt(((slopes * 2 * HALF_UNIT) ** 2).sum(axis=1) + unit**2) / np.sqrt(12)
    constant = float(np.clip(np.median(gap), low, high))
    columns = {"printed": printed, "recomputed": middle + constant, "residual": gap - constant}
    rows = pd.DataFrame(columns | {"bound": bound, "rounding": rounding}, index=printed.index)
    return Recomputation(rows=rows, constant=constant, low=low, high=high, own=-float(middle.mean()))


def recompute_all(tables: Mapping[str, PrintedTable]) -> dict[str, Recomputation]:
    """`recompute_transfer` of every table that prints Transfer."""
    return {
        name: recompute_transfer(table.transfer, table.values[list(table.data_sets)], scale=table.scale)
        for name, table in tables.items()
        if table.transfer is not None
    }


def transfer_attempts(tables: Mapping[str, PrintedTable]) -> pd.DataFrame:
    """How many rows of each table come out within rounding under other readings of B 5.2.

    A row a table; columns: the readings (missing where a table lacks a column), and `rows`, how many there are.
    """
    readings: dict[str, tuple[Sequence[str], Logarithm]] = {
        "natural log, 14 data sets": (DATA_SETS, np.log),
        "and ImageNet": ((*DATA_SETS, "ImageNet"), np.log),
        "and COCO": ((*DATA_SETS, "COCO"), np.log),
        "log to base 10": (DATA_SETS, np.log10),
    }
    counts: dict[str, dict[str, float]] = {}
    for name, table in tables.items():
        if table.transfer is None:
            continue
        counts[name] = {"rows": len(table.values)}
        for reading, (columns, logarithm) in readings.items():
            if set(columns) <= set(table.values):
                accuracies = table.values[list(columns)]
                found = recompute_transfer(table.transfer, accuracies, scale=table.scale, logarithm=logarithm)
                counts[name][reading] = int(found.within.sum())
    return pd.DataFrame(counts).T[[*readings, "rows"]].astype("Int64")


def _fullest_overlap(lows: np.ndarray, highs: np.ndarray) -> tuple[float, float]:
    """The range that most of the intervals share."""
    inside = ((lows[None, :] <= lows[:, None]) & (lows[:, None] <= highs[None, :])).sum(axis=1)
    start = lows[inside == inside.max()][-1]
    return float(start), float(highs[(lows <= start) & (highs >= start)].min())


def population_table(populations: Mapping[str, pd.Series], *, unit: float) -> pd.DataFrame:
    """Whether a set of models can be what the printed Transfer values were adjusted by.

    Adjusted values of the adjusting models sum to 0 by definition, so their printed mean is at most half a unit of
    the last digit from 0. populations: name -> the printed Transfer of its models. unit: of the last digit.
    Columns: models, mean, `missing` (what the Transfer of one more, unprinted model would have to be) and possible.
    """
    columns = ["models", "mean", "missing"]
    rows = [(len(values), float(values.mean()), -float(values.sum())) for values in populations.values()]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(populations, name="population"))
    return table.assign(possible=table["mean"].abs() <= unit / 2)
