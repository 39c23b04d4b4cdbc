import numpy as np
import pandas as pd

from workbook.figures.correlation import clustered_order, correlation_maps
from workbook.figures.maps import class_maps
from workbook.figures.style import method_panels

ROWS = [
    {"method": method, "epoch": epoch, "image": image, "x": epoch + image, "y": 0.0, "class_name": "ab"[image % 2]}
    for method in ("SL", "SL-MLP")
    for epoch in (0, 3)
    for image in range(4)
]


def test_a_panel_a_method_and_the_last_epoch_first():
    figure = class_maps(pd.DataFrame(ROWS), colours=("#000", "#fff"), title="t")
    assert [(trace.name, trace.xaxis, list(trace.x)) for trace in figure.data] == [
        ("a", "x", [3, 5]),
        ("b", "x", [4, 6]),
        ("a", "x2", [3, 5]),
        ("b", "x2", [4, 6]),
    ]
    assert [trace.marker.color for trace in figure.data] == ["#000", "#fff"] * 2


def test_the_slider_has_a_frame_an_epoch_with_every_trace():
    figure = class_maps(pd.DataFrame(ROWS), colours=("#000", "#fff"), title="t")
    assert [frame.name for frame in figure.frames] == ["0", "3"]
    assert list(figure.frames[0].data[0].x) == [0, 2]
    assert len(figure.frames[0].data) == len(figure.data)


def test_a_method_that_ended_earlier_stays_as_it_ended():
    table = pd.DataFrame(ROWS)
    figure = class_maps(table[(table["method"] == "SL") | (table["epoch"] == 0)], colours=("#000", "#fff"), title="t")
    assert [list(trace.x) for trace in figure.data] == [[3, 5], [4, 6], [0, 2], [1, 3]]
    assert [list(trace.x) for trace in figure.frames[1].data] == [[3, 5], [4, 6], [0, 2], [1, 3]]


def test_pairs_stand_side_by_side():
    names = ["SL", "SL-MLP", "BYOL w/o MLP", "BYOL"]
    figure, places = method_panels(names)
    assert places == [{"row": 1, "col": 1}, {"row": 1, "col": 2}, {"row": 2, "col": 1}, {"row": 2, "col": 2}]
    assert [note.text for note in figure.layout.annotations] == names
    assert [place["col"] for place in method_panels(names[:3])[1]] == [1, 2, 3]


def test_one_epoch_needs_no_slider():
    table = pd.DataFrame(ROWS).query("epoch == 3")
    assert not class_maps(table, colours=("#000", "#fff"), title="t").frames


def test_a_line_says_what_has_no_map():
    table = pd.DataFrame(ROWS)
    table.loc[(table["method"] == "SL") & (table["epoch"] == 0), ["x", "y"]] = np.nan
    figure = class_maps(table, colours=("#000", "#fff"), title="t")
    assert figure.layout.title.subtitle.text == "SL, epoch 0: no map, the features of all images are the same"
    assert class_maps(pd.DataFrame(ROWS), colours=("#000", "#fff"), title="t").layout.title.subtitle.text is None


def test_the_order_brings_redundant_channels_together():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(500, 2))
    mixed = np.column_stack([base[:, 0], base[:, 1], -base[:, 0], base[:, 1]]) + 0.1 * rng.normal(size=(500, 4))
    order = list(clustered_order(np.corrcoef(mixed.T)))
    assert abs(order.index(0) - order.index(2)) == 1
    assert abs(order.index(1) - order.index(3)) == 1


def test_correlation_maps_are_absolute_in_percent_thinned_and_a_byte_a_number():
    matrix = np.array([[1.0, -0.5], [-0.5, 1.0]])
    figure = correlation_maps({"SL": matrix, "SL-MLP": np.eye(300)}, title="t", most=100)
    assert sorted(np.unique(figure.data[0].z)) == [50, 100]
    assert figure.to_plotly_json()["data"][1]["z"]["dtype"] == "u1"
    assert np.shape(figure.data[1].z) == (100, 100)


def test_classes_may_differ_in_shape_as_well():
    figure = class_maps(pd.DataFrame(ROWS), colours=("#000", "#fff"), symbols=("circle", "x"), title="t")
    assert [trace.marker.symbol for trace in figure.data] == ["circle", "x"] * 2
    assert [trace.marker.symbol for trace in figure.frames[0].data] == ["circle", "x"] * 2


def _one_map(classes: int, *, wide: float = 1.0):
    rows = [
        {"method": "SL", "epoch": 0, "image": i, "x": wide * (i % 2), "y": i // 2 % 2, "class_name": f"class {i}"}
        for i in range(classes)
    ]
    return class_maps(pd.DataFrame(rows), colours=["#000"] * classes, title="t")


def test_a_legend_of_many_classes_takes_nothing_from_the_maps():
    assert _one_map(40).layout.height > _one_map(10).layout.height


def test_a_flat_map_has_a_flat_panel():
    square, flat = (_one_map(10, wide=wide).layout for wide in (1, 2))
    assert square.height - flat.height == 390, "half of the panel's width"
    assert flat.yaxis.scaleanchor == "x" and flat.yaxis.constrain == flat.xaxis.constrain == "domain"
