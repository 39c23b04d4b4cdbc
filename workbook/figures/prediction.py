"""What predicts transfer: B Figs. 1, 8, 12 and 14, and the intervals that the paper lacks."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.style import COLOURS, plain

# three scores, apart in lightness as well as in hue
SCORES = {"ImageNet accuracy": "#888888", "Spectral CIS": "#0072B2", "Cluster CIS": "#D55E00"}
_CHANGES = {
    "column order": ("#999999", "square"),
    "a model left out": ("#56B4E9", "circle"),
    "a family left out": ("#0072B2", "diamond"),
    "families drawn": ("#D55E00", "x"),
}


def transfer_against(
    models: pd.DataFrame, scores: Mapping[str, str], *, transfer: str, transfer_title: str, title: str
) -> go.Figure:
    """Transfer against a score, a panel a score; a line joins a family from T = 1 to its self-supervised origin.

    models: one row a model, columns base, control_cycle (missing at the origin), `transfer` and those of `scores`.
    scores: column -> axis title. The origin, and a model without family, is a star.
    """
    figure = make_subplots(cols=len(scores), shared_yaxes=True, horizontal_spacing=0.03)
    for panel, (score, axis) in enumerate(scores.items(), start=1):
        for base, family in models.sort_values("control_cycle", na_position="last").groupby("base", sort=False):
            trace = _trajectory(family, str(base), family[score], family[transfer], shown=panel == 1)
            figure.add_trace(trace, row=1, col=panel)
        figure.update_xaxes(title={"text": axis, "font": {"size": 12}}, row=1, col=panel)
    figure.update_yaxes(title={"text": transfer_title, "font": {"size": 12}, "standoff": 4}, col=1)
    return plain(figure, title=title, height=480)


def _trajectory(family: pd.DataFrame, base: str, x: pd.Series, y: pd.Series, *, shown: bool) -> go.Scatter:
    cycles = ["origin" if pd.isna(cycle) else f"T = {cycle}" for cycle in family["control_cycle"]]
    colour = COLOURS[base]
    return go.Scatter(
        x=x,
        y=y,
        name=base,
        legendgroup=base,
        showlegend=shown,
        mode="lines+markers",
        line={"color": colour, "width": 1.5},
        marker={
            "size": [12 if cycle == "origin" else 8 for cycle in cycles],
            "symbol": ["star" if cycle == "origin" else "circle" for cycle in cycles],
        },
        text=cycles,
        hovertemplate="%{text}: %{x:.4g}, %{y:.4g}",
    )


def residuals_against_bounds(rows: pd.DataFrame, *, title: str) -> go.Figure:
    """Residuals of Transfer in units of what rounding can make of them: a strip a table, +-1 is the bound.

    rows: columns table, model, residual and bound. Rows beyond the bound are named with their share of it; the axis
    ends at +-3, and arrows stand for those farther out.
    """
    share = rows["residual"] / rows["bound"]
    beyond = share.abs() > 1
    figure = go.Figure()
    figure.add_vrect(x0=-1, x1=1, fillcolor="#56B4E9", opacity=0.18, line_width=0)
    for name, chosen, colour in (("within rounding", ~beyond, "#0072B2"), ("beyond rounding", beyond, "#D55E00")):
        part, shares = rows[chosen], share[chosen]
        figure.add_scatter(
            x=shares.clip(-3, 3),
            y=part["table"],
            name=name,
            mode="markers+text" if name == "beyond rounding" else "markers",
            text=[f"{model} ({value:.1f})" for model, value in zip(part["model"], shares, strict=True)],
            textposition=[_label_place(value) for value in shares],
            marker={
                "color": colour,
                "size": 9,
                "opacity": 0.75,
                "symbol": [_beyond_axis(value) for value in shares],
            },
            hovertemplate="%{text}",
        )
    figure.update_xaxes(title="residual / rounding bound (between −1 and 1: explained by rounding)", range=[-3.3, 3.3])
    figure.update_yaxes(range=[rows["table"].nunique() - 0.3, -0.7], title=None)
    return plain(figure, title=title, height=420)


def _label_place(share: float) -> str:
    """Inside the axis, and not where a neighbour's label stands."""
    return "bottom left" if share > 3 else "bottom right" if share < -3 else "top center"


def _beyond_axis(share: float) -> str:
    return "triangle-right" if share > 3 else "triangle-left" if share < -3 else "circle"


def correlation_intervals(table: pd.DataFrame, *, titles: Sequence[str], x_title: str, title: str) -> go.Figure:
    """Coefficients with their intervals, a panel a protocol; the printed value as a ring.

    table: columns panel (one of `titles`), coefficient, score (a key of SCORES), value, low, high, and printed.
    """
    figure = make_subplots(cols=len(titles), subplot_titles=list(titles), shared_yaxes=True, horizontal_spacing=0.05)
    coefficients = list(table["coefficient"].unique())
    scores = [score for score in SCORES if score in set(table["score"])]
    for panel, name in enumerate(titles, start=1):
        for number, score in enumerate(scores):
            rows = table[(table["panel"] == name) & (table["score"] == score)]
            # one line a score below the coefficient's own
            y = [coefficients.index(c) + 0.22 * (number - (len(scores) - 1) / 2) for c in rows["coefficient"]]
            for trace in _intervals(rows, y, score, shown=panel == 1):
                figure.add_trace(trace, row=1, col=panel)
        figure.add_vline(x=0, line={"color": "#555", "width": 1}, row=1, col=panel)
        figure.update_xaxes(title=x_title, row=1, col=panel)
    ticks = {"tickvals": list(range(len(coefficients))), "ticktext": coefficients}
    figure.update_yaxes(range=[len(coefficients) - 0.4, -0.6], **ticks)
    figure = plain(figure, title=title, height=470)
    return figure.update_layout(legend={"y": 1.07}, margin={"t": 130, "l": 90})


def _intervals(rows: pd.DataFrame, y: list[float], score: str, *, shown: bool) -> tuple[go.Scatter, go.Scatter]:
    common = {"y": y, "legendgroup": score, "mode": "markers"}
    value = go.Scatter(
        x=rows["value"],
        error_x={"array": rows["high"] - rows["value"], "arrayminus": rows["value"] - rows["low"], "thickness": 2},
        name=score,
        showlegend=shown,
        marker={"color": SCORES[score], "size": 9},
        customdata=rows[["low", "high"]],
        hovertemplate="%{x:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})",
        **common,
    )
    ring = {"color": SCORES[score], "size": 15, "symbol": "circle-open", "line": {"width": 1.5}}
    printed = go.Scatter(
        x=rows["printed"], marker=ring, showlegend=False, name=score, hovertemplate="printed: %{x:.2f}", **common
    )
    return value, printed


def importance_ranges(study: pd.DataFrame, *, measure: str, measure_title: str, title: str) -> go.Figure:
    """Importance of each input as bars, a panel a column of `panel`, and how far small changes move it.

    study: as `workbook.papers.importance.importance_study` gives it, with a column panel. Ranges hold 95 % of the
    refits of a change and stand beside the bar in the order of the legend.
    """
    panels = list(study["panel"].unique())
    rows = (len(panels) + 1) // 2
    figure = make_subplots(
        rows=rows, cols=2, subplot_titles=panels, shared_yaxes=True, vertical_spacing=0.16, horizontal_spacing=0.04
    )
    for number, panel in enumerate(panels):
        part = study[study["panel"] == panel]
        where = {"row": number // 2 + 1, "col": number % 2 + 1}
        inputs = list(part["input"].unique())
        bars = part[part["change"] == "none"].set_index("input")[measure][inputs]
        figure.add_trace(_bars(bars, shown=number == 0), **where)
        for step, change in enumerate(_CHANGES):
            figure.add_trace(
                _range(part[part["change"] == change], inputs, change, step, measure, number == 0), **where
            )
        figure.update_xaxes(tickvals=list(range(len(inputs))), ticktext=inputs, **where)
    figure.update_yaxes(range=[0, 1.05])
    figure.update_yaxes(title=measure_title, col=1)
    figure = plain(figure, title=title, height=380 * rows)
    return figure.update_layout(legend={"y": 1.06}, margin={"t": 130})


def _bars(values: pd.Series, *, shown: bool) -> go.Bar:
    return go.Bar(
        x=list(range(len(values))),
        y=values,
        name="all models, columns as listed",
        showlegend=shown,
        legendgroup="none",
        marker={"color": "#DDDDDD", "line": {"color": "#777777", "width": 1}},
        hovertemplate="%{y:.2f}",
    )


def _range(rows: pd.DataFrame, inputs: Sequence[str], change: str, step: int, measure: str, shown: bool) -> go.Scatter:
    spread = rows.groupby("input")[measure].quantile([0.025, 0.5, 0.975]).unstack().loc[list(inputs)]
    colour, symbol = _CHANGES[change]
    return go.Scatter(
        x=[place + 0.16 * (step - 1.5) for place in range(len(inputs))],
        y=spread[0.5],
        error_y={"array": spread[0.975] - spread[0.5], "arrayminus": spread[0.5] - spread[0.025], "thickness": 2},
        name=change,
        legendgroup=change,
        showlegend=shown,
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 8},
        hovertemplate=f"{change}: %{{y:.2f}}",
    )
