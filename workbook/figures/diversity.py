"""Paper B's diversity drawn: curves of layers (Figs. 2, 9, 10), models over their depth, CIS contours (Fig. 3)."""

from collections.abc import Iterable
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from workbook.figures.look import INK, axis_title, literal, literal_texts, plain
from workbook.figures.style import COLOURS, legend_entry, own_range, panels

# what no method has, for a user's own models
_OTHERS = ("#7A7A7A", "#B585F9", "#75C986", "#791A7A", "#E5A1C7")
CONTOUR_LOOK: dict[str, Any] = {
    "name": "CIS",
    "mode": "lines+text",
    "line": {"color": "rgba(128,128,128,0.55)", "width": 1},
    "textfont": {"size": 11},
    "textposition": "middle right",
    "hoverinfo": "skip",
    "showlegend": False,
}
_STEPS = 40  # of a hyperbola
_MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "pentagon")


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for every name: a method's own, else the next that is free; they repeat after five."""
    free = cycle(_OTHERS)
    return {name: COLOURS.get(name) or next(free) for name in names}


def layer_curves(table: pd.DataFrame, *, x: str, y: str, title: str, diagonal: bool = False) -> go.Figure:
    """A panel a model, a curve a layer from the first (dark) to the last (bright); above, the mean diversity.

    table: tidy, columns model, layer, diversity and the two of the curve, whose names are the axes' titles; a layer's
    rows in the order of the curve.
    diagonal: draw the line of equal shares, the most diverse that a curve of explained variance can be.
    """
    table = literal_texts(table)
    models = list(table["model"].unique())
    means = table.groupby(["model", "layer"], sort=False)["diversity"].first().groupby("model", sort=False).mean()
    names = [f"{model}: diversity {means[model]:.3f}" for model in models]
    figure, places = panels(len(models), subplot_titles=names, shared_yaxes=True, horizontal_spacing=0.04)
    for place, model in zip(places, models, strict=True):
        layers = table[table["model"] == model].groupby("layer", sort=False)
        colours = sample_colorscale("Cividis", np.linspace(0, 1, max(2, layers.ngroups)))
        for colour, (layer, rows) in zip(colours, layers, strict=False):
            hover = f"{layer}, {rows['diversity'].iloc[0]:.3f}: %{{x:.3g}}, %{{y:.3g}}<extra>{model}</extra>"
            line = {"color": colour, "width": 1.5}
            figure.add_scatter(x=rows[x], y=rows[y], mode="lines", line=line, hovertemplate=hover, **place)
        if diagonal:
            figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": INK, "dash": "dash"}, **place)
    figure.update_traces(showlegend=False)
    figure.update_yaxes(title=literal(y), col=1)
    return plain(figure, title=title, x=x, height=430)


def diversity_by_layer(table: pd.DataFrame, *, title: str) -> go.Figure:
    """Cluster and spectral diversity over the layers in their order, a line a model; dotted, the model's mean.

    table: tidy, columns model, layer, cluster and spectral; a model's rows in the order of its layers.
    """
    table = literal_texts(table)
    models = list(table["model"].unique())
    colours = colours_of(models)
    figure, places = panels(2, horizontal_spacing=0.1)
    for place, measure in zip(places, ("cluster", "spectral"), strict=True):
        for model in models:
            rows = table[table["model"] == model]
            # over the fraction of the depth, so that networks of other depths lie over each other
            depth = np.linspace(0, 1, len(rows)) if len(rows) > 1 else [0.5]
            line = {"color": colours[model], "width": 1.5}
            look = {"mode": "lines+markers", "line": line, "marker": {"size": 5}, "hovertemplate": "%{text}: %{y:.4f}"}
            entry = legend_entry(model, place["col"] == 1)
            figure.add_scatter(x=depth, y=rows[measure], text=rows["layer"], **look, **entry, **place)
            figure.add_hline(y=rows[measure].mean(), line={"dash": "dot", **line}, **place)
        figure.update_yaxes(title=axis_title(f"{measure} diversity (higher = more diverse)"), **place)
    return plain(figure, title=title, x="depth, first layer to last", height=430)


def score_contours(points: pd.DataFrame, *, diversity_title: str, title: str) -> go.Figure:
    """Accuracy times diversity: models over the contours of their product, the CIS (B Eq. 1, Figs. 3, 13 and 15).

    points: one row a model, columns name, group, accuracy (percent) and diversity ([0, 1]); rows of a group are
    joined in their order. Where there is a column transferability, it is the size of the circles.
    """
    points = literal_texts(points)
    colours, sized = colours_of(points["group"].unique()), "transferability" in points
    reach = cis_reach(points["accuracy"], points["diversity"])
    figure = go.Figure(go.Scatter(**cis_contours(*reach), **CONTOUR_LOOK))
    for symbol, (group, rows) in zip(cycle(_MARKERS), points.groupby("group", sort=False), strict=False):
        sizes = circle_sizes(points["transferability"], rows["transferability"]) if sized else 11
        look = {"color": colours[str(group)], "size": sizes, "symbol": "circle" if sized else symbol}
        figure.add_scatter(
            x=rows["accuracy"],
            y=rows["diversity"],
            text=rows["name"],
            customdata=rows["accuracy"] * rows["diversity"],
            name=str(group),
            mode="lines+markers" if len(rows) > 1 else "markers",
            line={"color": colours[str(group)], "width": 1},
            marker={"line": {"color": "rgba(255,255,255,0.8)", "width": 1}, **look},
            hovertemplate="%{text}: %{x:.1f} %, %{y:.3f}, CIS %{customdata:.2f}",
        )
    figure.update_xaxes(showgrid=False, range=reach[0]).update_yaxes(showgrid=False, range=reach[1])
    return plain(figure, title=title, x="upstream top-1 accuracy (%), higher is better", y=diversity_title, height=560)


Reach = tuple[float, float]


def cis_reach(accuracy: pd.Series, diversity: pd.Series) -> tuple[Reach, Reach]:
    """What a map of CIS shows of accuracy and of diversity: a tenth of their width beyond the models on each side."""
    x, y = (own_range(values, margin=0.1) for values in (accuracy, diversity))
    return x, y


def cis_contours(accuracy: Reach, diversity: Reach) -> dict[str, Any]:
    """Lines of equal CIS within these ranges: hyperbolas, as CIS is a product; one trace with gaps, each line named.

    Some seven lines at round values, from the one nearest to 0; names stand inside, at the upper ends.
    """
    (left, right), (bottom, top) = accuracy, diversity
    x, y, text = [], [], []
    for level in nice_levels(max(left, 0) * max(bottom, 0), right * top):
        start, end = max(left, level / top), min(right, level / bottom if bottom > 0 else right)
        across = np.linspace(start, end, _STEPS) if level > 0 else np.array([])
        x += [*across, None]
        y += [*(level / across), None]
        # a line that only cuts a corner has no room for its name
        named = 1 if end - start > 0.04 * (right - left) else None
        text += [f"{level:g}" if number == named else "" for number in range(len(across) + 1)]
    return {"x": x, "y": y, "text": text}


def nice_levels(low: float, high: float, count: int = 7) -> np.ndarray:
    """About so many round numbers between these: multiples of 1, 2 or 5 times a power of ten."""
    step = (high - low) / count
    unit = 10 ** np.floor(np.log10(step))
    step = unit * min((1, 2, 5, 10), key=lambda factor: abs(factor * unit - step))
    return (np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step).round(12)


def circle_sizes(everyone: pd.Series, values: pd.Series) -> np.ndarray:
    """10 to 30 pixels from the lowest to the highest of everyone's transferability; 10 where there is none (NaN)."""
    low, high = everyone.min(), everyone.max()
    return 10 + (20 * (values - low) / ((high - low) or 1)).fillna(0).to_numpy()
