"""Arms of an ablation side by side: A Figs. 2 and 10, Tables 2 and 5."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.style import COLOURS, over_seeds, plain


def arm_ranges(table: pd.DataFrame, *, title: str, paper: Mapping[str, float], paper_setting: str = "") -> go.Figure:
    """Accuracy of every arm: the mean over seeds as a point, their range as a bar, the paper's value as a ring.

    table: tidy, columns arm, method, seed and accuracy (percent); arms stand from the top in the order of their rows.
    paper: arm -> its value in `paper_setting`.
    """
    methods = table.groupby("arm", sort=False)["method"].first()
    summary = over_seeds(table.drop(columns="method").rename(columns={"arm": "method"}), "accuracy", by="layer")
    summary = summary.set_index("method").loc[list(methods.index)]
    figure = go.Figure()
    for method in methods.unique():
        rows = summary.loc[methods.index[methods == method]]
        figure.add_scatter(
            x=rows["mean"],
            y=rows.index,
            name=str(method),
            showlegend=False,  # the axis names the arms
            mode="markers",
            marker={"color": COLOURS[str(method)], "size": 11},
            error_x={"array": rows["high"] - rows["mean"], "arrayminus": rows["mean"] - rows["low"]},
            customdata=rows["n"],
            hovertemplate="%{y}: %{x:.2f} %, n = %{customdata}",
        )
    printed = {arm: value for arm, value in paper.items() if arm in methods.index}
    if printed:
        figure.add_scatter(
            x=list(printed.values()),
            y=list(printed),
            name=f"paper ({paper_setting})",
            showlegend=True,
            mode="markers",
            marker={"color": "#555", "size": 12, "symbol": "circle-open", "line": {"width": 2}},
            hovertemplate="%{y}: %{x} % in the paper",
        )
    figure.update_xaxes(title="accuracy on eval-D (%), higher is better")
    figure.update_yaxes(categoryorder="array", categoryarray=list(methods.index)[::-1])
    return plain(figure, title=title, height=200 + 34 * len(methods)).update_layout(margin={"l": 190})
