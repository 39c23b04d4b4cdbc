import numpy as np
import pandas as pd

from workbook.figures.kept import difference_map, readouts_by_layer
from workbook.figures.style import COLOURS

LAYERS = {"stage4": "4", "stage5": "5", "pooled": "pooled"}
ROWS = [
    (method, seed, layer, factor, seed / 10 + (method == "SL-MLP") / 2)
    for method in ("SL", "SL-MLP")
    for seed in (0, 1)
    for layer in ("pooled", "stage5", "stage4", "projector")
    for factor in ("x", "y", "size", "hue")
]
TABLE = pd.DataFrame(ROWS, columns=["method", "seed", "layer", "factor", "within"])
DIFFERENCES = pd.DataFrame(
    [("x", "stage4", 0.1, 0.05, 0.15), ("x", "stage5", 0.2, -0.1, 0.5), ("hue", "stage5", -0.4, -0.5, -0.3)],
    columns=["factor", "layer", "measured", "low", "high"],
)


def test_a_panel_a_factor_and_a_line_a_method_in_the_order_of_the_layers():
    figure = readouts_by_layer(TABLE, LAYERS, value="within", y="R² (higher = kept)", title="t")
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [trace.name for trace in lines] == ["SL", "SL-MLP"] * 4
    assert list(lines[1].x) == ["4", "5", "pooled"] and list(lines[1].y) == [0.55] * 3
    assert [note.text for note in figure.layout.annotations] == ["x", "y", "size", "hue"]
    assert [trace.showlegend for trace in lines] == [True, True] + [False] * 6
    assert {trace.yaxis for trace in lines} == {"y", "y2", "y3", "y4"}


def test_the_axis_says_what_is_better():
    figure = readouts_by_layer(TABLE, LAYERS, value="within", y="R² (higher = kept)", title="t")
    assert [axis.title.text for axis in figure.select_yaxes() if axis.title.text] == ["R² (higher = kept)"]


def test_a_method_without_a_layer_has_a_shorter_line():
    short = TABLE[(TABLE["method"] == "SL-MLP") | (TABLE["layer"] != "stage4")]
    figure = readouts_by_layer(short, LAYERS, value="within", y="R²", title="t")
    line = next(trace for trace in figure.data if trace.name == "SL" and trace.mode == "lines+markers")
    assert list(line.x) == ["5", "pooled"]


def test_an_asterisk_where_the_interval_leaves_out_zero():
    (found,) = difference_map(DIFFERENCES, LAYERS, title="t").data
    assert np.array(found.text).tolist() == [["+0.10 *", "+0.20"], ["", "-0.40 *"]]
    assert list(found.y) == ["x", "hue"] and list(found.x) == ["4", "5"], "no column for what was not read"
    assert (found.zmin, found.zmax) == (-0.4, 0.4)
    assert [colour for _, colour in found.colorscale] == [COLOURS["SL"], "#DADADA", COLOURS["SL-MLP"]]


def test_one_seed_has_no_interval_and_so_no_asterisk():
    (found,) = difference_map(DIFFERENCES.assign(low=np.nan, high=np.nan), LAYERS, title="t").data
    assert not [text for row in found.text for text in row if "*" in text]
