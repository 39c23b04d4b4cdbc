import json
import math

import pandas as pd
import pytest

from workbook.papers.cells import read_difference
from workbook.papers.claims import CLAIMS
from workbook.papers.verdicts import (
    Claim,
    in_words,
    interval_text,
    judge,
    judge_printed,
    quantity,
    write_verdicts,
)

CLAIM = Claim(id="A.fig2", paper="A", place="Fig. 2", statement="SL-MLP above SL", number=3.1, unit="points")
CELLS = read_difference("A.2[SL-MLP, ResNet50, 300, top1] - A.2[SL, ResNet50, 300, top1]")
PRINTED = Claim(
    id="A.t2", paper="A", place="Table 2", statement="so", number=9.7, statistic="as printed", n=1, cells=CELLS
)


def seeds(*values: float, first: int = 5) -> pd.Series:
    return pd.Series(values, index=pd.RangeIndex(first, first + len(values), name="seed"), dtype=float)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ((1.0, 1.1, 0.9), "agrees"),
        ((-1.0, -1.1, -0.9), "differs"),
        ((1.0, -1.0, 0.2), "inconclusive"),
        ((2.0, 2.0, 2.0), "agrees"),
        ((0.0, 0.0, 0.0), "inconclusive"),
    ],
)
def test_status_follows_the_interval(values, status):
    verdict = judge(CLAIM, seeds(*values), profile="pocket")
    assert verdict.status == verdict.said == status
    assert (verdict.seeds, verdict.counted, verdict.evidence) == ((5, 6, 7), "3 seeds", "runs")


def test_the_claim_decides_how_it_is_judged():
    steps = pd.DataFrame([[9.0, -1.0], [9.1, -1.1], [9.2, -0.9]], index=seeds(0, 0, 0).index)
    every = Claim(id="A.e", paper="A", place="1", statement="s", number=None, statistic="every, over seeds")
    assert judge(every, steps, profile="pocket").status == "differs"
    with pytest.raises(ValueError, match="A.t2 is judged by 'as printed', from printed tables, not runs"):
        judge(PRINTED, seeds(1, 2, 3), profile="study")
    with pytest.raises(ValueError, match="A.fig2 is judged by 'paired over seeds', from runs, not printed tables"):
        judge_printed(CLAIM, seeds(1, 2, 3))


def test_smoke_and_too_few_seeds_are_not_evaluated_and_say_why():
    smoke = judge(CLAIM, seeds(1.0, 1.1, 0.9), profile="smoke")
    assert smoke.status == "not evaluated"
    assert "smoke" in smoke.detail
    assert smoke.measured == pytest.approx(1.0)
    two = judge(CLAIM, seeds(1.0, 1.1), profile="study")
    assert (two.status, two.n) == ("not evaluated", 2)
    assert "2 of the 3 seeds" in two.detail
    one = judge(CLAIM, seeds(1.0), profile="study")
    assert (one.measured, one.low, one.high) == (1.0, None, None)
    none = judge(CLAIM, seeds(), profile="study")
    assert (none.measured, none.n, none.status) == (None, 0, "not evaluated")


# --- against the protocol


@pytest.mark.parametrize(
    ("values", "given", "why"),
    [
        (seeds(1.0, 1.1, 0.9, first=0), {}, "seeds 0 to 2 are not the protocol's 5 to 7"),
        (seeds(1.0, 1.1, 0.9, 1.0), {}, "seeds 5 to 8 are not the protocol's 5 to 7"),
        (seeds(1.0, 1.1, 0.9), {"profile": "paper"}, "the protocol fixes nothing for the profile paper"),
        (seeds(1.0, 1.1, 0.9), {"changed": {"recipe.lr": 0.2}}, "recipe.lr = 0.2 is not the protocol's"),
    ],
)
def test_what_departs_from_the_protocol_is_exploratory_and_says_why(values, given, why):
    verdict = judge(CLAIM, values, **({"profile": "pocket"} | given))
    assert (verdict.status, verdict.said) == ("exploratory", "agrees")
    assert why in verdict.detail
    shown = write_verdicts([verdict], {}).loc[0, "verdict"]
    assert shown == f"exploratory (agrees; {why})"


def test_where_the_premise_is_not_shown_nothing_is_evaluated():
    values = seeds(1.0, 1.1, 0.9)
    assert judge(CLAIM, values, profile="pocket", premise=seeds(2.0, 2.1, 1.9)).status == "agrees"
    for premise in (seeds(-2.0, -2.1, -1.9), seeds(1.0, -1.0, 0.2)):
        verdict = judge(CLAIM, values, profile="pocket", premise=premise)
        assert verdict.status == "not evaluated" and "its premise is not shown" in verdict.detail
    named = judge(CLAIM, values, profile="pocket", premise=seeds(1.0, -1.0, 0.2).rename("that it learned"))
    assert "its premise, that it learned, is not shown: 0.0667 [" in named.detail


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="A.fig2.*finite"):
        judge(CLAIM, seeds(1.0, bad, 2.0), profile="pocket")


# --- on printed tables


def test_printed_evidence_is_read_from_the_claim_s_own_cells():
    verdict = judge_printed(PRINTED, detail="more")
    assert (verdict.status, verdict.measured, verdict.evidence) == ("agrees", 9.7, "printed tables")
    assert (verdict.low, verdict.high) == pytest.approx((9.6, 9.8))
    assert verdict.detail.endswith("0; more") and verdict.seeds == ()
    linear = judge_printed(CLAIMS["A.table4.slmlp-linear"])
    assert (linear.status, linear.counted) == ("agrees", "12 data sets")
    assert judge_printed(CLAIMS["A.table3.byol-above-sl"]).status == "differs"


def test_models_and_families_are_both_counted():
    claim = Claim(id="B.x", paper="B", place="1", statement="s", number=None, statistic="families drawn", n=4)
    interval = {"value": 0.4, "low": -0.1, "high": 0.9}
    verdict = judge_printed(claim, interval, pd.Series(list("aabc")))
    assert (verdict.status, verdict.counted) == ("inconclusive", "4 models of 3 families")
    with pytest.raises(ValueError, match="B.x is judged by n = 4, got 3 models of 3 families"):
        judge_printed(claim, interval, pd.Series(list("abc")))
    with pytest.raises(ValueError, match="B.x needs a finite interval, low <= high"):
        judge_printed(claim, interval | {"low": 1.0}, pd.Series(list("aabc")))


# --- what is written


def test_verdicts_in_words():
    verdicts = [
        judge(CLAIM, seeds(*values, first=first), profile="pocket")
        for values, first in [((1, 1.1, 0.9), 5), ((-1, -1.1, -0.9), 5), ((-1, -1.1, -0.9), 0), ((1, 2), 5)]
    ]
    told = in_words(write_verdicts(verdicts, {}))
    assert told.startswith("Of 4 claims: 1 agrees, 1 differs, 1 exploratory, 1 not evaluated.")
    assert "Why not: 2 of the 3 seeds that an interval needs." in told
    assert "Why exploratory: seeds 0 to 2 are not the protocol's 5 to 7." in told
    assert told.count("(differs:") == 2, "an exploratory one that differs is named, too"
    assert in_words(write_verdicts(verdicts[:1], {})) == "Of 1 claims: 1 agrees."


def test_verdicts_are_written_where_the_report_asks(tmp_path, monkeypatch):
    target = tmp_path / "01.json"
    monkeypatch.setenv("WORKBOOK_REPORT", str(target))
    table = write_verdicts(
        [judge(CLAIM, seeds(1.0, 1.1, 0.9), profile="pocket")],
        {"hardware": "a CPU", "code": "abc", "python": "3.11", "libraries": {"torch": "2.4"}},
        seeds=[5, 6, 7],
        measurements=pd.DataFrame({"stage": [1, 5], "accuracy": [0.5, math.nan]}),
    )
    written = json.loads(target.read_text())
    assert written["seeds"] == [5, 6, 7] == written["verdicts"][0]["seeds"]
    assert written["hardware"] == "a CPU"
    assert written["versions"] == {"code": "abc", "python": "3.11", "torch": "2.4"}
    assert written["verdicts"][0]["claim"] == {
        **{"id": "A.fig2", "paper": "A", "place": "Fig. 2", "statement": "SL-MLP above SL"},
        **{"number": 3.1, "unit": "points"},
    }
    assert written["verdicts"][0]["status"] == "agrees"
    assert written["measurements"] == [{"stage": 1, "accuracy": 0.5}, {"stage": 5, "accuracy": None}]
    assert [path.name for path in tmp_path.iterdir()] == ["01.json"]
    assert table.loc[0, "measured"] == "1.00 points"


def test_without_a_report_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBOOK_REPORT", raising=False)
    monkeypatch.chdir(tmp_path)
    table = write_verdicts([judge(CLAIM, seeds(1.0), profile="smoke")], {})
    assert list(tmp_path.iterdir()) == []
    assert table.loc[0, "verdict"].startswith("not evaluated (the smoke profile")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "points", "–"),
        (3.14159, "points", "3.14 points"),
        (71.26, "%", "71.3 %"),
        (1234.5, "", "1234"),
        (-0.01234, "", "\N{MINUS SIGN}0.0123"),
        (0.0, "", "0"),
        (1.5e-9, "", "1.50e-09"),
    ],
)
def test_numbers_as_text(value, unit, text):
    assert quantity(value, unit) == text
    assert interval_text(None, 1.0) == "–"
