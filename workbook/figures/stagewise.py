"""Figures of the stage-wise evaluation: A Figs. 2 and 6a."""

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import literal, literal_texts, plain
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

STAGES = ("stage1", "stage2", "stage3", "stage4", "stage5")
AFTER = ("pooled", "projector")


def stagewise_summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row for every method and layer: mean, lowest and highest accuracy over the seeds, and their number."""
    layers = pd.Categorical(table["layer"], categories=[*STAGES, *AFTER], ordered=True)
    return over_seeds(table.assign(layer=layers), "accuracy", by="layer")


def stagewise_curves(table: pd.DataFrame, *, paper: dict[str, float], paper_setting: str, title: str) -> go.Figure:
    """Accuracy over the stages, a line a method with the range of its seeds; then pooled and projector.

    table: tidy, as `stagewise_evaluation` gives it. paper: method -> the paper's accuracy of the pooled features, a
    ring there; `paper_setting` says on what that was measured.
    """
    figure, summary = go.Figure(), stagewise_summary(literal_texts(table))
    for name, rows in summary.groupby("method", sort=False):
        method = str(name)
        stages, after = (rows[rows["layer"].isin(layers)].astype({"layer": str}) for layers in (STAGES, AFTER))
        figure.add_traces(line_and_range(stages, "layer", method))
        # what is no stage is not joined by a line
        marker = {"color": COLOURS[method], "size": 10, "symbol": SYMBOLS[method]}
        look = {"marker": marker, "hovertemplate": "%{x}: %{y:.4g}", **legend_entry(method, shown=False)}
        figure.add_trace(points_and_range(after, "y", after["layer"], look))
    figure.update_xaxes(categoryorder="array", categoryarray=[*STAGES, *AFTER])
    x, y = "layer that the linear probe reads", "accuracy on eval-D (%), higher is better"
    known = [(name, "pooled", value, COLOURS[name]) for name, value in paper.items() if name in set(summary["method"])]
    printed, ours = pd.DataFrame(known, columns=["name", "at", "value", "colour"]), summary[["low", "high"]].stack()
    note = add_paper(figure, printed, "y", ours, f"{literal(paper_setting)}, pooled")
    return plain(figure, title=title, x=x, y=y, note=note, height=500)


def stages_side_by_side(table: pd.DataFrame, *, title: str) -> go.Figure:
    """Accuracy of every model's layers as numbers on colours, a panel a data set; empty where a model has no such one.

    table: columns model, dataset, layer and accuracy (percent), as `Scores.stages` has them.
    """
    table = literal_texts(table)
    sets, models = list(table["dataset"].unique()), list(table["model"].unique())
    layers = [name for name in (*STAGES, *AFTER) if name in set(table["layer"])]
    figure, places = panels(len(sets), subplot_titles=sets, shared_yaxes=True, horizontal_spacing=0.03)
    for place, name in zip(places, sets, strict=True):
        rows = table[table["dataset"] == name].pivot(index="model", columns="layer", values="accuracy")
        values = rows.reindex(index=models, columns=layers)
        hover = "%{y}, %{x}: %{z:.2f} %<extra></extra>"
        look = {"texttemplate": "%{z:.1f}", "colorscale": "Cividis", "showscale": False, "hovertemplate": hover}
        figure.add_heatmap(z=values, x=layers, y=models, **look, **place)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return plain(figure, title=title, x="layer that the linear probe reads", height=190 + 28 * len(models))
