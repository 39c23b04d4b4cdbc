"""Label injection over its control cycle: B Figs. 6, 7 and 11."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import literal, plain
from workbook.figures.style import lines_over, panels

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
    ordered = table.assign(T=pd.Categorical(names, categories=cycles))
    figure = lines_over(ordered, columns, "T", spacing=0.09, starred=starred)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=cycles)
    return plain(figure, title=title, x="control cycle T", height=430)


def cka_maps(maps: Mapping[str, np.ndarray], stages: Sequence[str], *, x_title: str, title: str) -> go.Figure:
    """A heat map for every name: CKA of every stage of a model (rows) with every stage of another (columns).

    maps: name -> (len(stages), len(stages)) in [-1, 1]; all maps share one colour scale from 0 to 1.
    """
    figure, places = panels(len(maps), subplot_titles=[*map(literal, maps)], shared_yaxes=True, horizontal_spacing=0.02)
    for place, (name, matrix) in zip(places, maps.items(), strict=True):
        if matrix.shape != (len(stages), len(stages)):
            raise ValueError(f"the map of {name} must have shape {(len(stages),) * 2}, got {matrix.shape}")
        told = {"texttemplate": "%{text}", "hovertemplate": "%{y} with %{x}: %{z:.3f}<extra></extra>"}
        axes = {"x": list(stages), "y": list(stages), "coloraxis": "coloraxis"}
        figure.add_heatmap(z=matrix, text=np.round(matrix, 2), **axes, **told, **place)
    figure.update_xaxes(type="category").update_yaxes(type="category")
    figure.update_layout(coloraxis={"colorscale": "Viridis", "cmin": 0, "cmax": 1, "colorbar": {"title": "CKA"}})
    return plain(figure, title=title, x=x_title, height=420)
