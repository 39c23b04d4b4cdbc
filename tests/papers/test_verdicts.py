import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbook.papers.verdicts import (
    Claim,
    fall_from_peak,
    interval_text,
    judge,
    judge_printed,
    quantity,
    write_verdicts,
)

CLAIM = Claim(id="A.fig2", place="Fig. 2", statement="SL-MLP above SL", number=3.1, unit="points")


def test_interval_by_hand():
    verdict = judge(CLAIM, [1.0, 2.0, 3.0], profile="pocket")
    half = 4.302653 * 1.0 / math.sqrt(3)  # t(0.975, 2 degrees of freedom), s = 1, n = 3
    assert verdict.measured == 2.0
    assert verdict.n == 3
    assert verdict.low == pytest.approx(2 - half, abs=1e-5)
    assert verdict.high == pytest.approx(2 + half, abs=1e-5)
    assert verdict.status == "inconclusive"  # [-0.48, 4.48]


def test_interval_agrees_with_scipy():
    values = np.random.default_rng(0).normal(1, 2, size=9)
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    verdict = judge(CLAIM, values, profile="study")
    assert (verdict.low, verdict.high) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.parametrize(
    ("differences", "status"),
    [
        ([1.0, 1.1, 0.9], "agrees"),
        ([-1.0, -1.1, -0.9], "differs"),
        ([1.0, -1.0, 0.2], "inconclusive"),
        ([2.0, 2.0, 2.0], "agrees"),
        ([0.0, 0.0, 0.0], "inconclusive"),
    ],
)
def test_status_follows_the_interval(differences, status):
    assert judge(CLAIM, differences, profile="pocket").status == status


def test_smoke_and_too_few_seeds_are_not_evaluated_and_say_why():
    smoke = judge(CLAIM, [1.0, 1.1, 0.9], profile="smoke")
    assert smoke.status == "not evaluated"
    assert "smoke" in smoke.detail
    assert smoke.measured == pytest.approx(1.0)
    two = judge(CLAIM, [1.0, 1.1], profile="study")
    assert (two.status, two.n) == ("not evaluated", 2)
    assert "2 of the 3 seeds" in two.detail
    one = judge(CLAIM, [1.0], profile="study")
    assert (one.measured, one.low, one.high) == (1.0, None, None)
    none = judge(CLAIM, [], profile="study")
    assert (none.measured, none.n, none.status) == (None, 0, "not evaluated")


@pytest.mark.parametrize("bad", [[1.0, math.nan, 2.0], [1.0, math.inf, 2.0]])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="A.fig2.*finite"):
        judge(CLAIM, bad, profile="pocket")
    with pytest.raises(ValueError, match=r"shape \(n,\)"):
        judge(CLAIM, [[1.0, 2.0]], profile="pocket")


@pytest.mark.parametrize(
    ("low", "high", "status"), [(0.1, 0.9, "agrees"), (-0.5, -0.1, "differs"), (-0.1, 0.9, "inconclusive")]
)
def test_printed_evidence_is_judged_by_its_interval_in_every_profile(low, high, status):
    verdict = judge_printed(CLAIM, (0.4, low, high), n=39, detail="over families")
    assert (verdict.status, verdict.n, verdict.evidence) == (status, 39, "printed tables")
    assert verdict.detail.endswith("0; over families")
    assert judge(CLAIM, [1.0, 1.1, 0.9], profile="smoke").evidence == "runs"


@pytest.mark.parametrize(("measured", "low", "high"), [(math.nan, 0, 1), (0.5, 1, 0), (0.5, -math.inf, 1)])
def test_an_interval_that_is_none_is_refused(measured, low, high):
    with pytest.raises(ValueError, match="A.fig2.*low <= high"):
        judge_printed(CLAIM, (measured, low, high), n=39)


def test_t_interval_covers_where_a_bootstrap_of_three_does_not():
    """The reason for Student's t: 95 % intervals of three normal values, 2,000 times."""
    samples = np.random.default_rng(1).normal(size=(2000, 3))
    verdicts = [judge(CLAIM, row, profile="pocket") for row in samples]
    covered = np.mean([v.low <= 0 <= v.high for v in verdicts])
    assert 0.93 < covered < 0.97


def test_verdicts_are_written_where_the_report_asks(tmp_path, monkeypatch):
    target = tmp_path / "01.json"
    monkeypatch.setenv("WORKBOOK_REPORT", str(target))
    table = write_verdicts(
        [judge(CLAIM, [1.0, 1.1, 0.9], profile="pocket")],
        {"hardware": "a CPU", "code": "abc", "python": "3.11", "libraries": {"torch": "2.4"}},
        seeds=[0, 1, 2],
        measurements=pd.DataFrame({"stage": [1, 5], "accuracy": [0.5, math.nan]}),
    )
    written = json.loads(target.read_text())
    assert written["seeds"] == [0, 1, 2]
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
    table = write_verdicts([judge(CLAIM, [1.0], profile="smoke")], {})
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


def test_a_fall_is_measured_from_the_peak_of_the_other_seeds():
    values = pd.DataFrame({10: [5.0, 1.0, 1.0], 20: [4.0, 6.0, 2.0], 30: [1.0, 2.0, 5.0]})
    # the others are highest at 20, 10 and 20, with means 4, 3 and 5
    assert fall_from_peak(values).tolist() == [3.0, -1.0, -3.0]
    assert fall_from_peak(values.iloc[:1]).tolist() == [4.0]


def test_noise_without_a_fall_gives_none():
    studies = [pd.DataFrame(noise) for noise in np.random.default_rng(0).normal(size=(300, 3, 8))]
    falls = np.array([fall_from_peak(noise).mean() for noise in studies])
    assert abs(falls.mean()) < 3 * falls.std() / 300**0.5
    own = np.mean([(noise.max(axis=1) - noise.iloc[:, -1]).mean() for noise in studies])
    assert own > 1, "what a seed's own peak would give"
