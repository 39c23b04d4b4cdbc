"""A claim of a paper, and what was measured against it."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from workbook.files import write_atomically
from workbook.papers.claims import Claim

Status = Literal["agrees", "differs", "inconclusive", "not evaluated"]
Evidence = Literal["runs", "printed tables"]
_CONFIDENCE = 0.95
_LEAST_SEEDS = 3
_TOLD = 3  # claims in a sentence
_RECORDED = ("id", "paper", "place", "statement", "number", "unit")  # of a claim, to be read without the list


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was measured for a claim, with its 95 % interval; None where undefined.

    evidence: "runs", the mean of `n` seeds, which a smoke profile cannot give; or "printed tables", a statistic of
    `n` models that a paper prints, which is the same in every profile.
    """

    claim: Claim
    status: Status
    measured: float | None
    low: float | None
    high: float | None
    n: int
    detail: str
    evidence: Evidence = "runs"


def judge(claim: Claim, differences: Sequence[float], *, profile: str) -> Verdict:
    """Agrees if the 95 % interval of the mean lies above 0, differs if below, else inconclusive.

    differences: (n,) one paired value a seed, in the claim's unit, whose sign the claim predicts positive.
    Profile `smoke` and fewer than three seeds are "not evaluated": the detail says which.
    Raises ValueError for NaN and infinite values.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"differences must have shape (n,), one value a seed, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"differences for {claim.id!r} must be finite, got {values.tolist()}")
    low, high = mean_interval(values)
    n, measured = len(values), float(values.mean()) if len(values) else None
    status: Status = "not evaluated"
    if profile == "smoke":
        detail = "the smoke profile shows that the code runs; its numbers are no evidence"
    elif n < _LEAST_SEEDS or low is None or high is None:
        detail = f"{n} of the {_LEAST_SEEDS} seeds that an interval needs"
    else:
        status, detail = _side(low, high)
    return Verdict(claim=claim, status=status, measured=measured, low=low, high=high, n=n, detail=detail)


def judge_printed(claim: Claim, interval: Iterable[float], *, n: int, detail: str = "") -> Verdict:
    """The verdict on a statistic of `n` printed models, by the same rule, from an interval computed elsewhere.

    interval: the statistic and the ends of its 95 % interval, (measured, low, high), in the claim's unit, with the
    sign that the claim predicts positive. detail: how the interval was made; it stands after what the interval says.
    Raises ValueError for values that are not finite, and for low above high.
    """
    measured, low, high = map(float, interval)
    if not (math.isfinite(measured) and math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"{claim.id!r} needs a finite value and low <= high, got {measured}, [{low}, {high}]")
    status, said = _side(low, high)
    numbers = {"measured": measured, "low": low, "high": high}
    detail = f"{said}; {detail}" if detail else said
    return Verdict(claim=claim, status=status, **numbers, n=n, detail=detail, evidence="printed tables")


def fall_from_peak(values: pd.DataFrame) -> pd.Series:
    """How far each seed ends below where it was at the epoch at which the other seeds, on average, are highest.

    values: one row a seed, one column an epoch, ascending. A seed's own highest epoch lies above its last by
    construction, whatever the truth; that of the others may lie below. A single seed has but its own.
    """
    others = (values.sum() - values) / (len(values) - 1) if len(values) > 1 else values
    peaks = others.idxmax(axis=1)
    return pd.Series({seed: values.at[seed, peak] - values.loc[seed].iloc[-1] for seed, peak in peaks.items()})


def mean_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Student's 95 % t interval of the mean of values (n,); (None, None) for fewer than two.

    Not the percentile bootstrap: of three values it covers the mean in about 75 % of the cases instead of
    95 %, because it can draw no more than ten different samples and knows nothing of the small n. The t
    interval is exact for normal differences at any n >= 2, and pays for it with its width.
    """
    n = len(values)
    if n < 2:
        return None, None
    half = stats.t.ppf((1 + _CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def _side(low: float, high: float) -> tuple[Status, str]:
    if low > 0:
        return "agrees", "the 95 % interval lies above 0"
    if high < 0:
        return "differs", "the 95 % interval lies below 0"
    return "inconclusive", "the 95 % interval contains 0"


def write_verdicts(
    verdicts: Sequence[Verdict],
    provenance: Mapping[str, Any],
    *,
    seeds: Sequence[int] = (),
    measurements: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The verdicts as a table to show; written as JSON too where WORKBOOK_REPORT names a file.

    provenance: as from `workbook.provenance.provenance()`, of which a report shows `hardware`, `libraries`, `python`
    and `code`. measurements: the tidy table behind the figures, one row a measured value. WORKBOOK_REPORT is set while
    a report runs, and not in JupyterLab.
    """
    target = os.environ.get("WORKBOOK_REPORT")
    if target:
        code = {name: provenance[name] for name in ("code", "python") if name in provenance}
        document = {
            "hardware": provenance.get("hardware", ""),
            "versions": code | dict(provenance.get("libraries", {})),
            "seeds": [int(seed) for seed in seeds],
            "verdicts": [
                asdict(verdict) | {"claim": {name: getattr(verdict.claim, name) for name in _RECORDED}}
                for verdict in verdicts
            ],
            "measurements": [] if measurements is None else json.loads(measurements.to_json(orient="records")),
        }
        write_atomically(Path(target), json.dumps(document, indent=1, allow_nan=False) + "\n")
    return verdict_table(verdicts)


def verdict_table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One row a verdict, as text to read: claim, paper, measured, 95 % interval, n, verdict."""
    rows = []
    for verdict in verdicts:
        claim = verdict.claim
        paper = f"{claim.paper}, {claim.place}: {printed(claim.number, claim.unit)}"
        measured, interval = quantity(verdict.measured, claim.unit), interval_text(verdict.low, verdict.high)
        said = f"not evaluated ({verdict.detail})" if verdict.status == "not evaluated" else verdict.status
        rows.append((claim.statement, paper, measured, interval, verdict.n, said))
    return _WholeText(rows, columns=["claim", "paper", "measured", "95 % interval", "n", "verdict"])


class _WholeText(pd.DataFrame):
    """A table whose cells are shown whole: pandas cuts at 50 characters, and claims are sentences."""

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return self.to_html(index=False)


def in_words(table: pd.DataFrame) -> str:
    """Two sentences of Markdown: how many claims of a `verdict_table` came out how, and the first that do not agree."""
    outcomes = table["verdict"].str.partition(" (")[0]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.value_counts(sort=False).items())
    said = f"Of {len(table)} claims: {counts}."
    other = table[outcomes.isin(["differs", "inconclusive"])]
    if other.empty:
        reasons = table["verdict"].str.partition(" (")[2].str.rstrip(")").unique()
        return f"{said} Why not: {'; '.join(filter(None, reasons))}." if any(reasons) else said
    told = [f"*{row.claim}* ({row.verdict}: {row.measured})" for row in other.head(_TOLD).itertuples()]
    more = f"; and {len(other) - _TOLD} more" if len(other) > _TOLD else ""
    return f"{said} Not as printed, or not surely: {'; '.join(told)}{more}."


def printed(number: float | None, unit: str = "") -> str:
    """A paper's number with the digits that the paper prints; a dash for None."""
    return "–" if number is None else f"{number} {unit}".rstrip().replace("-", "\N{MINUS SIGN}")


def quantity(value: float | None, unit: str = "") -> str:
    """Three significant digits, signed as it is, with its unit; a dash for None."""
    if value is None:
        return "–"
    value = value + 0.0  # no "-0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    # Fixed notation, because 1.23e+03 reads badly in a table; very small values keep the exponent.
    text = f"{value:.{digits}f}" if digits <= 6 else f"{value:.2e}"
    return f"{text} {unit}".rstrip().replace("-", "\N{MINUS SIGN}", 1 if value < 0 else 0)


def interval_text(low: float | None, high: float | None) -> str:
    """`[low, high]`, or a dash where no interval is defined."""
    return "–" if low is None or high is None else f"[{quantity(low)}, {quantity(high)}]"
