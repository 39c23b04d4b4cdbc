"""Figures of the stage-wise evaluation: A Figs. 2 and 6a."""

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.style import COLOURS, faded, plain

STAGES = ("stage1", "stage2", "stage3", "stage4", "stage5")
AFTER = ("pooled", "projector")


def stagewise_summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row for every method and layer: mean, lowest and highest accuracy over the seeds, and their number."""
    layers = pd.Categorical(table["layer"], categories=[*STAGES, *AFTER], ordered=True)
    grouped = table.assign(layer=layers).groupby(["method", "layer"], observed=True, sort=False)["accuracy"]
    summary = grouped.agg(mean="mean", low="min", high="max", n="count").reset_index()
    return summary.sort_values(["method", "layer"], ignore_index=True)


def stagewise_curves(table: pd.DataFrame, *, paper: dict[str, float], paper_setting: str, title: str) -> go.Figure:
    """Accuracy over the stages, a line a method with the range of its seeds; then pooled and projector.

    table: tidy, as `stagewise_evaluation` gives it. paper: method -> the paper's accuracy of the pooled features,
    drawn as a dashed reference; `paper_setting` says on what that was measured.
    """
    summary = stagewise_summary(table)
    figure = go.Figure()
    for method, rows in summary.groupby("method", sort=False):
        colour = COLOURS[method]
        for layers, shown in ((STAGES, True), (AFTER, False)):
            part = rows[rows["layer"].isin(layers)]
            figure.add_trace(_line(part, method, colour, shown=shown))
            if shown:
                figure.add_trace(_range(part, method, colour))
        if method in paper:
            figure.add_trace(_reference(paper[method], method, colour, paper_setting))
    figure.update_xaxes(
        title="layer that the linear probe reads", categoryorder="array", categoryarray=[*STAGES, *AFTER]
    )
    figure.update_yaxes(title="accuracy on eval-D (%), higher is better")
    return plain(figure, title=title)


def _line(rows: pd.DataFrame, method: str, colour: str, *, shown: bool) -> go.Scatter:
    return go.Scatter(
        x=rows["layer"].astype(str),
        y=rows["mean"],
        name=method,
        legendgroup=method,
        showlegend=shown,
        mode="lines+markers" if shown else "markers",
        line={"color": colour, "width": 3},
        marker={"color": colour, "size": 9, "symbol": "circle" if shown else "diamond"},
        error_y=None
        if shown
        else {"type": "data", "array": rows["high"] - rows["mean"], "arrayminus": rows["mean"] - rows["low"]},
        customdata=rows[["low", "high", "n"]],
        hovertemplate="%{x}: %{y:.2f} % (%{customdata[0]:.2f} to %{customdata[1]:.2f}, n = %{customdata[2]})",
    )


def _range(rows: pd.DataFrame, method: str, colour: str) -> go.Scatter:
    layers = list(rows["layer"].astype(str))
    return go.Scatter(
        x=layers + layers[::-1],
        y=[*rows["high"], *rows["low"][::-1]],
        fill="toself",
        fillcolor=faded(colour, 0.18),
        line={"width": 0},
        legendgroup=method,
        showlegend=False,
        hoverinfo="skip",
    )


def _reference(value: float, method: str, colour: str, setting: str) -> go.Scatter:
    return go.Scatter(
        x=["stage1", "projector"],
        y=[value, value],
        name=f"{method}, paper's pooled: {value} % ({setting})",
        legendgroup=f"{method} paper",
        mode="lines",
        line={"color": colour, "width": 1.5, "dash": "dash"},
        hovertemplate=f"paper, pooled features: {value} % ({setting})<extra>{method}</extra>",
    )
