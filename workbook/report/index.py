"""The index of a folder of reports: the start page, executed here and now."""

import ast
import json
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from IPython.core.formatters import DisplayFormatter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from workbook.files import write_atomically
from workbook.report.notebooks import PLOTLY, parameters_cell, read_notebook, title_of
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
        error=error,
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


def execute_here(notebook: NotebookNode, given: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Run the cells in this process, without a kernel, and put their outputs into the notebook.

    given: set after the cell tagged `parameters`. Comes back with (None, None), or the last line of the error and the
    cell, from 1, that raised it; those after it are not run.
    """
    names: dict[str, Any] = {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        try:
            cell.outputs = _outputs(_value_of(cell.source, names))
        except Exception as error:  # whatever a cell raises is shown where it was raised, as by a kernel
            told = traceback.format_exception(error)
            cell.outputs = [new_output("error", ename=type(error).__name__, evalue=str(error), traceback=told)]
            return f"{type(error).__name__}: {error}", number + 1
        if number == parameters_cell(notebook):
            names |= given
    return None, None


def _value_of(source: str, names: dict[str, Any]) -> Any:
    """What the last expression of a cell is worth; None if its last statement is no expression."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if isinstance(last, ast.Expr) else None


def _outputs(value: Any) -> list[NotebookNode]:
    if value is None:
        return []
    if isinstance(value, go.Figure):  # left to itself it asks plotly's renderers, which may open a browser
        return [new_output("display_data", data={PLOTLY: json.loads(value.to_json())})]
    data, metadata = DisplayFormatter().format(value)
    return [new_output("display_data", data=data, metadata=metadata)]


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
