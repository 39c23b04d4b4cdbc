"""The verdicts on all claims at a glance."""

import textwrap

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.style import plain

# outcome -> fill, edge, ink, sign; what is decided is filled, and each has a sign of its own
_LOOKS = {
    "agrees": ("#0072B2", "#0072B2", "#FFFFFF", "✓"),
    "differs": ("#D55E00", "#D55E00", "#FFFFFF", "✗"),
    "inconclusive": ("#DDD9EA", "#DDD9EA", "#3C3656", "≈"),
    "not evaluated": ("#FFFFFF", "#A9B0B7", "#5C6670", "○"),
    "failed run": ("#FFFFFF", "#9F2D1F", "#9F2D1F", "!"),
    "not measured": ("#F4F2EC", "#F4F2EC", "#A9A59A", "·"),
}
_ROW = 30
_SQUARE = 21
_LEAST_WIDTH = 440  # of all panels together, on the smallest place where the figure is drawn


def verdict_grid(table: pd.DataFrame, *, title: str) -> go.Figure:
    """A panel a profile, a row a topic, a square a claim, which has the same place in every panel.

    table: tidy, one row a claim and profile: profile, paper, topic, claim (its id), statement, outcome (agrees,
    differs, inconclusive, not evaluated, failed run, not measured) and text, what was measured. Rows, squares and
    panels stand in the order of the table.
    """
    if unknown := set(table["outcome"]) - set(_LOOKS):
        raise ValueError(f"an outcome is one of {', '.join(_LOOKS)}, got {sorted(unknown)}")
    profiles = list(table["profile"].unique())
    table = table.assign(
        row=[f"{topic}  <b>{paper}</b>" for topic, paper in zip(table["topic"], table["paper"], strict=True)],
        place=table.groupby(["profile", "topic"]).cumcount() + 1,
    )
    rows = list(table["row"].unique())
    places = int(table["place"].max())
    size = min(_SQUARE, _LEAST_WIDTH // (places * len(profiles)))
    figure = make_subplots(1, len(profiles), shared_yaxes=True, subplot_titles=profiles, horizontal_spacing=0.02)
    for column, profile in enumerate(profiles, start=1):
        for outcome, found in table[table["profile"] == profile].groupby("outcome", sort=False):
            figure.add_trace(_squares(found, str(outcome), size), row=1, col=column)
    for outcome in _LOOKS:
        if outcome in set(table["outcome"]):
            figure.add_trace(_key(outcome), row=1, col=1)
    figure.update_xaxes(visible=False, range=[0.4, places + 0.6], fixedrange=True)
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=rows[::-1],
        range=[-0.6, len(rows) - 0.4],
        showgrid=False,
        ticks="",
        fixedrange=True,
    )
    figure.update_annotations(font={"size": 14}, yshift=2)
    plain(figure, title=title, height=150 + _ROW * len(rows))
    return figure.update_layout(
        margin={"l": 220, "r": 20, "t": 120, "b": 20},
        legend={
            "x": 0.01,
            "xref": "container",
            "y": 1 + 34 / (_ROW * len(rows)),
            "itemclick": False,
            "itemdoubleclick": False,
        },
    )


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


def _key(outcome: str) -> go.Scatter:
    fill, edge, _, sign = _LOOKS[outcome]
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        marker={"symbol": "square", "size": 14, "color": fill, "line": {"color": edge, "width": 1.5}},
        name=f"{sign} {outcome}",
    )
