"""The feature explorer: two methods' maps of the same images side by side, linked, from epoch to epoch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

from workbook.errors import WorkbookError
from workbook.explorers.features.atlas import Atlas
from workbook.explorers.features.controls import FeatureControls
from workbook.explorers.features.measured import Measured
from workbook.explorers.features.view import OF, View, opened, shared
from workbook.explorers.features.words import SIDE_WORDS, legend_html, pointed_html
from workbook.explorers.later import Later
from workbook.explorers.live_figure import LiveFigure
from workbook.explorers.outlines import Outlines
from workbook.explorers.page import html, row, stylesheet
from workbook.figures.linked_maps import linked_maps, shape_groups
from workbook.figures.maps import NO_MAP


class FeatureExplorer(widgets.VBox):
    """Maps of an atlas in two panels, with controls; a selection in one panel is the same images in the other.

    The atlas's first two methods stand side by side (its only one, with itself). Maps of the first seed are made here,
    with a progress bar; others when they are chosen.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas, self.labels, self.styles = atlas, atlas.images.labels, atlas.styles
        self.names = np.array(atlas.images.class_names)
        self.selected: np.ndarray | None = None  # (n,) int, images; None = no selection
        self._undoing = False
        self._later, self.measured = Later(0.25), Measured(atlas)
        self.controls = FeatureControls(atlas)
        self.legend, self.numbers, self.sheet, self.nearest, self.status = (widgets.HTML() for _ in range(5))
        self.pointed, self.progress = widgets.HTML(html("features/pointed", image=None)), widgets.Output()
        self.figure = self._make_figure()
        self._outlines = Outlines(self.figure, lambda: self._visible, self._outlined, self._mark)
        super().__init__(self._arranged())
        self.add_class("explorer").add_class("features-explorer")
        for control in self.controls.drawing:
            control.observe(self._changed, "value")
        self.controls.search.observe(self._searched, "value")
        self.controls.image.observe(self._asked, "value")
        self.controls.shared.observe(lambda change: self._pasted(change["new"]), "value")
        self.figure.observe(lambda change: self._pasted(change["new"], always=False), "_query")
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

    # what it is made of

    def _make_figure(self) -> LiveFigure:
        view = self.controls.view()
        points = self.styles.loc[self.names[self.labels], ["colour", "symbol"]].reset_index(drop=True)
        told = [", ".join(filter(None, (name, SIDE_WORDS.get(side)))) for name, side in self.atlas.side_of.items()]
        points["text"] = np.array(told)[self.labels]
        groups = shape_groups(points)
        self._traces = [(panel, images) for panel in (0, 1) for images in groups]  # what each trace holds
        figure = LiveFigure(linked_maps(self._titles(view), self._places(view), points))
        # plotly's default draws four times as many pixels, for high-resolution screens: without a GPU that is half of
        # the time of a change. There is no public way to say so to a widget
        figure._config = {**figure._config, "plotGlPixelRatio": 1}
        for trace, (_, images) in zip(figure.data, self._traces, strict=True):
            trace.on_hover(partial(self._hovered, images))
            trace.on_click(partial(self._clicked, images))
        return figure

    def _arranged(self) -> list[widgets.Widget]:
        chosen, which = self.controls, widgets.HTML("<b>Classes shown</b> <small>several with Ctrl</small>")
        column = [self.pointed, self.legend, which, chosen.classes]
        beside = widgets.VBox(column, layout={"width": "258px", "padding": "0 0 0 6px"})
        return [
            stylesheet(),
            row(chosen.left, chosen.right, chosen.seed, chosen.kind, chosen.side),
            row(chosen.epoch, chosen.play, chosen.search, chosen.clear),
            row(chosen.colour, chosen.image, chosen.shared),
            *(self.status, self.progress, row(self.figure, beside), self.nearest, self.numbers, self.sheet),
        ]

    # what a change draws

    def _changed(self, change: Any) -> None:
        if self._undoing:
            return
        try:
            self._draw()
        except (WorkbookError, ValueError) as error:
            with self._quiet():
                change["owner"].value = change["old"]  # the controls say what is drawn
            self.status.value = html("features/line", text=f"{change['new']} cannot be shown: {error}.")

    def _draw(self) -> None:
        view, shown = self.controls.view(), self.controls.shown()
        self._prepare(view)
        self._colourings = self.measured.colourings(self.controls.colour.value, view)
        self._outlines.clear()
        self._visible = [np.where(shown[self.labels, None], place, np.nan) for place in self._places(view)]
        self._redraw()
        self.legend.value = legend_html(self.styles[shown], view.methods, self._colourings)

    def _prepare(self, view: View) -> None:
        """Make the maps that are not there yet, under a line that says so."""
        for method in view.methods:
            if not self.atlas.has_maps(method, view.seed, view.kind):
                what = f"{view.kind} of {method}, seed {view.seed}, {len(self.atlas.epochs)} epochs"
                self.status.value = html("features/line", text=f"Computing {what}; it is stored and made only once ...")
                with self.progress:
                    self.atlas.maps(method, view.seed, view.kind)
                self.progress.outputs = ()
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
            colours = tuple(self._colourings[panel].colours[image] for image in images)
            traces.append({"x": x, "y": y, "selectedpoints": chosen, "marker_color": colours})
        titles = [{"text": title} for title in self._titles(self.controls.view())]
        self.figure.redraw(traces, {"annotations": titles})

    def _select(self, images: Sequence[int] | np.ndarray, *, searched: str = "", why_none: str = "") -> None:
        self.selected = np.unique(np.asarray(images, dtype=np.int64)) if len(images) else None
        with self._quiet():
            self.controls.search.value = searched
        self._redraw()
        if self.selected is not None and not len(self.rows()):
            why_none = "Nothing of the selection is shown: its classes are hidden by Side or Classes shown."
        self.status.value = html("features/line", text=why_none) if why_none else ""

    # what the reader does on the maps

    def _outlined(self, images: np.ndarray) -> None:
        empty = self._outlines.drawn and not len(images)
        self._select(images, why_none="The outline holds no point: draw it around points." if empty else "")

    def _searched(self, change: Any) -> None:
        if self._undoing:
            return
        names, text = self.controls.found(), change["new"]
        why_none = f"No class of this map has {text!r} in its name; they stand under Classes shown." if text else ""
        self._outlines.clear()
        images = np.flatnonzero(np.isin(self.names[self.labels], names))
        self._select(images, searched=text, why_none="" if len(images) else why_none)

    def _hovered(self, images: np.ndarray, _trace: go.Scattergl, points: Any, _state: Any) -> None:
        if points.point_inds:
            self.pointed.value = pointed_html(self.atlas, int(images[points.point_inds[0]]))

    def _clicked(self, images: np.ndarray, _trace: go.Scattergl, points: Any, _state: Any) -> None:
        if points.point_inds:
            self.controls.image.value = str(images[points.point_inds[0]])

    def _asked(self, change: Any) -> None:
        text, last = change["new"].strip(), len(self.labels) - 1
        if text and not (text.isdecimal() and int(text) <= last):
            self.status.value = html("features/line", text=f"An image is a number from 0 to {last}, got {text!r}.")
        elif not self._undoing:
            self.status.value = ""
            self._tell()

    def _pasted(self, text: str, *, always: bool = True) -> None:
        """Show what a shared text says; of an address, always = False, only one that says something."""
        if self._undoing or text == self.shared or not (always or f"{OF}=" in text):
            return
        before = self.controls.state()
        try:
            state, selected = opened(text, self.atlas.images.digest, len(self.labels))
            with self._quiet():
                self.controls.restore(state)
            self._draw()
            self.select(selected)
        except (WorkbookError, ValueError) as error:
            with self._quiet():
                self.controls.restore(before)  # the controls say what is drawn
            self._share()
            self.status.value = html("features/line", text=f"{error}.")

    @property
    def shared(self) -> str:
        """What is drawn and selected as a text, which the field View takes, and a link after its `?`."""
        return shared(self.atlas.images.digest, self.controls.state(), self.selected)

    def _share(self) -> None:
        with self._quiet():
            self.controls.shared.value = self.shared

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """What is set here asks for nothing."""
        self._undoing = True
        try:
            yield
        finally:
            self._undoing = False

    # numbers and contact sheet, once the controls rest

    def _tell(self) -> None:
        self._share()
        # in a thread: what it needs is taken along, because the controls may change meanwhile
        asked = self.controls.image.value.strip()
        image = int(asked) if asked.isdecimal() and int(asked) < len(self.labels) else None
        self._later(
            partial(self.measured.told, self.rows(), self.controls.view(), self.selected is not None, image), self._show
        )

    def _show(self, told: tuple[str, str, str]) -> None:
        self.numbers.value, self.sheet.value, self.nearest.value = told
