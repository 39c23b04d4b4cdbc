"""The explorer of accuracy, diversity and transfer: B Figs. 1, 3, 5 and 13 in one view."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.callbacks import InputDeviceState, Points

from workbook.explorers.diversity.collection import TRANSFERS, Collection
from workbook.explorers.diversity.correlations import transfer_correlations
from workbook.explorers.diversity.words import correlations_html, details_html
from workbook.explorers.live_figure import LiveFigure
from workbook.explorers.outlines import Outlines
from workbook.explorers.page import download, html, player, row, stylesheet
from workbook.figures import trajectories

_HINT = """<p><small>Models are also selected by a lasso on the map; a double click there selects none.
In the lists, Ctrl or Shift adds to a selection.</small></p>"""


class DiversityExplorer(widgets.VBox):
    """Accuracy x diversity with the contours of CIS, a slider over T, a model's layers, and correlations.

    collections: what can be shown, one at a time, the first of them first: `paper_models()`, `own_models(...)`,
    `named_models(...)`. Those without models stay on their button, and say what is missing.

    The controls are widgets: `collection`, `measure`, `transfer`, `step`, `families`, `model` (a click on a circle sets
    it) and `selection` (a lasso sets it; nothing selected = all that are drawn). What they show is in `map`, `layers`,
    `details`, `correlations` and, as a link, `file`. Every change is one update of existing traces.
    """

    def __init__(self, collections: Sequence[Collection]) -> None:
        self._collections = {collection.name: collection for collection in collections}
        if not collections or len(self._collections) < len(collections):
            raise ValueError(f"collections need names of their own, got {[found.name for found in collections]}")
        self._slots = max(len(collection.families) for collection in collections)
        self._updating = False
        self._make_controls()
        self.about, self.details, self.correlations, self.file = (widgets.HTML() for _ in range(4))
        self._enter_collection()
        # whole before they are widgets: an update that comes before a page shows them would be lost to that page
        self.map = LiveFigure(trajectories.trajectory_map(self._map_traces()).update_layout(self._axes()))
        self.layers = LiveFigure(trajectories.layer_panel(self._layer_traces()))
        self._circles.on_click(self._clicked)
        self._outlines = Outlines(self.map, self._places, self._outlined, self._draw_map)
        super().__init__(children=self._arranged())
        self.add_class("explorer").add_class("diversity-explorer")
        self._draw()
        self._correlate()
        self._draw_model()
        for control in (self.collection, self.measure, self.transfer, self.step, self.families, self.selection):
            control.observe(self._changed, "value")
        self.model.observe(self._changed, "value")

    # what is shown

    @property
    def shown(self) -> Collection:
        return self._collections[self.collection.value]

    @property
    def counted(self) -> pd.DataFrame:
        """The models that the correlations are of: the selected, or all that are drawn."""
        chosen = list(self.selection.value)
        return self.shown.models.loc[chosen] if chosen else self._of_families

    @property
    def _of_families(self) -> pd.DataFrame:
        return self.shown.models[self.shown.models["family"].isin(self.families.value)]

    @property
    def _circles(self) -> go.Scatter:
        return self.map.data[-2]

    def _places(self) -> list[np.ndarray]:
        return [np.column_stack([self._circles.x, self._circles.y])]

    def _map_traces(self) -> list[dict[str, Any]]:
        view = trajectories.MapView(
            measure=self.measure.value,
            transfer=self.transfer.value,
            step=self.step.value,
            families=self.families.value,
            selected=self.selection.value,
            chosen=self.model.value,
        )
        return trajectories.trajectory_traces(self.shown.models, view, slots=self._slots)

    def _layer_traces(self) -> list[dict[str, Any]]:
        model, layers = self.model.value, self.shown.layers
        start = None if model is None else self.shown.start_of(model)
        colour = "#222222" if model is None else self.shown.models.loc[model, "colour"]
        return trajectories.layer_traces(layers.get(model), layers.get(start or ""), colour=colour)

    def _axes(self) -> dict[str, Any]:
        shown, measure = self.shown, self.measure.value
        return trajectories.map_axes(shown.models, measure=measure, accuracy_title=shown.accuracy_title)

    # controls

    def _make_controls(self) -> None:
        def toggles(options: Sequence[Any], description: str) -> widgets.ToggleButtons:
            return widgets.ToggleButtons(options=options, description=description, style=style)

        style = {"description_width": "initial", "button_width": "110px"}
        self.collection = toggles(list(self._collections), "models")
        self.measure = toggles(list(trajectories.MEASURES), "diversity")
        self.transfer = toggles([(name, column) for column, name in TRANSFERS.items()], "circle size")
        how = {"description": "label injection", "style": style, "layout": {"width": "560px"}}
        self.step = widgets.SelectionSlider(options=["–"], **how)
        self.play = player(self.step, layout={"width": "110px"})
        how = {"style": {"description_width": "50px"}, "layout": {"width": "auto"}}
        self.model = widgets.Dropdown(description="model", **how)
        self.families, self.selection = (
            widgets.SelectMultiple(rows=7, tooltip=tooltip, layout={"width": width})
            for tooltip, width in (("families drawn", "210px"), ("models counted", "300px"))
        )

    def _enter_collection(self) -> None:
        """Fill the controls with what this collection has."""
        shown, models = self.shown, self.shown.models
        steps = shown.steps or ["–"]
        self.play.max, self.step.index = len(steps) - 1, 0
        # empty before its options change: a browser fails on an index that the new options do not have
        self.families.value = self.selection.value = ()
        self.step.options = steps
        self.step.disabled = self.play.disabled = len(steps) == 1
        self.families.options = shown.families
        self.families.value = tuple(shown.families)
        self.model.options = self.selection.options = models.index.tolist()
        # the highest CIS first: a view that opens shows what a click would
        self.model.value = models["cluster_cis"].idxmax() if models["cluster_cis"].notna().any() else None
        self.about.value = html("diversity/about", shown=shown)

    # what a change does

    def _changed(self, change: Any) -> None:
        if self._updating:
            return
        control = change["owner"]
        with self._quiet():
            if control is self.collection:
                self._enter_collection()
            elif control is self.families:  # a selected model that is no longer drawn is no longer selected
                self.selection.value = ()
                self.selection.options = self._of_families.index.tolist()
        self._draw()
        if control in (self.collection, self.transfer, self.families, self.selection):
            self._correlate()
        if control in (self.collection, self.model):
            self._draw_model()

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """What controls change of each other is drawn together, and not one by one."""
        self._updating = True
        try:
            yield
        finally:
            self._updating = False

    def _draw(self) -> None:
        self._outlines.clear()
        self._draw_map()

    def _draw_map(self) -> None:
        self.map.redraw(self._map_traces(), self._axes())

    def _draw_model(self) -> None:
        self.layers.redraw(self._layer_traces(), {})
        self.details.value = details_html(self.shown, self.model.value)
        self._layers_card.layout.display = None if self.model.value in self.shown.layers else "none"

    def _correlate(self) -> None:
        table, said = transfer_correlations(self.counted, self.transfer.value)
        of = "The selected models" if self.selection.value else "All models that are drawn"
        self.file.value = download("These models as CSV", "models.csv", self.counted.to_csv().encode(), "text/csv")
        self.correlations.value = correlations_html(table, f"{of}: {said}", transfer=TRANSFERS[self.transfer.value])

    def _clicked(self, trace: go.Scatter, points: Points, state: InputDeviceState) -> None:
        if points.point_inds:
            self.model.value = trace.ids[points.point_inds[0]]

    def _outlined(self, points: np.ndarray) -> None:
        names = tuple(self._circles.ids[point] for point in points)
        if names == self.selection.value:
            self._draw()  # as plotly has marked others meanwhile
        self.selection.value = names

    # the arrangement

    def _arranged(self) -> list[widgets.Widget]:
        def card(figure: go.FigureWidget) -> widgets.Box:
            return widgets.Box([figure], layout={"width": "100%"}).add_class("card")

        def titled(title: str, chooser: widgets.Widget) -> widgets.VBox:
            return widgets.VBox([widgets.HTML(f'<p class="caption">{title}</p>'), chooser])

        self._layers_card = card(self.layers)
        counted = titled("models counted (none = all)", self.selection)
        choosers = row(titled("families drawn", self.families), counted, grid_gap="16px")
        left = [card(self.map), self.correlations, self.file, choosers, widgets.HTML(_HINT)]
        right = [self.model, self._layers_card, self.details]
        columns = (widgets.VBox(left, layout={"width": "610px"}), widgets.VBox(right, layout={"width": "360px"}))
        return [
            stylesheet(),
            row(self.collection, self.measure, self.transfer, align_items="flex-start", grid_gap="4px 28px"),
            self.about,
            row(self.step, self.play, align_items="center", grid_gap="4px 28px"),
            row(*columns, grid_gap="10px"),
        ]
