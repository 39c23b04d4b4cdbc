"""Printed cells that cannot be right, found from the tables alone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbook.papers.tables import PrintedTable
from workbook.papers.trajectories import deviations
from workbook.papers.transfer import Recomputation, recompute_all

# A residual of Transfer beyond this many standard deviations of rounding is not rounding: rounding errors are
# bounded, so their sum has thinner tails than a normal one, which passes 3.5 once in 2,000 rows.
_BEYOND_ROUNDING = 3.5
# Of two printed values that one holds whose squared residual, in deviations of rounding, is smaller by this: a
# likelihood ratio of exp(9 / 2) = 90.
_DECISIVE = 9.0
# A table outvoted in so many models of a family measures something else there; that is no misprint.
_SYSTEMATIC = 3
# Beyond both neighbours of the trajectory by this many usual deviations of the column. In the papers' tables the
# cells that other evidence condemns begin at 11.6 and all others end at 8.6; next to the family's origin, 10.2.
_JUMP, _JUMP_AT_ORIGIN = 10.0, 20.0

Tables = Mapping[str, PrintedTable]
Checks = Mapping[str, Recomputation]


class Flag(NamedTuple):
    """A printed cell, a sentence about what contradicts it, and the value that the rest of the evidence gives it."""

    table: str
    model: str
    column: str
    printed: float
    evidence: str
    implied: float = np.nan


COLUMNS = list(Flag._fields)
_CELL = COLUMNS[:3]  # what names a cell: flag[:3]


def flag_cells(tables: Tables) -> pd.DataFrame:
    """Every cell that something printed elsewhere contradicts, one row for each piece of evidence.

    The evidence: a row that equals one of another experiment; the same cell printed otherwise in another table; a
    Transfer that the accuracies beside it do not give, beyond what rounding does; a point off its trajectory over the
    control cycle; an order of two columns that their definitions exclude.

    DataFrame with columns table, model, column, printed, evidence (a sentence) and implied: what the rest of the
    evidence gives for this cell, missing where it does not decide. Where printed values contradict each other and
    nothing decides between them, all are listed.
    """
    checks = recompute_all(tables)
    cells = _long(tables)
    copied: dict[tuple[str, str, str], Flag] = {}
    for flag in _copied_rows(tables, cells):
        copied.setdefault(flag[:3], flag)
    others = ~pd.MultiIndex.from_frame(cells[_CELL]).isin(pd.MultiIndex.from_tuples([*copied], names=_CELL))
    found = [*copied.values(), *_disagreements(tables, checks, cells[others])]
    for name, table in tables.items():
        spots = deviations(table)
        if name in checks:
            found += _off_transfer(name, table, checks[name], spots, [flag for flag in found if flag.table == name])
        found += [*_jumps(name, table, spots), *_wrong_order(name, table)]
    place = {cell: number for number, cell in enumerate(cells[_CELL].itertuples(index=False, name=None))}
    found.sort(key=lambda flag: place.get(flag[:3], len(place)))
    return pd.DataFrame(found, columns=COLUMNS).astype({"printed": float, "implied": float})


def _long(tables: Tables) -> pd.DataFrame:
    """One row a printed cell; cells of one `experiment`, model and column should be equal."""
    parts = []
    for name, table in tables.items():
        part = table.values.rename_axis("model").reset_index().melt("model", var_name="column", value_name="value")
        common = part["column"].isin(table.shared)
        part["experiment"] = np.where(common, table.architecture, table.protocol)
        half_unit = part["column"].map(table.half_units)
        parts.append(part.assign(table=name, base=part["model"].map(table.base), half_unit=half_unit))
    return pd.concat(parts, ignore_index=True)


def _copied_rows(tables: Tables, cells: pd.DataFrame) -> Iterator[Flag]:
    """Rows that share most cells with a row of another protocol, and few with their own model's other row."""
    own = {(r.table, r.experiment, r.model, r.column): r.value for r in cells.itertuples()}
    for (name, table), (source, other) in permutations(tables.items(), 2):
        columns = [c for c in table.values if c in other.values and c not in table.shared]
        if table.protocol == other.protocol or not columns:
            continue
        equal = table.values[columns].to_numpy()[:, None] == other.values[columns].to_numpy()[None]
        for i, j in np.argwhere(equal.mean(axis=2) > 0.5):
            model, copied = table.values.index[i], other.values.index[j]
            same = [column for column, is_same in zip(columns, equal[i, j], strict=True) if is_same]
            evidence = f"{len(same)} cells equal {copied} of Table {source}: another experiment"
            peers = [peer for peer in tables if peer != name and (peer, table.protocol, model, columns[0]) in own]
            for peer in peers[:1]:
                printed, real = table.values.loc[model], {c: own[peer, table.protocol, model, c] for c in same}
                wrong = [column for column in same if real[column] != printed[column]]
                if len(wrong) > len(same) / 2:
                    yield from (Flag(name, model, c, printed[c], evidence, real[c]) for c in wrong)


def _disagreements(tables: Tables, checks: Checks, cells: pd.DataFrame) -> Iterator[Flag]:
    """Cells that two tables print differently, and which of the values the rest of the evidence supports."""
    contests = []
    for (_, model, column), contest in cells.groupby(["experiment", "model", "column"], sort=False):
        units, values = contest["half_unit"], contest.set_index("table")["value"]
        # one number rounded to the same digits prints the same; to different digits, within half the coarser unit
        allowed = 0 if units.nunique() == 1 else units.max() + 1e-9
        if np.ptp(values) > allowed:
            losers = [(table, contest["base"].iloc[0], column) for table in _outvoted(values)]
            contests.append((model, column, values, units.max(), losers))
    often = Counter(loser for *_, losers in contests for loser in losers)
    for model, column, values, half_unit, losers in contests:
        winner, why = _by_transfer(tables, checks, model, column, values)
        if winner is None and losers and all(often[loser] < _SYSTEMATIC for loser in losers):
            winner, why = values.drop([table for table, *_ in losers]).iloc[0], "the other tables agree"
        for table, value in values.items():
            if winner is None or abs(value - winner) > 2 * half_unit:
                printed = "; ".join(f"Table {other} prints {number:g}" for other, number in values.drop(table).items())
                evidence = f"{printed}; {why if winner is not None else 'nothing decides'}"
                yield Flag(table, model, column, value, evidence, np.nan if winner is None else winner)


def _outvoted(values: pd.Series) -> list[str]:
    """The tables that print something else than most; empty where there is no majority."""
    values = values.round(1)
    votes = values.value_counts()
    return list(values.index[values != votes.index[0]]) if votes.iloc[0] > votes.iloc[1:].sum() else []


def _by_transfer(
    tables: Tables, checks: Checks, model: str, column: str, values: pd.Series
) -> tuple[float | None, str]:
    """The printed value with which some table's Transfer comes out, where the others make every row fail."""
    readers = [name for name in values.index if name in checks and column in tables[name].data_sets]
    if not readers:
        return None, ""
    misfit = {
        value: min(_deviation(tables[name], checks[name], model, {column: value}) ** 2 for name in readers)
        for value in values.unique()
    }
    best, second, *_ = sorted(misfit, key=lambda value: misfit[value])
    if misfit[second] - misfit[best] < _DECISIVE:
        return None, ""
    return best, f"Transfer needs {best:g}"


def _deviation(table: PrintedTable, check: Recomputation, model: str, instead: Mapping[str, float]) -> float:
    """The residual of a row's Transfer in standard deviations of rounding, with other values in some cells."""
    row = check.rows.loc[model]
    shift = sum(_logit(value) - _logit(table.values.at[model, column]) for column, value in instead.items())
    return float((row["residual"] - table.scale * shift / len(table.data_sets)) / row["rounding"])


def _logit(percent: float) -> float:
    return float(np.log(percent / (100 - percent)))


def _off_transfer(
    name: str, table: PrintedTable, check: Recomputation, spots: pd.DataFrame, found: Iterable[Flag]
) -> Iterator[Flag]:
    """Rows whose accuracies do not give their Transfer, and the one cell that would mend it."""
    decided = [flag for flag in found if flag.column in table.data_sets and not np.isnan(flag.implied)]
    for model in check.rows.index:
        z = _deviation(table, check, model, {})
        settled = [flag.column for flag in decided if flag.model == model]
        if abs(z) <= _BEYOND_ROUNDING or len(settled) > 1:  # a copied row is told already
            continue
        evidence = f"Transfer is {z:+.1f} deviations of rounding off"
        missing = len(table.data_sets) * check.rows.at[model, "residual"] / table.scale
        values = table.values.loc[model, list(table.data_sets)]
        needed = {column: 100 / (1 + np.exp(-_logit(value) - missing)) for column, value in values.items()}
        ranked = settled or _by_trajectory(spots, model, needed)
        if not ranked:
            printed, right = check.rows.loc[model, ["printed", "recomputed"]]
            yield Flag(name, model, "Transfer", printed, f"{evidence}; which cell is open", right)
            continue
        if ranked[1:]:
            evidence += f"; next best: {ranked[1]} = {needed[ranked[1]]:.1f}"
        yield Flag(name, model, ranked[0], values[ranked[0]], evidence, round(needed[ranked[0]], 1))


def _by_trajectory(spots: pd.DataFrame, model: str, needed: Mapping[str, float]) -> list[str]:
    """The columns whose needed value lies nearer to where the neighbours lead than the printed one, nearest first."""
    here = spots[(spots["model"] == model) & spots["column"].isin(list(needed))].set_index("column")
    far = (pd.Series(needed)[here.index] - here["expected"]).abs()
    better = here.index[far < (here["value"] - here["expected"]).abs()]
    return list((far / here["usual"])[better].sort_values().index)


def _jumps(name: str, table: PrintedTable, spots: pd.DataFrame) -> Iterator[Flag]:
    """Points beyond both their neighbours; of neighbours that all are, the farthest, for it may push the others."""
    spots = spots.assign(far=(spots["value"] - spots["expected"]).abs() / spots["usual"])
    least = np.where(spots["to_origin"], _JUMP_AT_ORIGIN, _JUMP)
    jumping = spots[spots["outside"] > least * spots["usual"]].sort_values("far", ascending=False)
    for _, points in jumping.groupby([jumping["model"].map(table.base), "column"], sort=False):
        row, *others = points.itertuples()
        evidence = f"{row.outside:.3g} beyond both neighbours over T, {row.outside / row.usual:.0f} usual deviations"
        if others:
            evidence += f", unless {' or '.join(other.model for other in others)} is wrong"
        yield Flag(name, row.model, row.column, row.value, evidence, float(f"{row.expected:.3g}"))


def _wrong_order(name: str, table: PrintedTable) -> Iterator[Flag]:
    for lower, upper in table.ordered:
        beyond = table.values[lower] - table.values[upper] > table.half_units[[lower, upper]].sum() + 1e-9
        for model, row in table.values[beyond].iterrows():
            yield Flag(name, model, lower, row[lower], f"cannot be larger than {upper}, printed {row[upper]:g}")
