"""The feature explorer: two methods' maps of the same images side by side, linked, from epoch to epoch."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

from workbook.errors import WorkbookError
from workbook.explorers.features.atlas import Atlas
from workbook.explorers.features.controls import NO_CLASS, FeatureControls, View
from workbook.explorers.features.readings import Reading, readings
from workbook.explorers.later import Later
from workbook.explorers.live_figure import LiveFigure
from workbook.explorers.outlines import Outlines
from workbook.explorers.page import data_uri, html, row, stylesheet
from workbook.figures.linked_maps import GLYPHS, linked_maps, shape_groups
from workbook.figures.maps import NO_MAP

# pixels a side, as the stylesheet has them
_POINTED, _THUMBNAIL = 112, 48
_MOST_ON_SHEET = 100
_SIDE_WORDS = {"pre": "pre-D", "eval": "eval-D"}


class FeatureExplorer(widgets.VBox):
    """Maps of an atlas in two panels, with controls; a selection in one panel is the same images in the other.

    The atlas's first two methods stand side by side (its only one, with itself). Maps of the first seed are made here,
    with a progress bar; others when they are chosen.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas, self.labels, self.styles = atlas, atlas.images.labels, atlas.styles
        self.names = np.array(atlas.images.class_names)
        self.sides = np.array([atlas.side_of[name] for name in atlas.images.class_names])
        self.selected: np.ndarray | None = None  # (n,) int, images; None = no selection
        self._undoing = False
        self._later = Later(0.25)
        self._remembered = lru_cache(maxsize=256)(self._measured)  # back to an epoch, or one method changed
        self.controls = FeatureControls(atlas)
        self.legend, self.numbers, self.sheet, self.status = (widgets.HTML() for _ in range(4))
        self.pointed, self.progress = widgets.HTML(html("features/pointed", image=None)), widgets.Output()
        self.figure = self._make_figure()
        self._outlines = Outlines(self.figure, lambda: self._visible, self._select, self._mark)
        super().__init__(self._arranged())
        self.add_class("explorer").add_class("features-explorer")
        for control in self.controls.drawing:
            control.observe(self._changed, "value")
        self.controls.class_picker.observe(self._class_picked, "value")
        self.controls.clear.on_click(lambda _: self.select(None))
        self._draw()

    def select(self, images: Sequence[int] | np.ndarray | None) -> None:
        """Select these images in both panels; None or no images clears the selection."""
        self._outlines.clear()
        self._select([] if images is None else images)

    def rows(self) -> np.ndarray:
        """The images that the readings are of: the selected ones that are shown; all that are shown without one."""
        shown = self.controls.shown()[self.labels]
        return np.flatnonzero(shown) if self.selected is None else self.selected[shown[self.selected]]

    def readings(self, rows: np.ndarray, view: View) -> list[list[Reading]]:
        """The measures of these images on the real features, of the left and the right method."""
        return [self._remembered(method, view.seed, view.epoch, rows.tobytes()) for method in view.methods]

    # what it is made of

    def _make_figure(self) -> LiveFigure:
        view = self.controls.view()
        points = self.styles.loc[self.names[self.labels], ["colour", "symbol"]].reset_index(drop=True)
        told = [", ".join(filter(None, (name, _SIDE_WORDS.get(side)))) for name, side in self.atlas.side_of.items()]
        points["text"] = np.array(told)[self.labels]
        groups = shape_groups(points)
        self._traces = [(panel, images) for panel in (0, 1) for images in groups]  # what each trace holds
        figure = LiveFigure(linked_maps(self._titles(view), self._places(view), points))
        # plotly's default draws four times as many pixels, for high-resolution screens: without a GPU that is half of
        # the time of a change. There is no public way to say so to a widget
        figure._config = {**figure._config, "plotGlPixelRatio": 1}
        for trace, (_, images) in zip(figure.data, self._traces, strict=True):
            trace.on_hover(partial(self._hovered, images))
        return figure

    def _arranged(self) -> list[widgets.Widget]:
        chosen, which = self.controls, widgets.HTML("<b>Classes shown</b> <small>several with Ctrl</small>")
        column = [self.pointed, self.legend, which, chosen.classes]
        beside = widgets.VBox(column, layout={"width": "258px", "padding": "0 0 0 6px"})
        return [
            stylesheet(),
            row(chosen.left, chosen.right, chosen.seed, chosen.kind, chosen.side),
            row(chosen.epoch, chosen.play, chosen.class_picker, chosen.clear),
            *(self.status, self.progress, row(self.figure, beside), self.numbers, self.sheet),
        ]

    # what a change draws

    def _changed(self, change: Any) -> None:
        if self._undoing:
            return
        try:
            self._draw()
        except (WorkbookError, ValueError) as error:
            self._undoing = True
            change["owner"].value = change["old"]  # the controls say what is drawn
            self._undoing = False
            self.status.value = html("features/line", text=f"{change['new']} cannot be shown: {error}.")

    def _draw(self) -> None:
        view, shown = self.controls.view(), self.controls.shown()
        self._prepare(view)
        self._outlines.clear()
        self._visible = [np.where(shown[self.labels, None], place, np.nan) for place in self._places(view)]
        self._redraw()
        by_side = self.styles[shown].groupby("side", sort=False)
        sides = {_SIDE_WORDS.get(str(side), "classes"): classes for side, classes in by_side}
        self.legend.value = html("features/legend", sides=sides, glyphs=GLYPHS)

    def _prepare(self, view: View) -> None:
        """Make the maps that are not there yet, under a line that says so."""
        for method in view.methods:
            if not self.atlas.has_maps(method, view.seed, view.kind):
                what = f"{view.kind} of {method}, seed {view.seed}, {len(self.atlas.epochs)} epochs"
                self.status.value = html("features/line", text=f"Computing {what}; it is stored and made only once ...")
                with self.progress:
                    self.atlas.maps(method, view.seed, view.kind)
        self.status.value = ""

    def _places(self, view: View) -> list[np.ndarray]:
        return [self.atlas.maps(method, view.seed, view.kind)[view.epoch] for method in view.methods]

    def _titles(self, view: View) -> list[str]:
        told = zip(view.titles, self._places(view), strict=True)
        why = f'<br><span style="font-size:11px">{NO_MAP}</span>'
        return [title if np.isfinite(place).any() else title + why for title, place in told]

    def _redraw(self) -> None:
        self._mark()
        self._tell()

    def _mark(self) -> None:
        traces = []
        for panel, images in self._traces:
            x, y = self._visible[panel][images].T
            chosen = None if self.selected is None else np.flatnonzero(np.isin(images, self.selected))
            traces.append({"x": x, "y": y, "selectedpoints": chosen})
        titles = [{"text": title} for title in self._titles(self.controls.view())]
        self.figure.redraw(traces, {"annotations": titles})

    def _select(self, images: Sequence[int] | np.ndarray) -> None:
        self.selected = np.unique(np.asarray(images, dtype=np.int64)) if len(images) else None
        if self.selected is None:
            self.controls.class_picker.value = NO_CLASS
        self._redraw()

    # what the reader does on the maps

    def _class_picked(self, change: Any) -> None:
        if change["new"] != NO_CLASS:
            self.select(np.flatnonzero(self.names[self.labels] == change["new"]))

    def _hovered(self, images: np.ndarray, _trace: go.Scattergl, points: Any, _state: Any) -> None:
        if points.point_inds:
            image = int(images[points.point_inds[0]])
            label, uri = self.labels[image], data_uri(self.atlas.images[image], _POINTED)
            who = {"name": self.names[label], "side": _SIDE_WORDS.get(self.sides[label], "")}
            self.pointed.value = html("features/pointed", image=uri, number=image, **who)

    # numbers and contact sheet, once the controls rest

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
            rows_of_table = list(zip(*self.readings(rows, view), strict=True))
            table = html("features/readings", rows=rows_of_table, methods=view.methods, title=title)
            return table, self._contact_sheet(rows) if selected and len(rows) else ""
        except WorkbookError as error:  # an image that cannot be read, features that are not what was stored
            return html("features/line", text=str(error)), ""

    def _show(self, told: tuple[str, str]) -> None:
        self.numbers.value, self.sheet.value = told

    def _contact_sheet(self, rows: np.ndarray) -> str:
        # evenly over the selection in the order of the classes, so that a class is left out only if it is rare
        ordered = rows[np.argsort(self.labels[rows], kind="stable")]
        chosen = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), _MOST_ON_SHEET)).astype(int)]
        names = self.names[self.labels[chosen]]
        uris = [data_uri(self.atlas.images[image], _THUMBNAIL) for image in chosen]
        pictures = zip(uris, names, self.styles.loc[names, "colour"], strict=True)
        thinned = f"{len(chosen)} of the {len(rows)} selected images"
        title = thinned if len(chosen) < len(rows) else "The selected images"
        return html("features/sheet", pictures=pictures, title=title)
