"""`workbook store`: what it holds, whether that is whole, and how it travels."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbook.commands.options import AsJson, sizes, stored_keys

if TYPE_CHECKING:
    from workbook.sharing.travel import Moved

store_app = typer.Typer(no_args_is_help=True, help="The store: runs, features and probe results.")


@store_app.command("list")
def store_list(as_json: AsJson = False) -> None:
    """What the store holds, oldest first, and how much of each kind."""
    from workbook.commands.summaries import records_of
    from workbook.store import Store

    store = Store()
    records = records_of(store.entries())
    if as_json:
        typer.echo(json.dumps(records, indent=1))
        return
    sizes: dict[str, list[float]] = {}
    for record in records:
        kind, state = record["kind"], record["date"][:16].replace("T", " ") or record["state"]
        sizes.setdefault(kind, []).append(record["megabytes"])
        typer.echo(f"{record['key']}  {kind:10} {state:16}  {record['megabytes']:9.1f} MB  {record['about']}")
    for kind, found in sorted(sizes.items()):
        typer.echo(f"{len(found):20,}  {kind:10} {'together':16}  {sum(found):9.1f} MB")
    if not records:
        typer.echo("nothing yet: reports and scores fill it")
    typer.echo(f"in {store.root}")


@store_app.command("verify")
def store_verify() -> None:
    """Compare every stored file with the checksum that it was written with; exit status 1 if something is wrong."""
    from workbook.store import Store

    wrong = 0
    for entry in Store().entries():
        problems = entry.artefact.problems() if entry.artefact else [entry.problem]
        if entry.unfinished:
            typer.echo(f"note   {entry.key}  {entry.kind}: unfinished, so without checksums")
        elif not any(problems):
            typer.echo(f"ok     {entry.key}  {entry.kind}")
        for problem in filter(None, problems):
            typer.secho(f"WRONG  {entry.key}  {entry.kind}: {problem}", fg="red", err=True)
            wrong += 1
    if wrong:
        raise typer.Exit(1)


@store_app.command("remove")
def store_remove(
    key: Annotated[str, typer.Argument(help="As `workbook store list` shows it.", autocompletion=stored_keys)],
) -> None:
    """Remove one artefact, or the unfinished work under its key; it is made anew when it is needed."""
    from workbook.store import Store

    for path in Store().remove(key):
        typer.echo(f"removed {path}")


@store_app.command("clear")
def store_clear(kind: Annotated[str, typer.Argument(help="features, for example: by far the largest.")]) -> None:
    """Remove everything of one kind; it is made anew when it is needed. Runs are removed key by key."""
    from workbook.store import Store

    typer.echo(f"removed {Store().clear(kind):,} {kind}")


Url = Annotated[str, typer.Argument(help="s3://BUCKET/FOLDER, gs://..., hf://datasets/ORG/NAME, or a folder.")]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key", help="One artefact, and all that was computed from it. Repeat it.", autocompletion=stored_keys
    ),
]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help="Of this kind alone: runs, probes ... Repeat it.")]
Notebooks = Annotated[
    list[Path] | None,
    typer.Option("--notebook", help="What this notebook's runs are and give; see --profile. Repeat it."),
]
OfProfile = Annotated[
    str | None,
    typer.Option(
        "--profile", help="The runs of this profile, of all notebooks if none is named.", autocompletion=sizes
    ),
]
Starts = Annotated[bool, typer.Option("--starts", help="With the runs that the runs of the keys started from.")]
Light = Annotated[bool, typer.Option("--light", help="Without checkpoints, features, and files of more than 32 MB.")]


@store_app.command("push")
def store_push(
    url: Url,
    key: Keys = None,
    notebook: Notebooks = None,
    profile: OfProfile = None,
    kind: Kinds = None,
    starts: Starts = False,
    light: Light = False,
    as_json: AsJson = False,
) -> None:
    """Send artefacts to a URL, all of the store if nothing is named. What is there is not sent again, and
    an interrupted call goes on where it was."""
    from workbook.sharing.travel import Which, push_store
    from workbook.store import Store

    keys = [*(key or ()), *_planned(notebook, profile)]
    which = Which(keys=keys, kinds=kind or (), starts=starts, light=light)
    _echo_moved("pushed", push_store(Store(), url, which), as_json)


@store_app.command("pull")
def store_pull(
    url: Url,
    key: Keys = None,
    notebook: Notebooks = None,
    profile: OfProfile = None,
    kind: Kinds = None,
    starts: Starts = False,
    light: Light = False,
    as_json: AsJson = False,
) -> None:
    """Bring artefacts from a URL that they were pushed to, all if nothing is named. What is here is not
    brought again, and an interrupted call goes on where it was."""
    from workbook.sharing.travel import Which, pull_store
    from workbook.store import Store

    keys = [*(key or ()), *_planned(notebook, profile)]
    which = Which(keys=keys, kinds=kind or (), starts=starts, light=light)
    _echo_moved("pulled", pull_store(Store(), url, which), as_json)


def _planned(notebooks: list[Path] | None, profile: str | None) -> list[str]:
    """The keys of the runs that these notebooks train in this profile; none where neither is given.

    Raises SharingError where they train nothing, as no key means all keys.
    """
    if not notebooks and profile is None:
        return []
    from workbook.errors import SharingError
    from workbook.report.survey import NOTEBOOKS
    from workbook.sweep.notebooks import sweep_of

    found = sweep_of(notebooks or sorted(NOTEBOOKS.glob("*.ipynb")), profile or "smoke", {})
    for name, problem in found.problems.items():
        typer.secho(f"{name}: {problem}", fg="red", err=True)
    if not found.runs:
        raise SharingError("these notebooks train nothing: name others, or runs by --key")
    return [*found.runs]


def _echo_moved(verb: str, moved: "Moved", as_json: bool) -> None:
    """Exit status 1 if something that was asked for is not there, or was not as it was written."""
    if as_json:
        typer.echo(json.dumps(asdict(moved)))
    else:
        way = "to" if verb == "pushed" else "from"
        typer.echo(
            f"{verb} {moved.artefacts:,} artefacts ({moved.megabytes:,.1f} MB) {way} {moved.url}; "
            f"{moved.there:,} were there already"
        )
    for problem in [*(f"there is nothing under the key {key}" for key in moved.missing), *moved.refused]:
        typer.secho(problem, fg="red", err=True)
    if moved.missing or moved.refused:
        raise typer.Exit(1)
