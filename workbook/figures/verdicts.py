"""The verdicts on all claims at a glance."""

import textwrap

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import CLEAR, INK, literal_texts, plain
from workbook.figures.style import panels

_PALE, _FAINT = "rgba(130,119,196,0.28)", "rgba(128,128,128,0.1)"
# outcome -> fill, edge, ink, sign; what is decided is filled, and each has a sign of its own
_LOOKS = {
    "agrees": ("#0072B2", "#0072B2", "#FFFFFF", "✓"),
    "differs": ("#D55E00", "#D55E00", "#FFFFFF", "✗"),
    "inconclusive": (_PALE, _PALE, "#8277C4", "≈"),
    "exploratory": (CLEAR, "#8277C4", "#8277C4", "?"),
    "not evaluated": (CLEAR, "#9299A0", INK, "○"),
    "failed run": (CLEAR, "#D0402D", "#D0402D", "!"),
    "not measured": (_FAINT, _FAINT, INK, "·"),
}
SIGNS = {outcome: sign for outcome, (*_, sign) in _LOOKS.items()}
"""Signs stand beside every colour: nobody has to tell blue from orange."""
_ROW = 30
_SQUARE = 21
_LEAST_WIDTH = 350  # of all panels together, on the smallest place where the figure is drawn


def verdict_grid(table: pd.DataFrame, *, title: str) -> go.Figure:
    """Panels side by side, a row a topic, a square a claim, which has the same place in every panel.

    table: tidy, one row a claim and panel: panel, paper, topic, claim (its id), statement, outcome (a key of SIGNS)
    and text, what was measured. Rows, squares and panels stand in the order of the table.
    """
    if unknown := set(table["outcome"]) - set(_LOOKS):
        raise ValueError(f"an outcome is one of {', '.join(_LOOKS)}, got {sorted(unknown)}")
    table = literal_texts(table)
    names = list(table["panel"].unique())
    table = table.assign(
        row=table["topic"] + "  <b>" + table["paper"] + "</b>", place=table.groupby(["panel", "topic"]).cumcount() + 1
    )
    rows, most = list(table["row"].unique()), int(table["place"].max())
    size = min(_SQUARE, _LEAST_WIDTH // (most * len(names)))
    figure, places = panels(len(names), shared_yaxes=True, subplot_titles=names, horizontal_spacing=0.02)
    for place, name in zip(places, names, strict=True):
        for outcome, found in table[table["panel"] == name].groupby("outcome", sort=False):
            figure.add_trace(_squares(found, str(outcome), size), **place)
    figure.update_xaxes(visible=False, range=[0.4, most + 0.6], fixedrange=True)
    order = {"categoryorder": "array", "categoryarray": rows[::-1], "range": [-0.6, len(rows) - 0.4]}
    figure.update_yaxes(showgrid=False, ticks="", fixedrange=True, **order)
    # no-break spaces: a sign stays with its word
    key = "   ".join(
        f"{sign}\xa0{outcome}".replace(" ", "\xa0")
        for outcome, sign in SIGNS.items()
        if outcome in set(table["outcome"])
    )
    return plain(figure, title=title, note=key, height=100 + _ROW * len(rows)).update_layout(margin={"b": 20})


def _squares(found: pd.DataFrame, outcome: str, size: int) -> go.Scatter:
    fill, edge, ink, sign = _LOOKS[outcome]
    hover = [
        f"{'<br>'.join(textwrap.wrap(statement, 60))}<br><b>{sign} {outcome}</b>{': ' if text else ''}{text}"
        for statement, text in zip(found["statement"], found["text"], strict=True)
    ]
    return go.Scatter(
        x=found["place"],
        y=found["row"],
        mode="markers+text",
        marker={"symbol": "square", "size": size, "color": fill, "line": {"color": edge, "width": 1.5}},
        text=[sign] * len(found),
        textfont={"color": ink, "size": round(size * 2 / 3)},
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        customdata=found["claim"],
        name=outcome,
        showlegend=False,
    )


def effect_intervals(table: pd.DataFrame, *, title: str, x: str) -> go.Figure:
    """Effects with their 95 % intervals, a row a claim, coloured by what the interval says; 0 is a line.

    table: columns claim (its text), measured, low, high and outcome (a key of SIGNS); all in the unit of `x`.
    """
    table, figure = literal_texts(table), go.Figure()
    for outcome, found in table.groupby("outcome", sort=False):
        _, edge, _, sign = _LOOKS[str(outcome)]
        reach = {"array": found["high"] - found["measured"], "arrayminus": found["measured"] - found["low"]}
        colour = "#8277C4" if outcome == "inconclusive" else edge  # its own is too light for a line
        figure.add_scatter(
            x=found["measured"],
            y=found["claim"],
            mode="markers",
            name=f"{sign} {outcome}",
            marker={"color": colour, "size": 9},
            error_x={"type": "data", "symmetric": False, "color": colour, **reach},
            hovertemplate="%{y}: %{x:.3g}",
        )
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    order = list(table["claim"])[::-1]
    figure.update_yaxes(categoryorder="array", categoryarray=order, title=None)
    return plain(figure, title=title, x=x, height=170 + 26 * len(table))
