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


def test_the_paper_s_value_is_a_dotted_line_of_the_method_s_colour():
    figure = stagewise_curves(TABLE, paper={"SL": 54.4}, paper_setting="ImageNet", title="t")
    dotted = [trace for trace in figure.data if trace.line.dash == "dot"]
    assert [set(trace.y) for trace in dotted] == [{54.4}]
    assert "54.4 % (ImageNet)" in dotted[0].name
    own = next(trace for trace in figure.data if trace.name == "SL")
    assert dotted[0].line.color == own.line.color


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
