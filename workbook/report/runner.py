"""Notebooks -> executed notebooks, pages and an index, in a folder of reports."""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout
from joblib import cpu_count
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from workbook.errors import ReportError
from workbook.files import told, user_path, without_home, write_atomically
from workbook.report.here import Here
from workbook.report.index import write_beside, write_index
from workbook.report.kernels import Kernels
from workbook.report.notebooks import declared_parameters, imports, parameters_cell, read_notebook, title_of
from workbook.report.page import render_page
from workbook.report.parameters import parse_value, route
from workbook.report.progress import Progress, Status
from workbook.report.record import LATER_FAILURE, ReportResult, place_of, read_findings, write_record, write_table
from workbook.report.setting import Setting
from workbook.report.survey import START_PAGE

# a closed terminal, and whoever ends a process politely
_ASKED_TO_END = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_RUNNING = ".running-"  # begins the name of the folder that a notebook runs in, until its page is moved into place
_MEASURES = "from workbook import"  # begins an import of Study or load_images
_STALE = 10  # seconds after which an index is written anew, if there is more to show
_FORGOTTEN = 3600  # seconds after which such a folder without a lock is nobody's


@dataclass(frozen=True)
class _Job:
    path: Path
    label: str  # in the terminal
    notebook: NotebookNode
    profile: str
    parameters: Mapping[str, Any]
    self_contained: bool

    def cell_number(self, executed_index: int) -> int:
        """The cell's number, from 1, in the notebook's own file: papermill adds a cell for the parameters."""
        added = bool(self.parameters) and executed_index > parameters_cell(self.notebook)
        return executed_index + 1 - added


def run_reports(
    notebooks: Sequence[Path],
    *,
    profile: str,
    parameters: Mapping[str, str],
    out: Path,
    jobs: int = 1,
    here: bool = False,
    self_contained: bool = False,
) -> list[ReportResult]:
    """Execute notebooks, `jobs` at a time; write `<out>/<name>.ipynb|html|json|csv`, and the start page, `index.html`.

    parameters: name -> value as YAML text, of a notebook or of the profile. jobs: each gets its share of the cores,
    unless OMP_NUM_THREADS says how many. here: one by one in this process, without kernels (see `execute_here`): where
    this has imported what they need. self_contained: plotly.js stands in every page, and not beside them. The results
    come in the order of the notebooks.
    A failing notebook does not stop the others; its page up to the failure is kept, beside that of an earlier run that
    passed, which stays (see `place_of`). Pages write `~` for this account's home folder. Interrupted or terminated, all
    kernels are stopped, what is there is indexed, and KeyboardInterrupt or SystemExit goes on. Pages of notebooks that
    are not run now are left.
    Raises ReportError before anything runs: no notebook, an unreadable one, an unknown parameter; later only where the
    reports can no longer be written.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    planned = _plan(notebooks, profile, parameters, self_contained)
    out = _folder(out)
    names = [Path(path).stem for path in notebooks]
    with told(ReportError, "written", out):
        given = {name: parse_value(name, text) for name, text in parameters.items()}
        write_beside(out, setting=Setting.of(profile, given))
        index = partial(write_index, out, profile=profile, self_contained=self_contained)
        return _run(planned, index, out, 0 if here else min(jobs, len(planned)), names)


def _run(
    planned: Sequence[_Job], index: Callable[..., ReportResult], out: Path, jobs: int, names: Sequence[str]
) -> list[ReportResult]:
    """The results of these names, in this order; see `run_reports`. jobs: 0 = in this process."""
    results: dict[str, ReportResult] = {}
    note = ""
    try:
        with (
            _termination(),
            Progress(sys.stderr) as progress,
            closing(_side_by_side(planned, out, jobs, progress) if jobs else _here(planned, out, progress)) as coming,
        ):
            indexed = time.monotonic()
            for result in coming:
                results[result.notebook] = result
                # it takes longer than many a notebook; the last one is written below
                if len(results) < len(planned) and time.monotonic() - indexed > _STALE:
                    progressed = f"Running: {len(results)} of {len(planned)} notebooks are done."
                    index(note=progressed)
                    indexed = time.monotonic()
    except BaseException:
        note = f"Interrupted: {len(results)} of {len(planned)} notebooks were run; the others are as they were before."
        raise
    finally:
        results[START_PAGE] = index(note=note)
    return [results[name] for name in names]


def _here(planned: Sequence[_Job], out: Path, progress: Progress) -> Generator[ReportResult, None, None]:
    yield from filter(None, (_report(job, out, Here(_environment(1)), progress) for job in planned))


def _side_by_side(
    planned: Sequence[_Job], out: Path, jobs: int, progress: Progress
) -> Generator[ReportResult, None, None]:
    """The results as they come; whatever ends this early stops all kernels first."""
    kernels = Kernels(_environment(jobs), _shared(planned))
    # threads of ours wait for kernels, which are processes
    with closing(kernels), ThreadPoolExecutor(max(1, jobs)) as pool:
        futures = {pool.submit(_report, job, out, kernels, progress) for job in planned}
        try:
            for future in as_completed(futures):
                if result := future.result():
                    yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            kernels.stop(futures)


def _shared(planned: Sequence[_Job]) -> list[str]:
    """What the notebooks would each do first, as statements: what they import, and images that are drawn, not read."""
    from workbook.data import load_manifest
    from workbook.profiles import load_profile  # here, because torch comes with it

    statements = dict.fromkeys(statement for job in planned for statement in imports(job.notebook))
    measuring = [job for job in planned if any(line.startswith(_MEASURES) for line in imports(job.notebook))]
    profiles = [load_profile(job.profile, **job.parameters.get("overrides", {})) for job in measuring]
    for dataset in {profile.recipe.dataset for profile in profiles}:
        manifest = load_manifest(dataset)
        if any(source.kind == "generated" for source in manifest.sources):
            drawn = "; ".join(f"load_images({dataset!r}, {split!r})" for split in manifest.splits)
            statements[f"from workbook import load_images; {drawn}"] = None
    return list(statements)


@contextmanager
def _termination() -> Iterator[None]:
    """Being asked to end ends as an interrupt does, not at once with the kernels left behind."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # only there Python hears of signals
        yield
        return
    before = {number: signal.getsignal(number) for number in _ASKED_TO_END}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup has a closed terminal ignored
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _plan(
    notebooks: Sequence[Path], profile: str, given: Mapping[str, str], self_contained: bool = False
) -> list[_Job]:
    """A job for each but the start page, which the index is."""
    if not notebooks:
        raise ReportError("there is no notebook to run; name one, or put one into notebooks/")
    paths = [Path(path).resolve() for path in notebooks]
    stems = [path.stem for path in paths]
    if len(set(stems)) < len(stems):
        raise ReportError(f"two notebooks have the same name, and so the same page: {', '.join(sorted(stems))}")
    read = {path: read_notebook(path) for path in paths if path.stem != START_PAGE}
    declared = {path.stem: declared_parameters(notebook, path.stem) for path, notebook in read.items()}
    routed = route(declared, given, profile=profile)
    return [
        _Job(path, f"[{number}/{len(read)}] {path.stem}", notebook, profile, routed[path.stem], self_contained)
        for number, (path, notebook) in enumerate(read.items(), start=1)
    ]


def _folder(out: Path) -> Path:
    out = user_path(out)
    with told(ReportError, "written", out):
        out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(f"{_RUNNING}*"):
        if (left / "lock").exists() or time.time() - left.stat().st_mtime > _FORGOTTEN:
            with suppress(OSError, Timeout), FileLock(left / "lock", timeout=0):  # nobody holds it: a killed process's
                shutil.rmtree(left)
    return out


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, and that the next run removes where this process is killed."""
    with tempfile.TemporaryDirectory(dir=out, prefix=_RUNNING) as folder, ExitStack() as stack:
        with suppress(OSError, NotImplementedError):  # a file system without locks: then nobody takes it for nobody's
            stack.enter_context(FileLock(Path(folder, "lock")))
        yield Path(folder)


def _report(job: _Job, out: Path, kernels: Kernels | Here, progress: Progress) -> ReportResult | None:
    """Execute one notebook in a folder of its own, then publish what became of it; None if stopped."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    start = time.monotonic()
    with _scratch(out) as scratch:
        executed, findings, log = (scratch / name for name in ("executed.ipynb", "findings.json", "progress.log"))
        places = {"WORKBOOK_REPORT": str(findings), "WORKBOOK_PROGRESS": str(log)}
        with progress.notebook(job.label, len(job.notebook.cells), log) as status:
            error, cell = _execute(job, executed, places, kernels, status)
        if kernels.stopped.is_set():
            return None
        result = ReportResult(
            notebook=job.path.stem,
            title=title_of(job.notebook, otherwise=job.path.stem),
            profile=job.profile,
            status="failed" if error else "passed",
            date=date,
            seconds=round(time.monotonic() - start, 1),
            parameters=without_home({name: value for name, value in job.parameters.items() if name != "profile"}),
            error=without_home(error),
            cell=cell,
            findings=without_home(read_findings(findings)),
        )
        notebook = without_home(nbformat.read(executed, as_version=4))
    page = _publish(notebook, result, job, out)
    progress.tell(_outcome(result, job.label, page))
    return result


def _publish(notebook: NotebookNode, result: ReportResult, job: _Job, out: Path) -> Path:
    """Page, executed notebook and record in their places; the page. What failed does not replace what passed."""
    place = place_of(out, result)
    page = out / f"{place}.html"
    rendered = render_page(notebook, result, source=job.path, out=out, self_contained=job.self_contained)
    write_atomically(page, rendered)
    write_atomically(out / f"{place}.ipynb", nbformat.writes(notebook))
    write_record(out, result)
    write_table(out, result)
    if result.status == "passed":
        for kind in ("html", "ipynb", "json", "csv"):
            (out / f"{result.notebook}{LATER_FAILURE}.{kind}").unlink(missing_ok=True)
    return page


def _execute(
    job: _Job, executed: Path, environment: Mapping[str, str], kernels: Kernels | Here, status: Status
) -> tuple[str | None, int | None]:
    """(None, None), or the last line of the error and the cell, from 1, that raised it."""

    def on_cell_start(cell: NotebookNode, cell_index: int) -> None:
        status.cell(job.cell_number(cell_index))

    try:
        kernels.execute(job.path, executed, job.parameters, environment=environment, on_cell_start=on_cell_start)
    except PapermillExecutionError as error:
        message = f"{error.ename}: {error.evalue}"
    except Exception as error:  # a cell's here, a dead kernel, one that does not start: this notebook's failure alone
        if not executed.exists():
            nbformat.write(job.notebook, executed)
        message = f"{type(error).__name__}: {error}"
    else:
        return None, None
    return " ".join(message.split()), status.at or None


def _environment(jobs: int) -> dict[str, str]:
    """What all kernels get; paths are made absolute, because notebooks run in their own folder."""
    environment = dict(os.environ) | {
        "PLOTLY_RENDERER": "plotly_mimetype",  # data only: the page brings plotly.js once
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one in the user's home
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel warns of Python's frozen modules
    }
    for name in ("WORKBOOK_DATA", "WORKBOOK_STORE"):
        if os.environ.get(name):
            environment[name] = str(user_path(os.environ[name]))
    if jobs > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cpu_count() // jobs)))
    return environment


def _outcome(result: ReportResult, label: str, page: Path) -> str:
    told = f"{label}  {'passed' if result.status == 'passed' else 'FAILED'} in {result.seconds:.0f} s"
    if result.error:
        where = f"cell {result.cell}: " if result.cell else ""
        told += f"\n    {where}{result.error}\n    the page up to there: {page}"
    return told
