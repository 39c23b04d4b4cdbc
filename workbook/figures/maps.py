"""Maps of features in the plane: A Figs. 4 and 5, and their evolution over epochs."""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import literal_texts, plain
from workbook.figures.style import legend_entry, method_panels

# ten that stay as far apart as ten can under each colour blindness, and are seen on white and on black
CLASSES = ("#E96120", "#7211FF", "#4B9276", "#E5A1C7", "#980402", "#75C986", "#8A6796", "#0F5F4A", "#B585F9", "#791A7A")
COLD = ("#1F4E9E", "#2171B5", "#6BAED6", "#41A9C4", "#4A7FD0")
WARM = ("#A3201D", "#D7301F", "#F0814F", "#E0952B", "#CC5A12")

NO_MAP = "no map, the features of all images are the same"

_WIDTH = 780  # pixels of all panels of a row

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
        figure.update_yaxes(scaleanchor=f"x{number if number > 1 else ''}", constrain="domain", **place)
        figure.update_xaxes(constrain="domain", **place)
    if len(epochs) > 1:
        _animate(figure, frames)
    rows_of_panels, in_a_row = places[-1]["row"], max(place["col"] for place in places)
    height = 150 + (_WIDTH / in_a_row * _flattest(table) + 60) * rows_of_panels
    return plain(figure, title=title, height=round(height), note=_without_map(table))


def _flattest(table: pd.DataFrame) -> float:
    """Height over width of the map that is the highest for its width, of all methods and epochs, between 0.35 and 1.

    One unit is as long up as across, and t-SNE begins with the principal components: maps may be much wider than high.
    """
    extents = table.groupby(["method", "epoch"])[["x", "y"]].agg(lambda places: places.max() - places.min())
    ratios = (extents["y"] / extents["x"]).replace(float("inf"), 1.0)
    return float(ratios.clip(0.35, 1).max()) if ratios.notna().any() else 0.35


def _points(table: pd.DataFrame, method: str, epoch: int, look: Look, *, shown: bool) -> go.Scattergl:
    name, colour, symbol = look
    own = table[table["method"] == method]
    reached = max(own["epoch"].min(), own.loc[own["epoch"] <= epoch, "epoch"].max())
    rows = own[(own["epoch"] == reached) & (own["class_name"] == name)]
    marker = {"color": colour, "symbol": symbol, "size": 5, "opacity": 0.75}
    hover, entry = f"{name}<extra>{method}</extra>", legend_entry(name, shown)
    return go.Scattergl(x=rows["x"], y=rows["y"], mode="markers", marker=marker, hovertemplate=hover, **entry)


def _without_map(table: pd.DataFrame) -> str:
    empty = table["x"].isna().groupby([table["method"], table["epoch"]], sort=False).all()
    told = [f"{method}, epoch {epoch}" for method, epoch in empty.index[empty]]
    return f"{'; '.join(told)}: {NO_MAP}" if told else ""


def _animate(figure: go.Figure, frames: Mapping[str, Sequence[go.Scattergl]]) -> None:
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    figure.frames = [go.Frame(name=epoch, data=traces) for epoch, traces in frames.items()]
    steps = [{"label": epoch, "method": "animate", "args": [[epoch], at_once]} for epoch in frames]
    slider = {"active": len(steps) - 1, "steps": steps, "currentvalue": {"prefix": "epoch "}, "pad": {"t": 10, "b": 10}}
    figure.update_layout(sliders=[slider])
