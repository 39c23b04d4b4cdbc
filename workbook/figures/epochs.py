"""A measure over pretraining epochs: A Figs. 6b, 6c, 7a and 7b."""

from collections.abc import Mapping
from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import INK, literal, literal_texts, plain
from workbook.figures.style import COLOURS, SYMBOLS, dash_of, legend_entry, lines_over, own_range

_DASHES = ("dash", "dot", "dashdot")


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
    levels: name -> value, a broken line in every panel that reaches so far; a note names the others.
    """
    by, by_title = over
    figure = lines_over(table, columns, by, spacing=0.12)
    note = _add_levels(figure, table[list(columns)], levels) if levels else ""
    return plain(figure, title=title, x=by_title, note=note, height=450)


def _add_levels(figure: go.Figure, measured: pd.DataFrame, levels: Mapping[str, float]) -> str:
    """The levels in every panel, each with its own dash and one entry in the legend; the text that names the others."""
    drawn, beyond = set[str](), set[str]()
    for number, column in enumerate(measured, start=1):
        place, (low, high) = {"row": 1, "col": number}, own_range(measured[column], levels.values())
        figure.update_yaxes(range=(low, high), **place)
        for dash, (name, value) in zip(cycle(_DASHES), levels.items(), strict=False):
            if low <= value <= high:
                line = {"dash": dash, "color": INK, "width": 1.5}
                figure.add_hline(y=value, line=line, **legend_entry(literal(name), name not in drawn), **place)
            (drawn if low <= value <= high else beyond).add(name)
    named = ", ".join(f"{literal(name)} ({value:.3g})" for name, value in levels.items() if name in beyond)
    return f"Beyond the axis: {named}" if named else ""


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
            marker={"symbol": SYMBOLS[str(method)], "size": 8},
            hovertemplate="epoch %{text}: %{x:.4g}, %{y:.4g}",
        )
    return plain(figure, title=title, x=x_title, y=y_title)
