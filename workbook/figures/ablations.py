"""Arms of an ablation side by side: A Figs. 2 and 10, Tables 2 and 5; and a measure over what is scaled."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import INK, axis_title, literal, literal_texts, plain
from workbook.figures.style import (
    COLOURS,
    SYMBOLS,
    add_paper,
    legend_entry,
    line_and_range,
    over_seeds,
    panels,
    points_and_range,
)


def arm_ranges(table: pd.DataFrame, *, title: str, paper: Mapping[str, float], paper_setting: str = "") -> go.Figure:
    """Accuracy of every arm: the mean over seeds as a point, their range as a bar, the paper's value as a ring.

    table: tidy, columns arm, method, seed and accuracy (percent); arms stand from the top in the order of their rows.
    paper: arm -> its value in `paper_setting`.
    """
    by_arm = literal_texts(table).groupby("arm", sort=False)
    arms = by_arm["accuracy"].agg(mean="mean", low="min", high="max", n="count").assign(method=by_arm["method"].first())
    figure = go.Figure()
    for method, rows in arms.groupby("method", sort=False):
        look = {
            "marker": {"color": COLOURS[str(method)], "symbol": SYMBOLS[str(method)], "size": 11},
            "name": str(method),
        }
        told = {"customdata": rows["n"], "hovertemplate": "%{y}: %{x:.2f} %, n = %{customdata}"}
        hidden = {"showlegend": False}  # the axis names the arms
        figure.add_trace(points_and_range(rows, "x", rows.index, look | told | hidden))
    known = [(literal(arm), value) for arm, value in paper.items() if literal(arm) in arms.index]
    printed = pd.DataFrame(known, columns=["name", "value"]).assign(at=lambda rows: rows["name"], colour=INK)
    note = add_paper(figure, printed, "x", arms[["low", "high"]].stack(), literal(paper_setting))
    figure.update_yaxes(categoryorder="array", categoryarray=list(arms.index)[::-1])
    x = "accuracy on eval-D (%), higher is better"
    return plain(figure, title=title, x=x, note=note, height=180 + 34 * len(arms))


def over_scales(
    table: pd.DataFrame, value: str, *, y: str, title: str, levels: Mapping[str, float] | None = None
) -> go.Figure:
    """A panel a scale: `value` over its steps, on a logarithmic axis, a line a method with the range of its seeds.

    table: tidy, columns scale, step, method, seed and `value`. y: what `value` is called. levels: name -> a value that
    is a dotted line in every panel.
    """
    table = literal_texts(table)
    scales = list(table["scale"].unique())
    figure, places = panels(len(scales), shared_yaxes=True, horizontal_spacing=0.03)
    for place, scale in zip(places, scales, strict=True):
        rows = table[table["scale"] == scale]
        for method, line in over_seeds(rows, value, "step").groupby("method", sort=False):
            figure.add_traces(line_and_range(line, "step", str(method), shown=place["col"] == 1), 1, place["col"])
        for name, level in (levels or {}).items():
            entry = legend_entry(literal(name), place["col"] == 1)
            figure.add_hline(level, line={"color": INK, "dash": "dot", "width": 1.5}, **entry, **place)
        steps = sorted(rows["step"].unique())
        ticks = {"tickvals": steps, "ticktext": [f"{step:,}" for step in steps]}
        figure.update_xaxes(type="log", title=axis_title(scale), **ticks, **place)
    figure.update_yaxes(title=axis_title(y), col=1)
    return plain(figure, title=title, height=430)
