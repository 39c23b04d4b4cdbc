"""The commands `report`, `results adopt` and `readme`, as plain functions for the command line."""

from pathlib import Path
from typing import Annotated

import typer

from workbook.profiles import load_profile, override_fields
from workbook.report.parameters import parse_assignments, parse_value
from workbook.report.results import adopt, update_readme
from workbook.report.runner import run_reports
from workbook.store import CHECKOUT

_NOTEBOOKS = CHECKOUT / "notebooks"
_REPORTS = CHECKOUT / "reports"
_RESULTS = _NOTEBOOKS / "results"


def report(
    notebooks: Annotated[list[Path] | None, typer.Argument(help="Notebooks to run; all of notebooks/ if none.")] = None,
    profile: Annotated[str, typer.Option(help="How large everything is: smoke, pocket, study, paper.")] = "smoke",
    assignments: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Override, as YAML.")
    ] = None,
) -> None:
    """Run notebooks into reports/PROFILE/ with an index; exit status 1 if one of them failed."""
    given = parse_assignments(assignments or [])
    fields = override_fields()
    # Unknown profiles and refused values are told now, not by every notebook in turn.
    load_profile(profile, **{name: parse_value(name, text) for name, text in given.items() if name in fields})
    out = _REPORTS / profile
    results = run_reports(
        notebooks or sorted(_NOTEBOOKS.glob("*.ipynb")),
        profile=profile,
        parameters=given,
        out=out,
        override_fields=fields,
    )
    failed = sum(result.status == "failed" for result in results)
    typer.echo(f"{len(results) - failed} of {len(results)} notebooks passed: {out / 'index.html'}")
    if failed:
        raise typer.Exit(1)


def results_adopt(
    profile: Annotated[str, typer.Argument(help="Whose reports are kept as evidence; never smoke.")],
) -> None:
    """Copy the verdicts of reports/PROFILE/ to notebooks/results/PROFILE/, rounded, without machine paths."""
    for path in adopt(profile, reports=_REPORTS, results=_RESULTS):
        typer.echo(f"adopted {path}")


def readme() -> None:
    """Rewrite the README's table of results from notebooks/ and notebooks/results/."""
    changed = update_readme(CHECKOUT / "README.md", notebooks=_NOTEBOOKS, results=_RESULTS)
    typer.echo("README.md rewritten" if changed else "README.md is up to date")
