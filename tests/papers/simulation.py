"""Every statistic of a claim under an effect for the claim, none, and against it: how often it comes out which way.

`python -m tests.papers.simulation` writes the table that notebooks/protocol.md shows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from workbook.files import CHECKOUT
from workbook.metrics import correlation_differences, rank_correlations
from workbook.papers.claims import CLAIMS
from workbook.papers.importance import FACTORS, leads, without_each_family
from workbook.papers.statistics import STATISTICS, Estimate, rank_agreements

TABLE = CHECKOUT / "tests" / "papers" / "simulated.csv"
EFFECTS = {"for": 1.0, "none": 0.0, "against": -1.0}
OUTCOMES = ("agrees", "differs", "inconclusive")
_FAMILIES = np.repeat(np.arange(7), [9, 9, 9, 9, 1, 1, 1])  # those of paper B's 39 models
Draw = Callable[[float, int, np.random.Generator], Any]


def seeds(effect: float, n: int, rng: np.random.Generator) -> Any:
    """Effects of five standard deviations of a seed."""
    return (pd.Series(5 * effect + rng.normal(size=n)),)


def sets(effect: float, n: int, rng: np.random.Generator) -> Any:
    """Effects of one and a half standard deviations over data sets; the models are given."""
    return (pd.Series(1.5 * effect + rng.normal(size=n)),)


def models(effect: float, n: int, rng: np.random.Generator) -> Any:
    """Effects of four standard deviations over models."""
    return (pd.Series(4 * effect + rng.normal(size=n)),)


def several_over(scale: float) -> Draw:
    """Four effects, three of them real; the first is as large, none, or as large the other way."""

    def several(effect: float, n: int, rng: np.random.Generator) -> Any:
        return (pd.DataFrame(scale * np.array([effect, 1, 1, 1]) + rng.normal(size=(n, 4))),)

    return several


def curves(effect: float, n: int, rng: np.random.Generator) -> Any:
    """Ten checkpoints that end five standard deviations below where they were a third of the way, level, or above."""
    epochs = np.array([0, 2, 5, 10, 20, 30, 40, 50, 55, 60])
    mean = -5 * effect * np.clip((epochs - 20) / 40, 0, 1)
    levels = 3 * rng.normal(size=(n, 1))  # of a seed as a whole
    return (pd.DataFrame(mean + levels + rng.normal(size=(n, 10)) / np.sqrt(2), columns=epochs),)


def agreements_over(units: str, cycles: int, starts: int) -> Draw:
    """Curves over the control cycle with an inner or an outer best one, and as much noise as signal."""

    def agreements(effect: float, n: int, rng: np.random.Generator) -> Any:
        peaks = rng.choice([-1, -0.3, 0.3], size=(1, starts, 1))
        shape = -((np.linspace(-1, 1, cycles) - peaks) ** 2)
        score = (shape - shape.mean(axis=2, keepdims=True)) / shape.std(axis=2, keepdims=True)
        value = effect * score + rng.normal(size=(n, starts, cycles))
        index = pd.MultiIndex.from_product([range(n), range(starts), range(cycles)], names=[units, "start", "cycle"])
        score = np.broadcast_to(score, value.shape)
        table = pd.DataFrame({"score": score.ravel(), "value": value.ravel()}, index=index).reset_index()
        return (rank_agreements(table, "score", "value", by=units),)

    return agreements


def cells(effect: float, n: int, rng: np.random.Generator) -> Any:
    """Two true values half a unit apart, or the same, printed with one digit."""
    right = rng.uniform(50, 70)
    return (SimpleNamespace(value=round(round(right + 0.5 * effect, 1) - round(right, 1), 1), rounding=0.1),)


def points(effect: float, n: int, rng: np.random.Generator) -> Any:
    """A rising line, whose noise is half as large as its own spread."""
    x = np.linspace(-1.5, 1.5, n)
    return (pd.DataFrame({"x": x, "y": effect * x + rng.normal(size=n) / 2}),)


def _walks(rng: np.random.Generator, columns: int) -> np.ndarray:
    """(39, columns): models of one family go together, step by step."""
    starts = rng.normal(size=(7, columns))[_FAMILIES]
    steps = [np.cumsum(rng.normal(size=(count, columns)), axis=0) for count in np.bincount(_FAMILIES)]
    return starts + 0.35 * np.vstack(steps)


def correlations(effect: float, n: int, rng: np.random.Generator) -> Any:
    """One score is transfer with little noise, the other with much, or both with as much; now and then one alone."""
    transfer, noise, other = _walks(rng, 3).T
    near, far = {1: (0.1, 3), 0: (1, 1), -1: (3, 0.1)}[int(effect)]
    drawn = {"families": _FAMILIES, "resamples": 400, "generator": rng}
    if rng.random() < 0.5:
        found = rank_correlations(effect * transfer + noise / (2 if effect else 1), transfer, **drawn)
    else:
        found = correlation_differences(transfer + near * noise, transfer + far * other, transfer, **drawn)
    return found.loc[rng.choice(["spearman", "pearson", "kendall"])], pd.Series(_FAMILIES)


def factors(effect: float, n: int, rng: np.random.Generator) -> Any:
    """Transfer is made of the first factor alone, of it and of another alike, or of the other alone."""
    families, names = pd.Series(_FAMILIES), ["CIS", *FACTORS.values()]
    inputs = pd.DataFrame(_walks(rng, 5), columns=names)
    first, second = {1: (1, 0.2), 0: (1, 1), -1: (0.2, 1)}[int(effect)]
    transfer = first * inputs["CIS"] + second * inputs["CKA"]
    shuffled = inputs[rng.permutation(names)]  # of two columns that do the same, trees take the first
    return without_each_family(shuffled, transfer, families, lambda found: leads(found["gain"])), families


SIMULATED: dict[str, Draw] = {
    "paired over seeds": seeds,
    "every, over seeds": several_over(8),
    "fall, over seeds": curves,
    "rank agreement, over seeds": agreements_over("seed", cycles=6, starts=2),
    "as printed": cells,
    "paired over data sets": sets,
    "every, over data sets": several_over(2),
    "rank agreement, over data sets": agreements_over("data set", cycles=8, starts=1),
    "paired over models": models,
    "trend": points,
    "families drawn": correlations,
    "families left out": factors,
}


@dataclass(frozen=True)
class Simulation:
    """A statistic with the n of some claim."""

    statistic: str
    n: int

    def outcomes(self, effect: str, draws: int, seed: int = 0) -> dict[str, float]:
        """Outcome -> its share of the draws."""
        rng, estimate = np.random.default_rng(seed), STATISTICS[self.statistic].estimate
        drawn = [outcome(estimate(*SIMULATED[self.statistic](EFFECTS[effect], self.n, rng))) for _ in range(draws)]
        return {name: drawn.count(name) / draws for name in OUTCOMES}


def outcome(found: Estimate) -> str:
    assert found.low is not None and found.high is not None
    return "agrees" if found.low > 0 else "differs" if found.high < 0 else "inconclusive"


def simulations() -> list[Simulation]:
    """Of every claim, each statistic and n once, in the order of the statistics."""
    pairs = {(claim.statistic, claim.n) for claim in CLAIMS.values()}
    return [Simulation(*pair) for pair in sorted(pairs, key=lambda pair: ([*STATISTICS].index(pair[0]), pair[1]))]


if __name__ == "__main__":
    rows = []
    for simulation in simulations():
        draws = {"families left out": 100, "families drawn": 500}.get(simulation.statistic, 1000)
        for effect in EFFECTS:
            found = simulation.outcomes(effect, draws)
            told = {name: f"{100 * share:.1f}" for name, share in found.items()}
            rows.append({"statistic": simulation.statistic, "n": simulation.n, "effect": effect, "draws": draws} | told)
            print(*rows[-1].values(), flush=True)
    pd.DataFrame(rows).to_csv(TABLE, index=False)
