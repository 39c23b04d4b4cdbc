"""Families of models along the control cycle."""

import pandas as pd
import pytest

from tests.papers.test_flags import printed_table
from workbook.papers.tables import DATA_SETS, PrintedTable, tables_of_paper_b
from workbook.papers.trajectories import deviations


def test_deviations_by_hand():
    names = pd.Index(["A_T1", "A_T2", "A_T4", "A_T8", "A", "B"])
    table = PrintedTable(
        values=pd.DataFrame({"x": [10.0, 11.5, 12.0, 14.0, 99.0, 1.0]}, index=names),
        base=pd.Series(list("AAAAAB"), index=names),
        control_cycle=pd.Series([1, 2, 4, 8, None, None], index=names, dtype="Int64"),
        protocol="p",
        architecture="a",
    )
    rows = deviations(table).set_index("model")
    # equal steps of log T: the middle of the neighbours
    assert rows["expected"].to_dict() == pytest.approx({"A_T2": 11.0, "A_T4": 12.75, "A_T8": 55.5})
    assert rows["outside"].to_dict() == pytest.approx({"A_T2": 0, "A_T4": 0, "A_T8": 0})
    assert rows["to_origin"].to_dict() == {"A_T2": False, "A_T4": False, "A_T8": True}
    assert rows["usual"].tolist() == pytest.approx([(0.5 + 0.75) / 2] * 3)


def test_a_planted_jump_lies_outside_its_neighbours():
    table = printed_table("first", 0)
    smooth = deviations(table)
    inner = smooth[~smooth["to_origin"]]
    assert inner["outside"].max() < 1, "what the small waves of the families give"
    table.values.loc["W_T4", "Dogs"] += 5
    cell = deviations(table).set_index(["model", "column"]).loc[("W_T4", "Dogs")]
    before = smooth.set_index(["model", "column"]).loc[("W_T4", "Dogs")]
    assert cell["outside"] > 3 and cell["expected"] == before["expected"]


def test_papers_tables_have_trajectories_in_every_family():
    tables = tables_of_paper_b()
    found = deviations(tables["B.9"])
    assert set(found["column"]) >= set(DATA_SETS)
    assert (found["usual"] > 0).all() and (found["outside"] >= 0).all()
