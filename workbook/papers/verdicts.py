"""A claim of a paper, and what was measured against it."""

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from workbook.files import write_atomically
from workbook.papers.claims import CLAIMS, Claim
from workbook.papers.protocol import departures
from workbook.papers.statistics import STATISTICS, Estimate, Evidence, paired

Status = Literal["agrees", "differs", "inconclusive", "exploratory", "not evaluated"]
_LEAST_SEEDS = 3
_TOLD = 3  # claims in a sentence
_CLAIMS = "00_start_here.ipynb"  # where all claims are listed, from the notebooks' folder
_RECORDED = ("id", "paper", "place", "statement", "number", "unit")  # of a claim, to be read without the list


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was measured for a claim, with its 95 % interval; None where undefined.

    status: what counts. said: what the interval says, which is the status unless that is "exploratory": then `detail`
    says what departs from the protocol. counted: what was judged, "5 seeds", "39 models of 7 families"; n its number.
    seeds: those of the runs. evidence: "runs", which a smoke profile cannot give; or "printed tables", the same in
    every profile.
    """

    claim: Claim
    status: Status
    said: Status
    measured: float | None
    low: float | None
    high: float | None
    n: int
    counted: str
    detail: str
    seeds: tuple[int, ...] = ()
    evidence: Evidence = "runs"


def judge(
    claim: Claim,
    values: pd.Series | pd.DataFrame,
    *,
    profile: str,
    changed: Mapping[str, Any] | None = None,
    premise: pd.Series | None = None,
) -> Verdict:
    """The verdict of own runs, by the claim's own statistic, which gets `values`, indexed by seed.

    Profile `smoke` and fewer than three seeds are "not evaluated": the detail says which. changed: see
    `protocol.departures`. premise: (n,) one value a seed, positive where the claim's premise holds; where the interval
    of its mean is not above 0, nothing follows, and the claim is "not evaluated". Its name, if any, says what it is.
    Raises ValueError for NaN and infinite values, and for a claim that is judged from printed tables.
    """
    found, seeds = _estimate(claim, "runs", values), tuple(int(seed) for seed in values.index)
    held = paired(premise) if premise is not None else None
    if profile == "smoke":
        return _verdict(claim, found, "not evaluated", "the smoke profile shows that the code runs, no more", seeds)
    if found.n < _LEAST_SEEDS or found.low is None:
        told = f"{found.n} of the {_LEAST_SEEDS} seeds that an interval needs"
        return _verdict(claim, found, "not evaluated", told, seeds)
    if held is not None and not (held.low is not None and held.low > 0):
        what = "its premise" if premise is None or premise.name is None else f"its premise, {premise.name},"
        told = f"{what} is not shown: {quantity(held.measured)} {interval_text(held.low, held.high)}"
        return _verdict(claim, found, "not evaluated", told, seeds)
    said, detail = _side(found)
    departs = departures(claim, profile=profile, seeds=seeds, changed=changed or {})
    if departs:
        return _verdict(claim, found, "exploratory", f"{detail}; {departs}", seeds, said=said)
    return _verdict(claim, found, said, detail, seeds)


def judge_printed(claim: Claim, *values: Any, detail: str = "") -> Verdict:
    """The verdict on what a paper prints, by the claim's own statistic; without values from the claim's own cells.

    detail: what else is to be said; it stands after what the interval says.
    Raises ValueError for a claim that is judged from runs, for values that are not finite, and where their number is
    not the claim's n.
    """
    statistic = STATISTICS[claim.statistic]
    if not values and statistic.values is not None and claim.cells is not None:
        values = (statistic.values(claim.cells),)
    found = _estimate(claim, "printed tables", *values)
    if found.n != claim.n:
        raise ValueError(f"{claim.id} is judged by n = {claim.n}, got {found.counted}")
    said, told = _side(found)
    return _verdict(claim, found, said, f"{told}; {detail}" if detail else told, evidence="printed tables")


def _estimate(claim: Claim, evidence: Evidence, *values: Any) -> Estimate:
    statistic = STATISTICS[claim.statistic]
    if statistic.evidence != evidence:
        raise ValueError(f"{claim.id} is judged by {claim.statistic!r}, from {statistic.evidence}, not {evidence}")
    try:
        found = statistic.estimate(*values)
    except ValueError as error:
        raise ValueError(f"{claim.id}: {error}") from error
    if found.low is not None and found.high is not None and not -math.inf < found.low <= found.high < math.inf:
        raise ValueError(f"{claim.id} needs a finite interval, low <= high, got {found.low} and {found.high}")
    return found


def _verdict(
    claim: Claim,
    found: Estimate,
    status: Status,
    detail: str,
    seeds: tuple[int, ...] = (),
    *,
    said: Status | None = None,
    evidence: Evidence = "runs",
) -> Verdict:
    return Verdict(
        claim=claim,
        status=status,
        said=said or status,
        measured=found.measured,
        low=found.low,
        high=found.high,
        n=found.n,
        counted=found.counted,
        detail=detail,
        seeds=seeds,
        evidence=evidence,
    )


def _side(found: Estimate) -> tuple[Status, str]:
    if found.low is not None and found.low > 0:
        return "agrees", "the 95 % interval lies above 0"
    if found.high is not None and found.high < 0:
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
    if target := os.environ.get("WORKBOOK_REPORT"):
        document = as_findings(verdicts, provenance, seeds=seeds, measurements=measurements)
        write_atomically(Path(target), json.dumps(document, indent=1, allow_nan=False) + "\n")
    return verdict_table(verdicts)


def as_findings(
    verdicts: Sequence[Verdict],
    provenance: Mapping[str, Any],
    *,
    seeds: Sequence[int] = (),
    measurements: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """What a report's record says of the verdicts, as plain values; see `write_verdicts`."""
    code = {name: provenance[name] for name in ("code", "python") if name in provenance}
    return {
        "hardware": provenance.get("hardware", ""),
        "versions": code | dict(provenance.get("libraries", {})),
        "seeds": [int(seed) for seed in seeds],
        "verdicts": [
            asdict(verdict) | {"claim": {name: getattr(verdict.claim, name) for name in _RECORDED}}
            for verdict in verdicts
        ],
        "measurements": [] if measurements is None else json.loads(measurements.to_json(orient="records")),
    }


def verdict_table(verdicts: Sequence[Verdict], *, anchor: str = "") -> pd.DataFrame:
    """One row a verdict, as text to read: claim, paper, measured, 95 % interval, n, verdict.

    Shown, a row can be linked to, by its claim's id with `anchor` before it, and leads to the claim on the start page.
    """
    rows = []
    for verdict in verdicts:
        claim = verdict.claim
        paper = f"{claim.paper}, {claim.place}: {printed(claim.number, claim.unit)}"
        measured, interval = quantity(verdict.measured, claim.unit), interval_text(verdict.low, verdict.high)
        rows.append((claim.statement, paper, measured, interval, verdict.counted, _in_full(verdict)))
    columns = ["claim", "paper", "measured", "95 % interval", "n", "verdict"]
    table = _Linked(rows, columns=columns)
    table.attrs |= {"anchor": anchor, "claims": [verdict.claim.id for verdict in verdicts]}
    return table


def _in_full(verdict: Verdict) -> str:
    """The status, and why it is none that decides."""
    if verdict.status == "exploratory":
        return f"exploratory ({verdict.said}; {verdict.detail.partition('; ')[2]})"
    return f"not evaluated ({verdict.detail})" if verdict.status == "not evaluated" else verdict.status


class _Linked(pd.DataFrame):
    """A table whose cells are shown whole, since pandas cuts at 50 characters, and whose claims are links and marks."""

    def _repr_html_(self) -> str:
        shown = pd.DataFrame({name: [html.escape(text) for text in self[name]] for name in self.columns})
        links = [_linked(claim, self.attrs["anchor"]) for claim in self.attrs["claims"]]
        with pd.option_context("display.max_colwidth", None):
            return shown.assign(claim=shown["claim"] + links).to_html(index=False, escape=False, classes="verdicts")


def _linked(claim: str, anchor: str) -> str:
    """A claim's id as a mark and a link; one that is on no list any more leads nowhere."""
    mark, name = html.escape(anchor + claim), html.escape(claim)
    return f' <a id="{mark}"' + (f' href="{_CLAIMS}#{name}"' if claim in CLAIMS else "") + f">{name}</a>"


def in_words(table: pd.DataFrame) -> str:
    """Sentences of Markdown: how many claims of a `verdict_table` came out how, and the first that do not agree."""
    if table.empty:
        return "No claim is judged here."
    outcome = table["verdict"].map(lambda said: said.partition(" (")[0])
    reason = table["verdict"].map(lambda said: said.partition(" (")[2])
    counts = ", ".join(f"{count} {name}" for name, count in outcome.value_counts(sort=False).items())
    said = [f"Of {len(table)} claims: {counts}."]
    for status, asked in {"not evaluated": "Why not", "exploratory": "Why exploratory"}.items():
        reasons = reason[outcome == status].str.removesuffix(")")
        if status == "exploratory":
            reasons = reasons.map(lambda said: said.partition("; ")[2])  # after what the interval says
        if len(reasons):
            said.append(f"{asked}: {'; '.join(reasons.unique())}.")
    says = outcome.where(outcome != "exploratory", reason.map(lambda said: said.partition(";")[0]))
    other = table.assign(says=says)[says.isin(["differs", "inconclusive"])]
    if len(other):
        told = [f"*{row.claim}* ({row.says}: {row.measured})" for row in other.head(_TOLD).itertuples()]
        more = f"; and {len(other) - _TOLD} more" if len(other) > _TOLD else ""
        said.append(f"Not as claimed, or not surely: {'; '.join(told)}{more}.")
    # a statement may hold what data sets are called, which is no markup
    return html.escape(" ".join(said), quote=False)


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
