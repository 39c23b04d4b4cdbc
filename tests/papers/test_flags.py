"""Planted misprints are found, clean tables are left alone, and the papers' known ones come out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbook.papers.flags import COLUMNS, flag_cells
from workbook.papers.tables import DATA_SETS, PrintedTable, tables_of_paper_b
from workbook.papers.transfer import transferability

CYCLES = (1, 2, 3, 4, 5, 10, 50, 100)


def printed_table(protocol: str, seed: int) -> PrintedTable:
    """Four smooth families over T and a single model, with the Transfer of the exact accuracies."""
    rng = np.random.default_rng(seed)
    rows, names, bases, cycles = [], [], [], []
    for base in ("W", "X", "Y", "Z"):
        start, slope = rng.uniform(45, 85, size=14), rng.uniform(-2, 2, size=14)
        for cycle in (*CYCLES, None):
            at = np.log(cycle or 200)
            rows.append(start + slope * at + 0.3 * np.sin(at + slope))
            names.append(base if cycle is None else f"{base}_T{cycle}")
            bases.append(base)
            cycles.append(cycle)
    exact = pd.DataFrame(rows, index=names, columns=list(DATA_SETS))
    transfer = transferability(exact)["mean"].round(3)
    values = exact.round(1).assign(ImageNet=np.round(60 + 0.1 * np.arange(len(exact)), 1))
    index = pd.Index(names)
    return PrintedTable(
        values=values,
        base=pd.Series(bases, index=index),
        control_cycle=pd.Series(cycles, index=index, dtype="Int64"),
        protocol=protocol,
        architecture="CNN",
        transfer=transfer,
    )


def part_of(table: PrintedTable, models: list[str]) -> PrintedTable:
    parts = {name: getattr(table, name).loc[models].copy() for name in ("values", "base", "control_cycle", "transfer")}
    return replace(table, **parts)


@pytest.fixture
def tables() -> dict[str, PrintedTable]:
    full, other = printed_table("first", 0), printed_table("second", 1)
    short = part_of(full, ["W", "W_T1", "W_T4", "X", "X_T1", "X_T4"])
    return {"short": short, "full": full, "other": other}


def found(flags: pd.DataFrame) -> dict[tuple, list[float]]:
    return flags.groupby(["table", "model", "column"])["implied"].apply(list).to_dict()


def test_clean_tables_are_left_alone(tables):
    flags = flag_cells(tables)
    assert list(flags.columns) == COLUMNS
    assert flags.empty


def test_a_disagreement_is_decided_by_transfer(tables):
    right = tables["full"].values.at["W_T4", "Dogs"]
    tables["full"].values.loc["W_T4", "Dogs"] = right + 3
    flags = found(flag_cells({name: tables[name] for name in ("short", "full")}))
    assert set(flags) == {("full", "W_T4", "Dogs")}
    assert flags["full", "W_T4", "Dogs"][0] == right  # what the other table prints
    assert flags["full", "W_T4", "Dogs"][1:] == pytest.approx([right] * len(flags["full", "W_T4", "Dogs"][1:]), abs=0.5)


def test_a_misprint_in_one_table_is_found_by_transfer_and_trajectory(tables):
    right = tables["full"].values.at["Y_T5", "Cars"]
    tables["full"].values.loc["Y_T5", "Cars"] = right - 6
    flags = flag_cells({"full": tables["full"]})
    assert set(zip(flags["model"], flags["column"], strict=True)) == {("Y_T5", "Cars")}
    assert flags["evidence"].str.startswith("Transfer is").tolist() == [True, False]
    assert flags["evidence"].str.contains("beyond both neighbours").tolist() == [False, True]
    assert flags["implied"].tolist() == pytest.approx([right, right], abs=0.6)


def test_a_small_difference_that_nothing_decides_lists_both(tables):
    tables["short"].values.loc["W_T4", "DTD"] += 0.1
    flags = flag_cells(tables)
    assert list(flags["table"]) == ["short", "full"]
    assert set(flags["column"]) == {"DTD"}
    assert flags["implied"].isna().all()
    assert flags["evidence"].str.endswith("nothing decides").all()


def test_a_shared_column_is_decided_by_the_majority(tables):
    tables["other"] = replace(
        tables["other"], values=tables["other"].values.assign(ImageNet=tables["full"].values["ImageNet"])
    )
    right = tables["full"].values.at["X_T1", "ImageNet"]
    tables["short"].values.loc["X_T1", "ImageNet"] = right - 8
    assert found(flag_cells(tables)) == {("short", "X_T1", "ImageNet"): [right]}


def test_a_table_that_differs_in_a_whole_family_is_no_misprint(tables):
    third = replace(tables["full"], protocol="third", values=tables["full"].values[["ImageNet"]].copy(), transfer=None)
    family = ["Z_T10", "Z_T50", "Z_T100", "Z"]
    third.values.loc[family, "ImageNet"] += 4
    flags = flag_cells({"full": tables["full"], "other": tables["other"], "third": third})
    assert set(flags["model"]) == set(family)
    assert flags["implied"].isna().all()


def test_a_copied_row_is_told_cell_by_cell(tables):
    row = tables["other"].values.loc["W", list(DATA_SETS)]
    tables["short"].values.loc["W", list(DATA_SETS)] = row
    flags = flag_cells(tables)
    real = tables["full"].values.loc["W"]
    assert set(flags["table"]) == {"short"}
    assert len(flags) == (row != real[list(DATA_SETS)]).sum()
    assert flags["implied"].tolist() == [real[column] for column in flags["column"]]
    assert flags["evidence"].str.contains("equal W of Table other").all()


def test_an_impossible_order_is_told(tables):
    table = replace(tables["full"], values=tables["full"].values.assign(low=1.0, high=2.0), ordered=(("low", "high"),))
    table.values.loc[["W", "X"], "low"] = [2.1, 2.3]  # 2.1 and 2.0 may both be 2.05
    flags = flag_cells({"full": table})
    assert flags[["model", "column"]].to_numpy().tolist() == [["X", "low"]]


KNOWN = {
    ("B.3", "SwAV_T4", "Aircraft"): 53.4,
    ("B.3", "CE+SelfSupCon", "ImageNet"): 76.4,
    ("B.4", "SwAV", "ImageNet"): 72.0,
    ("B.5", "DINO", "Aircraft"): 53.0,
    ("B.8", "DINO_T4", "Flowers"): 95.4,
    ("B.8", "DINO_T3", "Caltech"): 93.2,
    ("B.9", "MoCo-v2_T1", "ImageNet"): 78.7,
    ("B.9", "DINO_T4", "DTD"): 73.0,
    ("B.9", "SimCLR_T1", "Dogs"): 88.9,
    ("B.9", "SimCLR_T4", "Dogs"): 82.4,
    ("B.9", "SwAV_T3", "Flowers"): 89.2,
}


def test_the_papers_misprints_come_out():
    flags = flag_cells(tables_of_paper_b())
    first = flags.groupby(["table", "model", "column"])["implied"].first()
    assert {cell: first[cell] for cell in KNOWN} == pytest.approx(KNOWN)
    of_transfer = flags[flags["evidence"].str.startswith("Transfer is")]
    assert len(of_transfer) == 7
    assert ("B.5", "DINO", "DTD") not in first.index  # both tables print 72.1
    moco = flags[flags["model"].isin(["MoCo-v2", "MoCo-v2_T50"]) & (flags["column"] == "ImageNet")]
    assert moco["implied"].isna().all()
    assert flags["evidence"].str.startswith("cannot be larger").sum() == 31
    cells = flags[["table", "model", "column"]].drop_duplicates()
    assert len(cells) < 80  # of about 2,000
