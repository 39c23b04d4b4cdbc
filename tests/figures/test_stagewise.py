import pandas as pd

from workbook.figures.stagewise import stagewise_curves, stagewise_summary
from workbook.figures.style import COLOURS

ROWS = [
    ("SL", 0, "stage4", 40.0),
    ("SL", 1, "stage4", 44.0),
    ("SL", 0, "stage5", 30.0),
    ("SL", 1, "stage5", 31.0),
    ("SL", 0, "pooled", 35.0),
    ("SL", 1, "pooled", 36.0),
    ("SL-MLP", 0, "stage4", 41.0),
    ("SL-MLP", 0, "stage5", 45.0),
    ("SL-MLP", 0, "projector", 20.0),
]
TABLE = pd.DataFrame(ROWS, columns=["method", "seed", "layer", "accuracy"])


def test_summary_by_hand():
    row = stagewise_summary(TABLE).set_index(["method", "layer"]).loc[("SL", "stage4")]
    assert (row["mean"], row["low"], row["high"], row["n"]) == (42.0, 40.0, 44.0, 2)


def test_a_line_a_method_in_the_order_of_the_stages():
    figure = stagewise_curves(TABLE.sample(frac=1, random_state=0), paper={}, paper_setting="", title="t")
    line = next(trace for trace in figure.data if trace.name == "SL" and trace.mode == "lines+markers")
    assert list(line.x) == ["stage4", "stage5"]
    assert list(line.y) == [42.0, 30.5]


def test_the_paper_s_value_is_a_ring_at_pooled_in_the_method_s_colour():
    figure = stagewise_curves(TABLE, paper={"SL": 54.4, "MoCo v1": 1.0}, paper_setting="ImageNet", title="t")
    ring = figure.data[-1]
    assert (ring.name, list(ring.x), list(ring.y)) == ("paper (ImageNet, pooled)", ["pooled"], [54.4])
    assert list(ring.marker.symbol) == ["circle-open"] and list(ring.marker.color) == [COLOURS["SL"]]
    assert figure.layout.title.subtitle.text is None


def test_what_the_paper_prints_squeezes_nothing_of_ours():
    """Ours go from 20 to 45: 54.4 leaves them more than half of the axis, and 90 would not."""
    figure = stagewise_curves(TABLE, paper={"SL": 54.4, "SL-MLP": 90.0}, paper_setting="ImageNet", title="t")
    low, high = figure.layout.yaxis.range
    assert low < 20 and 54.4 < high < 60
    ring, arrow = figure.data[-2:]
    assert list(ring.y) == [54.4] and list(arrow.marker.symbol) == ["triangle-up-open"] and arrow.y[0] < high
    assert figure.layout.title.subtitle.text == "Beyond this axis, the paper's (ImageNet, pooled): SL-MLP 90"


def test_methods_without_an_mlp_are_dashed_in_the_colour_of_those_with():
    table = pd.concat(
        [TABLE.assign(method=name) for name in ("SL", "SL-MLP", "BYOL", "BYOL w/o MLP", "MoCo v1 w/ MLP")]
    )
    lines = {
        trace.name: trace.line
        for trace in stagewise_curves(table, paper={}, paper_setting="", title="t").data
        if trace.mode == "lines+markers"
    }
    dashes = {name: line.dash for name, line in lines.items()}
    assert dashes == {
        "SL": "dash",
        "SL-MLP": "solid",
        "BYOL": "solid",
        "BYOL w/o MLP": "dash",
        "MoCo v1 w/ MLP": "solid",
    }
    assert lines["BYOL"].color == lines["BYOL w/o MLP"].color
    assert len({line.color for line in lines.values()}) == 4


def test_the_range_spans_the_seeds():
    figure = stagewise_curves(TABLE, paper={}, paper_setting="", title="t")
    band = next(trace for trace in figure.data if trace.fill == "toself" and trace.legendgroup == "SL")
    assert list(band.y) == [44.0, 31.0, 30.0, 40.0]


def test_the_axis_says_which_direction_is_better():
    figure = stagewise_curves(TABLE, paper={}, paper_setting="", title="t")
    assert "higher is better" in figure.layout.yaxis.title.text


def test_a_model_of_the_user_s_own_has_a_colour_that_no_method_has():
    figure = stagewise_curves(TABLE.assign(method="mine"), paper={}, paper_setting="", title="t")
    assert figure.data[0].line.color not in COLOURS.values()
