"""Images with boxes of what is there and of what a detector found."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import literal_texts, plain
from workbook.figures.style import legend_entry, panels

# Okabe and Ito's green and vermilion, which are told apart on light images and on dark ones
_LOOKS = {"there": ("what is there", "#009E73", "dash"), "found": ("what was found", "#D55E00", "solid")}
_TINT = 0.45  # of a found mask over the image
_WIDTH = 780  # pixels of all panels of a row


def boxes_on_images(
    images: Sequence[np.ndarray],
    boxes: pd.DataFrame,
    masks: Sequence[np.ndarray] | None = None,
    *,
    title: str,
    columns: int = 4,
) -> go.Figure:
    """A panel an image: boxes of what is there, dashed, and boxes and masks of what was found.

    images: each (H, W, 3) uint8. boxes: a row a box, columns image (its place among them), what ("there" or "found"),
    left, top, right and bottom (pixels) and text, which the pointer shows. masks: of each image (H, W) bool, where
    something was found.
    """
    boxes = literal_texts(boxes)
    figure, places = panels(len(images), columns, horizontal_spacing=0.01, vertical_spacing=0.02)
    for number, (image, place) in enumerate(zip(images, places, strict=True)):
        tinted = image if masks is None else _tinted(image, masks[number])
        figure.add_trace(go.Image(z=tinted, hoverinfo="skip"), **place)
        for what, look in _LOOKS.items():
            own = boxes[(boxes["image"] == number) & (boxes["what"] == what)]
            figure.add_trace(_outlines(own, *look, shown=number == 0), **place)
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    row = _WIDTH / columns * max(len(image) / image.shape[1] for image in images)
    return plain(figure, title=title, height=round(110 + (row + 8) * -(-len(images) // columns)))


def _tinted(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    colour = np.array([int(_LOOKS["found"][1][i : i + 2], 16) for i in (1, 3, 5)])
    mixed = image + _TINT * mask[:, :, None] * (colour - image.astype(float))
    return mixed.round().astype(np.uint8)


def _outlines(boxes: pd.DataFrame, name: str, colour: str, dash: str, *, shown: bool) -> go.Scatter:
    """All boxes as one line with gaps. Whole numbers are the middles of pixels, so that edges lie half a pixel away."""
    left, top, right, bottom = (boxes[side].to_numpy(float) - 0.5 for side in ("left", "top", "right", "bottom"))
    gap = np.full(len(boxes), np.nan)
    x, y = np.stack([left, right, right, left, left, gap], 1), np.stack([top, top, bottom, bottom, top, gap], 1)
    told = {"text": boxes["text"].repeat(x.shape[1]).tolist(), "hovertemplate": "%{text}"}
    look = {"mode": "lines", "line": {"color": colour, "width": 2, "dash": dash}}
    # an empty trace has no place in the legend
    points = {"x": x.ravel(), "y": y.ravel()} if len(boxes) else {"x": [None], "y": [None]}
    return go.Scatter(**points, **look, **told, **legend_entry(name, shown))
