"""What the papers say, one claim a statement that can be tested: the rows of claims.csv.

Paper "W" is this workbook: what it asks of its own, stated and held to the protocol as the others.
"""

import csv
from dataclasses import dataclass
from importlib import resources

from workbook.papers.cells import Difference, read_difference


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper says, and how it is judged.

    number: its effect in `unit` as printed, with the sign that the statement predicts; None where the paper shows a
    curve or a picture without printing its values. cells: those of the printed tables that the number is made of;
    None where only the text prints it. topic: what it is about. notebooks: the names, without suffix, of those that
    judge it, first the one whose question it is; empty where none does yet. statistic: a key of
    `workbook.papers.statistics.STATISTICS`. n: how many of what that counts, fixed before the runs. learns: the method
    that must have learned for it to be judged, see `differences.if_learned`; empty where there is none.
    """

    id: str
    paper: str
    place: str
    statement: str
    number: float | None
    unit: str = ""
    topic: str = ""
    notebooks: tuple[str, ...] = ()
    statistic: str = "paired over seeds"
    n: int = 3
    learns: str = ""
    cells: Difference | None = None


def claim_of(row: dict[str, str]) -> Claim:
    """The claim of a row of claims.csv.

    Its `number` is a decimal that only the text prints, a difference of cells (see `cells`), or empty.
    Raises ValueError with the claim's id for a difference that is none, or of a cell that no table has.
    """
    number, cells = row["number"], None
    if number and not number.lstrip("-").replace(".", "", 1).isdigit():
        try:
            cells = read_difference(number)
        except ValueError as error:
            raise ValueError(f"claim {row['id']}: {error}") from error
    value = cells.value if cells else float(number) if number else None
    said = {name: row[name] for name in ("id", "paper", "place", "statement", "unit", "topic", "statistic", "learns")}
    return Claim(**said, number=value, notebooks=tuple(row["notebooks"].split()), n=int(row["n"]), cells=cells)


def _read() -> dict[str, Claim]:
    text = resources.files("workbook.papers").joinpath("claims.csv").read_text(encoding="utf-8")
    return {row["id"]: claim_of(row) for row in csv.DictReader(text.splitlines())}


CLAIMS = _read()


def topics() -> dict[str, list[Claim]]:
    """topic -> its claims, both in the order of the list."""
    found: dict[str, list[Claim]] = {}
    for claim in CLAIMS.values():
        found.setdefault(claim.topic, []).append(claim)
    return found


def claims_of(notebook: str) -> list[Claim]:
    """What a notebook, named without suffix, answers; empty for a tool."""
    return [claim for claim in CLAIMS.values() if notebook in claim.notebooks]
