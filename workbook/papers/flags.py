"""Printed cells that cannot be right, found from the tables alone."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from workbook.papers.tables import PrintedTable
from workbook.papers.trajectories import deviations
from workbook.papers.transfer import Recomputation, recompute_all

COLUMNS = ["table", "model", "column", "printed", "evidence", "implied"]
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

Flag = dict[str, Any]


def flag_cells(tables: Mapping[str, PrintedTable]) -> pd.DataFrame:
    """Every cell that something printed elsewhere contradicts, one row for each piece of evidence.

    The evidence: a row that equals one of another experiment; the same cell printed otherwise in another table; a
    Transfer that the accuracies beside it do not give, beyond what rounding does; a point off its trajectory over the
    control cycle; an order of two columns that their definitions exclude.

    DataFrame with columns table, model, column, printed, evidence (a sentence) and implied: what the rest of the
    evidence gives for this cell, missing where it does not decide. Where printed values contradict each other and
    nothing decides between them, all are listed.
    """
    checks = recompute_all(tables)
    spots = {name: deviations(table) for name, table in tables.items()}
    cells = _long(tables)
    found = list({_cell(flag): flag for flag in reversed([*_copied_rows(tables, cells)])}.values())[::-1]
    copied = pd.MultiIndex.from_tuples([_cell(flag) for flag in found], names=_CELL)
    found += _disagreements(tables, checks, cells[~pd.MultiIndex.from_frame(cells[_CELL]).isin(copied)])
    for name, table in tables.items():
        if name in checks:
            told = [flag for flag in found if flag["table"] == name]
            found += _off_transfer(name, table, checks[name], spots[name], told)
        found += _jumps(name, table, spots[name])
        found += _wrong_order(name, table)
    place = {cell: number for number, cell in enumerate(cells[_CELL].itertuples(index=False, name=None))}
    found.sort(key=lambda flag: place.get(_cell(flag), len(place)))
    return pd.DataFrame(found, columns=COLUMNS).astype({"printed": float, "implied": float})


_CELL = ["table", "model", "column"]


def _cell(flag: Flag) -> tuple[str, str, str]:
    return flag["table"], flag["model"], flag["column"]


def _flag(table: str, model: str, column: str, printed: float, evidence: str, implied: float = np.nan) -> Flag:
    return dict(zip(COLUMNS, (table, model, column, printed, evidence, implied), strict=True))


def _long(tables: Mapping[str, PrintedTable]) -> pd.DataFrame:
    """One row a printed cell; cells of one `experiment`, model and column should be equal."""
    parts = []
    for name, table in tables.items():
        part = table.values.rename_axis("model").reset_index().melt("model", var_name="column", value_name="value")
        common = part["column"].isin(table.shared)
        part["experiment"] = np.where(common, table.architecture, table.protocol)
        half_unit = part["column"].map(table.half_units)
        parts.append(part.assign(table=name, base=part["model"].map(table.base), half_unit=half_unit))
    return pd.concat(parts, ignore_index=True)


def _copied_rows(tables: Mapping[str, PrintedTable], cells: pd.DataFrame) -> Iterator[Flag]:
    """Rows that share most cells with a row of another protocol, and few with their own model's other row."""
    own = {(r.table, r.experiment, r.model, r.column): r.value for r in cells.itertuples()}
    for (name, table), (source, other) in permutations(tables.items(), 2):
        columns = [c for c in table.values if c in other.values and c not in table.shared]
        if table.protocol == other.protocol or not columns:
            continue
        equal = table.values[columns].to_numpy()[:, None] == other.values[columns].to_numpy()[None]
        for i, j in np.argwhere(equal.mean(axis=2) > 0.5):
            model = table.values.index[i]
            peers = [peer for peer in tables if peer != name and (peer, table.protocol, model, columns[0]) in own]
            same = [column for column, is_same in zip(columns, equal[i, j], strict=True) if is_same]
            evidence = f"{len(same)} cells equal {other.values.index[j]} of Table {source}: another experiment"
            for peer in peers[:1]:
                printed, real = (
                    table.values.loc[model],
                    pd.Series({c: own[peer, table.protocol, model, c] for c in same}),
                )
                wrong = [column for column in same if real[column] != printed[column]]
                if len(wrong) > len(same) / 2:
                    yield from (_flag(name, model, c, printed[c], evidence, real[c]) for c in wrong)


def _disagreements(
    tables: Mapping[str, PrintedTable], checks: Mapping[str, Recomputation], cells: pd.DataFrame
) -> list[Flag]:
    """Cells that two tables print differently, and which of the values the rest of the evidence supports."""
    contests = []
    for (_, model, column), contest in cells.groupby(["experiment", "model", "column"], sort=False):
        units = contest["half_unit"]
        # one number rounded to the same digits prints the same; to different digits, within half the coarser unit
        allowed = 0 if units.nunique() == 1 else units.max() + 1e-9
        if np.ptp(contest["value"]) > allowed:
            contests.append((model, column, contest.set_index("table")))
    outvoted = [_outvoted(contest) for *_, contest in contests]
    often = pd.Series(
        [
            (table, contest["base"].iloc[0], column)
            for (_, column, contest), losers in zip(contests, outvoted, strict=True)
            for table in losers
        ],
        dtype=object,
    ).value_counts()
    found = []
    for (model, column, contest), losers in zip(contests, outvoted, strict=True):
        winner, why = _by_transfer(tables, checks, model, column, contest)
        if winner is None and losers and all(often[t, contest["base"].iloc[0], column] < _SYSTEMATIC for t in losers):
            winner, why = contest["value"].drop(losers).iloc[0], "the other tables agree"
        for table, value in contest["value"].items():
            if winner is None or abs(value - winner) > 2 * contest["half_unit"].max():
                others = contest["value"].drop(table)
                printed = "; ".join(f"Table {other} prints {number:g}" for other, number in others.items())
                evidence = f"{printed}; {why if winner is not None else 'nothing decides'}"
                found.append(_flag(table, model, column, value, evidence, np.nan if winner is None else winner))
    return found


def _outvoted(contest: pd.DataFrame) -> list[str]:
    """The tables that print something else than most; empty where there is no majority."""
    values = contest["value"].round(1)
    votes = values.value_counts()
    return list(values.index[values != votes.index[0]]) if votes.iloc[0] > votes.iloc[1:].sum() else []


def _by_transfer(
    tables: Mapping[str, PrintedTable],
    checks: Mapping[str, Recomputation],
    model: str,
    column: str,
    contest: pd.DataFrame,
) -> tuple[float | None, str]:
    """The printed value with which some table's Transfer comes out, where the others make every row fail."""
    readers = [name for name in contest.index if name in checks and column in tables[name].data_sets]
    if not readers:
        return None, ""
    misfit = {
        value: min(_deviation(tables[name], checks[name], model, {column: value}) ** 2 for name in readers)
        for value in contest["value"].unique()
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
    name: str, table: PrintedTable, check: Recomputation, spots: pd.DataFrame, found: list[Flag]
) -> Iterator[Flag]:
    """Rows whose accuracies do not give their Transfer, and the one cell that would mend it."""
    decided = [
        (f["model"], f["column"]) for f in found if f["column"] in table.data_sets and not np.isnan(f["implied"])
    ]
    for model in check.rows.index:
        z = _deviation(table, check, model, {})
        settled = [column for named, column in decided if named == model]
        if abs(z) <= _BEYOND_ROUNDING or len(settled) > 1:  # a copied row is told already
            continue
        missing = len(table.data_sets) * check.rows.at[model, "residual"] / table.scale
        needed = {
            column: 100 / (1 + np.exp(-_logit(table.values.at[model, column]) - missing)) for column in table.data_sets
        }
        ranked = settled or _by_trajectory(spots, model, needed)
        evidence = f"Transfer is {z:+.1f} deviations of rounding off"
        if not ranked:
            printed, right = check.rows.loc[model, ["printed", "recomputed"]]
            yield _flag(name, model, "Transfer", printed, f"{evidence}; which cell is open", right)
            continue
        if ranked[1:]:
            evidence += f"; next best: {ranked[1]} = {needed[ranked[1]]:.1f}"
        yield _flag(name, model, ranked[0], table.values.at[model, ranked[0]], evidence, round(needed[ranked[0]], 1))


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
        yield _flag(name, row.model, row.column, row.value, evidence, float(f"{row.expected:.3g}"))


def _wrong_order(name: str, table: PrintedTable) -> Iterator[Flag]:
    for lower, upper in table.ordered:
        beyond = table.values[lower] - table.values[upper] > table.half_units[[lower, upper]].sum() + 1e-9
        for model, row in table.values[beyond].iterrows():
            yield _flag(name, model, lower, row[lower], f"cannot be larger than {upper}, printed {row[upper]:g}")
