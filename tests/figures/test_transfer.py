import pandas as pd

from workbook.figures.transfer import gains, transfer_points

TABLE = pd.DataFrame(
    [
        (method, seed, dataset, protocol, 50.0 + 10 * (method == "SL-MLP") + 2 * seed + (dataset == "digits"))
        for method in ("SL", "SL-MLP")
        for seed in (0, 1)
        for dataset in ("digits", "omniglot:eval")
        for protocol in ("linear", "few-shot")
    ],
    columns=["method", "seed", "dataset", "protocol", "accuracy"],
)


def test_a_panel_a_protocol_and_a_row_a_data_set():
    figure = transfer_points(TABLE, title="t")
    assert [trace.name for trace in figure.data] == ["SL", "SL-MLP"] * 2
    first, second, *_ = figure.data
    assert list(first.x) == [52.0, 51.0] and list(second.x) == [62.0, 61.0]
    assert list(first.error_x.array) == [1.0, 1.0] and list(first.error_x.arrayminus) == [1.0, 1.0]
    assert [round(place) for place in first.y] == [0, 1]
    assert first.y[0] < 0 < second.y[0], "methods stand above each other, not upon each other"
    assert list(figure.layout.yaxis.ticktext) == ["digits", "omniglot:eval"]
    assert [note.text for note in figure.layout.annotations] == ["linear", "few-shot"]


def test_a_table_of_many_labels_is_shown_by_its_own_measure():
    figure = transfer_points(TABLE.rename(columns={"accuracy": "mAP"}), title="t", measure="mAP")
    assert list(figure.data[0].x) == [52.0, 51.0] and figure.layout.xaxis.title.text == "mAP (%)"


def test_gains_are_a_point_a_seed_and_the_paper_s_are_rings():
    measured = pd.DataFrame({"protocol": ["linear", "linear", "few-shot"], "seed": [0, 1, 0], "gain": [1.0, 3.0, -1.0]})
    bars, points, rings = gains(measured, {"linear": 5.79, "unknown": 1.0}, title="t", axis="points").data
    assert list(bars.y) == [2.0, -1.0]
    assert list(points.y) == [1.0, 3.0, -1.0]
    assert (list(rings.x), list(rings.y)) == (["linear"], [5.79]), "only where something was measured"
