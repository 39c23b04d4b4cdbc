import pandas as pd
import pytest

from workbook.figures.verdicts import effect_intervals, verdict_grid

TABLE = pd.DataFrame(
    [
        ("pocket", "A", "Stages", "A.1", "agrees", "2.00 points, n = 3"),
        ("pocket", "A", "Stages", "A.2", "differs", ""),
        ("pocket", "B", "CIS", "B.1", "not measured", ""),
        ("study", "A", "Stages", "A.1", "not measured", ""),
        ("study", "A", "Stages", "A.2", "not measured", ""),
        ("study", "B", "CIS", "B.1", "agrees", ""),
    ],
    columns=["panel", "paper", "topic", "claim", "outcome", "text"],
).assign(statement="it is so")


def test_a_claim_has_the_same_place_in_every_panel():
    figure = verdict_grid(TABLE, title="t")
    squares = [trace for trace in figure.data if trace.customdata is not None]
    found = {(claim, trace.xaxis): trace.name for trace in squares for claim in trace.customdata}
    assert len(found) == len(TABLE)
    assert [found[key] for key in (("A.1", "x"), ("A.2", "x"), ("B.1", "x2"))] == ["agrees", "differs", "agrees"]
    places = {
        (claim, trace.xaxis): (x, y)
        for trace in squares
        for claim, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }
    assert all(places[claim, "x"] == places[claim, "x2"] for claim in TABLE["claim"])


def test_the_colour_never_stands_alone():
    squares = [trace for trace in verdict_grid(TABLE, title="t").data if trace.customdata is not None]
    assert {trace.name: set(trace.text) for trace in squares} == {
        "agrees": {"✓"},
        "differs": {"✗"},
        "not measured": {"·"},
    }


def test_an_unknown_outcome_is_refused():
    with pytest.raises(ValueError, match="an outcome is one of"):
        verdict_grid(TABLE.assign(outcome="maybe"), title="t")


def test_effects_stand_in_order_with_their_intervals():
    rows = [("a", 2.0, 1.0, 4.0, "agrees"), ("b", -1.0, -2.0, 1.0, "inconclusive"), ("c", 3.0, 2.0, 3.5, "agrees")]
    table = pd.DataFrame(rows, columns=["claim", "measured", "low", "high", "outcome"])
    figure = effect_intervals(table, title="t", x="points")
    agrees, undecided = figure.data
    assert (list(agrees.y), list(agrees.x)) == (["a", "c"], [2.0, 3.0])
    assert list(agrees.error_x.array) == [2.0, 0.5] and list(agrees.error_x.arrayminus) == [1.0, 1.0]
    assert undecided.name == "≈ inconclusive"
    assert list(figure.layout.yaxis.categoryarray) == ["c", "b", "a"], "the first on top"
