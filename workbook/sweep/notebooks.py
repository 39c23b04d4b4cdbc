"""What notebooks train, told by the notebooks: their statements are run where nothing is trained.

A statement that would measure what is not there is left out, and so is what follows from it; a run that is trained
depends on no measurement. Afterwards they can be run whole, without a kernel, for what their measurements leave in the
store.
"""

import ast
import io
import os
import symtable
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType
from typing import Any

import plotly.io
from nbformat import NotebookNode

from workbook.data.sources import described, load_images
from workbook.errors import MissingDataError, NotStoredError, ReportError, WorkbookError
from workbook.lab import Lab
from workbook.pretraining.runs import Planned, train_all
from workbook.pretraining.starts import RunStart
from workbook.report.notebooks import declared_parameters, parameters_cell, read_notebook
from workbook.report.parameters import route
from workbook.study import Study

# statements after which a name may hold what it held before
_MAY_KEEP = (ast.AugAssign, ast.If, ast.For, ast.While, ast.With, ast.Try)


@dataclass
class Sweep:
    """The runs that notebooks train, each once, every start before what begins with it."""

    lab: Lab | None = None  # where they are trained; None while no notebook has trained any
    runs: dict[str, Planned] = field(default_factory=dict)  # by their keys
    given: dict[Path, Mapping[str, Any]] = field(default_factory=dict)  # the notebooks, and what each gets
    problems: dict[str, str] = field(default_factory=dict)  # of notebooks that cannot be run in this profile, by name

    @property
    def stored(self) -> set[str]:
        """The keys of those that the store has."""
        return {key for key, run in self.runs.items() if self.lab is not None and run.stored(self.lab)}

    @property
    def absent(self) -> set[str]:
        """The keys of those whose data is not on this machine."""
        sets = {run.recipe.dataset for run in self.runs.values()}
        missing = {name for name in sets if not _is_here(name)}
        return {key for key, run in self.runs.items() if run.recipe.dataset in missing}

    def train(self) -> None:
        """Train what is not stored; those that begin with others after them.

        A finetuning on data that is not here is left out, as reports do. Raises what `train_all` does.
        """
        stored, absent = self.stored, {key for key in self.absent if self.runs[key].recipe.start is not None}
        left = [run for key, run in self.runs.items() if key not in stored | absent]
        while self.lab is not None and left:
            waiting = {run.key for run in left}
            ready = [run for run in left if _start_of(run) not in waiting]
            train_all([run.recipe for run in ready], self.lab)
            left = [run for run in left if run not in ready]

    def measure(self) -> dict[str, str]:
        """Run the notebooks whole, but for showing what they draw: what they measure is in the store then.

        What one of them raises, by its name, and the others go on. Raises ReportError where several processes would
        each do all of it.
        """
        if self.lab is not None and self.lab.fabric.world_size > 1:
            raise ReportError(f"{self.lab.fabric.world_size} processes would each measure: call this without torchrun")
        shown, plotly.io.renderers.default = plotly.io.renderers.default, None  # `show` shows nothing
        wrong = {}
        for path, given in self.given.items():
            with chdir(path.parent), open(os.devnull, "w") as nothing, redirect_stdout(nothing):
                try:
                    _run_whole(read_notebook(path), given)
                except Exception as error:
                    wrong[path.stem] = f"{type(error).__name__}: {error}"
        plotly.io.renderers.default = shown
        return wrong


def sweep_of(notebooks: Sequence[Path], profile: str, given: Mapping[str, str]) -> Sweep:
    """What these notebooks train in this profile; given: parameters as text, as `workbook report` takes them.

    Of data that is not here it is what manifests say, see `data.sources.described`. A notebook that refuses what it is
    given is a problem of the sweep, and the others go on. Raises ReportError for a notebook that cannot be read and for
    an unknown parameter.
    """
    paths = [Path(path).resolve() for path in notebooks]
    read = {path: read_notebook(path) for path in paths}
    declared = {path.stem: declared_parameters(notebook, path.stem) for path, notebook in read.items()}
    routed, sweep = route(declared, given, profile=profile), Sweep()
    for path, notebook in read.items():
        with described(), chdir(path.parent), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            try:
                _follow(notebook, routed[path.stem], sweep)
                sweep.given[path] = routed[path.stem]
            except WorkbookError as error:
                sweep.problems[path.stem] = str(error)
    return sweep


def _is_here(dataset: str) -> bool:
    try:
        load_images(dataset, "train")
    except MissingDataError:
        return False
    return True


def _start_of(run: Planned) -> str | None:
    return run.recipe.start.run if isinstance(run.recipe.start, RunStart) else None


@dataclass
class _Planning:
    """In the place of `Study` in a notebook."""

    sweep: Sweep
    noted: list[Planned] = field(default_factory=list)

    def of(self, *which: Any, **how: Any) -> Study:
        study = Study.of(*which, **how)
        self.sweep.lab = self.sweep.lab or study.lab
        return replace(study, lab=study.lab.planning(self.noted))


def _run_whole(notebook: NotebookNode, parameters: Mapping[str, Any]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            exec(compile(cell.source, f"cell {number + 1}", "exec"), names)
        if number == parameters_cell(notebook):
            names |= parameters


def _follow(notebook: NotebookNode, parameters: Mapping[str, Any], sweep: Sweep) -> None:
    """Run the statements of a notebook that hang on its study, and put on the sweep what they train."""
    planning = _Planning(sweep)
    names: dict[str, Any] = {"__name__": "__main__"}
    at = parameters_cell(notebook)
    sources = [cell.source if cell.cell_type == "code" else "" for cell in notebook.cells]
    for statement in _statements(sources[: at + 1]):
        statement.run(names)
    names |= parameters
    unknown: set[str] = set()
    for statement in _on_the_study(_statements(sources[at + 1 :])):
        if statement.read & unknown or not _ran(statement, names):
            unknown |= statement.written
        else:
            unknown -= statement.written
        if names.get("Study") is Study:
            names["Study"] = planning
    sweep.runs = {run.key: run for run in planning.noted} | sweep.runs


def _ran(statement: "_Statement", names: dict[str, Any]) -> bool:
    """Whether it came to its end: what needs a measurement does not, nor what stumbles over what stands for one."""
    try:
        statement.run(names)
    except (NotStoredError, MissingDataError):
        return False
    except WorkbookError:  # of what was given
        raise
    except Exception:
        return False
    return True


@dataclass(frozen=True)
class _Statement:
    code: CodeType
    read: frozenset[str]  # names of the notebook
    written: frozenset[str]

    def run(self, names: dict[str, Any]) -> None:
        exec(self.code, names)


def _statements(sources: Iterable[str]) -> list[_Statement]:
    return [_statement(node) for source in sources for node in ast.parse(source).body]


def _statement(node: ast.stmt) -> _Statement:
    source = ast.unparse(node)
    top = symtable.symtable(source, "<statement>", "exec")
    inner = [symbol for table in _within(top) for symbol in table.get_symbols() if symbol.is_global()]
    read = {symbol.get_name() for symbol in (*inner, *top.get_symbols()) if symbol.is_referenced()}
    written = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    if any(isinstance(part, _MAY_KEEP) for part in ast.walk(node)):
        read |= written
    return _Statement(compile(source, "<statement>", "exec"), frozenset(read), frozenset(written))


def _within(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _within(child)


def _on_the_study(statements: Sequence[_Statement]) -> list[_Statement]:
    """Those that use what comes from `Study`, and those that make what these need."""
    known, using = {"Study"}, []
    for statement in statements:
        using.append(bool((statement.read | statement.written) & known))
        known |= statement.written if using[-1] else set()
    needed: set[str] = set()
    kept = []
    for statement, uses in reversed([*zip(statements, using, strict=True)]):
        if uses or statement.written & needed:
            needed = needed - statement.written | statement.read
            kept.append(statement)
    return kept[::-1]
