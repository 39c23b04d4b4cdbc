"""Models on their way through accuracy and diversity, as traces that a dashboard can change: B Figs. 3 and 13.

Each function gives the properties of a fixed list of traces. A figure is built of them once; later the same function,
with other arguments, says what its traces are to become.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.diversity import CONTOUR_LOOK, Reach, circle_sizes, cis_contours, cis_reach, colours_of
from workbook.figures.look import INK, LOOK, MODEBAR, described, literal

MEASURES = ("cluster", "spectral")
_DASHES = ("solid", "dash", "dot", "dashdot")
_GREY = "#8C8C8C"


@dataclass(frozen=True, kw_only=True)
class MapView:
    """What a map shows of its models."""

    measure: str  # of MEASURES
    transfer: str  # the column that is the size of the circles
    step: str  # models at it, and those without a trajectory, stand out; the others stay thin and pale
    families: Sequence[str]  # those that are drawn
    selected: Sequence[str] = ()  # names of models; none = all alike
    chosen: str | None = None  # who gets the ring


def trajectory_traces(models: pd.DataFrame, view: MapView, *, slots: int) -> list[dict[str, Any]]:
    """Contours of CIS, `slots` lines, all models as circles, and a ring around one: 3 + slots traces.

    models: index name; columns family, colour and dash (see `with_looks`), step (empty for a model without trajectory),
    accuracy (percent), MEASURES ([0, 1]) and the transfers (NaN = not measured); rows of a family in the order of
    their trajectory. The circles' `ids` are the names of the models.
    """
    placed = models.dropna(subset=["accuracy"])
    families = list(placed["family"].unique())
    if len(families) > slots:
        raise ValueError(f"{len(families)} families need as many slots, got {slots}")
    lines = [_line(placed[placed["family"] == family], view) for family in families]
    empty = [{"x": [], "y": [], "visible": False, "name": ""} for _ in range(slots - len(families))]
    ring = placed[(placed.index == view.chosen) & placed["family"].isin(view.families)]
    return [
        cis_contours(*_reach(placed, view.measure)),
        *lines,
        *empty,
        _circles(placed, view),
        {"x": ring["accuracy"].tolist(), "y": ring[view.measure].tolist(), "text": [*map(literal, ring.index)]},
    ]


def with_looks(models: pd.DataFrame) -> pd.DataFrame:
    """The models with `colour`, one a method, and `dash`, by which the families of one method differ.

    models: columns family and method.
    """
    families = models.drop_duplicates("family")
    nth = families.groupby("method", sort=False).cumcount()
    dashes = dict(zip(families["family"], (_DASHES[n % len(_DASHES)] for n in nth), strict=True))
    colours = colours_of(list(models["method"].unique()))
    return models.assign(colour=models["method"].map(colours), dash=models["family"].map(dashes))


def trajectory_map(traces: Sequence[dict[str, Any]]) -> go.Figure:
    """The figure of `trajectory_traces`, with what of it never changes; axes and titles: `map_axes`."""
    contour, *lines, circles, ring = traces
    figure = go.Figure(go.Scatter(**CONTOUR_LOOK).update(contour))
    for line in lines:
        figure.add_trace(go.Scatter(mode="lines", hoverinfo="skip").update(line))
    # what a lasso leaves out is faded, but not the ring around others
    faded, kept = {"marker": {"opacity": 0.12}}, {"marker": {"opacity": 1}, "textfont": {"color": INK}}
    figure.add_trace(go.Scatter(mode="markers", name="models", showlegend=False, unselected=faded).update(circles))
    marker = {"size": 40, "color": "rgba(0,0,0,0)", "line": {"color": INK, "width": 2}}
    text = {"textposition": "top center", "textfont": {"color": INK, "size": 13}, "cliponaxis": False}
    look = {"mode": "markers+text", "name": "chosen", "showlegend": False, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(marker=marker, unselected=kept, **text, **look).update(ring))
    figure.update_layout(
        dragmode="lasso",
        modebar={"remove": [*MODEBAR["remove"], "autoScale2d", "toImage"], "orientation": "v"},
        margin={"l": 64, "r": 30, "t": 60, "b": 50},
    )
    return _card(figure.update_xaxes(showgrid=False).update_yaxes(showgrid=False), 600, 500)


def map_axes(models: pd.DataFrame, *, measure: str, accuracy_title: str) -> dict[str, Any]:
    """Titles and ranges of the axes of a map: they change with the models and with the measure alone."""
    across, up = _reach(models.dropna(subset=["accuracy"]), measure)
    y_title = {"text": f"{measure} diversity (higher = more diverse)", "standoff": 6}
    return {
        "xaxis": {"title": {"text": literal(accuracy_title)}, "range": across},
        "yaxis": {"title": y_title, "range": up},
    }


def layer_traces(layers: pd.DataFrame | None, reference: pd.DataFrame | None, *, colour: str) -> list[dict[str, Any]]:
    """Diversity over the depth, a panel a measure of MEASURES: the model, its mean, and a thin reference; 6 traces.

    layers, reference: as `metrics.model_diversity` gives them; None draws nothing.
    """
    traces = []
    for measure in MEASURES:
        own, other = (None if table is None else table[measure] for table in (layers, reference))
        mean = None if own is None else pd.Series(own.mean(), index=["mean", "mean"])
        traces += [_curve(other, _GREY, dash="dash"), _curve(mean, colour, dash="dot"), _curve(own, colour, width=2)]
    return traces


def layer_panel(traces: Sequence[dict[str, Any]]) -> go.Figure:
    """The figure of `layer_traces`."""
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06)
    looks = [("its start", "lines"), ("mean of its layers", "lines"), ("model", "lines+markers")]
    for number, trace in enumerate(traces):
        panel, (name, mode) = number // 3, looks[number % 3]
        made = go.Scatter(mode=mode, name=name, legendgroup=name, showlegend=panel == 0)
        figure.add_trace(made.update(trace), row=panel + 1, col=1)
    for panel, measure in enumerate(MEASURES, start=1):
        title = {"text": f"{measure} diversity", "standoff": 4, "font": {"size": 12}}
        figure.update_yaxes(title=title, row=panel, col=1)
    figure.update_xaxes(range=[-0.03, 1.03])
    figure.update_xaxes(title={"text": "depth, first layer to last", "font": {"size": 12}}, row=2, col=1)
    figure.update_layout(
        margin={"l": 56, "r": 12, "t": 34, "b": 44},
        modebar={"remove": [*MODEBAR["remove"], "toImage", "autoScale2d", "lasso2d", "select2d"]},
    )
    return _card(figure, 350, 340)


def _card(figure: go.Figure, width: int, height: int) -> go.Figure:
    """A dashboard's look: without a title, and the legend above.

    Of a fixed size: a widget's figure is drawn before it has a place on the page whose size it could take.
    """
    # a click on the legend does nothing: the choosers say what is drawn
    still = {"itemclick": False, "itemdoubleclick": False}
    figure.update_layout(
        template=LOOK,
        legend={"font": {"size": 12}, "yref": "paper", "y": 1.01} | still,
        width=width,
        height=height,
    )
    return described(figure)


def _reach(placed: pd.DataFrame, measure: str) -> tuple[Reach, Reach]:
    if placed.empty:
        return (0.0, 100.0), (0.0, 1.0)
    return cis_reach(placed["accuracy"], placed[measure])


def _line(rows: pd.DataFrame, view: MapView) -> dict[str, Any]:
    joined, first = rows[rows["step"] != ""], rows.iloc[0]
    return {
        # a line without points keeps its place in the legend
        "x": joined["accuracy"].tolist() or [None],
        "y": joined[view.measure].tolist() or [None],
        "name": literal(first["family"]),
        "line": {"color": first["colour"], "width": 1.5, "dash": first["dash"]},
        "opacity": 0.8,
        "visible": first["family"] in view.families,
        "showlegend": True,
    }


def _circles(placed: pd.DataFrame, view: MapView) -> dict[str, Any]:
    drawn = placed[placed["family"].isin(view.families)]
    names, transfer = drawn.index.tolist(), drawn[view.transfer]
    current = drawn["step"].isin(["", view.step]).to_numpy(dtype=bool)
    hollow = transfer.isna().to_numpy() & placed[view.transfer].notna().any()
    told = [f"{value:.3g}" if np.isfinite(value) else "not measured" for value in transfer]
    score = (drawn["accuracy"] * drawn[view.measure]).round(3)
    edge = {"color": np.where(current, INK, "#FFFFFF").tolist(), "width": np.where(current, 2, 0.5).tolist()}
    return {
        "x": drawn["accuracy"].tolist(),
        "y": drawn[view.measure].tolist(),
        "ids": names,
        "text": [*map(literal, names)],
        "customdata": [list(pair) for pair in zip(score, told, strict=True)],
        "marker": {
            "color": drawn["colour"].tolist(),
            "size": circle_sizes(placed[view.transfer], transfer).tolist(),
            "opacity": np.where(current, 0.95, 0.3).tolist(),
            "symbol": np.where(hollow, "circle-open", "circle").tolist(),
            "line": edge,
        },
        "selectedpoints": [names.index(name) for name in view.selected if name in names] if view.selected else None,
        "hovertemplate": "<b>%{text}</b><br>accuracy %{x:.1f} %<br>" + view.measure + " diversity %{y:.4f}"
        "<br>CIS %{customdata[0]}<br>transfer %{customdata[1]}<extra></extra>",
    }


def _curve(values: pd.Series | None, colour: str, *, width: float = 1.5, dash: str = "solid") -> dict[str, Any]:
    values = pd.Series(dtype=float) if values is None else values
    depth = [0.5] if len(values) == 1 else np.linspace(0, 1, len(values)).tolist()
    look = {"line": {"color": colour, "width": width, "dash": dash}, "marker": {"color": colour, "size": 6}}
    places = {"x": depth, "y": values.tolist(), "text": [*map(literal, values.index)]}
    return look | places | {"hovertemplate": "%{text}: %{y:.4f}<extra></extra>"}
