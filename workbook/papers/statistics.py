"""Every statistic that a claim is judged by: from what was measured to an effect with its 95 % interval.

Effects have the sign that the claim predicts positive. A claim agrees where the interval lies above 0 and differs where
it lies below. `tests/papers/simulation.py` simulates each of them: that it can come out either way, and that without an
effect it agrees in at most 5 % of the draws and differs in at most 5 %.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from workbook.papers.cells import Difference

Evidence = Literal["runs", "printed tables"]
_CONFIDENCE = 0.95
_TAIL = (1 - _CONFIDENCE) / 2


class Estimate(NamedTuple):
    """An effect and the ends of its 95 % interval, which are None where it is undefined.

    n: what was judged, in units; `of` says which: "5 seeds", "39 models of 7 families".
    """

    measured: float | None
    low: float | None
    high: float | None
    n: int
    of: str = "seeds"

    @property
    def counted(self) -> str:
        return f"{self.n} {self.of.removesuffix('s') if self.n == 1 else self.of}"


def paired(differences: pd.Series) -> Estimate:
    """The mean of paired differences, with Student's t interval.

    differences: (n,) one a seed, a data set or a model; its index is named after them. No interval for n < 2.

    Not the percentile bootstrap: of three values it covers the mean in about 75 % of the cases instead of 95 %, because
    it can draw no more than ten different samples and knows nothing of the small n. The t interval is exact for normal
    differences at any n >= 2, and pays for it with its width.
    """
    values = _finite(differences)
    n, of = len(values), f"{differences.index.name or 'seed'}s"
    if n == 0:
        return Estimate(None, None, None, 0, of)
    measured = float(values.mean())
    if n == 1:
        return Estimate(measured, None, None, 1, of)
    half = float(stats.t.ppf(1 - _TAIL, n - 1) * _error(values))
    return Estimate(measured, measured - half, measured + half, n, of)


def every(differences: pd.DataFrame) -> Estimate:
    """The smallest of several effects, for a claim that every one of them is positive: an intersection-union test.

    differences: (n, k) one row a seed or data set, one column an effect.

    low is the smallest of the lower ends of the k intervals: above 0 only where each effect is shown by itself, which
    needs no correction. One effect below 0 refutes the claim; k had the chance, so high is the smallest of the upper
    ends at a k-th of the error (Bonferroni). The minimum within each seed would be biased: of noisy steps the smallest
    lies below the truth, and curves that rise would be said to differ.
    """
    values, k = _finite(differences), differences.shape[1]
    n, of = len(values), f"{differences.index.name or 'seed'}s"
    if n == 0 or k == 0:
        return Estimate(None, None, None, n, of)
    means = values.mean(axis=0)
    if n == 1:
        return Estimate(float(means.min()), None, None, 1, of)
    low, high = _smallest(means, np.array([_error(column) for column in values.T]), n - 1)
    return Estimate(float(means.min()), low, high, n, of)


def falls(curves: pd.DataFrame) -> pd.Series:
    """How far every curve ends below where it was at the checkpoint nearest a third of the epochs.

    curves: one row a seed, one column an epoch, ascending; the last one is the end.

    Not in the paper: it names a rise and a descent (A 4.2: after 210 of 300 epochs) and no measure of it. A checkpoint
    that is chosen after a look, such as the highest, lies above the last by construction; a third of the way is fixed
    in advance, so that a curve that goes on rising gives a negative fall.
    """
    epochs = np.asarray(curves.columns, dtype=float)
    third = curves.columns[int(np.abs(epochs - epochs[-1] / 3).argmin())]
    return curves[third] - curves[curves.columns[-1]]


def fall(curves: pd.DataFrame) -> Estimate:
    """The mean of `falls`, paired within seeds."""
    return paired(falls(curves))


def rank_agreements(table: pd.DataFrame, score: str, value: str, *, by: str = "seed") -> pd.Series:
    """Kendall's tau-b of two columns within every unit, one value a unit; where there are starts, their mean.

    table: one row a point, such as a control cycle, with the columns `by`, score and value, and `start` where a unit
    has several trajectories. In [-1, 1]; a trajectory on which one of the two never varies has 0, no agreement.
    """
    within = [by, *(["start"] if "start" in table else [])]
    taus = [(key[0], _tau(rows[score], rows[value])) for key, rows in table.groupby(within)]
    return pd.DataFrame(taus, columns=[by, "tau"]).groupby(by)["tau"].mean()


def above_smallest(table: pd.DataFrame, column: str, chosen_by: str) -> pd.Series:
    """By how much `column` is higher at the best larger control cycle than at the smallest, one value a seed.

    table: one row a model, with seed, start, control_cycle (the same for all seeds, at least two) and both columns. The
    best cycle of a start is where `chosen_by`, on the mean over the *other* seeds, is highest: by its own noise a seed
    would choose what it happens to favour. Empty for a single seed. Over several starts their mean.
    """
    steps = []
    for _, rows in table.groupby("start"):
        wide = rows.pivot(index="seed", columns="control_cycle")
        values, chooser = wide[column], wide[chosen_by]
        for seed in chooser.index if len(chooser) > 1 else []:
            best = chooser.drop(index=seed).mean().iloc[1:].idxmax()
            steps.append((seed, values.at[seed, best] - values.loc[seed].iloc[0]))
    return pd.DataFrame(steps, columns=["seed", "step"]).groupby("seed")["step"].mean()


def trend(pairs: pd.DataFrame) -> Estimate:
    """Kendall's tau-b of two printed columns, give or take what chance gives in 5 % of the orders of n values.

    pairs: (n, 2), whose rows are n printed points. The interval is tau and the largest |tau| that is no longer rare:
    it excludes 0 exactly where the permutation test rejects, at 2.5 % on either side.
    """
    n, of = len(pairs), f"{pairs.index.name or 'model'}s"
    tau = _tau(*(pairs[column] for column in pairs))
    return Estimate(tau, max(-1.0, tau - _usual_tau(n)), min(1.0, tau + _usual_tau(n)), n, of)


def as_printed(cells: Difference) -> Estimate:
    """A printed difference, and how far the rounding of its cells can move it: one run each, no spread over seeds."""
    low, high = (round(cells.value + side * cells.rounding, 10) for side in (-1, 1))
    return Estimate(cells.value, low, high, 1, "printed difference")


def families_drawn(interval: pd.Series, families: pd.Series) -> Estimate:
    """A correlation of printed models, whose interval draws whole families (see `metrics.rank_correlations`).

    interval: value, low and high. families: that of each model.
    """
    of = f"models of {families.nunique()} families"
    return Estimate(float(interval["value"]), float(interval["low"]), float(interval["high"]), len(families), of)


def families_left_out(effects: pd.DataFrame, families: pd.Series) -> Estimate:
    """The smallest of several effects on printed models, as `every`, by the jackknife over whole families.

    effects: one row for each family, without it, indexed by it, and one, "none", of all models; one column an effect.

    Not in the paper: it has no interval. With g families the error of an effect is
    sqrt((g - 1) / g sum (v - mean v)^2), and its interval Student's with g - 1 degrees of freedom: eight fits instead
    of a thousand, and nothing drawn. In simulated studies with two factors that matter alike, the percentile interval
    of refits to drawn families called 4 of 30 different, and so did a jackknife of the lead over the largest of the
    other factors 21 of 120: a maximum over noisy values is biased against the claim.
    """
    whole, left_out = effects.loc["none"].to_numpy(dtype=float), effects.drop("none").to_numpy(dtype=float)
    count = len(left_out)
    errors = np.sqrt((count - 1) / count * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    low, high = _smallest(whole, errors, count - 1)
    return Estimate(float(whole.min()), low, high, len(families), f"models of {families.nunique()} families")


def _smallest(effects: np.ndarray, errors: np.ndarray, freedom: int) -> tuple[float, float]:
    """The interval of the smallest of k effects: see `every`."""
    low = (effects - stats.t.ppf(1 - _TAIL, freedom) * errors).min()
    high = (effects + stats.t.ppf(1 - _TAIL / len(effects), freedom) * errors).min()
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """How a claim is judged.

    estimate: from what was measured to an effect. says: that in a sentence. evidence: whether it is of own runs or of
    what a paper prints. values: what is taken from the claim's cells where nothing is given; None = it must be given.
    """

    estimate: Callable[..., Estimate]
    says: str
    evidence: Evidence = "runs"
    values: Callable[[Difference], Any] | None = None


_ON_SETS = "differences on the data sets of a printed table"
STATISTICS = {
    "paired over seeds": Statistic(estimate=paired, says="mean of one paired difference a seed, Student's t interval"),
    "every, over seeds": Statistic(
        estimate=every,
        says="smallest of several effects: agrees where each by itself lies above 0, differs where one lies below, "
        "corrected for their number",
    ),
    "fall, over seeds": Statistic(
        estimate=fall,
        says="value at the checkpoint nearest a third of the epochs, less the last; mean over seeds, Student's t",
    ),
    "rank agreement, over seeds": Statistic(
        estimate=paired, says="Kendall's tau of two measures over control cycles or arms, one value a seed; Student's t"
    ),
    "as printed": Statistic(
        estimate=as_printed,
        says="difference of printed cells, give or take their rounding; one run each, so it says nothing of seeds",
        evidence="printed tables",
        values=lambda cells: cells,
    ),
    "paired over data sets": Statistic(
        estimate=paired,
        says=f"mean of the {_ON_SETS} (paper B's in log-odds), Student's t",
        evidence="printed tables",
        values=Difference.over_data_sets,
    ),
    "every, over data sets": Statistic(
        estimate=every,
        says=f"smallest of several effects, each a mean of the {_ON_SETS}; as over seeds",
        evidence="printed tables",
        values=Difference.over_family,
    ),
    "rank agreement, over data sets": Statistic(
        estimate=paired,
        says="Kendall's tau over the control cycles of a printed score and of the accuracy on a data set; Student's t",
        evidence="printed tables",
    ),
    "paired over models": Statistic(
        estimate=paired, says="mean of differences of printed models, Student's t", evidence="printed tables"
    ),
    "trend": Statistic(
        estimate=trend,
        says="Kendall's tau of two printed columns, give or take what 5 % of all orders exceed",
        evidence="printed tables",
    ),
    "families drawn": Statistic(
        estimate=families_drawn,
        says="correlation of printed models; bootstrap interval that draws whole families",
        evidence="printed tables",
    ),
    "families left out": Statistic(
        estimate=families_left_out,
        says="importance to XGBoost; as the smallest of several effects, jackknife intervals that leave out families",
        evidence="printed tables",
    ),
}


def _finite(values: pd.Series | pd.DataFrame) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"what is judged must be finite, got {array.tolist()}")
    return array


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _tau(x: pd.Series, y: pd.Series) -> float:
    above_x, above_y = (np.sign(np.subtract.outer(values, values)) for values in (x.to_numpy(), y.to_numpy()))
    differ = math.sqrt((above_x**2).sum() * (above_y**2).sum())
    return float((above_x * above_y).sum() / differ) if differ else 0.0


def _usual_tau(n: int) -> float:
    """The smallest tau that at most 2.5 % of the orders of n values exceed."""
    counts = np.ones(1)  # of the orders of one value by how many pairs stand the wrong way
    for size in range(2, n + 1):
        counts = np.convolve(counts, np.ones(size))
    wrong = np.flatnonzero(np.cumsum(counts) / counts.sum() <= _TAIL)
    pairs = n * (n - 1) / 2
    return 1 - 2 * (wrong[-1] + 1) / pairs if len(wrong) else 1.0
