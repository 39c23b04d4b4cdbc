"""Transfer to many data sets: A Table 4 and B Tables 3 to 5 as figures."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import INK, literal, literal_texts, plain
from workbook.figures.style import COLOURS, SYMBOLS, add_paper, legend_entry, panels, points_and_range


def transfer_points(table: pd.DataFrame, *, title: str, measure: str = "accuracy") -> go.Figure:
    """A panel a protocol: the measure on every data set, a point a method with the range of its seeds.

    table: tidy, as `transfer_suite` gives it: method, seed, dataset, protocol, and the measure (percent), "accuracy"
    or "mAP".
    """
    table = literal_texts(table)
    protocols, sets, methods = (list(table[column].unique()) for column in ("protocol", "dataset", "method"))
    figure, places = panels(len(protocols), subplot_titles=protocols, shared_yaxes=True, horizontal_spacing=0.03)
    offsets = np.linspace(-0.14, 0.14, len(methods)) if len(methods) > 1 else np.zeros(1)
    for place, protocol in zip(places, protocols, strict=True):
        for method, offset in zip(methods, offsets, strict=True):
            rows = table[(table["protocol"] == protocol) & (table["method"] == method)]
            found = rows.groupby("dataset", sort=False)[measure].agg(mean="mean", low="min", high="max", n="count")
            hover = "%{customdata[0]}: %{x:.2f} %, n = %{customdata[1]}"
            told = {"customdata": np.column_stack([found.index, found["n"]]), "hovertemplate": hover}
            marker = {"color": COLOURS[method], "symbol": SYMBOLS[method], "size": 10}
            look = {"marker": marker, **legend_entry(method, place["col"] == 1)}
            heights = [sets.index(name) + offset for name in found.index]
            figure.add_trace(points_and_range(found, "x", heights, told | look), **place)
    rows_from_top = {"tickvals": list(range(len(sets))), "ticktext": sets, "range": [len(sets) - 0.5, -0.5]}
    figure.update_yaxes(zeroline=False, **rows_from_top)
    return plain(figure, title=title, x=f"{measure} (%)", height=190 + 46 * len(sets))


def gains(
    measured: pd.DataFrame, paper: Mapping[str, float], *, title: str, axis: str, of: str = "12 data sets"
) -> go.Figure:
    """One difference a seed for every protocol, their mean as a bar, and the paper's as a ring.

    measured: columns protocol, seed, gain. paper: protocol -> its gain, measured on what `of` says.
    """
    measured = literal_texts(measured)
    mean = measured.groupby("protocol", sort=False)["gain"].mean()
    figure = go.Figure()
    figure.add_bar(x=mean.index, y=mean, name="mean of the seeds", marker={"color": "#9DB7D5"}, width=0.5)
    told = {"customdata": measured["seed"], "hovertemplate": "seed %{customdata}: %{y:.2f}"}
    seeds = {"name": "one seed", "mode": "markers", "marker": {"color": COLOURS["SL-MLP"], "size": 9}}
    figure.add_scatter(x=measured["protocol"], y=measured["gain"], **told, **seeds)
    known = [(literal(name), value) for name, value in paper.items() if literal(name) in mean.index]
    printed = pd.DataFrame(known, columns=["name", "value"]).assign(at=lambda rows: rows["name"], colour=INK)
    ours = pd.concat([measured["gain"], pd.Series([0.0])])  # bars begin at 0
    note = add_paper(figure, printed, "y", ours, literal(f"ImageNet, ResNet-50, {of}"))
    figure.add_hline(y=0, line={"color": INK, "width": 1})
    return plain(figure, title=title, y=axis, note=note, height=480)
