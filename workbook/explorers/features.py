"""The feature explorer: two methods' maps of the same images side by side, linked, from epoch to epoch."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbook.data.images import fit
from workbook.errors import WorkbookError
from workbook.evaluation.embedding import METHODS
from workbook.explorers import feature_page as page
from workbook.explorers.atlas import Atlas
from workbook.explorers.later import Later
from workbook.explorers.pictures import contact_sheet, data_uri, enlarged
from workbook.explorers.readings import Reading, readings
from workbook.figures.linked_maps import GLYPHS, class_styles, linked_maps

_PANELS = ("left", "right")
_SHEET = {"side": 48, "columns": 20}
_MOST_ON_SHEET = 100
_NO_CLASS = "choose a class ..."


class FeatureExplorer(widgets.VBox):
    """Maps of an atlas in two panels, with controls; a selection in one panel is the same images in the other.

    The atlas's first two methods stand side by side (its only one, with itself). Maps of the first seed are made here,
    with a progress bar; others when they are chosen.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self.labels = atlas.images.labels
        self.names = np.array(atlas.images.class_names)
        self.sides = np.array([atlas.side_of[name] for name in atlas.images.class_names])
        self.styles = class_styles(atlas.side_of)
        self.selected: np.ndarray | None = None  # (n,) int, images; None = no selection
        self._picked: list[int] = []
        self._outlined = False  # a lasso or box is drawn in one of the panels
        self._later = Later(0.15)
        self._make_controls()
        self._make_figure()
        self._make_outputs()
        super().__init__(self._arranged())
        self.add_class("features-explorer")
        for control in (self.left, self.right, self.seed, self.kind, self.epoch, self.classes, self.side):
            control.observe(self._changed, "value")
        self.class_picker.observe(self._class_picked, "value")
        self.clear.on_click(lambda _: self.select(None))
        self._draw()

    def select(self, images: Sequence[int] | np.ndarray | None) -> None:
        """Select these images in both panels; None or no images clears the selection."""
        self._take_outline_away()
        self._select([] if images is None else images)

    def shown(self) -> np.ndarray:
        """(N,) bool: the images whose class and side are chosen."""
        of_class = np.isin(self.names, self.classes.value)
        of_side = np.ones(len(self.names), bool) if self.side.value == "both" else self.sides == self.side.value
        return (of_class & of_side)[self.labels]

    def rows(self) -> np.ndarray:
        """The images that the readings are of: the selected ones that are shown; all that are shown without one."""
        shown = self.shown()
        return np.flatnonzero(shown) if self.selected is None else self.selected[shown[self.selected]]

    def readings(self) -> dict[str, list[Reading]]:
        """The measures of `rows()` on the real features, panel by panel; see `readings.readings`."""
        rows, found = self.rows(), {}
        for panel in _PANELS:
            method = getattr(self, panel).value
            features = self.atlas.features(method, self.seed.value, self.epoch.value)
            found[panel] = readings(features, self.labels, self.sides, rows)
        return found

    # -- controls ------------------------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        atlas, wide = self.atlas, {"style": {"description_width": "52px"}, "layout": {"width": "200px"}}
        methods = list(atlas.methods)
        second = methods[min(1, len(methods) - 1)]
        self.left = widgets.Dropdown(description="Left", options=methods, value=methods[0], **wide)
        self.right = widgets.Dropdown(description="Right", options=methods, value=second, **wide)
        self.seed = widgets.Dropdown(description="Seed", options=list(atlas.seeds), **wide)
        self.kind = widgets.Dropdown(description="Map", options=list(METHODS), **wide)
        present = [side for side in ("pre", "eval") if side in set(self.sides)]
        sides = [("both sides", "both"), *((f"{side}-D alone", side) for side in present)] if present else ["both"]
        self.side = widgets.Dropdown(description="Side", options=sides, **wide)
        self.epoch = widgets.SelectionSlider(
            description="Epoch",
            options=list(atlas.epochs),
            value=atlas.epochs[-1],
            style={"description_width": "52px"},
            layout={"width": "660px"},
        )
        last = len(atlas.epochs) - 1
        self.play = widgets.Play(min=0, max=last, value=last, interval=900, show_repeat=False)
        widgets.jslink((self.play, "value"), (self.epoch, "index"))
        glyphs = self.styles["symbol"].map(GLYPHS)
        listed = [(f"{glyphs[name]} {name}", str(name)) for name in self.styles.index]
        self.classes = widgets.SelectMultiple(
            options=listed,
            value=[name for _, name in listed],
            layout={"width": "250px", "height": "128px"},
        )
        self.class_picker = widgets.Dropdown(options=[_NO_CLASS, *listed], layout={"width": "250px"})
        self.clear = widgets.Button(description="Clear selection", icon="times", layout={"width": "250px"})

    def _make_figure(self) -> None:
        sides = np.array([page.SIDE_WORDS.get(side, "") for side in self.sides])
        text = [f"{name}, {side}" if side else name for name, side in zip(self.names, sides, strict=True)]
        styles = self.styles.loc[self.names[self.labels]]
        points = pd.DataFrame(
            {
                "text": np.array(text)[self.labels],
                "colour": styles["colour"].to_numpy(),
                "symbol": styles["symbol"].to_numpy(),
            }
        )
        places = [self._place(panel) for panel in _PANELS]
        self.figure = go.FigureWidget(linked_maps([self._title(panel) for panel in _PANELS], places, points))
        for trace in self.figure.data:
            trace.on_selection(self._lassoed)
            trace.on_deselect(lambda *_: self.select(None))
            trace.on_hover(self._hovered)

    def _make_outputs(self) -> None:
        self.legend, self.pointed = widgets.HTML(), widgets.HTML(page.nothing_hovered())
        self.numbers, self.sheet, self.status = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.progress = widgets.Output()

    def _arranged(self) -> list[widgets.Widget]:
        heading = "<b class='fx'>{}</b>"
        side = [
            self.pointed,
            self.legend,
            widgets.HTML(heading.format("Classes shown (Ctrl or Shift for several)")),
            self.classes,
            widgets.HTML(heading.format("Select: lasso, box, or a whole class")),
            self.class_picker,
            self.clear,
        ]
        return [
            widgets.HTML(page.STYLE),
            widgets.HBox([self.left, self.right, self.seed, self.kind, self.side], layout={"flex_flow": "row wrap"}),
            widgets.HBox([self.epoch, self.play], layout={"flex_flow": "row wrap"}),
            self.status,
            self.progress,
            widgets.HBox(
                [self.figure, widgets.VBox(side, layout={"width": "258px", "padding": "0 0 0 6px"})],
                layout={"flex_flow": "row wrap"},
            ),
            self.numbers,
            self.sheet,
        ]

    # -- what a change draws -------------------------------------------------------------------------------------

    def _changed(self, change: Any) -> None:
        try:
            self._draw()
        except (WorkbookError, ValueError) as error:
            self.status.value = page.words(f"This cannot be shown: {error}. The maps are those of before.")

    def _draw(self) -> None:
        self._prepare()
        self._take_outline_away()
        hidden = ~self.shown()
        with self.figure.batch_update():
            for trace, title, panel in zip(self.figure.data, self.figure.layout.annotations, _PANELS, strict=True):
                place = self._place(panel).copy()
                place[hidden] = np.nan
                trace.x, trace.y = place[:, 0], place[:, 1]
                title.text = self._title(panel)
            self._mark_selected()
        self.legend.value = page.legend(self.styles, list(self.names[np.unique(self.labels[~hidden])]))
        self._tell()

    def _select(self, images: Sequence[int] | np.ndarray) -> None:
        self.selected = np.unique(np.asarray(images, dtype=np.int64)) if len(images) else None
        if self.selected is None:
            self.class_picker.value = _NO_CLASS
        with self.figure.batch_update():
            self._mark_selected()
        self._tell()

    def _take_outline_away(self) -> None:
        """Else the outline of a lasso would select anew, in its panel alone, when points move under it."""
        if not self._outlined:
            return
        self._outlined = False
        # `layout.selections = ()` would send nothing: what a lasso adds to the layout is not among its objects here
        self.figure.plotly_relayout({"selections": []})
        with self.figure.batch_update():  # with its outline plotly forgets what is selected: say so, then anew
            for trace in self.figure.data:
                trace.selectedpoints = None

    def _prepare(self) -> None:
        """Make the maps that are not there yet, under a line that says so."""
        for panel in _PANELS:
            method, seed, kind = getattr(self, panel).value, self.seed.value, self.kind.value
            if not self.atlas.has_maps(method, seed, kind):
                epochs = len(self.atlas.epochs)
                self.status.value = page.words(f"Computing {kind} of {method}, seed {seed}, {epochs} epochs; once ...")
                with self.progress:
                    self.atlas.maps(method, seed, kind)
        self.status.value = ""

    def _place(self, panel: str) -> np.ndarray:
        return self.atlas.maps(getattr(self, panel).value, self.seed.value, self.kind.value)[self.epoch.value]

    def _title(self, panel: str) -> str:
        return f"<b>{getattr(self, panel).value}</b>, epoch {self.epoch.value}"

    def _mark_selected(self) -> None:
        for trace in self.figure.data:
            trace.selectedpoints = self.selected

    # -- what the reader does on the maps ------------------------------------------------------------------------

    def _lassoed(self, trace: go.Scattergl, points: Any, outline: Any) -> None:
        # called for one panel after the other, the one that was not drawn on with no points
        if outline is None:  # no lasso: plotly says that a former outline is gone
            return
        if trace is self.figure.data[0]:
            self._picked = []
        self._picked += points.point_inds
        if trace is self.figure.data[-1]:
            self._outlined = True
            self._select(self._picked)

    def _class_picked(self, change: Any) -> None:
        if change["new"] != _NO_CLASS:
            self.select(np.flatnonzero(self.names[self.labels] == change["new"]))

    def _hovered(self, trace: go.Scattergl, points: Any, _: Any) -> None:
        if points.point_inds:
            image = points.point_inds[0]
            uri = data_uri(enlarged(fit(self.atlas.images[image], 112), 112))
            label = self.labels[image]
            self.pointed.value = page.hovered(uri, self.names[label], self.sides[label], image)

    # -- numbers and contact sheet, once the controls rest -------------------------------------------------------

    def _tell(self) -> None:
        self._later(self._told, self._show)

    def _told(self) -> tuple[str, str]:
        rows = self.rows()
        try:
            return self._table(rows), self._contact_sheet(rows)
        except WorkbookError as error:
            return page.words(str(error)), ""

    def _show(self, told: tuple[str, str]) -> None:
        self.numbers.value, self.sheet.value = told

    def _table(self, rows: np.ndarray) -> str:
        what = "All images shown" if self.selected is None else "Selected"
        count = len(np.unique(self.labels[rows]))
        title = f"{what}: {len(rows)} images of {count} class{'es' * (count != 1)}, epoch {self.epoch.value}"
        return page.readings_table(self.readings(), title)

    def _contact_sheet(self, rows: np.ndarray) -> str:
        if self.selected is None or not len(rows):
            return ""
        # evenly over the selection in the order of the classes, so that a class is left out only if it is rare
        ordered = rows[np.argsort(self.labels[rows], kind="stable")]
        chosen = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), _MOST_ON_SHEET)).astype(int)]
        colours = self.styles.loc[self.names[self.labels[chosen]], "colour"]
        made = contact_sheet([fit(self.atlas.images[i], 48) for i in chosen], list(colours), **_SHEET)
        words = (
            f"{len(chosen)} of the {len(rows)} selected images" if len(chosen) < len(rows) else "The selected images"
        )
        return page.sheet(data_uri(made), words)
