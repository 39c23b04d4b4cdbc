"""What features keep of the factors that vary within classes: a panel a factor, and all differences on one map."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import literal, literal_texts, plain
from workbook.figures.style import COLOURS, line_and_range, over_seeds, panels

_COLUMNS = 3
_ROW = 190  # pixels


def readouts_by_layer(table: pd.DataFrame, layers: Mapping[str, str], *, value: str, y: str, title: str) -> go.Figure:
    """A panel a factor: `value` over the layers, a line a method with the range of its seeds.

    table: tidy, columns method, seed, layer, factor and `value`. layers: name -> what the axis calls it, in its order;
    others are left out. y: what `value` is called, with its direction.
    """
    shown = table[table["layer"].isin(list(layers))]
    named = literal_texts(shown).assign(
        layer=pd.Categorical(shown["layer"].map(layers).map(literal), [*map(literal, layers.values())])
    )
    factors = list(named["factor"].unique())
    spacing = {"horizontal_spacing": 0.04, "vertical_spacing": 0.2 / -(-len(factors) // _COLUMNS)}
    figure, places = panels(
        len(factors), _COLUMNS, subplot_titles=factors, shared_xaxes=True, shared_yaxes=True, **spacing
    )
    for place, factor in zip(places, factors, strict=True):
        for method, rows in over_seeds(named[named["factor"] == factor], value, "layer").groupby("method", sort=False):
            traces = line_and_range(
                rows.dropna().astype({"layer": str}), "layer", str(method), shown=place == places[0]
            )
            figure.add_traces(traces, rows=place["row"], cols=place["col"])
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=[*map(literal, layers.values())])
    figure.update_yaxes(range=[min(0.0, float(shown[value].min())) - 0.04, 1.04])
    figure.update_yaxes(title=literal(y), col=1, row=(places[-1]["row"] + 1) // 2)
    return plain(figure, title=title, height=140 + _ROW * places[-1]["row"])


def difference_map(table: pd.DataFrame, layers: Mapping[str, str], *, title: str) -> go.Figure:
    """SL-MLP less SL, a row a factor and a column a layer, as numbers on colours; an asterisk where the interval of a
    difference leaves out 0.

    table: columns factor, layer, measured, low and high. layers: as in `readouts_by_layer`; those without a row have no
    column.
    """
    layers = {name: shown for name, shown in layers.items() if name in set(table["layer"])}
    table = literal_texts(table[table["layer"].isin(list(layers))])
    sure = (table["low"] > 0) | (table["high"] < 0)
    rounded = table["measured"].round(2) + 0.0  # no "-0"
    table = table.assign(text=rounded.map("{:+.2f}".format) + sure.map({True: " *", False: ""}))
    factors = list(table["factor"].unique())
    values, texts = (
        table.pivot(index="factor", columns="layer", values=column).reindex(index=factors, columns=list(layers))
        for column in ("measured", "text")
    )
    most = float(table["measured"].abs().max()) or 1.0
    colours = [[0.0, COLOURS["SL"]], [0.5, "#DADADA"], [1.0, COLOURS["SL-MLP"]]]
    bar = {"title": {"text": "ΔR²", "side": "right"}, "thickness": 12, "outlinewidth": 0}
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=[*map(literal, layers.values())],
            y=factors,
            text=texts.fillna(""),
            texttemplate="%{text}",
            colorscale=colours,
            zmin=-most,
            zmax=most,
            colorbar=bar,
            hovertemplate="%{y}, %{x}: %{text}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed").update_xaxes(type="category")  # names of stages are no numbers
    return plain(figure, title=title, x="layer", height=160 + 32 * len(factors))
