"""Which points lie within the outlines that a reader has drawn on maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def images_within(outlines: Sequence[Mapping[str, Any]], places: Sequence[np.ndarray]) -> np.ndarray:
    """The images (n,) int, ascending, that lie within any of the outlines.

    outlines: as plotly keeps them in `layout.selections`: boxes and lassos, each on one panel. places: what the panels
    show, one (N, 2) array each, the same images in the same order; NaN is within nothing.
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
