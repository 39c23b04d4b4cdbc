import numpy as np
import pandas as pd

from workbook.figures.prediction import (
    correlation_intervals,
    importance_ranges,
    predictors,
    residuals_against_bounds,
    transfer_against,
)
from workbook.figures.style import SYMBOLS

MODELS = pd.DataFrame(
    {
        "base": ["SwAV", "SwAV", "SwAV", "Supervised"],
        "control_cycle": pd.array([10, None, 1, None], dtype="Int64"),
        "accuracy": [76.0, 72.0, 79.0, 78.0],
        "cis": [52.0, 49.0, 51.0, 51.4],
        "linear": [17.0, 0.3, 8.9, 7.3],
    }
)


def test_a_family_is_a_line_from_t1_to_its_origin():
    figure = transfer_against(
        MODELS, {"accuracy": "acc", "cis": "CIS"}, transfer="linear", transfer_title="t", title="t"
    )
    line = next(trace for trace in figure.data if trace.name == "SwAV")
    assert list(line.text) == ["T = 1", "T = 10", "origin"]
    assert list(line.x) == [79.0, 76.0, 72.0]
    assert list(line.y) == [8.9, 17.0, 0.3]
    assert list(line.marker.symbol) == [SYMBOLS["SwAV"], SYMBOLS["SwAV"], "star-open"]
    assert [trace.showlegend for trace in figure.data] == [True, True, False, False]
    assert figure.layout.xaxis2.title.text == "CIS"


def test_rows_beyond_the_bound_are_named():
    rows = pd.DataFrame(
        {"table": "B.9", "model": ["a", "b", "c"], "residual": [0.1, -0.6, 5.0], "bound": [0.4, 0.4, 0.4]}
    )
    within, beyond = residuals_against_bounds(rows, title="t").data
    assert (list(within.x), within.mode) == ([0.25], "markers")
    assert np.allclose(beyond.x, [-1.5, 3])  # held at the end of the axis
    assert list(beyond.text) == ["b (-1.5)", "c (12.5)"]
    assert list(beyond.marker.symbol) == ["circle", "triangle-right"]


def test_intervals_and_printed_values():
    table = pd.DataFrame(
        [("p", "Kendall", score, 0.5, 0.2, 0.9, 0.4) for score in ("ImageNet accuracy", "Cluster CIS")],
        columns=["panel", "coefficient", "score", "value", "low", "high", "printed"],
    )
    figure = correlation_intervals(table, titles=["p"], x_title="x", title="t")
    assert [trace.name for trace in figure.data if trace.showlegend] == ["ImageNet accuracy", "Cluster CIS"]
    value, printed, other, _ = figure.data
    assert (value.x[0], value.error_x.array[0], value.error_x.arrayminus[0]) == (0.5, 0.4, 0.3)
    assert printed.x[0] == 0.4
    assert value.y[0] < other.y[0]
    assert list(figure.layout.yaxis.ticktext) == ["Kendall"]


def test_bars_and_what_moves_them():
    changes = {"none": [0.7], "column order": [0.5, 0.9], "a model left out": [0.6], "a family left out": [0.4]}
    study = pd.DataFrame(
        [
            {"panel": panel, "change": change, "refit": number, "input": name, "gain": share}
            for panel in ("one", "two")
            for change, values in {**changes, "families drawn": [0.1, 0.9]}.items()
            for number, value in enumerate(values)
            for name, share in (("CIS", value), ("CKA", 1 - value))
        ]
    )
    figure = importance_ranges(study, measure="gain", measure_title="g", title="t")
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [list(np.round(bar.y, 6)) for bar in bars] == [[0.7, 0.3]] * 2
    assert list(figure.layout.xaxis.ticktext) == ["CIS", "CKA"]
    order = next(trace for trace in figure.data if trace.name == "column order")
    assert order.y[0] == 0.7
    assert np.isclose(order.error_y.array[0], 0.95 * 0.2)


def test_measures_stand_in_their_order_and_the_best_baseline_goes_on():
    rows = [("p", "one", 0.5, False), ("p", "accuracy", 0.3, True), ("p", "other sets", 0.6, True)]
    rows += [("q", "one", 0.2, False), ("q", "alone", 0.9, False), ("q", "accuracy", 0.4, True)]
    table = pd.DataFrame(rows, columns=["panel", "measure", "value", "baseline"])
    table = table.assign(low=table["value"] - 0.2, high=table["value"] + 0.1, without_low=0.0, without_high=1.0)
    figure = predictors(table, titles=["p", "q"], x_title="x", title="t")
    assert list(figure.layout.yaxis.ticktext) == ["other sets", "one", "accuracy", "alone"]
    assert [trace.name for trace in figure.data if trace.showlegend] == ["measure", "baseline"]
    of_one = next(trace for trace in figure.data if trace.name == "measure" and trace.error_x.array is not None)
    assert (list(of_one.x), list(of_one.y)) == ([0.5], [1])
    assert np.allclose([of_one.error_x.array[0], of_one.error_x.arrayminus[0]], [0.1, 0.2])
    lines = [shape.x0 for shape in figure.layout.shapes if shape.line.dash == "dash"]
    assert lines == [0.6, 0.4]
