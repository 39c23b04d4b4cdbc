"""The `workbook` command. Each of its commands imports what it needs: most need no torch, and the help nothing."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from typer.core import TyperGroup

from workbook import __version__
from workbook.commands.data import data_app
from workbook.commands.models import export, push, score
from workbook.commands.options import (
    AsJson,
    Assignments,
    Notebooks,
    Out,
    Profile,
    check_profile,
    echo_table,
    sizes,
)
from workbook.commands.store import store_app
from workbook.errors import Interrupted, ReportError, WorkbookError


class _PlainErrors(TyperGroup):
    """A WorkbookError is for the user: its message is shown without a traceback; exit status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            _start()
            return super().invoke(ctx)
        except WorkbookError as error:
            typer.secho(str(error), fg="red", err=True)
            raise typer.Exit(1) from error
        except Interrupted as stop:
            typer.echo(str(stop), err=True)
            raise typer.Exit(130) from stop


def _start() -> None:
    """What environment variables say of folders is of the folder that the command starts in, for its kernels, too."""
    from workbook.files import user_path

    for name in ("WORKBOOK_DATA", "WORKBOOK_STORE"):
        if os.environ.get(name):
            os.environ[name] = str(user_path(os.environ[name]))


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"workbook {__version__}")
        raise typer.Exit


app = typer.Typer(cls=_PlainErrors, no_args_is_help=True)
results_app = typer.Typer(no_args_is_help=True, help="Measured verdicts that the README quotes.")
_PASSING_ON = {"ignore_unknown_options": True}  # to the program that is started


@app.callback()
def workbook(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """The transferability workbook."""


@app.command("report")
def report(
    notebooks: Notebooks = None,
    profile: Profile = "smoke",
    assignments: Assignments = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Notebooks that run at a time; 2 if none, but 1 on an accelerator, a core or Ray."),
    ] = None,
    out: Out = None,
    self_contained: Annotated[
        bool, typer.Option("--self-contained", help="Pages that can be sent alone: plotly.js, 5 MB, is in each.")
    ] = False,
) -> None:
    """Run notebooks into reports/PROFILE/ with an index, of another data set reports/PROFILE-DATASET/; exit status 1 if
    one of them failed."""
    from joblib import cpu_count

    from workbook.data import load_manifest
    from workbook.devices import choose_device
    from workbook.engines import engine_name
    from workbook.profiles import load_profile
    from workbook.report.notebooks import named_notebooks
    from workbook.report.parameters import parse_assignments, parse_value
    from workbook.report.runner import run_reports
    from workbook.report.setting import Setting
    from workbook.report.survey import NOTEBOOKS, REPORTS

    given = parse_assignments(assignments or [])
    # Unknown profiles, devices and engines are told now, not by every notebook in turn.
    manifest = load_manifest(parse_value("dataset", given["dataset"])) if "dataset" in given else None
    device = {name: parse_value(name, given[name]) for name in ("device",) if name in given}
    # two by default, since a notebook leaves cores idle while it starts, draws and reads; not where they share a device
    # or where each has all machines for its jobs
    spread = engine_name() == "ray"
    shared = spread or choose_device(load_profile(profile, **device).device) != "cpu" or cpu_count() == 1
    if manifest is not None and manifest.name == load_profile(profile).recipe.dataset:
        del given["dataset"]  # the profile's own, named, is no other
    out = out or REPORTS / Setting(profile, manifest.name if manifest and "dataset" in given else "").folder
    chosen = named_notebooks(notebooks, NOTEBOOKS)
    how: dict[str, Any] = {"jobs": jobs or (1 if shared else 2), "self_contained": self_contained}
    results = run_reports(chosen, profile=profile, parameters=given, out=out, **how)
    failed = sum(result.status == "failed" for result in results)
    typer.echo(f"{len(results) - failed} of {len(results)} notebooks passed: {out / 'index.html'}")
    if failed:
        raise typer.Exit(1)


@app.command("sweep")
def sweep(
    notebooks: Notebooks = None,
    profile: Profile = "smoke",
    assignments: Assignments = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it costs, and train nothing.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure too, without Jupyter: reports then take it from the store.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train what notebooks need, and measure it where asked; the plan comes first, with hours and GB."""
    from workbook.report.notebooks import named_notebooks
    from workbook.report.parameters import parse_assignments
    from workbook.report.survey import NOTEBOOKS
    from workbook.sweep.notebooks import sweep_of
    from workbook.sweep.told import plan_text, run_records

    found = sweep_of(named_notebooks(notebooks, NOTEBOOKS), profile, parse_assignments(assignments or []))
    _tell_problems(found.problems)
    if not found.runs or found.lab is None:
        typer.echo("[]" if as_json else "these notebooks train nothing")
        raise typer.Exit(bool(found.problems))
    records = run_records(found)
    if found.lab.fabric.is_global_zero:
        typer.echo(records.to_json(orient="records", indent=1) if as_json else plan_text(records, found))
    if not plan:
        found.train()
    wrong = found.measure() if measure and not plan else {}
    _tell_problems(wrong)
    if found.problems or wrong:
        raise typer.Exit(1)


def _tell_problems(problems: Mapping[str, str]) -> None:
    for name, problem in problems.items():
        typer.secho(f"{name}: {problem}", fg="red", err=True)


@app.command("profile")
def show_profile(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(sizes())}.", autocompletion=sizes)] = "smoke",
    as_json: AsJson = False,
) -> None:
    """Every field of a profile and its value, as `workbook report -p NAME=VALUE` takes them."""
    check_profile(name)
    from workbook.keys import plain
    from workbook.profiles import load_profile

    values = plain(load_profile(name).values)
    if as_json:
        typer.echo(json.dumps(values, indent=1))
    else:
        echo_table([(field, json.dumps(value, ensure_ascii=False)) for field, value in sorted(values.items())])


@app.command("new")
def new(folder: Annotated[Path, typer.Argument(help="A new folder for them, or an empty one.")]) -> None:
    """Copy the notebooks into a folder of your own, to run and change there."""
    from workbook.report.notebooks import copy_notebooks
    from workbook.report.survey import NOTEBOOKS

    copied = copy_notebooks(folder, source=NOTEBOOKS)
    typer.echo(f"copied {len(copied)} files to {copied[0].parent}")
    typer.echo(f"open them with: workbook lab {copied[0].parent}")
    typer.echo(f"or run them with: workbook report {copied[0].parent}/*.ipynb")


for command in (score, export, push):
    app.command()(command)


@app.command(context_settings=_PASSING_ON)
def lab(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDER]", help="Where `workbook new` copied the notebooks to; and JupyterLab's own options."
        ),
    ] = None,
) -> None:
    """Open JupyterLab on the start page, on this machine only and with a token, until Ctrl+C."""
    from workbook.files import CHECKOUT, IN_CHECKOUT, user_path
    from workbook.report.survey import NOTEBOOKS, START_PAGE

    folder, more = _first_word(words, str(NOTEBOOKS) if IN_CHECKOUT else ".")
    start = user_path(folder) / f"{START_PAGE}.ipynb"
    if not start.exists():
        advice = "copy the notebooks with `workbook new FOLDER`, and open them with `workbook lab FOLDER`"
        raise ReportError(f"there is no start page {start}: {advice}")
    from jupyterlab.labapp import LabApp

    root = CHECKOUT if start.is_relative_to(CHECKOUT) and IN_CHECKOUT else start.parent
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # the address that is printed leads there, too: where no browser is
    page = f"--LabApp.default_url=/lab/tree/{quote(start.relative_to(root).as_posix())}"
    LabApp.launch_instance([page, f"--ServerApp.root_dir={root}", "--ip=127.0.0.1", *as_root, *more])


@app.command(context_settings=_PASSING_ON)
def explore(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NOTEBOOK]",
            help="explore_features or explore_diversity; and Voila's own options, such as --port=8900.",
            autocompletion=lambda: ["explore_features", "explore_diversity"],
        ),
    ] = None,
    profile: Profile = "smoke",
) -> None:
    """Open an explorer as a page of its own, on this machine only, until Ctrl+C."""
    check_profile(profile)
    from workbook.explorers.serve import serve

    notebook, more = _first_word(words, "explore_features")
    serve(notebook, {"profile": profile}, more)


def _first_word(words: Sequence[str] | None, otherwise: str) -> tuple[str, list[str]]:
    """The first that is no option, and the others."""
    chosen = next((word for word in words or () if not word.startswith("-")), None)
    return chosen or otherwise, [word for word in words or () if word != chosen]


app.add_typer(data_app, name="data")
app.add_typer(store_app, name="store")
app.add_typer(results_app, name="results")


@results_app.command("adopt")
def results_adopt(
    name: Annotated[
        str,
        typer.Argument(
            metavar="PROFILE[-DATASET]",
            help="The folder in reports/ that is kept as evidence; never one of smoke.",
            autocompletion=sizes,
        ),
    ],
) -> None:
    """Copy the verdicts and pages of a folder of reports to notebooks/results/, rounded, without machine paths."""
    from workbook.files import IN_CHECKOUT
    from workbook.report.results import adopt
    from workbook.report.survey import NOTEBOOKS, REPORTS

    if not IN_CHECKOUT:
        raise ReportError("results are adopted in a checkout, from where they are committed; clone the repository")
    for path in adopt(name, reports=REPORTS, results=NOTEBOOKS / "results"):
        typer.echo(f"adopted {path}")
