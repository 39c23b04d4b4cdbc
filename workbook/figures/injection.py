"""Label injection over its control cycle: B Figs. 6, 7 and 11."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.style import COLOURS, line_and_range, over_seeds, plain

_NEVER = "∞"


def cycle_name(cycle: float | None) -> str:
    """How an axis writes a control cycle; None and NaN, no injection at all, are its limit."""
    return _NEVER if cycle is None or not np.isfinite(cycle) else str(int(cycle))


def measures_over_cycles(
    table: pd.DataFrame, columns: Mapping[str, str], *, title: str, starred: Collection[str] = ()
) -> go.Figure:
    """A panel a column of `table`: a line a method over the control cycle, most labels on the left.

    The mean over the seeds, their range as a band; in the columns of `starred` a star where the mean is highest.
    table: tidy, columns method, seed, control_cycle (None or NaN = never) and those of `columns`: column -> axis title.
    """
    names = table["control_cycle"].map(cycle_name)
    cycles = sorted(names.unique(), key=lambda name: float("inf") if name == _NEVER else int(name))
    figure = make_subplots(cols=len(columns), horizontal_spacing=0.09)
    for panel, (column, axis) in enumerate(columns.items(), start=1):
        for method, rows in table.assign(cycle=names).groupby("method", sort=False):
            found = over_seeds(rows, column, by="cycle").set_index("cycle").reindex(cycles).dropna().reset_index()
            figure.add_traces(line_and_range(found, "cycle", str(method), shown=panel == 1), rows=1, cols=panel)
            if column in starred:
                figure.add_trace(_star(found.set_index("cycle")["mean"], str(method)), row=1, col=panel)
        figure.update_xaxes(
            title="control cycle T", type="category", categoryorder="array", categoryarray=cycles, row=1, col=panel
        )
        figure.update_yaxes(title={"text": axis, "font": {"size": 12}, "standoff": 4}, row=1, col=panel)
    return plain(figure, title=title, height=430)


def _star(means: pd.Series, method: str) -> go.Scatter:
    return go.Scatter(
        x=[means.idxmax()],
        y=[means.max()],
        name=f"{method}, best",
        legendgroup=method,
        showlegend=False,
        mode="markers",
        marker={"color": COLOURS[method], "size": 17, "symbol": "star", "line": {"color": "white", "width": 1}},
        hovertemplate="best at T = %{x}: %{y:.4g}",
    )


def cka_maps(maps: Mapping[str, np.ndarray], stages: Sequence[str], *, x_title: str, title: str) -> go.Figure:
    """A heat map for every name: CKA of every stage of a model (rows) with every stage of another (columns).

    maps: name -> (len(stages), len(stages)) in [-1, 1]; all maps share one colour scale from 0 to 1.
    """
    figure = make_subplots(cols=len(maps), subplot_titles=list(maps), shared_yaxes=True, horizontal_spacing=0.02)
    for panel, (name, matrix) in enumerate(maps.items(), start=1):
        if matrix.shape != (len(stages), len(stages)):
            raise ValueError(f"the map of {name} must have shape {(len(stages),) * 2}, got {matrix.shape}")
        figure.add_heatmap(
            z=matrix,
            x=list(stages),
            y=list(stages),
            coloraxis="coloraxis",
            text=np.round(matrix, 2),
            texttemplate="%{text}",
            hovertemplate="%{y} with %{x}: %{z:.3f}<extra></extra>",
            row=1,
            col=panel,
        )
        figure.update_xaxes(title=x_title, row=1, col=panel)
    figure.update_layout(coloraxis={"colorscale": "Viridis", "cmin": 0, "cmax": 1, "colorbar": {"title": "CKA"}})
    return plain(figure, title=title, height=420)
