import math

import numpy as np
import pandas as pd
import pytest

from workbook.papers.tables import DATA_SETS, tables_of_paper_b
from workbook.papers.transfer import (
    HALF_UNIT,
    interval_over_sets,
    measured_transferability,
    population_table,
    recompute_all,
    recompute_transfer,
    transfer_attempts,
    transferability,
)


def test_transferability_by_hand():
    accuracies = pd.DataFrame({"a": [50.0, 80.0], "b": [90.0, 50.0]}, index=["first", "second"])
    # log-odds: first (0, log 9), second (log 4, 0); less the mean of the column: +-log(4) / 2 and +-log(9) / 2
    half = (math.log(9) - math.log(4)) / 2
    found = transferability(accuracies)
    assert found["mean"].tolist() == pytest.approx([half / 2, -half / 2])
    # two values v and w have the standard error |v - w| / 2; corrected by 2 / (2 - 1)
    spread = abs(-math.log(4) / 2 - math.log(9) / 2) / 2
    assert found["stderr"].tolist() == pytest.approx([2 * spread, 2 * spread])


def test_an_interval_over_data_sets_takes_five():
    gains = pd.Series([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)  # Student's t of four degrees of freedom
    assert interval_over_sets(gains) == pytest.approx((3 - half, 3 + half), abs=1e-5)
    assert interval_over_sets(gains[:4]) == (None, None)


def test_transferability_adds_up_to_nothing_and_ignores_the_order():
    rng = np.random.default_rng(0)
    accuracies = pd.DataFrame(rng.uniform(30, 99, size=(5, 4)), index=list("abcde"))
    found = transferability(accuracies)
    assert found["mean"].sum() == pytest.approx(0)
    pd.testing.assert_frame_equal(transferability(accuracies.iloc[::-1]).loc[list("abcde")], found)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[50.0, 100.0], [60.0, 70.0]], "below 100 %"),
        ([[50.0, 0.0], [60.0, 70.0]], "above 0"),
        ([[50.0, math.nan], [60.0, 70.0]], "nan"),
        ([[0.5, 0.9], [0.6, 0.7]], "percent.*multiply fractions by 100"),
        ([[50.0, 60.0]], "2 models and 2 data sets, got 1 and 2"),
        ([[50.0], [60.0]], "got 2 and 1"),
    ],
)
def test_transferability_refuses(bad, message):
    with pytest.raises(ValueError, match=message):
        transferability(pd.DataFrame(bad))


def test_measured_accuracies_may_be_all_or_nothing():
    accuracies = pd.DataFrame({"a": [0.0, 80.0], "b": [100.0, 50.0]})
    kept = pd.DataFrame({"a": [HALF_UNIT, 80.0], "b": [100 - HALF_UNIT, 50.0]})
    pd.testing.assert_frame_equal(measured_transferability(accuracies), transferability(kept))
    for few in (accuracies[:1], accuracies[["a"]]):
        assert measured_transferability(few).empty and list(measured_transferability(few)) == ["mean", "stderr"]


def test_rounding_never_leaves_its_bound():
    """Transfer from exact accuracies, adjusted by models that the table lacks, held against the rounded ones."""
    rng = np.random.default_rng(1)
    exact = pd.DataFrame(rng.uniform(30, 99.4, size=(200, 14)))
    printed = transferability(exact)["mean"].round(3)[:50]
    check = recompute_transfer(printed, exact.round(1))
    assert check.within.all()
    population = np.log(exact / (100 - exact)).mean(axis=None)
    assert check.low <= -population <= check.high
    z = check.rows["residual"] / check.rows["rounding"]
    assert 0.8 < z.std() < 1.2  # the standard deviation is that of rounding
    worse = exact.round(1)
    worse.loc[7, 3] += 5
    assert list(check.within.index[~recompute_transfer(printed, worse).within]) == [7]


def test_the_papers_transfer_comes_out_up_to_a_constant():
    checks = recompute_all(tables_of_paper_b())
    beyond = {name: list(check.within.index[~check.within]) for name, check in checks.items()}
    assert beyond == {
        "B.3": [],
        "B.4": [],
        "B.5": ["DINO"],
        "B.7": [],
        "B.8": ["DINO_T3", "DINO_T4"],
        "B.9": ["SwAV_T3", "SimCLR_T1", "SimCLR_T4"],
    }
    # one constant for both linear tables, one for all four finetuned ones
    for names in (["B.3", "B.9"], ["B.4", "B.5", "B.7", "B.8"]):
        assert max(checks[name].low for name in names) < min(checks[name].high for name in names)
    # and it is not that of the tables' own rows
    assert not checks["B.7"].low <= checks["B.7"].own <= checks["B.7"].high


def test_other_readings_fit_fewer_rows():
    attempts = transfer_attempts(tables_of_paper_b())
    sums = attempts.sum()
    assert sums["natural log, 14 data sets"] == 128
    assert sums["rows"] == 134
    assert sums["and ImageNet"] < 100
    assert sums["log to base 10"] < 30
    assert attempts.loc["B.4", "and COCO"] == 14  # of 15, and no constant fits the fifteenth


def test_a_population_adds_up_to_zero():
    tables = tables_of_paper_b()
    found = population_table({"linear": tables["B.9"].transfer}, unit=0.1).loc["linear"]
    assert found["missing"] == pytest.approx(2.5)
    assert not found["possible"]
    own = transferability(tables["B.9"].values[list(DATA_SETS)])["mean"] * 100
    assert population_table({"own": own.round(1)}, unit=0.1).loc["own", "possible"]
