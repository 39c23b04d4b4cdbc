"""A notebook in this process, without a kernel: the start page, and what has been imported here already."""

import ast
import json
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import nbformat
import plotly.graph_objects as go
from IPython.core.formatters import DisplayFormatter
from nbformat import NotebookNode
from nbformat.v4 import new_output
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from workbook.report.notebooks import PLOTLY, parameters_cell

OnCellStart = Callable[[NotebookNode, int], None]


class Here:
    """This process in the place of `Kernels`, for one notebook at a time; whatever ends it ends the notebook.

    environment: what a notebook finds beside what this process has.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self.stopped = threading.Event()  # never set: there is no kernel to stop

    def execute(
        self,
        notebook: Path,
        executed: Path,
        parameters: Mapping[str, Any],
        *,
        environment: Mapping[str, str],
        on_cell_start: OnCellStart,
    ) -> None:
        """As `Kernels.execute`; what a cell raises goes on once the notebook is written."""
        shown = load_notebook_node(str(notebook))
        if parameters:
            shown = parameterize_notebook(shown, dict(parameters), kernel_name="python3", language="python")
        with chdir(notebook.parent), _environment(self._environment | dict(environment)):
            error, _ = execute_here(shown, on_cell_start=on_cell_start)
        nbformat.write(shown, executed)
        if error:
            raise error


def execute_here(
    notebook: NotebookNode, given: Mapping[str, Any] | None = None, *, on_cell_start: OnCellStart | None = None
) -> tuple[Exception | None, int | None]:
    """Run the cells, and put into the notebook what they print and what their last expressions are worth.

    given: set after the cell tagged `parameters`. Comes back with (None, None), or with the error and the cell, from 1,
    that raised it; those after it are not run. What is displayed otherwise is not shown.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if on_cell_start:
            on_cell_start(cell, index)
        with _printed(cell):
            try:
                cell.outputs = _outputs(_value_of(cell.source, names))
            except Exception as error:  # whatever a cell raises is shown where it was raised, as by a kernel
                told = traceback.format_exception(error)
                cell.outputs = [new_output("error", ename=type(error).__name__, evalue=str(error), traceback=told)]
                return error, index + 1
        if index == parameters_cell(notebook):
            names |= given or {}
    return None, None


@contextmanager
def _printed(cell: NotebookNode) -> Iterator[None]:
    """What is printed inside comes before the other outputs of the cell."""
    streams = {"stdout": StringIO(), "stderr": StringIO()}
    with redirect_stdout(streams["stdout"]), redirect_stderr(streams["stderr"]):
        yield
    texts = {name: stream.getvalue() for name, stream in streams.items()}
    cell.outputs = [new_output("stream", name=name, text=text) for name, text in texts.items() if text] + cell.outputs


@contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


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
