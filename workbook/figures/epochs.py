"""A measure over pretraining epochs: A Figs. 6b, 6c, 7a and 7b."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.style import COLOURS, dash_of, lines_over, literal, literal_texts, plain


def measures_over(
    table: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    title: str,
    over: tuple[str, str] = ("epoch", "pretraining epoch"),
    levels: Mapping[str, float] | None = None,
) -> go.Figure:
    """A panel a column of `table`, side by side: a line a method, with the range of its seeds.

    columns: column -> axis title, which says what is better. over: the column of the horizontal axis, and its title.
    levels: name -> value, dashed in every panel.
    """
    by, by_title = over
    figure = lines_over(table, columns, by, spacing=0.12)
    for name, value in (levels or {}).items():
        figure.add_hline(y=value, line={"dash": "dash", "color": "#555", "width": 1.5}, annotation_text=literal(name))
    return plain(figure, title=title, x=by_title, height=470)


def trajectories(table: pd.DataFrame, axes: Mapping[str, str], *, title: str) -> go.Figure:
    """One measure against another, a line a method from epoch to epoch; the epoch stands at every point.

    table: one row for every method and epoch, columns method, epoch and the two measures.
    axes: the two columns, across and up -> their axis titles.
    """
    table, ((x, x_title), (y, y_title)) = literal_texts(table), axes.items()
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
    return plain(figure, title=title, x=x_title, y=y_title)
