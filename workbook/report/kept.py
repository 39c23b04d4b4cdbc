"""An executed notebook as a page that is kept with the project: small, of no machine, and without others' images."""

import base64
import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from nbformat import NotebookNode

from workbook.files import write_atomically
from workbook.report.notebooks import PLOTLY, read_notebook
from workbook.report.page import day, page_parts, place_plotly, render
from workbook.report.record import ReportResult

_DIGITS = 5
_PATH = re.compile(r"(?<![\w.:/])(?:/[\w.+-]+){2,}/?")
_NOT_KEPT = '<p class="note">Not kept: images of a data set, which are not ours to pass on.</p>'


def keep_page(record: ReportResult, *, reports: Path, target: Path) -> Path | None:
    """Write `<target>/<notebook>.html` of the run that the record is of, with one plotly.js for all above the target.

    None, and no page of an earlier run stays, where `reports` has no page of this one: a record may be made without a
    notebook.
    """
    page, run = target / f"{record.notebook}.html", reports / f"{record.notebook}.html"
    executed = run.with_suffix(".ipynb")
    if not (executed.exists() and run.exists() and day(record.date) in run.read_text(encoding="utf-8")):
        page.unlink(missing_ok=True)
        return None
    parts = page_parts(_kept(read_notebook(executed)), source=executed, out=None)
    plotly = f"../{place_plotly(target.parent)}" if parts["figures"] else ""
    write_atomically(page, render("kept.html.j2", result=record, plotly=plotly, **parts))
    return page


def _kept(notebook: NotebookNode) -> NotebookNode:
    """A copy whose code cells and outputs are portable; what holds images says so instead."""
    kept = copy.deepcopy(notebook)
    for cell in kept.cells:
        if cell.cell_type == "code":
            cell.source = portable(cell.source)
        for output in cell.get("outputs", []):
            if _has_images(output):
                output["data"] = {"text/html": _NOT_KEPT}
            elif output.output_type == "stream":
                output["text"] = portable(output.text)
            else:
                output["data"] = portable(output.get("data", {}))
    return kept


def _has_images(output: NotebookNode) -> bool:
    data = output.get("data", {})
    figure = data.get(PLOTLY, {})
    drawn = any(trace.get("type") == "image" for trace in figure.get("data", []))
    return drawn or any(kind.startswith("image/") for kind in data) or "data:image" in json.dumps(data)


def portable(value: Any) -> Any:
    """Rounded to five digits, plotly's arrays to single precision, and paths of this machine cut to their last part."""
    if isinstance(value, Mapping):
        if "bdata" in value:
            return _single(value)
        return {str(portable(name)): portable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [portable(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, str):
        return _PATH.sub(lambda found: PurePath(found.group()).name, value)
    return value


def _single(array: Mapping[str, Any]) -> dict[str, Any]:
    """An array as plotly writes it down, base64 of what numpy calls its dtype, in at most four bytes a number."""
    if array["dtype"] != "f8":
        return dict(array)
    values = np.frombuffer(base64.b64decode(array["bdata"]), "<f8").astype("<f4")
    return {**array, "dtype": "f4", "bdata": base64.b64encode(values.tobytes()).decode()}
