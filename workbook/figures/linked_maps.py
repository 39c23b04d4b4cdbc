"""Maps of the same images side by side, so that a point is the same image in all of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.look import LOOK, MODEBAR, described, literal_texts
from workbook.figures.maps import CLASSES

# a hue a class and a shape a side; the second ten classes of a side take its second shape
SHAPES = {"pre": ("circle", "square", "diamond"), "eval": ("triangle-up", "x", "star")}
GLYPHS = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "x": "✖", "star": "★"}
MOST_CLASSES = len(CLASSES) * len(SHAPES["pre"])


def class_styles(side_of: dict[str, str]) -> pd.DataFrame:
    """How each class is drawn: index class name, columns side, colour and symbol.

    side_of: class name -> "pre" or "eval"; any other word, where there is no concept split, is drawn as "pre".
    ValueError for more classes of one side than can be told apart.
    """
    styles = pd.DataFrame({"side": side_of}).rename_axis("class_name")
    group = styles["side"].where(styles["side"].isin(SHAPES), "pre")
    nth = group.groupby(group).cumcount()
    if nth.max() >= MOST_CLASSES:
        raise ValueError(
            f"at most {MOST_CLASSES} classes of one side can be told apart by hue and shape, got more of "
            f"{styles['side'][nth.idxmax()]!r}: choose fewer"
        )
    symbols = [SHAPES[side][number // len(CLASSES)] for side, number in zip(group, nth, strict=True)]
    return styles.assign(colour=[CLASSES[number % len(CLASSES)] for number in nth], symbol=symbols)


def shape_groups(points: pd.DataFrame) -> list[np.ndarray]:
    """The images (n,) int of each trace of a panel: a trace a shape, which WebGL draws and selects far faster."""
    return [np.flatnonzero(points["symbol"] == symbol) for symbol in points["symbol"].unique()]


def linked_maps(titles: Sequence[str], places: Sequence[np.ndarray], points: pd.DataFrame) -> go.Figure:
    """A square panel a title; its traces hold the images of `shape_groups(points)`, the same in every panel.

    titles: markup of plotly's. places: one (N, 2) array a panel, within [-1, 1]; NaN hides a point. points: one row an
    image, columns text (shown under the pointer), colour and symbol.
    """
    figure = make_subplots(cols=len(titles), subplot_titles=list(titles), horizontal_spacing=0.01)
    size, points = marker_size(len(points)), literal_texts(points)
    for panel, place in enumerate(places, start=1):
        for images in shape_groups(points):
            figure.add_trace(_points(place[images], points.iloc[images], size), row=1, col=panel)
    for panel, title in enumerate(figure.layout.annotations):
        title.update(x=panel / len(titles) + 0.004, xanchor="left", font={"size": 15})
    axis = {"range": [-1.06, 1.06], "visible": False}
    figure.update_xaxes(**axis).update_yaxes(**axis)
    for panel in range(1, len(titles) + 1):
        figure.update_yaxes(scaleanchor=f"x{panel if panel > 1 else ''}", row=1, col=panel)
    figure.update_layout(
        width=398 * len(titles),
        height=430,
        margin={"l": 4, "r": 4, "t": 34, "b": 4},
        template=LOOK,
        showlegend=False,
        dragmode="lasso",
        hovermode="closest",
        uirevision="kept",  # a zoom outlives a change of the data
        modebar={"remove": [*MODEBAR["remove"], "toImage", "autoScale2d", "zoomIn2d", "zoomOut2d"]},
    )
    return described(figure)


def _points(place: np.ndarray, points: pd.DataFrame, size: float) -> go.Scattergl:
    return go.Scattergl(
        x=place[:, 0],
        y=place[:, 1],
        mode="markers",
        text=points["text"],
        hovertemplate="%{text}<extra></extra>",
        marker={"color": points["colour"], "symbol": points["symbol"].iloc[0], "size": size, "opacity": 0.8},
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0.08}},
    )


def marker_size(count: int) -> float:
    """Pixels: 8 for a few hundred points, 5 for thousands."""
    return 8.0 if count <= 600 else 6.5 if count <= 2500 else 5.0
