import pandas as pd

from workbook.figures.ablations import arm_ranges, over_scales

TABLE = pd.DataFrame(
    [("(a)", "SL", 0, 40.0), ("(a)", "SL", 1, 44.0), ("all", "SL-MLP", 0, 50.0), ("b 64", "SL-MLP", 0, 47.0)],
    columns=["arm", "method", "seed", "accuracy"],
).assign(layer="pooled")


def test_a_point_an_arm_with_the_range_of_its_seeds():
    figure = arm_ranges(TABLE, title="t", paper={})
    first, second = figure.data
    assert (first.name, list(first.y), list(first.x)) == ("SL", ["(a)"], [42.0])
    assert (list(first.error_x.array), list(first.error_x.arrayminus)) == ([2.0], [2.0])
    assert list(second.y) == ["all", "b 64"]
    assert list(figure.layout.yaxis.categoryarray) == ["b 64", "all", "(a)"], "the first arm on top"
    assert "higher is better" in figure.layout.xaxis.title.text


def test_the_paper_s_values_are_rings_where_there_is_an_arm():
    ring = arm_ranges(TABLE, title="t", paper={"(a)": 55.9, "(c)": 61.0}, paper_setting="ImageNet").data[-1]
    assert (list(ring.y), list(ring.x), ring.name) == (["(a)"], [55.9], "paper (ImageNet)")
    assert ring.marker.symbol == "circle-open"


def test_every_scale_has_its_own_logarithmic_axis_and_the_levels():
    rows = [
        (s, x, "SL", seed, x + seed)
        for s, steps in {"a": (1, 2), "b": (30, 60)}.items()
        for x in steps
        for seed in (0, 2)
    ]
    table = pd.DataFrame(rows, columns=["scale", "step", "method", "seed", "gain"])
    figure = over_scales(table, "gain", y="gain", title="t", levels={"paper": 7.2})
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [(list(line.x), list(line.y)) for line in lines] == [([1, 2], [2, 3]), ([30, 60], [31, 61])]
    assert (figure.layout.xaxis.type, figure.layout.xaxis2.type) == ("log", "log")
    assert [figure.layout[axis].ticktext for axis in ("xaxis", "xaxis2")] == [("1", "2"), ("30", "60")]
    assert sum(shape.y0 == 7.2 for shape in figure.layout.shapes) == 2
