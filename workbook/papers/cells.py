"""A number as the difference of two printed cells: `A.2[SL-MLP, ResNet50, 300, top1] - A.2[SL, ResNet50, 300, top1]`.

A cell is a table, the values that name its row (`KEYS`), and its column. Each side may be the quotient of two cells,
parted by ` / `. Nothing else is allowed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from workbook.papers.tables import DATA_SETS, FILES, load_table

# the columns that name a row of a table; those of B's other tables name it by their model
KEYS = {"A.1": ["method", "epochs"], "A.2": ["method", "architecture", "epochs"], "A.3": ["method", "epochs"]}
KEYS |= {"A.4": ["protocol", "method"], "A.5": ["exp"], "B.1": ["score"], "B.2": ["symbol"]}
# the column of a table that is a mean over data sets, and those sets
MEANS = {"A.4": "average"} | dict.fromkeys(("B.3", "B.4", "B.5", "B.7", "B.8", "B.9"), "Transfer")
_CELL = r"[AB]\.\d\[[^\[\]]+\]"
_SIDE = rf"{_CELL}(?: / {_CELL})?"
_DIFFERENCE = re.compile(rf"({_SIDE}) - ({_SIDE})")
_QUOTIENT_DIGITS = 4


@cache
def _rows(table: str) -> pd.DataFrame:
    """The table as text, with the digits that the paper prints, indexed by what names a row."""
    with resources.files("workbook.papers").joinpath("tables", f"{FILES[table]}.csv").open("rb") as stream:
        return pd.read_csv(stream, dtype=str, keep_default_na=False).set_index(KEYS.get(table, ["model"]))


@dataclass(frozen=True)
class Cell:
    """One printed cell; ValueError where the table has none of this name."""

    table: str
    row: tuple[str, ...]
    column: str

    def __post_init__(self) -> None:
        if self.table not in FILES or self.column not in _rows(self.table) or self._found != 1:
            named = ", ".join((*self.row, self.column))
            raise ValueError(f"no table of the papers has the one cell {self.table}[{named}]")

    @property
    def _found(self) -> int:
        index = _rows(self.table).index
        return sum((name if isinstance(name, tuple) else (name,)) == self.row for name in index)

    @property
    def digits(self) -> int:
        """That most cells of the column have: 70 among 69.8 and 71.3 is 70.0."""
        return int(_rows(self.table)[self.column].map(lambda text: len(text.partition(".")[2])).mode().iloc[0])

    @property
    def value(self) -> float:
        return float(_rows(self.table).loc[self.row if len(self.row) > 1 else self.row[0], self.column])

    @property
    def half_unit(self) -> float:
        """What rounding to the printed digits can hide."""
        return 0.5 * 10.0**-self.digits

    def over_data_sets(self) -> pd.Series:
        """What the cell is the mean of, one value a data set: points in A, log-odds in the scale of its table in B."""
        if MEANS.get(self.table) != self.column:
            raise ValueError(f"{self.table}'s column {self.column} is no mean over data sets")
        row = _rows(self.table).loc[self.row if len(self.row) > 1 else self.row[0]]
        if self.table == "A.4":
            return row.iloc[1:-1].astype(float)  # between `from_islam2021` and the average
        return log_odds(self.table).loc[self.row[0]]


@dataclass(frozen=True)
class Difference:
    """One side less the other; each is a cell, or a cell over another."""

    left: tuple[Cell, ...]
    right: tuple[Cell, ...]

    @property
    def value(self) -> float:
        """With the digits of the cells, a quotient with four."""
        sides = (self.left, self.right)
        plain = all(len(side) == 1 for side in sides)
        digits = max(cell.digits for side in sides for cell in side) if plain else _QUOTIENT_DIGITS
        return round(_quotient(self.left) - _quotient(self.right), digits)

    @property
    def rounding(self) -> float:
        """How far rounding of the printed cells can move it."""
        return _uncertainty(self.left) + _uncertainty(self.right)

    def over_data_sets(self) -> pd.Series:
        """The difference on every data set, where both sides are a mean over the same sets."""
        (left,), (right,) = self.left, self.right
        return (left.over_data_sets() - right.over_data_sets()).rename_axis("data set")

    def over_family(self) -> pd.DataFrame:
        """Data sets x the other control cycles of the left cell's family: how far the left one lies above each."""
        (left,) = self.left
        along = trajectory(left.table, left.row[0].partition("_T")[0])
        own = int(left.row[0].partition("_T")[2])
        return along.drop(columns=own).rsub(along[own], axis=0)


def _quotient(side: tuple[Cell, ...]) -> float:
    first, *over = side
    return first.value / over[0].value if over else first.value


def _uncertainty(side: tuple[Cell, ...]) -> float:
    first, *over = side
    if not over:
        return first.half_unit
    return (first.half_unit + abs(_quotient(side)) * over[0].half_unit) / abs(over[0].value)


def read_difference(text: str) -> Difference:
    """The difference that this text names; ValueError for any other form, and for a cell that is none."""
    found = _DIFFERENCE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a difference of printed cells: {text!r}")
    left, right = (tuple(_cells(side)) for side in found.groups())
    return Difference(left, right)


def _cells(side: str) -> Iterator[Cell]:
    for name in re.findall(_CELL, side):
        *row, column = name[4:-1].split(", ")
        yield Cell(name[:3], tuple(row), column)


@cache
def log_odds(table: str) -> pd.DataFrame:
    """Models x data sets of a table of B that prints Transfer, in the scale of its Transfer (linear probe: 100)."""
    percent = load_table(table)[list(DATA_SETS)]
    return (100.0 if table in ("B.3", "B.9") else 1.0) * np.log(percent / (100 - percent))


def trajectory(table: str, base: str) -> pd.DataFrame:
    """Data sets x control cycles, ascending: `log_odds` of the models that label injection made of one start."""
    models = load_table(table)
    cycles = models.loc[models["base"] == base, "control_cycle"].dropna().astype(int).sort_values()
    along = log_odds(table).loc[cycles.index].set_axis(cycles.to_numpy(), axis=0)
    return along.T.rename_axis(index="data set", columns="control_cycle")
