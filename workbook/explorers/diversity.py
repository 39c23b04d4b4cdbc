"""The explorer of accuracy, diversity and transfer: B Figs. 1, 3, 5 and 13 in one view."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go
from plotly.callbacks import BoxSelector, InputDeviceState, LassoSelector, Points

from workbook.explorers.collection import TRANSFERS, Collection
from workbook.explorers.correlations import correlations_html, transfer_correlations
from workbook.explorers.live_figure import LiveFigure
from workbook.explorers.words import STYLE, about_html, details_html
from workbook.figures.trajectories import (
    MEASURES,
    layer_panel,
    layer_traces,
    map_axes,
    trajectory_map,
    trajectory_traces,
)


class DiversityExplorer(widgets.VBox):
    """Accuracy x diversity with the contours of CIS, a slider over T, a model's layers, and correlations.

    collections: what can be shown, one at a time, the first of them first: `paper_models()`, `own_models(...)`,
    `named_models(...)`. Those without models stay on their button, and say what is missing.

    The controls are widgets: `collection`, `measure`, `transfer`, `step`, `families`, `model` (a click on a circle sets
    it) and `selection` (a lasso sets it; nothing selected = all that are drawn). What they show is in `map`, `layers`,
    `details` and `correlations`. Every change is one update of existing traces.
    """

    def __init__(self, collections: Sequence[Collection]) -> None:
        self._collections = {collection.name: collection for collection in collections}
        if not collections or len(self._collections) < len(collections):
            raise ValueError(f"collections need names of their own, got {[found.name for found in collections]}")
        self._slots = max(len(collection.families) for collection in collections)
        self._updating = False
        self._make_controls()
        self.about, self.details, self.correlations = (widgets.HTML() for _ in range(3))
        self._enter_collection()
        # whole before they are widgets: an update that comes before a page shows them would be lost to that page
        self.map = LiveFigure(trajectory_map(self._map_traces()).update_layout(self._axes()))
        self.layers = LiveFigure(layer_panel(self._layer_traces()))
        circles = self._circles
        circles.on_click(self._clicked)
        circles.on_selection(self._lassoed)
        circles.on_deselect(lambda trace, points: self._select(()))
        super().__init__(children=self._arranged())
        self.add_class("diversity-explorer")
        self._correlate()
        self._tell_model()
        self._observe()

    # what is shown

    @property
    def shown(self) -> Collection:
        return self._collections[self.collection.value]

    @property
    def counted(self) -> pd.DataFrame:
        """The models that the correlations are of: the selected, or all that are drawn."""
        models = self.shown.models[self.shown.models["family"].isin(self.families.value)]
        chosen = list(self.selection.value)
        return models.loc[chosen] if chosen else models

    @property
    def _circles(self) -> go.Scatter:
        return self.map.data[1 + self._slots]

    def _map_traces(self) -> list[dict[str, Any]]:
        return trajectory_traces(
            self.shown.models,
            measure=self.measure.value,
            transfer=self.transfer.value,
            step=self.step.value or "",
            shown=self.families.value,
            slots=self._slots,
            selected=self.selection.value,
            chosen=self.model.value,
        )

    def _layer_traces(self) -> list[dict[str, Any]]:
        model, layers = self.model.value, self.shown.layers
        if model is None:
            return layer_traces(None, None, colour="#222222")
        start = self.shown.start_of(model)
        colour = self.shown.models.loc[model, "colour"]
        return layer_traces(layers.get(model), layers.get(start) if start else None, colour=colour)

    def _axes(self) -> dict[str, Any]:
        return map_axes(self.shown.models, measure=self.measure.value, accuracy_title=self.shown.accuracy_title)

    # controls

    def _make_controls(self) -> None:
        style = {"description_width": "initial", "button_width": "110px"}

        def toggles(options: Sequence[Any], description: str) -> widgets.ToggleButtons:
            return widgets.ToggleButtons(options=options, description=description, style=style)

        self.collection = toggles(list(self._collections), "models")
        self.measure = toggles(list(MEASURES), "diversity")
        self.transfer = toggles([(name, column) for column, name in TRANSFERS.items()], "circle size")
        self.step = widgets.SelectionSlider(
            options=["–"], description="label injection", style=style, layout={"width": "560px"}, continuous_update=True
        )
        self.play = widgets.Play(interval=900, min=0, max=1, show_repeat=False, layout={"width": "110px"})
        self._link = widgets.jslink((self.play, "value"), (self.step, "index"))
        self.model = widgets.Dropdown(
            description="model", style={"description_width": "50px"}, layout={"width": "auto"}
        )
        self.families = widgets.SelectMultiple(rows=7, layout={"width": "210px"})
        self.selection = widgets.SelectMultiple(rows=7, layout={"width": "300px"})

    def _enter_collection(self) -> None:
        """Fill the controls with what this collection has."""
        shown = self.shown
        steps = shown.steps or ["–"]
        self.play.max = len(steps) - 1
        self.step.index = 0
        # empty before its options change: a browser fails on an index that the new options do not have
        self.families.value = self.selection.value = ()
        self.step.options = steps
        self.step.disabled = self.play.disabled = len(steps) == 1
        self.families.options = shown.families
        self.families.value = tuple(shown.families)
        names = shown.models.index.tolist()
        self.model.options = names
        # the highest CIS first: a view that opens shows what a click would
        self.model.value = shown.models["cluster_cis"].idxmax() if shown.models["cluster_cis"].notna().any() else None
        self.selection.options = names
        self.about.value = about_html(shown)

    def _observe(self) -> None:
        self.collection.observe(self._changed_collection, "value")
        self.measure.observe(lambda _: self._refresh(axes=True), "value")
        self.step.observe(lambda _: self._refresh(), "value")
        for control in (self.transfer, self.selection):
            control.observe(lambda _: self._refresh(counted=True), "value")
        self.families.observe(self._changed_families, "value")
        self.model.observe(self._changed_model, "value")

    # what a change does

    def _changed_collection(self, _: Any) -> None:
        self._updating = True
        try:
            self._enter_collection()
        finally:
            self._updating = False
        self._refresh(axes=True, counted=True)
        self._changed_model(None)

    def _changed_families(self, _: Any) -> None:
        """A selected model of a family that is no longer drawn is no longer selected."""
        if self._updating:
            return
        drawn = self.shown.models["family"].isin(self.families.value)
        self._updating = True
        try:
            self.selection.value = ()
            self.selection.options = self.shown.models.index[drawn].tolist()
        finally:
            self._updating = False
        self._refresh(counted=True)

    def _changed_model(self, _: Any) -> None:
        if self._updating:
            return
        self._refresh()
        self.layers.redraw(self._layer_traces())
        self._tell_model()

    def _refresh(self, *, axes: bool = False, counted: bool = False) -> None:
        """Draw the map anew; `axes` where the axes change, `counted` where the correlations do."""
        if self._updating:
            return
        with self.map.batch_update():
            # the outline of a lasso would select its models again at every update, whatever the list says
            self.map.layout.selections = ()
            self.map.redraw(self._map_traces(), self._axes() if axes else {})
        if counted:
            self._correlate()

    def _correlate(self) -> None:
        table, said = transfer_correlations(self.counted, self.transfer.value)
        of = "The selected models" if self.selection.value else "All models that are drawn"
        name = TRANSFERS[self.transfer.value]
        self.correlations.value = correlations_html(table, f"{of}: {said}", transfer=name)

    def _tell_model(self) -> None:
        self.details.value = details_html(self.shown, self.model.value)
        self._layers_card.layout.display = None if self.model.value in self.shown.layers else "none"

    def _clicked(self, trace: go.Scatter, points: Points, state: InputDeviceState) -> None:
        if points.point_inds:
            self.model.value = trace.ids[points.point_inds[0]]

    def _lassoed(self, trace: go.Scatter, points: Points, selector: LassoSelector | BoxSelector) -> None:
        # a page does not tell of the outline that it keeps: known here, it is removed with the next update
        self.map.layout.selections = [_outline(selector)]
        self._select([trace.ids[index] for index in points.point_inds])

    def _select(self, names: Sequence[str]) -> None:
        self.selection.value = tuple(names)

    # the arrangement

    def _arranged(self) -> list[widgets.Widget]:
        def column(*children: widgets.Widget, **layout: str) -> widgets.VBox:
            return widgets.VBox(children, layout=layout)

        def framed(figure: go.FigureWidget) -> widgets.Box:
            box = widgets.Box([figure], layout={"width": "100%"})
            box.add_class("explorer-card")
            return box

        self._layers_card = framed(self.layers)
        row = {"flex_flow": "row wrap", "align_items": "flex-start", "grid_gap": "4px 28px"}
        choosers = column(
            widgets.HBox(
                [
                    column(widgets.HTML('<p class="caption">families drawn</p>'), self.families),
                    column(widgets.HTML('<p class="caption">models counted (none = all)</p>'), self.selection),
                ],
                layout={"grid_gap": "16px"},
            ),
            widgets.HTML(
                "<p><small>Models are also selected by a lasso on the map; a double click there selects none. "
                "In the lists, Ctrl or Shift adds to a selection.</small></p>"
            ),
        )
        return [
            widgets.HTML(STYLE),
            widgets.HBox([self.collection, self.measure, self.transfer], layout=row),
            self.about,
            widgets.HBox([self.step, self.play], layout=row | {"align_items": "center"}),
            widgets.HBox(
                [
                    column(framed(self.map), self.correlations, choosers, width="610px"),
                    column(self.model, self._layers_card, self.details, width="360px"),
                ],
                layout={"flex_flow": "row wrap", "grid_gap": "10px"},
            ),
        ]


def _outline(selector: LassoSelector | BoxSelector) -> dict[str, Any]:
    if isinstance(selector, BoxSelector):
        (x0, x1), (y0, y1) = selector.xrange, selector.yrange
        return {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1}
    corners = "L".join(f"{x},{y}" for x, y in zip(selector.xs, selector.ys, strict=True))
    return {"type": "path", "path": f"M{corners}Z"}
