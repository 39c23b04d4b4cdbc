"""What the papers say, one claim a statement that a notebook can be held against: the rows of claims.csv."""

import csv
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper says.

    number: its effect in `unit` as printed, with the sign that the statement predicts; None where the paper shows a
    curve or a picture without printing its values. topic: what it is about. notebooks: the names, without suffix, of
    those that answer it, first the one whose question it is; empty where none does yet.
    """

    id: str  # begins with the paper's letter
    place: str
    statement: str
    number: float | None
    unit: str = ""
    topic: str = ""
    notebooks: tuple[str, ...] = ()

    @property
    def paper(self) -> str:
        return self.id[0]


def _read() -> dict[str, Claim]:
    text = resources.files("workbook.papers").joinpath("claims.csv").read_text(encoding="utf-8")
    claims = {}
    for row in csv.DictReader(text.splitlines()):
        number, notebooks = row.pop("number"), row.pop("notebooks")
        claims[row["id"]] = Claim(**row, number=float(number) if number else None, notebooks=tuple(notebooks.split()))
    return claims


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
