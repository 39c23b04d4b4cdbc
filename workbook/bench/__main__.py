"""`python -m workbook.bench gpu`: what is fast on this GPU, and the evidence that it gives in some minutes."""

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from workbook.bench.budget import Budget
from workbook.bench.evidence import Evidence
from workbook.bench.throughput import Comparison, comparisons
from workbook.errors import ProfileError, WorkbookError
from workbook.files import user_path, write_atomically
from workbook.report.parameters import parse_assignments, parse_value
from workbook.report.setting import Setting
from workbook.report.survey import REPORTS
from workbook.study import Study

_SHARE = 1 / 5  # of the budget, after which no line of throughput is begun
_WRITTEN = 5.0  # seconds that the last records take

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def bench() -> None:
    """What a rare and short GPU is for."""


@app.command("gpu")
def gpu(
    minutes: Annotated[float, typer.Option(min=0.0, help="What does not fit is left out, and told.")] = 9.0,
    jobs: Annotated[int, typer.Option(min=1, help="Runs that train at a time; NVIDIA's MPS helps them to.")] = 2,
    profile: Annotated[str, typer.Option(help="Whose runs are trained.")] = "study",
    assignments: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Any field of the profile.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the records; as of reports if none.")] = None,
    throughput: Annotated[bool, typer.Option(help="Whether it is measured first.")] = True,
) -> None:
    """Throughput with and without each change; then runs, SL and SL-MLP before all others: trained, measured, judged.

    The records are what `workbook results adopt PROFILE` takes. A second call goes on where one was stopped.
    """
    try:
        given = {name: parse_value(name, text) for name, text in parse_assignments(assignments or []).items()}
        folder = out or REPORTS / Setting.of(profile, given).folder
        _gpu(60 * minutes - _WRITTEN, jobs, profile, given, folder, throughput)
    except WorkbookError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from error


def _gpu(seconds: float, jobs: int, profile: str, given: dict[str, Any], out: Path, throughput: bool) -> None:
    budget = Budget(seconds)
    study = Study.of(profile, **given, runs_at_a_time=jobs)
    device = study.lab.fabric.device
    if device.type != "cuda" and study.profile.device == "auto":
        raise ProfileError(f"no CUDA device is seen here: -p device={device.type} takes the same way on this machine")
    out = user_path(out)
    out.mkdir(parents=True, exist_ok=True)
    evidence = Evidence(study, out, budget, given)
    if throughput:
        _throughput(study, Budget(seconds * _SHARE), out / "throughput.csv")
    evidence.gather()
    for what in dict.fromkeys(budget.left_out):
        typer.echo(f"left out: {what}")
    typer.echo(f"{budget.spent:.0f} s; records in {out}")


def _throughput(study: Study, budget: Budget, file: Path) -> list[Comparison]:
    """Told line by line; of an earlier call where the file is there."""
    rows: list[Comparison] = []
    earlier = map(Comparison._make, pd.read_csv(file).itertuples(index=False)) if file.exists() else None
    for row in earlier or comparisons(study.profile.recipe, study.lab.fabric, budget):
        rows.append(row)
        typer.echo(f"{row.what:70} {row.before:10,.0f} {row.after:10,.0f} images/s  {row.after / row.before:6.2f}")
    for what in budget.left_out:
        typer.echo(f"left out: {what}")
    if rows:
        write_atomically(file, pd.DataFrame(rows).to_csv(index=False))
    return rows


if __name__ == "__main__":
    app(prog_name="python -m workbook.bench")
