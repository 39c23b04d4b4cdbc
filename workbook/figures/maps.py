"""Maps of features in the plane: A Figs. 4 and 5, and their evolution over epochs."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.style import legend_entry, literal_texts, method_panels, plain

# ten hues that stay apart for colour-blind readers (Tol's muted palette, with black for the tenth)
CLASSES = ("#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499", "#000000")
COLD = ("#08306B", "#2171B5", "#6BAED6", "#41B6C4", "#225EA8")
WARM = ("#7F0000", "#D7301F", "#FC8D59", "#FEB24C", "#CC4C02")

NO_MAP = "no map, the features of all images are the same"

Look = tuple[str, str, str]  # class name, colour, symbol


def class_maps(
    table: pd.DataFrame, *, colours: Sequence[str], title: str, symbols: Sequence[str] | None = None
) -> go.Figure:
    """A panel a method, a colour (and a symbol) a class; with several epochs, a slider that moves the points.

    table: tidy, columns method, epoch, image, x, y and class_name; the classes take `colours` and `symbols` in the
    order in which they come. Every epoch of a method lists the same images, so that a point keeps its identity while
    it moves; a method without some epoch stays meanwhile where it was. Where x and y are NaN nothing is drawn, and a
    line below the title names the methods and epochs that have no map.
    """
    table = literal_texts(table)
    methods, names = list(table["method"].unique()), list(table["class_name"].unique())
    epochs = sorted(table["epoch"].unique())
    looks = list(zip(names, colours, ["circle"] * len(names) if symbols is None else symbols, strict=True))
    figure, places = method_panels(methods)
    drawn = [(method, look) for method in methods for look in looks]
    frames = {
        str(epoch): [_points(table, method, epoch, look, shown=method == methods[0]) for method, look in drawn]
        for epoch in epochs
    }
    rows, columns = ([place[which] for place in places for _ in looks] for which in ("row", "col"))
    figure.add_traces(frames[str(epochs[-1])], rows=rows, cols=columns)
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    for number, place in enumerate(places, start=1):
        figure.update_yaxes(scaleanchor=f"x{number if number > 1 else ''}", **place)
    if len(epochs) > 1:
        _animate(figure, frames)
    height = 150 + 470 * places[-1]["row"]
    figure = plain(figure, title=title, height=height).update_layout(title_subtitle_text=_without_map(table))
    if len(names) > len(CLASSES):  # more than stand above the panels
        beside = {"orientation": "v", "x": 1.01, "y": 1, "yanchor": "top", "tracegroupgap": 0}
        return figure.update_layout(legend=beside, margin={"t": 80, "r": 10})
    # the legend above the names of the panels, which stand where other figures have their legend
    return figure.update_layout(legend={"y": 1 + 33 / (height - 210)}, margin={"t": 150, "b": 60})


def _points(table: pd.DataFrame, method: str, epoch: int, look: Look, *, shown: bool) -> go.Scattergl:
    name, colour, symbol = look
    own = table[table["method"] == method]
    reached = max(own["epoch"].min(), own.loc[own["epoch"] <= epoch, "epoch"].max())
    rows = own[(own["epoch"] == reached) & (own["class_name"] == name)]
    marker = {"color": colour, "symbol": symbol, "size": 5, "opacity": 0.75}
    hover, entry = f"{name}<extra>{method}</extra>", legend_entry(name, shown)
    return go.Scattergl(x=rows["x"], y=rows["y"], mode="markers", marker=marker, hovertemplate=hover, **entry)


def _without_map(table: pd.DataFrame) -> str | None:
    empty = table["x"].isna().groupby([table["method"], table["epoch"]], sort=False).all()
    told = [f"{method}, epoch {epoch}" for method, epoch in empty.index[empty]]
    return f"{'; '.join(told)}: {NO_MAP}" if told else None


def _animate(figure: go.Figure, frames: Mapping[str, Sequence[go.Scattergl]]) -> None:
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    figure.frames = [go.Frame(name=epoch, data=traces) for epoch, traces in frames.items()]
    steps = [{"label": epoch, "method": "animate", "args": [[epoch], at_once]} for epoch in frames]
    slider = {"active": len(steps) - 1, "steps": steps, "currentvalue": {"prefix": "epoch "}, "pad": {"t": 10}}
    figure.update_layout(sliders=[slider])
