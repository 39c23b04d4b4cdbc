"""Records and executed notebooks of reports that never ran."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from workbook.papers.claims import CLAIMS
from workbook.report.record import ReportResult, write_record

TINY = {"dataset": "tiny-imagenet-32"}
"""Parameters of a run on another set than its profile's."""


def verdict(claim: str, status: str = "agrees", *, n: int = 3, evidence: str = "runs", said: str = "") -> dict:
    """As a notebook writes it; measured 2, interval [1, 3]."""
    stated = {name: getattr(CLAIMS[claim], name) for name in ("id", "paper", "place", "statement", "number", "unit")}
    found = {"measured": 2.0, "low": 1.0, "high": 3.0, "n": n, "detail": "the interval; more", "evidence": evidence}
    found |= {"said": said or status, "counted": f"{n} seeds", "seeds": list(range(5, 5 + n))}
    return {"claim": stated, "status": status, **found}


def put(folder: Path, notebook: str, verdicts: list[dict], *, profile: str = "pocket", **changes) -> ReportResult:
    """Write the record of a run into a folder of reports, which has an index, or of results."""
    folder.mkdir(parents=True, exist_ok=True)
    if "reports" in folder.parts:
        (folder / "index.html").touch()
    given = {
        "title": f"Does {notebook} help?",
        "status": "passed",
        "date": "2024-01-01T00:00:00+00:00",
        "seconds": 130.0,
        "findings": {"hardware": "one CPU", "verdicts": verdicts},
    }
    result = ReportResult(notebook=notebook, profile=profile, **(given | changes))
    write_record(folder, result)
    return result


def put_notebook(
    path: Path, *, source: str = "draw()", figure: bool = True, title: str = "Is it so?", tag: str = "gallery"
) -> None:
    """An executed notebook with a line as its main figure, or none; `source` and `tag` are those of that cell."""
    data = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}], "layout": {"title": {"text": "A </script> line"}}}
    outputs = [new_output("display_data", data={"application/vnd.plotly.v1+json": data})] if figure else []
    cells = [new_markdown_cell(f"# {title}"), new_code_cell(source, metadata={"tags": [tag]}, outputs=outputs)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)


def tagged(source: str) -> nbformat.NotebookNode:
    """A cell of parameters."""
    return new_code_cell(source, metadata={"tags": ["parameters"]})


def write_notebook(path: Path, *cells: nbformat.NotebookNode) -> Path:
    """A notebook that can be run."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=list(cells), metadata=kernel), path)
    return path
