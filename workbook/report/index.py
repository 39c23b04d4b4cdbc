"""The index of a folder of reports: notebooks, claims, machines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbook.report.page import environment
from workbook.report.record import ReportResult, read_records, write_text

_STATUSES = ("agrees", "differs", "inconclusive", "not evaluated")


def write_index(out: Path, *, profile: str, note: str = "") -> Path:
    """Write `<out>/index.html` from the records that lie in `out`; the note is shown on top."""
    results = read_records(out)
    page = (
        environment()
        .get_template("index.html.j2")
        .render(
            profile=profile,
            note=note,
            results=results,
            last=max((result.date for result in results), default=""),
            counts={result.notebook: verdict_counts(result) for result in results},
            claims=[(result, verdict) for result in results for verdict in result.verdicts],
            statuses=_STATUSES,
            machines=_machines(results),
        )
    )
    write_text(out / "index.html", page)
    return out / "index.html"


def verdict_counts(result: ReportResult) -> list[tuple[str, int]]:
    """(status, how many), in the order agrees, differs, inconclusive, not evaluated; those above 0."""
    counted = Counter(verdict["status"] for verdict in result.verdicts)
    return [(status, counted[status]) for status in _STATUSES if counted[status]]


def _machines(results: Sequence[ReportResult]) -> list[dict[str, Any]]:
    """Hardware and versions, each combination once, with the notebooks that ran on it."""
    machines: list[dict[str, Any]] = []
    for result in results:
        hardware, versions = result.findings.get("hardware"), result.findings.get("versions")
        if not hardware and not versions:
            continue
        same = [m for m in machines if m["hardware"] == hardware and m["versions"] == versions]
        if same:
            same[0]["notebooks"].append(result.notebook)
        else:
            machines.append({"hardware": hardware, "versions": versions, "notebooks": [result.notebook]})
    return machines
