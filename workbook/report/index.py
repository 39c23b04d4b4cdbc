"""The index of a folder of reports: the start page, executed here and now."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from workbook.files import write_atomically
from workbook.report.here import execute_here
from workbook.report.notebooks import read_notebook, title_of
from workbook.report.overview import gallery
from workbook.report.page import page_parts, render
from workbook.report.record import ReportResult, later_failures
from workbook.report.survey import START_PAGE, Survey, read_survey


def write_index(out: Path, *, profile: str, note: str = "") -> ReportResult:
    """Write `<out>/index.html` from the records that lie in `out`; the note is shown on top.

    It is the start page of the notebooks, or where only tools ran the gallery alone. What comes back says whether the
    start page ran through; up to where it did not, it is shown.
    """
    out = out.resolve()  # links are made relative to it
    survey = read_survey(profile, out)
    source = survey.notebooks / f"{START_PAGE}.ipynb"
    start, error, cell = time.monotonic(), None, None
    if survey.is_about_claims:
        notebook = read_notebook(source)
        error, cell = execute_here(notebook, {"profile": profile, "folder": str(out)})
    else:
        shown = new_output("display_data", data={"text/html": gallery(survey)})
        cells = [new_markdown_cell("# What has been run here?"), new_code_cell("gallery(survey)", outputs=[shown])]
        notebook = new_notebook(cells=cells)
    result = ReportResult(
        notebook=START_PAGE,
        title=title_of(notebook, otherwise="Workbook reports"),
        profile=profile,
        status="failed" if error else "passed",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - start, 1),
        error=f"{type(error).__name__}: {error}" if error else None,
        cell=cell,
    )
    page = render(
        "index.html.j2",
        note=note,
        survey=survey,
        later_failures=later_failures(out),
        counts=_counts(survey),
        beside=_indexes_beside(survey),
        machines=_machines(survey.own.records),
        plotly=_place_plotly(out),
        **page_parts(notebook, result, source=source, out=out),
    )
    write_atomically(out / "index.html", page)
    return result


def _counts(survey: Survey) -> Counter[str]:
    """How many claims have which outcome in the folder in front; none where it holds nothing of claims."""
    claims = [claim for listed in survey.topics().values() for claim in listed]
    says = survey.is_about_claims and survey.own.records
    return Counter(str(survey.own.finding(claim.id).outcome) for claim in claims) if says else Counter()


def _indexes_beside(survey: Survey) -> list[str]:
    """The folders beside with reports that hold verdicts."""
    others = [source for source in survey.sources[1:] if not source.adopted]
    return list(dict.fromkeys(source.folder.name for source in others if any(r.verdicts for r in source.records)))


def _machines(records: Sequence[ReportResult]) -> dict[tuple[str, str], list[str]]:
    """Hardware and versions -> the notebooks that ran on them."""
    found: dict[tuple[str, str], list[str]] = {}
    for record in records:
        hardware, versions = record.findings.get("hardware"), record.findings.get("versions") or {}
        if hardware or versions:
            told = ", ".join(f"{name} {version}" for name, version in versions.items())
            found.setdefault((hardware or "not stated", told), []).append(record.notebook)
    return found


def _place_plotly(folder: Path) -> str:
    """The name of plotly.js in the folder; written there once, so that an index opens without a network."""
    name = f"plotly-{get_plotlyjs_version()}.min.js"
    if not (folder / name).exists():
        write_atomically(folder / name, get_plotlyjs())
    return name
