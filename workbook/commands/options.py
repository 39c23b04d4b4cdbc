"""What several commands take, and what a shell completes it with. None of it waits for torch."""

import shutil
import sys
from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path
from typing import Annotated

import typer

from workbook.errors import ProfileError, known_names
from workbook.sizes import SIZES


def check_profile(name: str) -> None:
    """Raises ProfileError for a name that is no profile's."""
    if name not in SIZES:
        raise ProfileError(f"unknown profile {name!r}{known_names(name, SIZES)}")


def sizes() -> Iterable[str]:
    return SIZES


def data_sets() -> Iterable[str]:
    from workbook.data import list_manifests

    return list_manifests()


def _notebooks(incomplete: str) -> Iterable[str]:
    return [path for path in glob(f"{incomplete}*") if path.endswith(".ipynb")] + glob(f"{incomplete}*/")


def stored_keys() -> Iterable[str]:
    from workbook.store import Store

    return Store().keys()


def stored_runs() -> Iterable[str]:
    from workbook.store import Store

    return Store().keys("runs")


Out = Annotated[Path | None, typer.Option(help="The folder that the pages go into.")]
Profile = Annotated[str, typer.Option(help=f"How large everything is: {', '.join(SIZES)}.", autocompletion=sizes)]
Notebooks = Annotated[
    list[Path] | None, typer.Argument(help="Notebooks; all of notebooks/ if none.", autocompletion=_notebooks)
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="As YAML: epochs=3, ablation.seeds=2, k=null."),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def echo_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns of text, the first row their heads; into a terminal, as many from the left as it is wide."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while len(widths) > 1 and sum(widths) + 2 * len(widths) - 2 > _width():
        widths.pop()
    for row in rows:
        typer.echo("  ".join(cell.ljust(length) for cell, length in zip(row, widths, strict=False)).rstrip())


def _width() -> int:
    """Of the terminal; whatever reads through a pipe gets all."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
