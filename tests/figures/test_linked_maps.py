import numpy as np
import pandas as pd
import pytest

from workbook.figures.linked_maps import GLYPHS, MOST_CLASSES, SHAPES, class_styles, linked_maps, shape_groups


def test_every_class_has_its_own_look_and_shapes_tell_the_side():
    sides = {f"p{i}": "pre" for i in range(MOST_CLASSES)} | {f"e{i}": "eval" for i in range(MOST_CLASSES)}
    styles = class_styles(sides)
    assert not styles[["colour", "symbol"]].duplicated().any()
    for side, rows in styles.groupby("side"):
        assert set(rows["symbol"]) == set(SHAPES[side])
    assert set(styles["symbol"]) == set(GLYPHS)


def test_the_first_ten_of_a_side_differ_by_hue_alone():
    assert class_styles({f"c{i}": "all" for i in range(10)})["symbol"].unique().tolist() == ["circle"]


def test_more_classes_than_can_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="at most 30 classes of one side can be told apart"):
        class_styles({f"c{i}": "eval" for i in range(MOST_CLASSES + 1)})


def test_a_panel_a_title_with_a_trace_a_shape():
    points = pd.DataFrame({"text": list("abc"), "colour": ["#000"] * 3, "symbol": ["circle", "x", "circle"]})
    places = [np.array([[0, 1], [2, 3], [np.nan, np.nan]]), np.zeros((3, 2))]
    figure = linked_maps(["left", "right"], places, points)
    assert [list(images) for images in shape_groups(points)] == [[0, 2], [1]]
    assert [(trace.type, trace.xaxis, trace.marker.symbol) for trace in figure.data] == [
        ("scattergl", "x", "circle"),
        ("scattergl", "x", "x"),
        ("scattergl", "x2", "circle"),
        ("scattergl", "x2", "x"),
    ]
    np.testing.assert_array_equal(figure.data[0].x, [0, np.nan])
    assert list(figure.data[0].text) == ["a", "c"]
    assert [title.text for title in figure.layout.annotations] == ["left", "right"]
    assert figure.layout.yaxis2.scaleanchor == "x2"
