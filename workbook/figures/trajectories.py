"""Models on their way through accuracy and diversity, as traces that a dashboard can change: B Figs. 3 and 13.

Each function gives the properties of a fixed list of traces. A figure is built of them once; later the same function,
with other arguments, says what its traces are to become.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.diversity import CONTOUR_LOOK, circle_sizes, cis_grid, colours_of
from workbook.figures.style import FONT, UNWANTED_BUTTONS

MEASURES = ("cluster", "spectral")
_DASHES = ("solid", "dash", "dot", "dashdot")
_INK = "#222222"
# a click on it does nothing: the choosers say what is drawn
_LEGEND = {
    "font": {"size": 12},
    "orientation": "h",
    "x": 0,
    "y": 1.01,
    "yanchor": "bottom",
    "itemclick": False,
    "itemdoubleclick": False,
}


def trajectory_traces(
    models: pd.DataFrame,
    *,
    measure: str,
    transfer: str,
    step: str,
    shown: Sequence[str],
    slots: int,
    selected: Sequence[str] = (),
    chosen: str | None = None,
) -> list[dict[str, Any]]:
    """Contours of CIS, `slots` lines, all models as circles, and a ring around one: 3 + slots traces.

    models: index name; columns family, colour and dash (see `with_looks`), step (empty for a model without trajectory),
    accuracy (percent), MEASURES ([0, 1]) and the transfers (NaN = not measured); rows of a family in the order of
    their trajectory. measure: of MEASURES. transfer: the column that is the size of the circles.
    step: models at it, and those without a trajectory, stand out; the others stay thin and pale.
    shown: the families that are drawn. selected: names of models, none = all alike. chosen: who gets the ring.
    The circles' `ids` are the names of the models.
    """
    placed = models.dropna(subset=["accuracy"])
    families = list(placed["family"].unique())
    if len(families) > slots:
        raise ValueError(f"{len(families)} families need as many slots, got {slots}")
    lines = [_line(placed[placed["family"] == family], str(family), measure, family in shown) for family in families]
    empty = [{"x": [], "y": [], "visible": False, "name": ""} for _ in range(slots - len(families))]
    drawn = placed[placed["family"].isin(shown)]
    ring = drawn[drawn.index == chosen]
    return [
        _contour(placed, measure),
        *lines,
        *empty,
        _circles(drawn, placed, measure, transfer, step, selected),
        {"x": ring["accuracy"].tolist(), "y": ring[measure].tolist(), "text": ring.index.tolist()},
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
    figure = go.Figure(go.Contour(name="contours", **CONTOUR_LOOK).update(contour))
    for line in lines:
        figure.add_trace(go.Scatter(mode="lines", hoverinfo="skip").update(line))
    figure.add_trace(go.Scatter(mode="markers", name="models", showlegend=False, **_FADED).update(circles))
    marker = {"size": 40, "color": "rgba(0,0,0,0)", "line": {"color": _INK, "width": 2}}
    text = {"textposition": "top center", "textfont": {"color": _INK, "size": 13}, "cliponaxis": False}
    look = {"mode": "markers+text", "name": "chosen", "showlegend": False, "hoverinfo": "skip"}
    # a lasso around others does not fade it
    kept = {"marker": {"opacity": 1}, "textfont": {"color": _INK}}
    figure.add_trace(go.Scatter(marker=marker, unselected=kept, **text, **look).update(ring))
    figure.update_layout(
        dragmode="lasso",
        modebar={"remove": [*UNWANTED_BUTTONS, "autoScale2d", "toImage"], "orientation": "v"},
        legend=_LEGEND,
        margin={"l": 64, "r": 30, "t": 60, "b": 50},
    )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    return _card(figure, 600, 500)


def map_axes(models: pd.DataFrame, *, measure: str, accuracy_title: str) -> dict[str, Any]:
    """Titles and ranges of the axes of a map: they change with the models and with the measure alone."""
    contour = _contour(models.dropna(subset=["accuracy"]), measure)
    return {
        "xaxis": {"title": {"text": accuracy_title}, "range": [contour["x"][0], contour["x"][-1]]},
        "yaxis": {
            "title": {"text": f"{measure} diversity (higher = more diverse)", "standoff": 6},
            "range": [contour["y"][0], contour["y"][-1]],
        },
    }


def layer_traces(layers: pd.DataFrame | None, reference: pd.DataFrame | None, *, colour: str) -> list[dict[str, Any]]:
    """Diversity over the depth, a panel a measure of MEASURES: the model, its mean, and a thin reference; 6 traces.

    layers, reference: as `metrics.model_diversity` gives them; None draws nothing.
    """
    traces: list[dict[str, Any]] = []
    for measure in MEASURES:
        traces += [
            _curve(reference, measure) | {"line": {"color": "#8C8C8C", "width": 1.5, "dash": "dash"}},
            _mean(layers, measure) | {"line": {"color": colour, "width": 1.5, "dash": "dot"}},
            _curve(layers, measure) | {"line": {"color": colour, "width": 2}, "marker": {"color": colour, "size": 6}},
        ]
    return traces


def layer_panel(traces: Sequence[dict[str, Any]]) -> go.Figure:
    """The figure of `layer_traces`."""
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06)
    modes = ("lines", "lines", "lines+markers")
    names = ("its start", "mean of its layers", "model")
    for number, trace in enumerate(traces):
        kind = number % 3
        made = go.Scatter(mode=modes[kind], name=names[kind], legendgroup=names[kind], showlegend=number < 3)
        figure.add_trace(made.update(trace), row=number // 3 + 1, col=1)
    for row, measure in enumerate(MEASURES, start=1):
        figure.update_yaxes(title={"text": f"{measure} diversity", "standoff": 4, "font": {"size": 12}}, row=row, col=1)
    figure.update_xaxes(range=[-0.03, 1.03])
    figure.update_xaxes(title={"text": "depth, first layer to last", "font": {"size": 12}}, row=2, col=1)
    figure.update_layout(
        legend=_LEGEND,
        margin={"l": 56, "r": 12, "t": 34, "b": 44},
        modebar={"remove": [*UNWANTED_BUTTONS, "toImage", "autoScale2d", "lasso2d", "select2d"]},
    )
    return _card(figure, 350, 340)


def _card(figure: go.Figure, width: int, height: int) -> go.Figure:
    """A dashboard's look: a light card without a title, as readable on a dark page as on a light one.

    Of a fixed size: a widget's figure is drawn before it has a place on the page whose size it could take.
    """
    return figure.update_layout(
        template="plotly_white",
        font={"family": FONT, "size": 13, "color": _INK},
        hoverlabel={"font": {"family": FONT}},
        width=width,
        height=height,
    )


# what a lasso leaves out
_FADED: dict[str, Any] = {"unselected": {"marker": {"opacity": 0.12}}}


def _contour(placed: pd.DataFrame, measure: str) -> dict[str, Any]:
    if placed.empty:
        placed = pd.DataFrame({"accuracy": [0.0, 100.0], measure: [0.0, 1.0]})
    return cis_grid(placed["accuracy"], placed[measure])


def _line(rows: pd.DataFrame, family: str, measure: str, shown: bool) -> dict[str, Any]:
    joined = rows[rows["step"] != ""]
    return {
        # a line without points keeps its place in the legend
        "x": joined["accuracy"].tolist() or [None],
        "y": joined[measure].tolist() or [None],
        "name": family,
        "line": {"color": rows["colour"].iloc[0], "width": 1.5, "dash": rows["dash"].iloc[0]},
        "opacity": 0.8,
        "visible": shown,
        "showlegend": True,
    }


def _circles(
    drawn: pd.DataFrame, placed: pd.DataFrame, measure: str, transfer: str, step: str, selected: Sequence[str]
) -> dict[str, Any]:
    current = drawn["step"].isin(["", step]).to_numpy(dtype=bool)
    unmeasured = drawn[transfer].isna().to_numpy() & placed[transfer].notna().any()
    names = drawn.index.tolist()
    score = drawn["accuracy"] * drawn[measure]
    told = [f"{value:.3g}" if np.isfinite(value) else "not measured" for value in drawn[transfer]]
    return {
        "x": drawn["accuracy"].tolist(),
        "y": drawn[measure].tolist(),
        "ids": names,
        "text": names,
        "customdata": [[round(cis, 3), size] for cis, size in zip(score, told, strict=True)],
        "marker": {
            "color": drawn["colour"].tolist(),
            "size": circle_sizes(placed[transfer], drawn[transfer]).tolist(),
            "opacity": np.where(current, 0.95, 0.3).tolist(),
            "symbol": np.where(unmeasured, "circle-open", "circle").tolist(),
            "line": {"color": np.where(current, _INK, "#FFFFFF").tolist(), "width": np.where(current, 2, 0.5).tolist()},
        },
        "selectedpoints": [names.index(name) for name in selected if name in names] if selected else None,
        "hovertemplate": "<b>%{text}</b><br>accuracy %{x:.1f} %<br>" + measure + " diversity %{y:.4f}"
        "<br>CIS %{customdata[0]}<br>transfer %{customdata[1]}<extra></extra>",
    }


def _curve(layers: pd.DataFrame | None, measure: str) -> dict[str, Any]:
    if layers is None:
        return {"x": [], "y": [], "text": []}
    depth = np.linspace(0, 1, len(layers)) if len(layers) > 1 else np.array([0.5])
    hover = "%{text}: %{y:.4f}<extra></extra>"
    return {"x": depth.tolist(), "y": layers[measure].tolist(), "text": layers.index.tolist(), "hovertemplate": hover}


def _mean(layers: pd.DataFrame | None, measure: str) -> dict[str, Any]:
    mean = [] if layers is None else [float(layers[measure].mean())] * 2
    return {"x": [0, 1] if mean else [], "y": mean, "hovertemplate": "mean: %{y:.4f}<extra></extra>"}
