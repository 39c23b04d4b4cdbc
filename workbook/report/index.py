"""The index of a folder of reports: the start page, executed here and now."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from workbook.files import write_atomically
from workbook.papers.claims import claims_of
from workbook.report import survey as places
from workbook.report.here import execute_here
from workbook.report.known import known
from workbook.report.notebooks import SITE_PAGE, read_notebook, title_of
from workbook.report.overview import gallery, standing
from workbook.report.page import page_parts, place_plotly, render
from workbook.report.record import ReportResult, later_failures
from workbook.report.setting import Setting
from workbook.report.survey import START_PAGE, Survey, read_survey


def write_index(out: Path, *, profile: str, note: str = "", self_contained: bool = False) -> ReportResult:
    """Write `<out>/index.html` from the records that lie in `out`; the note is shown on top.

    It is the start page of the notebooks, or where only tools ran the gallery alone. What comes back says whether the
    start page ran through; up to where it did not, it is shown. self_contained: with plotly.js inside.
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
        counts=standing(survey) if survey.is_about_claims else {},
        beside=_indexes_beside(survey),
        machines=_machines(survey.own.records),
        result=result,
        plotly="" if self_contained else place_plotly(out),
        **page_parts(notebook, cell=cell, source=source, out=out),
    )
    write_atomically(out / "index.html", page)
    return result


def write_beside(out: Path, *, setting: Setting) -> None:
    """Pages that links may lead to: of each notebook that was not run in `out`, with what is known of it, and of each
    text beside the notebooks. To be called before anything runs, which writes the pages of notebooks itself."""
    notebooks, out = places.NOTEBOOKS, out.resolve()
    for path in sorted(notebooks.glob("*.ipynb")):
        if path.stem == START_PAGE or (out / f"{path.stem}.json").exists():
            continue
        command = setting.command(f"notebooks/{path.name}")
        cells = [*read_notebook(path).cells[:1], new_markdown_cell(f"**Not run here yet**: `{command}` runs it.")]
        if claims_of(path.stem):
            shown = new_output("display_data", data={"text/html": known(path.stem)._repr_html_()})
            cells += [new_markdown_cell("## What was measured before?"), new_code_cell("known()", outputs=[shown])]
        _write_text(cells, path, out)
    for path in sorted(set(notebooks.glob("*.md")) - {notebooks / SITE_PAGE}):
        _write_text([new_markdown_cell(path.read_text(encoding="utf-8"))], path, out)


def _write_text(cells: list[NotebookNode], source: Path, out: Path) -> None:
    parts = page_parts(new_notebook(cells=cells), source=source, out=out)
    page = render("text.html.j2", title=source.stem, result=None, plotly="", **parts)
    write_atomically(out / f"{source.stem}.html", page)


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
