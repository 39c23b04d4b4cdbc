import numpy as np
import pandas as pd
import pytest

from workbook.figures.style import COLOURS
from workbook.figures.trajectories import (
    MapView,
    layer_panel,
    layer_traces,
    map_axes,
    trajectory_map,
    trajectory_traces,
    with_looks,
)


@pytest.fixture
def models():
    """SwAV with two seeds, and a supervised model whose transfer is not measured; one has no accuracy."""
    table = pd.DataFrame(
        {
            "family": ["SwAV, seed 0", "SwAV, seed 0", "SwAV, seed 1", "SL", "SL"],
            "method": ["SwAV", "SwAV", "SwAV", "SL", "SL"],
            "step": ["start", "T = 1", "start", "", ""],
            "accuracy": [70.0, 80.0, 71.0, 79.0, np.nan],
            "cluster": [0.7, 0.65, 0.69, 0.6, 0.61],
            "spectral": [0.3, 0.25, 0.29, 0.2, 0.21],
            "linear": [1.0, 3.0, 2.0, np.nan, 2.0],
        },
        index=["a", "a1", "b", "s", "unknown"],
    )
    return with_looks(table)


def traces(models, *, slots=4, **changes):
    choices = {"measure": "cluster", "transfer": "linear", "step": "start"}
    choices |= {"families": list(models["family"].unique())}
    return trajectory_traces(models, MapView(**(choices | changes)), slots=slots)


def test_a_colour_a_method_and_a_dash_a_family(models):
    assert models.loc["a", "colour"] == models.loc["b", "colour"] == COLOURS["SwAV"]
    assert models.loc["a", "dash"] == models.loc["a1", "dash"] == "solid"
    assert models.loc["b", "dash"] == "dash"


def test_models_of_the_step_stand_out_and_so_do_those_without_trajectory(models):
    *_, circles, _ = traces(models)
    assert circles["ids"] == ["a", "a1", "b", "s"], "no accuracy, no place"
    assert circles["marker"]["opacity"] == [0.95, 0.3, 0.95, 0.95]
    *_, circles, _ = traces(models, step="T = 1")
    assert circles["marker"]["opacity"] == [0.3, 0.95, 0.3, 0.95]


def test_size_is_transfer_and_a_hollow_circle_has_none(models):
    *_, circles, _ = traces(models)
    np.testing.assert_allclose(circles["marker"]["size"], [10, 30, 20, 10])
    assert circles["marker"]["symbol"] == ["circle", "circle", "circle", "circle-open"]
    assert circles["customdata"][0] == [49.0, "1"]
    assert circles["customdata"][3] == [47.4, "not measured"]
    *_, nowhere, _ = traces(models.assign(linear=np.nan))
    assert set(nowhere["marker"]["symbol"]) == {"circle"}


def test_lines_join_trajectories_alone_and_free_slots_stay_empty(models):
    contour, first, second, supervised, free, _, _ = traces(models, measure="spectral", families=["SwAV, seed 0"])
    assert (first["x"], first["y"]) == ([70.0, 80.0], [0.3, 0.25])
    assert supervised["x"] == [None]
    assert [line["visible"] for line in (first, second, supervised, free)] == [True, False, False, False]
    assert contour == traces(models, measure="spectral")[0], "the contours stay when families go"


def test_a_hidden_family_is_neither_drawn_nor_ringed(models):
    *_, circles, ring = traces(models, families=["SL"], chosen="a", selected=["a", "s"])
    assert circles["ids"] == ["s"]
    assert circles["selectedpoints"] == [0]
    assert ring["x"] == []
    *_, circles, ring = traces(models, chosen="a1")
    assert (ring["x"], ring["y"], ring["text"]) == ([80.0], [0.65], ["a1"])
    assert circles["selectedpoints"] is None


def test_too_few_slots_are_refused(models):
    with pytest.raises(ValueError, match="3 families need as many slots, got 2"):
        traces(models, slots=2)


def test_the_map_is_made_of_the_traces(models):
    figure = trajectory_map(traces(models, chosen="b")).update_layout(
        map_axes(models, measure="cluster", accuracy_title="accuracy here")
    )
    assert [trace.type for trace in figure.data] == ["scatter"] * 7
    assert list(figure.data[-2].ids) == ["a", "a1", "b", "s"]
    assert figure.layout.xaxis.title.text == "accuracy here"
    assert figure.layout.xaxis.range[0] < 70 < 80 < figure.layout.xaxis.range[1]
    assert "cluster diversity" in figure.layout.yaxis.title.text
    assert figure.layout.dragmode == "lasso"


def test_models_without_any_accuracy_give_an_empty_map(models):
    figure = trajectory_map(traces(models.assign(accuracy=np.nan)))
    assert list(figure.data[-2].x) == []


def test_layers_lie_over_the_depth_with_their_mean_and_the_start_behind():
    layers = pd.DataFrame({"cluster": [0.2, 0.4, 0.9], "spectral": [0.1, 0.2, 0.3]}, index=["l1", "l2", "l3"])
    start, mean, curve, *_, spectral = layer_traces(layers, layers * 0.5, colour="#D55E00")
    assert curve["x"] == [0, 0.5, 1]
    assert curve["y"] == [0.2, 0.4, 0.9]
    assert curve["text"] == ["l1", "l2", "l3"]
    assert mean["y"] == pytest.approx([0.5, 0.5])
    assert start["y"] == [0.1, 0.2, 0.45]
    assert spectral["y"] == [0.1, 0.2, 0.3]
    nothing = layer_traces(None, None, colour="#D55E00")
    assert all(trace["x"] == trace["y"] == [] for trace in nothing)
    figure = layer_panel(nothing)
    assert [trace.yaxis for trace in figure.data] == ["y"] * 3 + ["y2"] * 3
