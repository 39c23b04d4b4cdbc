"""A measure over pretraining epochs: A Figs. 6b, 6c, 7a and 7b."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.style import COLOURS, dash_of, line_and_range, over_seeds, plain


def measures_over(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    title: str,
    by: str = "epoch",
    by_title: str = "pretraining epoch",
    levels: Mapping[str, float] | None = None,
) -> go.Figure:
    """A panel a column of `table`, side by side: a line a method over `by`, with the range of its seeds.

    columns: column -> axis title, which says what is better. levels: name -> value, dashed in every panel.
    """
    figure = make_subplots(cols=len(columns), horizontal_spacing=0.12)
    for panel, (column, axis) in enumerate(columns.items(), start=1):
        for method, rows in over_seeds(table, column, by).groupby("method", sort=False):
            for trace in line_and_range(rows, by, str(method), shown=panel == 1):
                figure.add_trace(trace, row=1, col=panel)
        for name, value in (levels or {}).items():
            figure.add_hline(
                y=value, line={"dash": "dash", "color": "#555", "width": 1.5}, annotation_text=name, row=1, col=panel
            )
        figure.update_xaxes(title=by_title, row=1, col=panel)
        figure.update_yaxes(title={"text": axis, "font": {"size": 12}, "standoff": 4}, row=1, col=panel)
    return plain(figure, title=title, height=470)


def trajectories(table: pd.DataFrame, *, x: str, y: str, x_title: str, y_title: str, title: str) -> go.Figure:
    """One measure against another, a line a method from epoch to epoch; the epoch stands at every point.

    table: one row for every method and epoch, columns method, epoch and the two measures.
    """
    figure = go.Figure()
    for method, rows in table.sort_values("epoch", kind="stable").groupby("method", sort=False):
        figure.add_scatter(
            x=rows[x],
            y=rows[y],
            text=rows["epoch"],
            name=str(method),
            mode="lines+markers+text",
            textposition="top center",
            line={"color": COLOURS[str(method)], "width": 2, "dash": dash_of(str(method))},
            hovertemplate="epoch %{text}: %{x:.4g}, %{y:.4g}",
        )
    figure.update_xaxes(title=x_title)
    figure.update_yaxes(title=y_title)
    return plain(figure, title=title)
