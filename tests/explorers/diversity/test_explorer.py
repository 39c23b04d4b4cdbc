"""The explorer driven as a user drives it: what every control changes in what is drawn."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from plotly.callbacks import InputDeviceState, Points

from workbook.explorers.diversity.collection import COLUMNS, START, Collection, paper_models
from workbook.explorers.diversity.correlations import transfer_correlations
from workbook.explorers.diversity.explorer import DiversityExplorer
from workbook.explorers.diversity.words import correlations_html

NO_POINTS = {"trace_indexes": [], "point_indexes": [], "xs": [], "ys": []}


def own() -> Collection:
    """Three runs of SimCLR with layers, and an SL whose transfer nobody has measured."""
    rows = [
        ("SimCLR", "SimCLR", START, 40.0, 0.7, 0.30, 0.1, 0.2),
        ("SimCLR", "SimCLR", "T = 4", 45.0, 0.68, 0.29, 0.3, 0.1),
        ("SimCLR", "SimCLR", "T = 1", 50.0, 0.6, 0.25, 0.2, 0.0),
        ("SL", "SL", "", 52.0, 0.55, 0.2, float("nan"), float("nan")),
    ]
    names = ["SimCLR", "SimCLR, T = 4", "SimCLR, T = 1", "SL"]
    layers = {
        name: pd.DataFrame({"cluster": [row[4] - 0.1, row[4] + 0.1], "spectral": [row[5]] * 2}, index=["l1", "l2"])
        for name, row in zip(names, rows, strict=True)
    }
    return Collection(
        name="own runs",
        about="Runs of this store",
        accuracy_title="upstream accuracy (%)",
        transfer_unit={"linear": "log-odds", "finetune": "log-odds"},
        models=pd.DataFrame(rows, columns=list(COLUMNS), index=names),
        layers=layers,
        notes=("Not trained: SL-MLP.",),
    )


@pytest.fixture
def explorer() -> DiversityExplorer:
    return DiversityExplorer([paper_models(), own()])


def circles(explorer):
    return explorer.map.data[-2]


def outstanding(explorer) -> list[str]:
    trace = circles(explorer)
    return [name for name, opacity in zip(trace.ids, trace.marker.opacity, strict=True) if opacity > 0.5]


def test_it_opens_on_the_paper_with_all_models_and_their_correlations(explorer):
    paper = explorer.shown.models
    assert explorer.shown.name == "paper B"
    assert list(circles(explorer).ids) == list(paper.index)
    np.testing.assert_allclose(circles(explorer).x, paper["accuracy"])
    np.testing.assert_allclose(circles(explorer).y, paper["cluster"])
    table, said = transfer_correlations(paper, "linear")
    expected = correlations_html(table, f"All models that are drawn: {said}", transfer="linear probe")
    assert explorer.correlations.value == expected
    assert "n = 39 models of 7 families" in said


def test_diversity_moves_the_circles_and_the_contours(explorer):
    before = explorer.map.layout.yaxis.range
    explorer.measure.value = "spectral"
    np.testing.assert_allclose(circles(explorer).y, explorer.shown.models["spectral"])
    contour = explorer.map.data[0]
    named = [(x * y, float(text)) for x, y, text in zip(contour.x, contour.y, contour.text, strict=True) if text]
    assert named and all(np.isclose(*pair) for pair in named)
    assert explorer.map.layout.yaxis.range[1] < before[0]
    assert "spectral" in explorer.map.layout.yaxis.title.text


def test_transfer_is_the_size_of_the_circles_and_what_is_correlated(explorer):
    explorer.transfer.value = "finetune"
    sizes = pd.Series(circles(explorer).marker.size, index=circles(explorer).ids)
    assert sizes.idxmax() == explorer.shown.models["finetune"].idxmax()
    assert sizes.idxmin() == explorer.shown.models["finetune"].idxmin()
    table, _ = transfer_correlations(explorer.shown.models, "finetune")
    assert f"{table['value'].max():.2f}" in explorer.correlations.value
    assert "finetuning" in explorer.correlations.value


def test_the_slider_moves_every_method_along_its_trajectory(explorer):
    singles = ["Supervised", "SupCon", "CE+SelfSupCon"]
    assert explorer.step.options[0] == "start"
    assert outstanding(explorer) == [*singles, "MoCo-v2", "SwAV", "DINO", "SimCLR"]
    explorer.step.value = "T = 3"
    assert outstanding(explorer) == [*singles, *(f"{name}, T = 3" for name in ("MoCo-v2", "SwAV", "DINO", "SimCLR"))]
    explorer.step.index = len(explorer.step.options) - 1
    assert outstanding(explorer)[-1] == "SimCLR, T = 1"


def test_another_collection_has_its_own_models_steps_axes_and_words(explorer):
    explorer.step.value, explorer.selection.value = "T = 1", ("SwAV", "DINO")
    explorer.collection.value = "own runs"
    assert list(circles(explorer).ids) == ["SimCLR", "SimCLR, T = 4", "SimCLR, T = 1", "SL"]
    assert explorer.step.options == ("start", "T = 4", "T = 1")
    assert explorer.step.value == "start"
    assert explorer.play.max == 2
    assert explorer.selection.value == ()
    assert explorer.map.layout.xaxis.title.text == "upstream accuracy (%)"
    assert "Not trained: SL-MLP." in explorer.about.value
    assert [line.name for line in explorer.map.data[1:-2] if line.visible] == ["SimCLR", "SL"]
    assert "Too few" in explorer.correlations.value
    assert "1 of the selected lack accuracy or transfer" in explorer.correlations.value
    explorer.collection.value = "paper B"
    assert len(circles(explorer).ids) == 39


def test_a_selection_is_what_correlates_and_stands_out(explorer):
    names = [name for name in explorer.shown.models.index if name.startswith(("SwAV", "DINO"))]
    explorer.selection.value = tuple(names)
    assert [circles(explorer).ids[index] for index in circles(explorer).selectedpoints] == names
    table, said = transfer_correlations(explorer.shown.models.loc[names], "linear")
    expected = correlations_html(table, f"The selected models: {said}", transfer="linear probe")
    assert explorer.correlations.value == expected
    explorer.selection.value = tuple(names[:3])
    assert "n = 3" in explorer.correlations.value
    assert "Too few" in explorer.correlations.value
    explorer.selection.value = ()
    assert circles(explorer).selectedpoints is None


def test_the_models_that_count_are_saved_as_csv(explorer):
    explorer.selection.value = ("SwAV", "DINO")
    (content,) = re.findall(r'href="data:text/csv;base64,([^"]+)" download="models.csv"', explorer.file.value)
    saved = pd.read_csv(io.BytesIO(base64.b64decode(content)), index_col="model")
    assert list(saved.index) == ["SwAV", "DINO"]
    pd.testing.assert_series_equal(saved["linear"], explorer.shown.models.loc[["SwAV", "DINO"], "linear"])


def test_families_that_are_not_drawn_do_not_count(explorer):
    explorer.selection.value = ("SwAV", "DINO")
    explorer.families.value = ("DINO", "SimCLR")
    assert {name.split(",")[0] for name in circles(explorer).ids} == {"DINO", "SimCLR"}
    assert explorer.selection.value == ()
    assert set(explorer.selection.options) == set(circles(explorer).ids)
    assert "n = 18 models of 2 families" in explorer.correlations.value
    explorer.families.value = ()
    assert list(circles(explorer).ids) == []
    assert "n = 0" in explorer.correlations.value


def click(explorer, name: str) -> None:
    trace = circles(explorer)
    state = InputDeviceState(ctrl=False, alt=False, shift=False, meta=False, button=0, buttons=1)
    points = Points(point_inds=[trace.ids.index(name)], xs=[0], ys=[0], trace_name="models", trace_index=0)
    trace._dispatch_on_click(points, state)


def draw(explorer, outlines: list[dict]) -> None:
    """What plotly reports when these outlines have been drawn."""
    explorer.map._js2py_relayout = {"relayout_data": {"selections": outlines}, "source_view_id": "view"}


def box(explorer, names: list[str]) -> dict:
    """The outline of a box that is just wide enough for these models."""
    trace = circles(explorer)
    place = pd.DataFrame({"x": trace.x, "y": trace.y}, index=list(trace.ids)).loc[names]
    (x0, y0), (x1, y1) = place.min() - 1e-6, place.max() + 1e-6
    return {"xref": "x", "yref": "y", "type": "rect", "x0": x0, "y0": y0, "x1": x1, "y1": y1}


def lasso(names_around: tuple[float, float, float, float]) -> dict:
    """The outline of a lasso around this rectangle: left, bottom, right, top."""
    left, bottom, right, top = names_around
    path = f"M{left},{bottom}L{right},{bottom}L{right},{top}L{left},{top}Z"
    return {"xref": "x", "yref": "y", "type": "path", "path": path}


def test_a_click_shows_the_layers_of_the_model_and_of_its_start(explorer):
    explorer.collection.value = "own runs"
    click(explorer, "SimCLR, T = 4")
    assert explorer.model.value == "SimCLR, T = 4"
    start, mean, curve = explorer.layers.data[:3]
    np.testing.assert_allclose(curve.y, [0.58, 0.78])
    np.testing.assert_allclose(mean.y, [0.68, 0.68])
    np.testing.assert_allclose(start.y, [0.6, 0.8])
    assert list(curve.text) == ["l1", "l2"]
    assert (explorer.map.data[-1].x[0], explorer.map.data[-1].text[0]) == (45.0, "SimCLR, T = 4")
    assert "SimCLR, T = 4" in explorer.details.value
    assert "30.60" in explorer.details.value, "CIS, 45 x 0.68"
    click(explorer, "SL")
    assert list(explorer.layers.data[0].y) == []
    assert "not measured" in explorer.details.value


def test_a_model_of_the_paper_has_printed_numbers_instead_of_layers(explorer):
    click(explorer, "SwAV, T = 3")
    assert "not published" in explorer.details.value
    assert "53.78" in explorer.details.value, "the printed cluster CIS"
    assert list(explorer.layers.data[2].y) == []
    card = explorer._layers_card
    assert card.layout.display == "none"
    explorer.collection.value = "own runs"
    assert card.layout.display is None


def test_the_list_does_what_a_click_does_and_the_other_list_what_a_lasso_does(explorer):
    click(explorer, "DINO")
    clicked = explorer.details.value
    explorer.model.value = "SwAV"
    explorer.model.value = "DINO"
    assert explorer.details.value == clicked
    starts = explorer.shown.models[explorer.shown.models["step"] == "start"]
    draw(explorer, [box(explorer, [name]) for name in starts.index])
    assert set(explorer.selection.value) == {"SwAV", "DINO", "SimCLR", "MoCo-v2"}
    assert "n = 4 models of 4 families" in explorer.correlations.value
    explorer.map._js2py_pointsCallback = {"event_type": "plotly_deselect", "points": NO_POINTS}
    assert explorer.selection.value == ()


@pytest.mark.parametrize("clear", ["an empty lasso", "a double click"])
def test_a_double_click_also_undoes_what_the_list_selected(explorer, clear):
    explorer.selection.value = ("SwAV", "DINO")
    if clear == "an empty lasso":
        draw(explorer, [lasso((1, 0, 2, 0.1))])
    else:
        explorer.map._js2py_pointsCallback = {"event_type": "plotly_deselect", "points": NO_POINTS}
    assert explorer.selection.value == ()
    assert circles(explorer).selectedpoints is None


def test_what_plotly_marks_by_itself_is_put_right(explorer):
    explorer.selection.value = ("SwAV",)
    explorer.selection.value = ()
    explorer.map._js2py_pointsCallback = {"event_type": "plotly_selected", "points": NO_POINTS}
    draw(explorer, [lasso((1, 0, 2, 0.1))])
    assert circles(explorer).selectedpoints is None


def test_what_is_selected_stays_marked_when_its_outline_is_taken_away(explorer):
    """Taking it away comes back as a selection of nothing, late on a slow machine."""
    draw(explorer, [box(explorer, ["SwAV"])])
    marked = list(circles(explorer).selectedpoints)
    assert marked
    explorer.map._js2py_pointsCallback = {"event_type": "plotly_selected", "points": NO_POINTS}
    assert list(circles(explorer).selectedpoints) == marked
    assert explorer.selection.value == ("SwAV",)


def test_every_change_is_one_message_about_existing_traces(explorer, monkeypatch):
    traces = explorer.map.data
    sent = []
    monkeypatch.setattr(explorer.map, "_send_update_msg", lambda *args, **kwargs: sent.append("update"), raising=True)
    for forbidden in ("_send_addTraces_msg", "_send_deleteTraces_msg", "_send_moveTraces_msg"):
        monkeypatch.setattr(explorer.map, forbidden, pytest.fail)
    for control, value in (
        (explorer.measure, "spectral"),
        (explorer.step, "T = 2"),
        (explorer.transfer, "finetune"),
        (explorer.families, ("SwAV",)),
    ):
        sent.clear()
        control.value = value
        assert sent == ["update"], control.description
    assert all(before is after for before, after in zip(traces, explorer.map.data, strict=True))


def test_a_collection_without_models_says_why(explorer):
    empty = own().models.iloc[:0]
    fields = {"name": "own runs", "about": "a", "accuracy_title": "b", "transfer_unit": {}}
    bare = DiversityExplorer([paper_models(), Collection(models=empty, notes=("make reports",), **fields)])
    bare.collection.value = "own runs"
    assert list(circles(bare).ids) == []
    assert "make reports" in bare.about.value
    assert bare.model.value is None
    assert bare.step.disabled
    assert "Too few" in bare.correlations.value


def test_every_control_is_a_widget_that_is_shown(explorer):
    def within(widget):
        yield id(widget)
        for child in getattr(widget, "children", ()):
            yield from within(child)

    names = ("collection", "measure", "transfer", "step", "play", "model", "families", "selection")
    assert {id(getattr(explorer, name)) for name in names} <= set(within(explorer))


def test_collections_need_names_of_their_own():
    with pytest.raises(ValueError, match="names of their own"):
        DiversityExplorer([paper_models(), paper_models()])
    with pytest.raises(ValueError, match="names of their own"):
        DiversityExplorer([])


@pytest.mark.parametrize("kind", ["lasso", "box"])
def test_the_outline_of_a_lasso_or_box_does_not_outlive_it(explorer, kind, monkeypatch):
    told = []
    monkeypatch.setattr(explorer.map, "_send_relayout_msg", lambda layout, **_: told.append(layout["selections"]))
    place = explorer.shown.models.loc["SwAV"]
    around = (place["accuracy"] - 0.1, place["cluster"] - 0.001, place["accuracy"] + 0.1, place["cluster"] + 0.001)
    outline = lasso(around) if kind == "lasso" else box(explorer, ["SwAV"])
    draw(explorer, [outline])
    assert "SwAV" in explorer.selection.value
    assert told == [[outline], []]
    draw(explorer, [outline])  # the same models again
    assert told[2:] == [[outline], []]


def test_a_change_leaves_the_readers_zoom_alone(explorer):
    explorer.map._js2py_relayout = {"relayout_data": {"xaxis.range": [70, 75]}, "source_view_id": "view"}
    explorer.step.value = "T = 1"
    assert explorer.map.layout.xaxis.range == (70, 75)
    explorer.collection.value = "own runs"
    assert explorer.map.layout.xaxis.range[0] < 50
