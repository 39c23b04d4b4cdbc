import numpy as np
import pandas as pd

from workbook.figures.semantic_gap import model_and_simulation, ratios_by_distance

TABLE = pd.DataFrame(
    [
        {
            "distance": name,
            "method": method,
            "seed": seed,
            "epoch": epoch,
            "phi_pre": epoch + seed,
            "phi_eval": 2.0 * seed,
        }
        for name in ("near", "far")
        for method in ("SL", "SL-MLP")
        for seed in (0, 1)
        for epoch in (5, 0)
    ]
)
TURNS = pd.DataFrame({"distance": ["near", "far"], "mean": [2.0, 1.0], "low": [1.5, np.nan], "high": [2.5, np.nan]})
TURNS["turns"] = ["at or above", "seen"]


def test_a_panel_a_distance_and_a_line_a_method_and_seed():
    figure = ratios_by_distance(TABLE, TURNS, title="t")
    lines = [trace for trace in figure.data if trace.mode == "lines+markers+text"]
    assert [(trace.name, trace.xaxis) for trace in lines] == [
        ("SL", "x"),
        ("SL-MLP", "x"),
        ("SL", "x2"),
        ("SL-MLP", "x2"),
    ]
    assert list(lines[0].x) == [0.5, 5.5] and list(lines[0].y) == [1.0, 1.0] and list(lines[0].text) == [0, 5]
    assert [trace.showlegend for trace in lines] == [True, True, False, False]
    assert sum(trace.mode == "lines" for trace in figure.data) == 2 * 2 * 2


def test_the_turning_point_is_dashed_and_has_its_interval_where_there_is_one():
    layout = ratios_by_distance(TABLE, TURNS, title="t").layout
    shapes, notes = layout.shapes, [note.text for note in layout.annotations]
    assert notes[-2:] == ["t: at or above", "t: seen"]
    assert [shape.x0 for shape in shapes if shape.type == "line"] == [2.0, 1.0]
    assert [(shape.x0, shape.x1) for shape in shapes if shape.type == "rect"] == [(1.5, 2.5)]


def test_a_model_is_a_line_its_simulation_points_and_its_turn_a_star():
    rows = pd.DataFrame({"phi_pre": [1.0, 2.0, 3.0], "phi_eval": [1.0, 2.0, 1.0], "simulated": [np.nan, 2.1, np.nan]})
    table = pd.concat([rows.assign(case="a", name="near", turn=2.2), rows.assign(case="a", name="far", turn=np.nan)])
    near, far = (model_and_simulation(table, title="t").data[i : i + 3] for i in (0, 3))
    assert list(near[0].y) == [1.0, 2.0, 1.0] and list(near[1].y) == [2.1] and list(near[2].x) == [2.0]
    assert list(far[2].x) == [] and (near[0].name, far[0].name) == ("near", "far")
