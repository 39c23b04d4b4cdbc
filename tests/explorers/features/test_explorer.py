import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.conftest import make_images
from workbook.errors import StoreError
from workbook.explorers.features.explorer import FeatureExplorer
from workbook.explorers.features.neighbours import MOST, nearest
from workbook.explorers.features.readings import readings
from workbook.figures.linked_maps import class_styles
from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy
from workbook.probes.knn import loo_knn_right

COUNT, CLASSES = 60, 6
SIDES = {f"class{i}": "pre" if i < 3 else "eval" for i in range(CLASSES)}


class SmallAtlas:
    """Maps and features drawn at random, different for every method, seed, kind and epoch; UMAP has to be made."""

    methods, seeds, epochs = ("SL", "SL-MLP", "BYOL"), (0, 1), (0, 3, 7)

    def __init__(self):
        factors = pd.DataFrame({"hue": np.linspace(0, 1, COUNT), "depth": np.arange(COUNT) % 7.0, "family": "x"})
        self.images, self.side_of = make_images(COUNT, CLASSES, size=8, factors=factors), SIDES
        self.styles, self.factors = class_styles(SIDES), factors[["hue", "depth"]]
        self.made = []

    def _drawn(self, width, *key):
        return np.random.default_rng(list(str(key).encode())).normal(size=(COUNT, width)).astype(np.float32)

    def features(self, method, seed, epoch):
        return self._drawn(5, method, seed, epoch) + self.images.labels[:, None]

    def has_maps(self, method, seed, kind):
        return kind != "UMAP" or (method, seed) in self.made

    def maps(self, method, seed, kind="t-SNE"):
        if not self.has_maps(method, seed, kind):
            self.made.append((method, seed))
        return {epoch: self._drawn(2, method, seed, kind, epoch) for epoch in self.epochs}


@pytest.fixture
def explorer():
    return FeatureExplorer(SmallAtlas())


def panels(explorer):
    """The traces of both panels, each with its images: shapes tell the sides, so that there are two a panel."""
    groups = [np.flatnonzero(explorer.labels < 3), np.flatnonzero(explorer.labels >= 3)]
    traces = explorer.figure.data
    assert len(traces) == 4
    return [list(zip(traces[start : start + 2], groups, strict=True)) for start in (0, 2)]


def drawn(explorer):
    """What both panels show, (2, N, 2)."""
    places = np.empty((2, COUNT, 2))
    for panel, traces in enumerate(panels(explorer)):
        for trace, images in traces:
            places[panel, images] = np.column_stack([trace.x, trace.y])
    return places


def marked(explorer):
    """The images that stand out in each panel; None where all look alike."""
    found = []
    for traces in panels(explorer):
        chosen = [(images, trace.selectedpoints) for trace, images in traces]
        if all(points is None for _, points in chosen):
            found.append(None)
        else:
            found.append(sorted(image for images, points in chosen for image in images[list(points)]))
    return found


def draw(explorer, outlines):
    """What plotly reports when these outlines have been drawn."""
    explorer.figure._js2py_relayout = {"relayout_data": {"selections": outlines}, "source_view_id": "view"}


def lasso(explorer, panel, images):
    """A small triangle around each of these points of one panel."""
    places = drawn(explorer)[panel][list(images)]
    rings = "".join(f"M{x - 1e-5},{y - 1e-5}L{x + 2e-5},{y}L{x},{y + 2e-5}Z" for x, y in places)
    axis = "" if panel == 0 else str(panel + 1)
    draw(explorer, [{"xref": f"x{axis}", "yref": f"y{axis}", "type": "path", "path": rings or "M9,9L9,8L8,8Z"}])


def test_it_starts_with_two_methods_at_the_last_epoch(explorer):
    maps = explorer.atlas.maps
    np.testing.assert_array_equal(drawn(explorer), [maps("SL", 0)[7], maps("SL-MLP", 0)[7]])
    assert [title.text for title in explorer.figure.layout.annotations] == [
        "<b>SL</b>, epoch 7",
        "<b>SL-MLP</b>, epoch 7",
    ]


def test_a_panel_without_a_map_says_why():
    class Collapsed(SmallAtlas):
        def maps(self, method, seed, kind="t-SNE"):
            return super().maps(method, seed, kind) | {3: np.full((COUNT, 2), np.nan)}

    explorer = FeatureExplorer(Collapsed())
    explorer.controls.epoch.value = 3
    titles = [title.text for title in explorer.figure.layout.annotations]
    assert all("no map, the features of all images are the same" in title for title in titles)
    explorer.controls.epoch.value = 7
    assert explorer.figure.layout.annotations[0].text == "<b>SL</b>, epoch 7"


@pytest.mark.parametrize(
    ("control", "value", "left", "right"),
    [
        ("epoch", 3, ("SL", 0, "t-SNE", 3), ("SL-MLP", 0, "t-SNE", 3)),
        ("left", "BYOL", ("BYOL", 0, "t-SNE", 7), ("SL-MLP", 0, "t-SNE", 7)),
        ("right", "SL", ("SL", 0, "t-SNE", 7), ("SL", 0, "t-SNE", 7)),
        ("seed", 1, ("SL", 1, "t-SNE", 7), ("SL-MLP", 1, "t-SNE", 7)),
        ("kind", "PCA", ("SL", 0, "PCA", 7), ("SL-MLP", 0, "PCA", 7)),
    ],
)
def test_a_control_moves_the_points_and_no_figure_is_made_anew(explorer, control, value, left, right):
    figure, traces = explorer.figure, explorer.figure.data
    getattr(explorer.controls, control).value = value
    expected = [explorer.atlas.maps(*key[:3])[key[3]] for key in (left, right)]
    np.testing.assert_array_equal(drawn(explorer), expected)
    assert explorer.figure is figure
    assert all(old is new for old, new in zip(traces, explorer.figure.data, strict=True))


def test_one_change_is_one_message(explorer):
    messages = []
    explorer.figure.observe(lambda change: messages.append(change["new"]), "_py2js_update")
    explorer.controls.epoch.value = 0
    assert len([message for message in messages if message]) == 1


def test_classes_and_sides_hide_points_in_both_panels(explorer):
    explorer.controls.classes.value = ("class1", "class4")
    hidden = ~np.isin(explorer.labels, [1, 4])
    assert (np.isnan(drawn(explorer)).all(axis=2) == hidden).all()
    assert "class1" in explorer.legend.value and "class0" not in explorer.legend.value
    explorer.controls.side.value = "eval"
    assert (np.isnan(drawn(explorer)).all(axis=2) == (explorer.labels != 4)).all()


def test_points_keep_their_colour_and_shape_when_others_are_hidden(explorer):
    def looks():
        return [(trace.marker.symbol, *trace.marker.color) for trace in explorer.figure.data]

    before = looks()
    explorer.controls.classes.value = ("class4",)
    assert looks() == before
    assert [trace.marker.symbol for trace in explorer.figure.data] == ["circle", "triangle-up"] * 2
    assert [len(set(trace.marker.color)) for trace in explorer.figure.data] == [3] * 4


@pytest.mark.parametrize("panel", [0, 1])
def test_a_lasso_selects_the_same_images_in_both_panels(explorer, panel):
    lasso(explorer, panel, [3, 9, 10])
    assert marked(explorer) == [[3, 9, 10]] * 2
    assert "The selected images" in explorer.sheet.value
    assert "Selected: 3 images of 2 classes, epoch 7" in explorer.numbers.value


def test_a_selection_outlives_a_change_of_epoch_and_loses_its_outline(explorer):
    lasso(explorer, 0, [3, 9, 10])
    sent = []
    explorer.figure.observe(lambda change: sent.append(change["new"]), ["_py2js_relayout", "_py2js_update"])
    explorer.controls.epoch.value = 3
    assert sent[0]["relayout_data"] == {"selections": []}
    assert marked(explorer) == [[3, 9, 10]] * 2


def test_what_plotly_marks_by_itself_is_put_right(explorer):
    points = {"trace_indexes": [0, 0], "point_indexes": [3, 9], "xs": [0.0, 0.0], "ys": [0.0, 0.0]}
    event = {"event_type": "plotly_selected", "points": points, "selector": None, "device_state": None}
    explorer.figure._js2py_pointsCallback = event  # comes before the outline, and unmarks the other panel
    lasso(explorer, 0, [3, 9])
    assert marked(explorer) == [[3, 9]] * 2


def test_what_is_selected_stays_marked_when_its_outline_is_taken_away(explorer):
    """Taking it away comes back as a selection of nothing, late on a slow machine."""
    lasso(explorer, 0, [3, 9, 10])
    explorer.controls.epoch.value = 3
    nothing = {"trace_indexes": [], "point_indexes": [], "xs": [], "ys": []}
    explorer.figure._js2py_pointsCallback = {"event_type": "plotly_selected", "points": nothing}
    assert marked(explorer) == [[3, 9, 10]] * 2


def test_an_empty_lasso_a_double_click_and_the_button_clear(explorer):
    for clear in (lambda: lasso(explorer, 0, []), lambda: draw(explorer, []), explorer.controls.clear.click):
        lasso(explorer, 0, [1, 2])
        clear()
        assert explorer.selected is None
        assert marked(explorer) == [None, None]
        assert explorer.sheet.value == ""
        assert "All images shown: 60 images of 6 classes" in explorer.numbers.value


def test_a_double_click_also_undoes_what_the_list_selected(explorer):
    explorer.controls.search.value = "class2"
    nothing = {"trace_indexes": [], "point_indexes": [], "xs": [], "ys": []}
    explorer.figure._js2py_pointsCallback = {"event_type": "plotly_deselect", "points": nothing}
    assert explorer.selected is None
    assert explorer.controls.search.value == ""


def test_classes_are_selected_by_a_part_of_their_names(explorer):
    search = explorer.controls.search
    search.value = "class2"
    assert list(explorer.selected) == list(range(2, COUNT, CLASSES))
    search.value = "S2, ss4"
    assert set(explorer.labels[explorer.selected]) == {2, 4}
    search.value = "class"
    assert len(explorer.selected) == COUNT
    lasso(explorer, 0, [3])
    assert search.value == ""
    search.value = "2"
    search.value = ""
    assert explorer.selected is None


def test_an_empty_selection_says_why(explorer):
    explorer.controls.search.value = "zebra"
    assert explorer.selected is None
    assert "No class of this map has &#39;zebra&#39; in its name" in explorer.status.value
    lasso(explorer, 0, [])
    assert "The outline holds no point: draw it around points." in explorer.status.value
    lasso(explorer, 0, [3])
    assert explorer.status.value == ""
    explorer.controls.side.value = "eval"
    explorer.controls.search.value = "class1"
    assert "its classes are hidden by Side or Classes shown" in explorer.status.value
    explorer.controls.clear.click()
    assert explorer.selected is None and explorer.status.value == ""


def click(explorer, panel, image):
    """What plotly reports of a click on an image."""
    for trace, images in panels(explorer)[panel]:
        if image in images:
            trace._dispatch_on_click(SimpleNamespace(point_inds=[list(images).index(image)]), None)


def test_a_click_shows_the_neighbours_in_both_models_and_where_they_disagree(explorer):
    click(explorer, 1, 10)
    assert explorer.controls.image.value == "10"
    found = [nearest(explorer.atlas.features(method, 0, 7), 10).images for method in ("SL", "SL-MLP")]
    shown = explorer.nearest.value
    assert f"{len(set(found[0]) & set(found[1]))} of {MOST} are the same in both" in " ".join(shown.split())
    assert shown.count('class="only"') == 2 * len(set(found[0]) - set(found[1])) > 0
    assert f"SL: {(explorer.labels[found[0]] == 4).sum()} of {MOST} of its class" in shown
    explorer.controls.right.value = "SL"
    assert f"{MOST} of {MOST} are the same in both" in " ".join(explorer.nearest.value.split())
    explorer.controls.image.value = ""
    assert explorer.nearest.value == ""
    explorer.controls.image.value = "60"
    assert "An image is a number from 0 to 59, got &#39;60&#39;" in explorer.status.value


def test_colours_say_what_is_asked_for_and_shapes_stay(explorer):
    def colours():
        by_image = np.empty((2, COUNT), dtype=object)
        for panel, traces in enumerate(panels(explorer)):
            for trace, images in traces:
                by_image[panel, images] = trace.marker.color
        return by_image

    by_class, symbols = colours(), [trace.marker.symbol for trace in explorer.figure.data]
    assert list(explorer.controls.colour.options) == ["class", "side", "k-NN probe", "hue", "depth"]
    explorer.controls.colour.value = "side"
    assert [set(colours()[:, explorer.labels < 3].ravel()), set(colours()[:, explorer.labels >= 3].ravel())] == [
        {"#0072B2"},
        {"#D55E00"},
    ]
    explorer.controls.colour.value = "k-NN probe"
    for panel, method in enumerate(("SL", "SL-MLP")):
        right = loo_knn_right(explorer.atlas.features(method, 0, 7), explorer.labels)
        assert ((colours()[panel] == "#0072B2") == right).all() and 0 < right.mean() < 1
        assert f"right, {100 * right.mean():.1f} %" in explorer.legend.value
    explorer.controls.colour.value = "hue"
    assert (colours()[0] == colours()[1]).all() and len(set(colours()[0])) > 20
    assert [trace.marker.symbol for trace in explorer.figure.data] == symbols
    explorer.controls.colour.value = "class"
    assert (colours() == by_class).all() and "class0" in explorer.legend.value


def test_a_view_is_shared_as_a_text_that_another_explorer_shows(explorer):
    controls = explorer.controls
    controls.left.value, controls.epoch.value, controls.kind.value, controls.colour.value = "BYOL", 3, "PCA", "side"
    controls.classes.value, controls.image.value = ("class1", "class4"), "10"
    explorer.select([1, 4, 7])
    text, other = controls.shared.value, FeatureExplorer(SmallAtlas())
    assert text == explorer.shared
    for place, trait in ((other.controls.shared, "value"), (other.figure, "_query")):
        other.controls.left.value = "SL"
        other.select(None)
        setattr(place, trait, text)
        assert other.shared == other.controls.shared.value == text
        np.testing.assert_array_equal(drawn(other), drawn(explorer))
        assert list(other.selected) == [1, 4, 7]
        assert other.nearest.value == explorer.nearest.value
        other.figure._query = ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("left=SL", "left=DINO"), "left is &#39;DINO&#39; in this view, and here one of SL, SL-MLP, BYOL"),
        (("of=", "of=0"), "this view is of other images"),
        (("of=", "to="), "this is no view"),
    ],
)
def test_a_view_that_cannot_be_shown_changes_nothing(explorer, changed, said):
    before = explorer.shared
    explorer.controls.shared.value = before.replace(*changed)
    assert said in explorer.status.value
    assert explorer.shared == explorer.controls.shared.value == before


def test_what_an_address_says_besides_is_no_view(explorer):
    explorer.figure._query = "?reset&token=0"
    assert explorer.status.value == ""


def test_the_rows_of_a_selection_come_back_from_its_csv(explorer):
    explorer.select([1, 4, 7])
    (uri,) = re.findall(r'href="data:text/csv;base64,([^"]+)"', explorer.sheet.value)
    table = pd.read_csv(io.BytesIO(base64.b64decode(uri)))
    assert table["image"].tolist() == [1, 4, 7] and table["class_name"].tolist() == ["class1", "class4", "class1"]
    assert table["side"].tolist() == ["pre", "eval", "pre"]
    np.testing.assert_allclose(table[["SL-MLP, t-SNE x", "SL-MLP, t-SNE y"]], drawn(explorer)[1][[1, 4, 7]], rtol=1e-5)
    np.testing.assert_allclose(table["depth"], explorer.atlas.images.factors["depth"][[1, 4, 7]])
    (uri,) = re.findall(r'href="data:image/png;base64,([^"]+)"', explorer.sheet.value)
    assert Image.open(io.BytesIO(base64.b64decode(uri))).size == (3 * 48, 48)


def test_hidden_images_of_a_selection_are_not_measured(explorer):
    explorer.select([0, 1, 6, 7])
    explorer.controls.classes.value = ("class1", "class2")
    assert list(explorer.rows()) == [1, 7]
    assert "Selected: 2 images of 1 class, epoch 7" in explorer.numbers.value


def test_readings_are_the_metrics_on_the_features_of_the_selection(explorer):
    explorer.controls.epoch.value = 3
    lasso(explorer, 1, range(0, 45))
    found = explorer.measured.readings(explorer.rows(), explorer.controls.view())
    for panel, method in ((0, "SL"), (1, "SL-MLP")):
        part, own = explorer.atlas.features(method, 0, 3)[:45], explorer.labels[:45]
        is_eval = np.arange(CLASSES) >= 3
        values = {reading.name: reading.value for reading in found[panel]}
        assert values["φ"] == discriminative_ratio(part, own)
        assert values["Π"] == feature_mixture(part, own, is_eval, k=3)
        assert values["R"] == feature_redundancy(part)
        assert f"{values['φ']:.3f}" in explorer.numbers.value
    assert "no class of eval-D is selected" not in explorer.numbers.value


def test_what_is_not_defined_says_why_in_the_table(explorer):
    explorer.select([0, 6, 1, 7])
    assert "no class of eval-D is selected" in explorer.numbers.value
    assert readings(explorer.atlas.features("SL", 0, 7), explorer.labels, explorer.measured.sides, explorer.rows())[
        0
    ].value


def test_the_pointer_shows_the_image_its_class_and_its_side(explorer):
    (_, (trace, images)) = panels(explorer)[1]
    trace._dispatch_on_hover(SimpleNamespace(point_inds=[list(images).index(10)]), None)
    for words in ("class4", "eval-D", "image 10", "data:image/png;base64,"):
        assert words in explorer.pointed.value
    before = explorer.pointed.value
    trace._dispatch_on_hover(SimpleNamespace(point_inds=[]), None)
    assert explorer.pointed.value == before


def test_maps_that_have_to_be_made_are_announced(explorer):
    said = []
    explorer.status.observe(lambda change: said.append(change["new"]), "value")
    explorer.controls.kind.value = "UMAP"
    assert explorer.atlas.made == [("SL", 0), ("SL-MLP", 0)]
    assert "Computing UMAP of SL, seed 0, 3 epochs" in said[0]
    assert explorer.status.value == ""


def test_what_fails_is_said_and_the_maps_stay(explorer):
    def fails(*_):
        raise StoreError("no space left: free some")

    before, made = drawn(explorer), explorer.atlas.maps
    explorer.atlas.maps = fails
    explorer.controls.kind.value = "UMAP"
    assert "no space left: free some" in explorer.status.value
    np.testing.assert_array_equal(drawn(explorer), before)
    assert explorer.controls.kind.value == "t-SNE"  # the controls say what is drawn
    explorer.atlas.maps = made
    explorer.controls.kind.value = "PCA"
    assert explorer.status.value == ""


def test_one_method_stands_beside_itself_and_no_split_has_no_sides():
    atlas = SmallAtlas()
    atlas.methods, atlas.side_of = ("SL",), dict.fromkeys(SIDES, "all")
    atlas.styles = class_styles(atlas.side_of)
    explorer = FeatureExplorer(atlas)
    assert explorer.controls.left.value == explorer.controls.right.value == "SL"
    assert list(explorer.controls.side.options) == ["both"]
    assert "the data set has no concept split" in explorer.numbers.value
