"""What is read from notebooks, executed or not."""

import ast
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from workbook.cells import assigned
from workbook.errors import ReportError, known_names

PLOTLY = "application/vnd.plotly.v1+json"
SITE_PAGE = "README.md"  # the first page of the site, whose links lead to its other pages
_ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # what papermill puts into a notebook


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in the current format; ReportError if there is none, or none that can be read."""
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError as error:
        raise ReportError(f"there is no notebook {path}; those there are: ls {path.parent}/*.ipynb") from error
    # nbformat stumbles over what is JSON but no notebook with whatever its converters happen to raise.
    except (OSError, ValueError, TypeError, AttributeError, KeyError, nbformat.ValidationError) as error:
        raise ReportError(f"{path} cannot be read as a notebook ({error}); save it in JupyterLab") from error


def named_notebooks(named: Sequence[Path] | None, shipped: Path) -> list[Path]:
    """The notebooks that are meant: by their paths, or by what those in the folder `shipped` are called; None = these.

    Raises ReportError for what is neither.
    """
    known = {path.stem: path for path in sorted(shipped.glob("*.ipynb"))}
    if not named:
        return [*known.values()]
    found = []
    for path in named:
        name = path.name.removesuffix(".ipynb")
        called = known.get(name) if path == Path(path.name) else None  # in a folder of another's own it is his
        if not path.exists() and called is None:
            names = {*known, *(other.stem for other in path.parent.glob("*.ipynb"))}
            raise ReportError(f"there is no notebook {path}{known_names(name, names)}")
        found.append(called if called and not path.exists() else path)
    return found


def title_of(notebook: NotebookNode, otherwise: str) -> str:
    """The first heading of the Markdown cells."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    lines = (line.lstrip("#").strip() for text in texts for line in text.splitlines() if line.startswith("#"))
    return next(lines, otherwise)


def parameters_cell(notebook: NotebookNode) -> int:
    """Index of the cell tagged `parameters`; -1 if there is none."""
    tagged = (i for i, cell in enumerate(notebook.cells) if "parameters" in _tags(cell))
    return next(tagged, -1)


def declared_parameters(notebook: NotebookNode, name: str) -> list[str]:
    """The names that the cell tagged `parameters` assigns, in order; ReportError where it is not plain Python."""
    index = parameters_cell(notebook)
    if index < 0:
        return []
    try:
        return assigned(notebook.cells[index].source)
    except (SyntaxError, ValueError) as error:
        raise ReportError(f"the parameters cell of {name} is not plain Python ({error}); mend it first") from error


def imports(notebook: NotebookNode) -> list[str]:
    """What the code cells import from this package, as statements, in order."""
    found = []
    for cell in notebook.cells:
        with suppress(SyntaxError):  # magics, or what the notebook itself will tell
            statements = ast.walk(ast.parse(cell.source if cell.cell_type == "code" else ""))
            found += [s for s in statements if isinstance(s, ast.ImportFrom) and s.module and not s.level]
    return list(dict.fromkeys(ast.unparse(s) for s in found if str(s.module).split(".")[0] == "workbook"))


def main_figure(executed: Path, tag: str = "gallery") -> dict[str, Any] | None:
    """`data` and `layout` of the first figure of the cell with this tag; None where the run failed before it."""
    cells = read_notebook(executed).cells if executed.exists() else []
    outputs = [output for cell in cells if tag in _tags(cell) for output in cell.get("outputs", [])]
    figures = (output.data[PLOTLY] for output in outputs if PLOTLY in output.get("data", {}))
    return next(({"data": figure["data"], "layout": figure["layout"]} for figure in figures), None)


def copy_notebooks(folder: Path, *, source: Path) -> list[Path]:
    """Copy the notebooks, and what they show, from the folder `source` into a new or empty one."""
    folder = folder.expanduser().resolve()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ReportError(f"{folder} is there and not empty, and nothing is overwritten; name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        files = [path for path in sorted(source.iterdir()) if path.is_file() and path.name != SITE_PAGE]
        return [Path(shutil.copy(path, folder)) for path in files]
    except OSError as error:
        raise ReportError(f"cannot copy the notebooks to {folder} ({error.strerror}); choose another folder") from error


def changed_since(executed: Path, notebook: Path) -> bool:
    """Whether the notebook's code is no longer that which was executed; False where one of them is gone."""
    if not executed.exists() or not notebook.exists():
        return False
    return _code(read_notebook(executed)) != _code(read_notebook(notebook))


def _code(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and not _ADDED & _tags(cell)]


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))
