import numpy as np
import pandas as pd
import pytest

from workbook.figures.diversity import colours_of, diversity_by_layer, layer_curves, score_contours
from workbook.figures.style import COLOURS


@pytest.fixture
def curves():
    rows = [
        {"model": model, "layer": layer, "threshold": x, "ratio": x * area, "diversity": area}
        for model, areas in {"SL": (0.5, 0.7), "mine": (0.2,)}.items()
        for layer, area in enumerate(areas)
        for x in (0.0, 0.5, 1.0)
    ]
    return pd.DataFrame(rows)


def test_a_panel_a_model_and_a_curve_a_layer(curves):
    figure = layer_curves(curves, x="threshold", y="ratio", title="t")
    assert [trace.xaxis for trace in figure.data] == ["x", "x", "x2"]
    np.testing.assert_allclose(figure.data[1].y, [0, 0.35, 0.7])
    assert [note.text for note in figure.layout.annotations] == ["SL: diversity 0.600", "mine: diversity 0.200"]
    assert figure.data[0].line.color != figure.data[1].line.color
    assert figure.layout.xaxis.title.text == "threshold"


def test_the_diagonal_is_drawn_in_every_panel(curves):
    figure = layer_curves(curves, x="threshold", y="ratio", title="t", diagonal=True)
    dashed = [trace for trace in figure.data if trace.line.dash == "dash"]
    assert [trace.xaxis for trace in dashed] == ["x", "x2"]


def test_layers_are_drawn_over_the_depth_with_the_mean_as_a_line():
    table = pd.DataFrame(
        {
            "model": ["a"] * 3 + ["b"],
            "layer": ["l1", "l2", "l3", "l1"],
            "cluster": [0.2, 0.4, 0.9, 0.3],
            "spectral": [0.1, 0.2, 0.3, 0.4],
        }
    )
    figure = diversity_by_layer(table, title="t")
    cluster, single = figure.data[0], figure.data[1]
    assert list(cluster.x) == [0, 0.5, 1]
    assert list(cluster.text) == ["l1", "l2", "l3"]
    assert list(single.x) == [0.5]
    assert [line.y0 for line in figure.layout.shapes] == pytest.approx([0.5, 0.3, 0.2, 0.4])
    assert all("higher" in figure.layout[axis].title.text for axis in ("yaxis", "yaxis2"))


def points(**columns):
    return pd.DataFrame(
        {
            "name": ["x", "y", "z"],
            "group": ["a", "a", "b"],
            "accuracy": [70.0, 75.0, 80.0],
            "diversity": [0.6, 0.65, 0.7],
            **columns,
        }
    )


def test_contours_are_the_product_and_lie_under_all_points():
    figure = score_contours(points(), diversity_title="d", title="t")
    contour, first, second = figure.data
    x, y = (np.array(values, dtype=float) for values in (contour.x, contour.y))
    product = x * y
    levels = np.unique(product[~np.isnan(product)].round(9))
    assert levels.tolist() == [42, 44, 46, 48, 50, 52, 54, 56], "hyperbolas of round values"
    named = {float(text): value for text, value in zip(contour.text, product, strict=True) if text}
    assert len(named) > 4
    np.testing.assert_allclose([*named], [*named.values()])
    for values, name, low, high in ((x, "xaxis", 70, 80), (y, "yaxis", 0.6, 0.7)):
        start, end = figure.layout[name].range
        assert start < low < high < end and start <= np.nanmin(values) <= np.nanmax(values) <= end
    assert (first.mode, second.mode) == ("lines+markers", "markers")
    np.testing.assert_allclose(first.customdata, [70 * 0.6, 75 * 0.65])
    assert first.marker.symbol != second.marker.symbol


def test_one_point_has_contours_too():
    contour = score_contours(points().iloc[:1], diversity_title="d", title="t").data[0]
    assert len({text for text in contour.text if text}) > 3


def test_size_is_transferability():
    figure = score_contours(points(transferability=[-1.0, 0.0, 1.0]), diversity_title="d", title="t")
    np.testing.assert_allclose(figure.data[1].marker.size, [10, 20])
    np.testing.assert_allclose(figure.data[2].marker.size, [30])


def test_methods_keep_their_colours_and_others_get_their_own():
    colours = colours_of(["mine", "SL", "other", "SL-MLP"])
    assert len(set(colours.values())) == 4
    assert colours["SL"] == colours_of(["SL"])["SL"]


def test_a_method_has_one_colour_in_all_figures_under_paper_b_s_name_too():
    names = ["SimCLR", "SupCon", "MoCo-v2", "Supervised"]
    assert colours_of(names) == {
        name: COLOURS[own] for name, own in zip(names, [*names[:2], "MoCo v2", "SL"], strict=True)
    }
