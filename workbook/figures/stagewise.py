"""Figures of the stage-wise evaluation: A Figs. 2 and 6a."""

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.style import COLOURS, line_and_range, over_seeds, plain

STAGES = ("stage1", "stage2", "stage3", "stage4", "stage5")
AFTER = ("pooled", "projector")


def stagewise_summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row for every method and layer: mean, lowest and highest accuracy over the seeds, and their number."""
    layers = pd.Categorical(table["layer"], categories=[*STAGES, *AFTER], ordered=True)
    return over_seeds(table.assign(layer=layers), "accuracy", by="layer")


def stagewise_curves(table: pd.DataFrame, *, paper: dict[str, float], paper_setting: str, title: str) -> go.Figure:
    """Accuracy over the stages, a line a method with the range of its seeds; then pooled and projector.

    table: tidy, as `stagewise_evaluation` gives it. paper: method -> the paper's accuracy of the pooled features,
    drawn as a dashed reference; `paper_setting` says on what that was measured.
    """
    summary = stagewise_summary(table)
    figure = go.Figure()
    for method, rows in summary.groupby("method", sort=False):
        stages, after = (rows[rows["layer"].isin(layers)].astype({"layer": str}) for layers in (STAGES, AFTER))
        figure.add_traces([*line_and_range(stages, "layer", str(method)), _points(after, str(method))])
        if method in paper:
            figure.add_trace(_reference(paper[method], str(method), paper_setting))
    figure.update_xaxes(
        title="layer that the linear probe reads", categoryorder="array", categoryarray=[*STAGES, *AFTER]
    )
    figure.update_yaxes(title="accuracy on eval-D (%), higher is better")
    return plain(figure, title=title)


def _points(rows: pd.DataFrame, method: str) -> go.Scatter:
    """Layers that are no stage: not joined by a line, the range of the seeds as a bar."""
    return go.Scatter(
        x=rows["layer"],
        y=rows["mean"],
        name=method,
        legendgroup=method,
        showlegend=False,
        mode="markers",
        marker={"color": COLOURS[method], "size": 10, "symbol": "diamond"},
        error_y={"array": rows["high"] - rows["mean"], "arrayminus": rows["mean"] - rows["low"]},
        hovertemplate="%{x}: %{y:.4g}",
    )


def _reference(value: float, method: str, setting: str) -> go.Scatter:
    return go.Scatter(
        x=["stage1", "projector"],
        y=[value, value],
        name=f"{method}, paper's pooled: {value} % ({setting})",
        legendgroup=f"{method} paper",
        mode="lines",
        line={"color": COLOURS[method], "width": 1.5, "dash": "dot"},
        hovertemplate=f"paper, pooled features: {value} % ({setting})<extra>{method}</extra>",
    )
