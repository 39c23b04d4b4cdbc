"""Transfer to many data sets: A Table 4 and B Tables 3 to 5 as figures."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.style import COLOURS, plain


def transfer_points(table: pd.DataFrame, *, title: str) -> go.Figure:
    """A panel a protocol: accuracy on every data set, a point a method with the range of its seeds.

    table: tidy, as `transfer_suite` gives it: method, seed, dataset, protocol, accuracy (percent).
    """
    protocols, sets = (list(dict.fromkeys(table[column])) for column in ("protocol", "dataset"))
    methods = list(dict.fromkeys(table["method"]))
    titles = [protocol.replace(", ", ",<br>") for protocol in protocols]  # else neighbours overlap
    figure = make_subplots(cols=len(protocols), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03)
    figure.update_annotations(font={"size": 13})
    offsets = np.linspace(-0.14, 0.14, len(methods)) if len(methods) > 1 else np.zeros(1)
    for panel, protocol in enumerate(protocols, start=1):
        for method, offset in zip(methods, offsets, strict=True):
            rows = table[(table["protocol"] == protocol) & (table["method"] == method)]
            found = rows.groupby("dataset", sort=False)["accuracy"].agg(["mean", "min", "max", "count"])
            figure.add_scatter(
                x=found["mean"],
                y=[sets.index(name) + offset for name in found.index],
                name=method,
                legendgroup=method,
                showlegend=panel == 1,
                mode="markers",
                marker={"color": COLOURS[method], "size": 10},
                error_x={"array": found["max"] - found["mean"], "arrayminus": found["mean"] - found["min"]},
                customdata=np.column_stack([found.index, found["count"]]),
                hovertemplate="%{customdata[0]}: %{x:.2f} %, n = %{customdata[1]}",
                row=1,
                col=panel,
            )
        figure.update_xaxes(title="accuracy (%)", row=1, col=panel)
    figure.update_yaxes(
        tickvals=list(range(len(sets))), ticktext=sets, range=[len(sets) - 0.5, -0.5], zeroline=False, automargin=True
    )
    height = 230 + 46 * len(sets)
    # the panels' names stand below the legend
    return plain(figure, title=title, height=height).update_layout(legend={"y": 1 + 44 / (height - 170)})


def gains(measured: pd.DataFrame, paper: Mapping[str, float], *, title: str, axis: str) -> go.Figure:
    """One difference a seed for every protocol, their mean as a bar, and the paper's as a ring.

    measured: columns protocol, seed, gain. paper: protocol -> its gain.
    """
    protocols = list(dict.fromkeys(measured["protocol"]))
    mean = measured.groupby("protocol", sort=False)["gain"].mean()
    figure = go.Figure()
    figure.add_bar(x=protocols, y=mean.loc[protocols], name="mean of the seeds", marker={"color": "#9DB7D5"}, width=0.5)
    figure.add_scatter(
        x=measured["protocol"],
        y=measured["gain"],
        customdata=measured["seed"],
        name="one seed",
        mode="markers",
        marker={"color": COLOURS["SL-MLP"], "size": 9},
        hovertemplate="seed %{customdata}: %{y:.2f}",
    )
    printed = {protocol: value for protocol, value in paper.items() if protocol in protocols}
    figure.add_scatter(
        x=list(printed),
        y=list(printed.values()),
        name="paper (ImageNet, ResNet-50, 12 data sets)",
        mode="markers",
        marker={"color": "#555", "size": 14, "symbol": "circle-open", "line": {"width": 2}},
    )
    figure.add_hline(y=0, line={"color": "#555", "width": 1})
    figure.update_yaxes(title=axis)
    return plain(figure, title=title, height=440)
