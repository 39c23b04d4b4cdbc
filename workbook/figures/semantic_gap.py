"""What Theorem 1 says of phi on pre-D and on eval-D: own checkpoints, and a model of it (A 4.3, Fig. 9)."""

from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import INK, axis_title, literal_texts, plain
from workbook.figures.style import COLOURS, SYMBOLS, dash_of, legend_entry, panels

_PRE, _EVAL = "φ on pre-D (lower = more variation)", "φ on eval-D (higher is better)"
_NEAR_TO_FAR = (("#56B4E9", "solid"), ("#0072B2", "dash"), ("#882255", "dot"), ("#CC79A7", "dashdot"))


def ratios_by_distance(table: pd.DataFrame, turns: pd.DataFrame, *, title: str) -> go.Figure:
    """A panel a distance: phi on eval-D over phi on pre-D, a line a method from epoch to epoch, thin ones of each seed.

    table: distance, method, seed, epoch, phi_pre, phi_eval. turns: distance, mean, low and high of the turning point t,
    a dashed line with its interval, NaN where there is none, and in words how it was seen, turns.
    """
    table, turns = literal_texts(table), literal_texts(turns).set_index("distance")
    names = list(table["distance"].unique())
    figure, places = panels(len(names), subplot_titles=names, horizontal_spacing=0.08)
    for name, place in zip(names, places, strict=True):
        rows, t = table[table["distance"] == name].sort_values("epoch", kind="stable"), turns.loc[name]
        for method, of_method in rows.groupby("method", sort=False):
            figure.add_traces(_paths(of_method, str(method), shown=place["col"] == 1), place["row"], place["col"])
        look = {"dash": "dash", "color": INK, "width": 1.5}
        told = {
            "annotation_text": f"t: {t['turns']}",
            "annotation_position": "bottom left",
            "annotation_yanchor": "bottom",
        }
        figure.add_vline(x=t["mean"], line=look, **told, **place)
        if pd.notna(t["low"]):
            figure.add_vrect(x0=t["low"], x1=t["high"], fillcolor=INK, opacity=0.1, line_width=0, **place)
        figure.update_xaxes(title=axis_title(_PRE), **place)
    figure.update_yaxes(title=axis_title(_EVAL), col=1)
    return plain(figure, title=title, height=490)


def _paths(rows: pd.DataFrame, method: str, *, shown: bool) -> list[go.Scatter]:
    """The mean over seeds with the first and the last epoch, and each seed."""
    colour, means = COLOURS[method], rows.groupby("epoch", as_index=False)[["phi_pre", "phi_eval"]].mean()
    ends = means["epoch"].isin([means["epoch"].min(), means["epoch"].max()])
    behind = {"legendgroup": method, "showlegend": False, "hoverinfo": "skip", "opacity": 0.3}
    thin = {"mode": "lines", "line": {"color": colour, "width": 1}, **behind}
    seeds = [go.Scatter(x=one["phi_pre"], y=one["phi_eval"], **thin) for _, one in rows.groupby("seed")]
    mean = go.Scatter(
        x=means["phi_pre"],
        y=means["phi_eval"],
        text=means["epoch"].where(ends, ""),
        customdata=means["epoch"],
        mode="lines+markers+text",
        textposition="top center",
        cliponaxis=False,
        line={"color": colour, "width": 2.5, "dash": dash_of(method)},
        marker={"symbol": SYMBOLS[method], "size": 8},
        hovertemplate="epoch %{customdata}: %{x:.4g}, %{y:.4g}",
        **legend_entry(method, shown),
    )
    return [*seeds, mean]


def model_and_simulation(table: pd.DataFrame, *, title: str) -> go.Figure:
    """A panel a case of the model: phi on eval-D over phi on pre-D, closed form as lines and simulation as points.

    table: case, name (a line each, the nearest first), phi_pre, phi_eval, simulated (NaN where nothing was), and turn,
    where the line has a star, NaN where it does not turn.
    """
    table = literal_texts(table)
    cases = list(table["case"].unique())
    figure, places = panels(len(cases), 2, subplot_titles=cases, horizontal_spacing=0.08, vertical_spacing=0.16)
    shown = set[str]()
    for case, place in zip(cases, places, strict=True):
        groups = table[table["case"] == case].groupby("name", sort=False)
        for (name, rows), (colour, dash) in zip(groups, cycle(_NEAR_TO_FAR)):
            figure.add_traces(
                _model(rows, str(name), colour, dash, shown=name not in shown), place["row"], place["col"]
            )
            shown.add(str(name))
        figure.update_xaxes(title=axis_title(_PRE), type="log", **place)
    figure.update_yaxes(title=axis_title(_EVAL), col=1)
    return plain(figure, title=title, height=740)


def _model(rows: pd.DataFrame, name: str, colour: str, dash: str, *, shown: bool) -> list[go.Scatter]:
    """The closed form, what was simulated, and a star where the form turns."""
    at = (rows["phi_pre"] - rows["turn"]).abs().to_numpy()
    turn, found = rows.iloc[[at.argmin()] if rows["turn"].notna().any() else []], rows.dropna(subset="simulated")
    entry, hover = legend_entry(name, False), "%{x:.3g}: %{y:.4g}"
    line = go.Scatter(
        x=rows["phi_pre"],
        y=rows["phi_eval"],
        mode="lines",
        line={"color": colour, "width": 2.5, "dash": dash},
        hovertemplate=hover,
        **legend_entry(name, shown),
    )
    dots = go.Scatter(
        x=found["phi_pre"],
        y=found["simulated"],
        mode="markers",
        marker={"color": colour, "size": 8, "symbol": "circle-open", "line": {"width": 2}},
        hovertemplate=f"simulated, {hover}",
        **entry,
    )
    star = go.Scatter(
        x=turn["phi_pre"],
        y=turn["phi_eval"],
        mode="markers",
        marker={"color": colour, "size": 15, "symbol": "star"},
        hovertemplate=f"t = {hover}",
        **entry,
    )
    return [line, dots, star]
