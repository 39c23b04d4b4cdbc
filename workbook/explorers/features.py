"""The feature explorer: two methods' maps of the same images side by side, linked, from epoch to epoch."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

from workbook.data.images import fit
from workbook.errors import WorkbookError
from workbook.explorers import feature_page as page
from workbook.explorers.atlas import Atlas
from workbook.explorers.feature_controls import NO_CLASS, FeatureControls, View
from workbook.explorers.later import Later
from workbook.explorers.live_figure import LiveFigure
from workbook.explorers.outlines import images_within
from workbook.explorers.pictures import contact_sheet, data_uri, enlarged
from workbook.explorers.readings import Reading, readings
from workbook.figures.linked_maps import linked_maps, shape_groups

_HOVERED = 112  # pixels a side
_SHEET = {"side": 48, "columns": 20}
_MOST_ON_SHEET = 100


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
        self.styles = atlas.styles
        self.selected: np.ndarray | None = None  # (n,) int, images; None = no selection
        self._outlined = False  # a lasso or box is drawn in one of the panels
        self._undoing = False
        self._later = Later(0.25)
        self._remembered = lru_cache(maxsize=256)(self._measured)  # back to an epoch, or one method changed
        self.controls = FeatureControls(atlas)
        self.legend, self.pointed = widgets.HTML(), widgets.HTML(page.nothing_hovered())
        self.numbers, self.sheet, self.status = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.progress = widgets.Output()
        self.figure = self._make_figure()
        super().__init__(self._arranged())
        self.add_class("features-explorer")
        for control in self.controls.drawing:
            control.observe(self._changed, "value")
        self.controls.class_picker.observe(self._class_picked, "value")
        self.controls.clear.on_click(lambda _: self.select(None))
        self._draw()

    def select(self, images: Sequence[int] | np.ndarray | None) -> None:
        """Select these images in both panels; None or no images clears the selection."""
        self._take_outline_away()
        self._select([] if images is None else images)

    def rows(self) -> np.ndarray:
        """The images that the readings are of: the selected ones that are shown; all that are shown without one."""
        shown = self.controls.shown()[self.labels]
        return np.flatnonzero(shown) if self.selected is None else self.selected[shown[self.selected]]

    def readings(self, rows: np.ndarray, view: View) -> list[list[Reading]]:
        """The measures of these images on the real features, of the left and the right method."""
        return [self._remembered(method, view.seed, view.epoch, rows.tobytes()) for method in view.methods]

    # -- what it is made of --------------------------------------------------------------------------------------

    def _make_figure(self) -> LiveFigure:
        view = self.controls.view()
        sides = [page.SIDE_WORDS.get(side) for side in self.sides]
        text = [f"{name}, {side}" if side else name for name, side in zip(self.names, sides, strict=True)]
        points = self.styles.loc[self.names[self.labels], ["colour", "symbol"]].reset_index(drop=True)
        points["text"] = np.array(text)[self.labels]
        self._groups = shape_groups(points)
        figure = LiveFigure(linked_maps(_titles(view), self._places(view), points))
        # plotly's default draws four times as many pixels, for high-resolution screens: without a GPU that is half of
        # the time of a change. There is no public way to say so to a widget
        figure._config = {**figure._config, "plotGlPixelRatio": 1}
        for trace, (_, images) in zip(figure.data, self._traces(), strict=True):
            trace.on_hover(partial(self._hovered, images))
        figure.layout.on_change(self._outline_changed, "selections")
        return figure

    def _arranged(self) -> list[widgets.Widget]:
        column = [self.pointed, self.legend, *self.controls.column()]
        beside = widgets.VBox(column, layout={"width": "258px", "padding": "0 0 0 6px"})
        maps = widgets.HBox([self.figure, beside], layout={"flex_flow": "row wrap"})
        rows = self.controls.rows()
        return [widgets.HTML(page.STYLE), *rows, self.status, self.progress, maps, self.numbers, self.sheet]

    # -- what a change draws -------------------------------------------------------------------------------------

    def _changed(self, change: Any) -> None:
        if self._undoing:
            return
        try:
            self._draw()
        except (WorkbookError, ValueError) as error:
            self._undoing = True
            change["owner"].value = change["old"]  # the controls say what is drawn
            self._undoing = False
            self.status.value = page.words(f"{change['new']} cannot be shown: {error}.")

    def _draw(self) -> None:
        view, shown = self.controls.view(), self.controls.shown()
        self._prepare(view)
        self._take_outline_away()
        self._visible = [np.where(shown[self.labels, None], place, np.nan) for place in self._places(view)]
        with self.figure.batch_update():
            for trace, (panel, images) in zip(self.figure.data, self._traces(), strict=True):
                trace.x, trace.y = self._visible[panel][images].T
            for annotation, title in zip(self.figure.layout.annotations, _titles(view), strict=True):
                annotation.text = title
            self._mark_selected()
        self.legend.value = page.legend(self.styles[shown])
        self._tell()

    def _traces(self) -> list[tuple[int, np.ndarray]]:
        """For each trace of the figure its panel, 0 or 1, and its images."""
        return [(panel, images) for panel in (0, 1) for images in self._groups]

    def _prepare(self, view: View) -> None:
        """Make the maps that are not there yet, under a line that says so."""
        for method in view.methods:
            if not self.atlas.has_maps(method, view.seed, view.kind):
                what = f"{view.kind} of {method}, seed {view.seed}, {len(self.atlas.epochs)} epochs"
                self.status.value = page.words(f"Computing {what}; it is stored and made only once ...")
                with self.progress:
                    self.atlas.maps(method, view.seed, view.kind)
        self.status.value = ""

    def _places(self, view: View) -> list[np.ndarray]:
        return [self.atlas.maps(method, view.seed, view.kind)[view.epoch] for method in view.methods]

    def _select(self, images: Sequence[int] | np.ndarray) -> None:
        self.selected = np.unique(np.asarray(images, dtype=np.int64)) if len(images) else None
        if self.selected is None:
            self.controls.class_picker.value = NO_CLASS
        with self.figure.batch_update():
            self._mark_selected()
        self._tell()

    def _mark_selected(self) -> None:
        for trace, (_, images) in zip(self.figure.data, self._traces(), strict=True):
            chosen = None if self.selected is None else np.flatnonzero(np.isin(images, self.selected))
            trace.selectedpoints = chosen

    def _take_outline_away(self) -> None:
        """Else the outline of a lasso would select anew, in its panel alone, when points move under it."""
        if not self._outlined:
            return
        self._outlined = False
        # `layout.selections = ()` would send nothing: what a lasso adds to the layout is not among its objects here
        self.figure.plotly_relayout({"selections": []})

    # -- what the reader does on the maps ------------------------------------------------------------------------

    def _outline_changed(self, layout: go.Layout, *_: Any) -> None:
        # Not by the event of the selection: widgets send the last event of several, and pointing follows at once.
        # An outline that was drawn is in the layout's JSON alone, not yet among its objects.
        outlines = layout.to_plotly_json().get("selections", [])
        if outlines or self._outlined:
            self._outlined = bool(outlines)
            self._select(images_within(outlines, self._visible))

    def _class_picked(self, change: Any) -> None:
        if change["new"] != NO_CLASS:
            self.select(np.flatnonzero(self.names[self.labels] == change["new"]))

    def _hovered(self, images: np.ndarray, _trace: go.Scattergl, points: Any, _state: Any) -> None:
        if points.point_inds:
            image = int(images[points.point_inds[0]])
            uri = data_uri(enlarged(fit(self.atlas.images[image], _HOVERED), _HOVERED))
            label = self.labels[image]
            self.pointed.value = page.hovered(uri, self.names[label], self.sides[label], image)

    # -- numbers and contact sheet, once the controls rest -------------------------------------------------------

    def _measured(self, method: str, seed: int, epoch: int, rows: bytes) -> list[Reading]:
        features = self.atlas.features(method, seed, epoch)
        return readings(features, self.labels, self.sides, np.frombuffer(rows, dtype=np.int64))

    def _tell(self) -> None:
        # in a thread: what it needs is taken along, because the controls may change meanwhile
        self._later(partial(self._told, self.rows(), self.controls.view(), self.selected is not None), self._show)

    def _told(self, rows: np.ndarray, view: View, selected: bool) -> tuple[str, str]:
        classes = len(np.unique(self.labels[rows]))
        title = f"{'Selected' if selected else 'All images shown'}: {len(rows)} images of "
        title += f"{classes} class{'es' * (classes != 1)}, epoch {view.epoch}"
        try:
            table = page.readings_table(view.methods, self.readings(rows, view), title)
            return table, self._contact_sheet(rows) if selected and len(rows) else ""
        except WorkbookError as error:  # an image that cannot be read, features that are not what was stored
            return page.words(str(error)), ""

    def _show(self, told: tuple[str, str]) -> None:
        self.numbers.value, self.sheet.value = told

    def _contact_sheet(self, rows: np.ndarray) -> str:
        # evenly over the selection in the order of the classes, so that a class is left out only if it is rare
        ordered = rows[np.argsort(self.labels[rows], kind="stable")]
        chosen = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), _MOST_ON_SHEET)).astype(int)]
        colours = self.styles.loc[self.names[self.labels[chosen]], "colour"]
        made = contact_sheet([fit(self.atlas.images[i], _SHEET["side"]) for i in chosen], list(colours), **_SHEET)
        thinned = len(chosen) < len(rows)
        return page.sheet(
            data_uri(made),
            f"{len(chosen)} of the {len(rows)} selected images" if thinned else "The selected images",
        )


def _titles(view: View) -> list[str]:
    return [f"<b>{method}</b>, epoch {view.epoch}" for method in view.methods]
