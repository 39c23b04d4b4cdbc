"""Notebooks -> executed notebooks, pages and an index, in a folder of reports."""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import nbformat
import papermill
import zmq
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from workbook.errors import ReportError
from workbook.report.index import write_index
from workbook.report.page import render_page
from workbook.report.parameters import declared_parameters, parameters_cell, read_notebook, route, title_of
from workbook.report.progress import Progress
from workbook.report.record import ReportResult, read_findings, write_record, write_text

# Nobody else on the machine reads what goes between a kernel and us; without, each kernel warns of it.
_KERNEL = Config({"KernelManager": {"transport_encryption": "auto"}} if zmq.has("curve") else {})


@dataclass(frozen=True, kw_only=True)
class _Job:
    path: Path
    title: str
    profile: str
    cells: int
    parameters_cell: int
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.stem

    def cell_number(self, executed_index: int) -> int:
        """The cell's number, from 1, in the notebook's own file: papermill adds a cell for the parameters."""
        added = bool(self.parameters) and executed_index > self.parameters_cell
        return executed_index + 1 - added


def run_reports(
    notebooks: Sequence[Path],
    *,
    profile: str,
    parameters: Mapping[str, str],
    out: Path,
    override_fields: AbstractSet[str] = frozenset(),
    stream: TextIO | None = None,
) -> list[ReportResult]:
    """Execute notebooks one after the other; write `<out>/<name>.ipynb|html|json` and `<out>/index.html`.

    parameters: name -> value as YAML text. override_fields: the profile's fields, which a notebook takes
    through its parameter `overrides`. stream: where progress is shown, stderr by default.
    A failing notebook does not stop the others; its page up to the failure is kept. Interrupted, what is
    there is indexed and KeyboardInterrupt goes on. Pages of notebooks that are not run now are left.
    Raises ReportError before anything runs: no notebook, an unreadable one, an unknown parameter.
    """
    jobs = _plan(notebooks, profile, parameters, override_fields)
    stream = stream or sys.stderr
    out = _folder(out)
    results: list[ReportResult] = []
    note = ""
    try:
        for number, job in enumerate(jobs, start=1):
            result = _report(job, out, f"[{number}/{len(jobs)}] {job.name}", stream)
            results.append(result)
            write_index(out, profile=profile, note=f"Running: {number} of {len(jobs)} notebooks are done.")
    except BaseException:
        done = f"{len(results)} of {len(jobs)} notebooks were run"
        note = f"Interrupted: {done}; the others are as they were before."
        raise
    finally:
        write_index(out, profile=profile, note=note)
    return results


def _plan(
    notebooks: Sequence[Path], profile: str, given: Mapping[str, str], override_fields: AbstractSet[str]
) -> list[_Job]:
    if not notebooks:
        raise ReportError("there is no notebook to run; name one, or put one into notebooks/")
    paths = [Path(path).resolve() for path in notebooks]
    stems = [path.stem for path in paths]
    if len(set(stems)) < len(stems):
        raise ReportError(f"two notebooks have the same name, and so the same page: {', '.join(sorted(stems))}")
    read = {path.stem: read_notebook(path) for path in paths}
    declared = {name: declared_parameters(notebook, name) for name, notebook in read.items()}
    routed = route(declared, given, profile=profile, override_fields=override_fields)
    return [
        _Job(
            path=path,
            title=title_of(read[path.stem], otherwise=path.stem),
            profile=profile,
            cells=len(read[path.stem].cells),
            parameters_cell=parameters_cell(read[path.stem]),
            parameters=routed[path.stem],
        )
        for path in paths
    ]


def _folder(out: Path) -> Path:
    out = out.resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"cannot write reports to {out} ({error.strerror}); choose another folder") from error
    return out


def _report(job: _Job, out: Path, label: str, stream: TextIO) -> ReportResult:
    """Execute one notebook in a folder of its own, then move page, notebook and record into place."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(dir=out, prefix=".running-") as scratch:
        executed, findings = Path(scratch, "executed.ipynb"), Path(scratch, "findings.json")
        log = Path(scratch, "progress.log")
        with _environment(findings, log), Progress(stream, label, job.cells, log) as progress:
            error, cell = _execute(job, executed, progress)
        result = ReportResult(
            notebook=job.name,
            title=job.title,
            profile=job.profile,
            status="failed" if error else "passed",
            date=date,
            seconds=round(time.monotonic() - start, 1),
            parameters={name: value for name, value in job.parameters.items() if name != "profile"},
            error=error,
            cell=cell,
            findings=read_findings(findings),
        )
        notebook = nbformat.read(executed, as_version=4)
        write_text(out / f"{job.name}.html", render_page(notebook, result, source=job.path))
        executed.replace(out / f"{job.name}.ipynb")
        write_record(out, result)
    _tell(result, label, out, stream)
    return result


def _execute(job: _Job, executed: Path, progress: Progress) -> tuple[str | None, int | None]:
    """(None, None), or the last line of the error and the cell, from 1, that raised it."""
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # failures are told below, in our words
    started: list[int] = []

    def on_cell_start(cell: NotebookNode, cell_index: int) -> None:
        started.append(job.cell_number(cell_index))
        progress.cell(started[-1])

    try:
        papermill.execute_notebook(
            job.path,
            executed,
            dict(job.parameters),
            kernel_name="python3",
            cwd=job.path.parent,
            progress_bar=False,
            coalesce_streams=True,
            on_cell_start=on_cell_start,
            config=_KERNEL,
        )
    except PapermillExecutionError as error:
        message = f"{error.ename}: {error.evalue}"
    except Exception as error:  # a dead kernel, one that does not start: this notebook's failure, not the run's
        if not executed.exists():
            nbformat.write(read_notebook(job.path), executed)
        message = f"{type(error).__name__}: {error}"
    else:
        return None, None
    return " ".join(message.split()), started[-1] if started else None


@contextmanager
def _environment(findings: Path, log: Path) -> Iterator[None]:
    """What the kernel inherits; paths are made absolute, because notebooks run in their own folder."""
    set_here: dict[str, str] = {
        "WORKBOOK_REPORT": str(findings),
        "WORKBOOK_PROGRESS": str(log),
        "PLOTLY_RENDERER": "plotly_mimetype",  # data only: the page brings plotly.js once
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one in the user's home
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel warns of Python's frozen modules
    }
    for name in ("WORKBOOK_DATA", "WORKBOOK_STORE"):
        if os.environ.get(name):
            set_here[name] = str(Path(os.environ[name]).expanduser().resolve())
    before = {name: os.environ.get(name) for name in set_here}
    os.environ.update(set_here)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _tell(result: ReportResult, label: str, out: Path, stream: TextIO) -> None:
    outcome = "passed" if result.status == "passed" else "FAILED"
    stream.write(f"{label}  {outcome} in {result.seconds:.0f} s\n")
    if result.error:
        where = f"cell {result.cell}: " if result.cell else ""
        stream.write(f"    {where}{result.error}\n    the page up to there: {out / result.notebook}.html\n")
    stream.flush()
