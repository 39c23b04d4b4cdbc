import pandas as pd
import pytest

from workbook.figures.epochs import measures_over, trajectories
from workbook.figures.style import over_seeds

ROWS = [("SL", 0, 0, 1.0), ("SL", 1, 0, 3.0), ("SL", 0, 5, 6.0), ("SL", 1, 5, 8.0), ("SL-MLP", 0, 5, 4.0)]
TABLE = pd.DataFrame(ROWS, columns=["method", "seed", "epoch", "phi"]).assign(accuracy=50.0)


def test_over_seeds_by_hand():
    row = over_seeds(TABLE, "phi").set_index(["method", "epoch"]).loc[("SL", 5)]
    assert (row["mean"], row["low"], row["high"], row["n"]) == (7.0, 6.0, 8.0, 2)


def test_a_panel_a_measure_and_a_line_a_method():
    figure = measures_over(TABLE, {"phi": "φ", "accuracy": "accuracy"}, title="t")
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [(trace.name, trace.xaxis) for trace in lines] == [
        ("SL", "x"),
        ("SL-MLP", "x"),
        ("SL", "x2"),
        ("SL-MLP", "x2"),
    ]
    assert list(lines[0].x) == [0, 5]
    assert list(lines[0].y) == [2.0, 7.0]
    assert [trace.showlegend for trace in lines] == [True, True, False, False]
    assert figure.layout.yaxis2.title.text == "accuracy"


def test_levels_are_broken_lines_where_they_squeeze_nothing():
    levels = {"chance": 0.5, "paper": 2.0, "far": 90.0}
    figure = measures_over(TABLE, {"phi": "φ", "accuracy": "a"}, title="t", levels=levels)
    found = [(shape.yref, shape.y0, shape.line.dash, shape.showlegend) for shape in figure.layout.shapes]
    assert found == [("y", 0.5, "dash", True), ("y", 2.0, "dot", True)]
    assert figure.layout.title.subtitle.text == "Beyond the axis: chance (0.5), paper (2), far (90)"


def test_trajectories_go_from_epoch_to_epoch():
    means = TABLE.groupby(["method", "epoch"], as_index=False)[["phi", "accuracy"]].mean()
    shuffled = means.sample(frac=1, random_state=1)
    figure = trajectories(shuffled, {"phi": "x", "accuracy": "y"}, title="t")
    line = next(trace for trace in figure.data if trace.name == "SL")
    assert list(line.text) == [0, 5]
    assert list(line.x) == [2.0, 7.0]


def test_an_unknown_column_is_refused():
    with pytest.raises(KeyError):
        measures_over(TABLE, {"psi": "ψ"}, title="t")
