"""The lassos and boxes that a reader draws on a figure, and which points lie within them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go


class Outlines:
    """Tells which points are selected whenever outlines are drawn, or taken away by a double click.

    places: what the panels of the figure show now, see `points_within`. tell: gets the points (n,) int, ascending; none
    where the reader selects nothing. mark: draws once more what is selected.
    """

    def __init__(
        self,
        figure: go.FigureWidget,
        places: Callable[[], Sequence[np.ndarray]],
        tell: Callable[[np.ndarray], None],
        mark: Callable[[], None],
    ) -> None:
        self._figure, self._places, self._tell = figure, places, tell
        self.drawn = False  # whether there are any now
        # not plotly's event of a selection: of several events widgets send the last, and pointing follows at once
        figure.layout.on_change(self._changed, "selections")
        # what `clear` takes away comes back as a selection of nothing, which widgets draw trace by trace when
        # what is selected has long been drawn; the last trace is told last
        figure.data[-1].on_selection(lambda trace, points, selector: mark())
        # a double click takes away what a list selected, too; every trace is told of it, and one is enough
        figure.data[-1].on_deselect(lambda trace, points: tell(np.array([], dtype=np.int64)))

    def clear(self) -> None:
        """Else an outline would select anew, in its panel alone, when points move under it."""
        if self.drawn:
            self.drawn = False
            # `layout.selections = ()` would send nothing: what a lasso adds to the layout is not among its objects here
            self._figure.plotly_relayout({"selections": []})

    def _changed(self, layout: go.Layout, *_: Any) -> None:
        # an outline that was drawn is in the layout's JSON alone, not yet among its objects
        outlines = layout.to_plotly_json().get("selections", [])
        if outlines or self.drawn:
            self.drawn = bool(outlines)
            self._tell(points_within(outlines, self._places()))


def points_within(outlines: Sequence[Mapping[str, Any]], places: Sequence[np.ndarray]) -> np.ndarray:
    """The points (n,) int, ascending, that lie within any of the outlines.

    outlines: as plotly keeps them in `layout.selections`: boxes and lassos, each on one panel. places: what the panels
    show, one (N, 2) array each, the same points in the same order; NaN is within nothing.
    """
    found = np.zeros(len(places[0]), dtype=bool)
    for outline in outlines:
        place = places[int(outline["xref"][1:] or 1) - 1]  # "x" is the first panel, "x2" the second
        found |= _in_box(outline, place) if outline["type"] == "rect" else _in_path(outline["path"], place)
    return np.flatnonzero(found)


def _in_box(outline: Mapping[str, Any], place: np.ndarray) -> np.ndarray:
    corners = np.array([[outline["x0"], outline["y0"]], [outline["x1"], outline["y1"]]])
    return ((corners.min(axis=0) <= place) & (place <= corners.max(axis=0))).all(axis=1)


def _in_path(path: str, place: np.ndarray) -> np.ndarray:
    """Even-odd: a ray to the right crosses the border an odd number of times. path: "M0,0L1,0L1,1Z", rings in a row."""
    x, y = place.T
    odd = np.zeros(len(place), dtype=bool)
    for ring in path.replace("Z", "").split("M")[1:]:
        corners = np.array([corner.split(",") for corner in ring.split("L")], dtype=float)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if ay != by:
                odd ^= ((ay > y) != (by > y)) & (x < ax + (bx - ax) * (y - ay) / (by - ay))
    return odd
