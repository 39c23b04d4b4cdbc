"""The main figure of every executed notebook: that of its cell tagged `gallery`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from workbook.report.page import PLOTLY
from workbook.report.parameters import read_notebook
from workbook.report.record import write_text

_TAG = "gallery"
_ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # what papermill puts into a notebook


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure as plotly's JSON, `data` and `layout`, and its title."""

    title: str
    figure: dict[str, Any]


def main_figure(executed: Path) -> Picture | None:
    """The first figure of the cell tagged `gallery`; None if there is none, as where the run failed before it."""
    if not executed.exists():
        return None
    for cell in read_notebook(executed).cells:
        if _TAG in cell.metadata.get("tags", []):
            for output in cell.get("outputs", []):
                if found := output.get("data", {}).get(PLOTLY):
                    layout = found["layout"]
                    title = layout.get("title", {}).get("text", "")
                    return Picture(title=title, figure={"data": found["data"], "layout": layout})
    return None


def changed_since(executed: Path, notebook: Path) -> bool:
    """Whether the notebook's code is no longer that which was executed; False where one of them is gone."""
    if not executed.exists() or not notebook.exists():
        return False
    return _code(read_notebook(executed)) != _code(read_notebook(notebook))


def _code(notebook: NotebookNode) -> list[str]:
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and not _ADDED & set(cell.metadata.get("tags", []))
    ]


def place_plotly(folder: Path) -> str:
    """The name of plotly.js in the folder; written there once, so that an index opens without a network."""
    name = f"plotly-{get_plotlyjs_version()}.min.js"
    if not (folder / name).exists():
        write_text(folder / name, get_plotlyjs())
    return name
