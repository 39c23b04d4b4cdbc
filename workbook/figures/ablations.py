"""Arms of an ablation side by side: A Figs. 2 and 10, Tables 2 and 5."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import INK, literal, literal_texts, plain
from workbook.figures.style import COLOURS, SYMBOLS, add_paper, points_and_range


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
