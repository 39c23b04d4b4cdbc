"""Arms of an ablation side by side: A Figs. 2 and 10, Tables 2 and 5."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.style import COLOURS, RING, literal, literal_texts, plain, points_and_range


def arm_ranges(table: pd.DataFrame, *, title: str, paper: Mapping[str, float], paper_setting: str = "") -> go.Figure:
    """Accuracy of every arm: the mean over seeds as a point, their range as a bar, the paper's value as a ring.

    table: tidy, columns arm, method, seed and accuracy (percent); arms stand from the top in the order of their rows.
    paper: arm -> its value in `paper_setting`.
    """
    by_arm = literal_texts(table).groupby("arm", sort=False)
    arms = by_arm["accuracy"].agg(mean="mean", low="min", high="max", n="count").assign(method=by_arm["method"].first())
    figure = go.Figure()
    for method, rows in arms.groupby("method", sort=False):
        look = {"marker": {"color": COLOURS[str(method)], "size": 11}, "name": str(method)}
        told = {"customdata": rows["n"], "hovertemplate": "%{y}: %{x:.2f} %, n = %{customdata}"}
        hidden = {"showlegend": False}  # the axis names the arms
        figure.add_trace(points_and_range(rows, "x", rows.index, look | told | hidden))
    printed = {literal(arm): value for arm, value in paper.items() if literal(arm) in arms.index}
    if printed:
        rings = {"marker": {"size": 12, **RING}, "name": f"paper ({literal(paper_setting)})", "showlegend": True}
        hover = "%{y}: %{x} % in the paper"
        figure.add_scatter(x=list(printed.values()), y=list(printed), mode="markers", hovertemplate=hover, **rings)
    figure.update_yaxes(categoryorder="array", categoryarray=list(arms.index)[::-1])
    figure = plain(figure, title=title, x="accuracy on eval-D (%), higher is better", height=200 + 34 * len(arms))
    return figure.update_layout(margin={"l": 190})
