"""What all figures share: a colour-blind-safe colour for every method, seeds as a range, one plain look.

Plotly reads tags, links among them, and places such as %{x} in every text. Of what a figure function is given, all
names and titles are shown as they are, by `literal`; markup is the figures' own.
"""

import html
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots


class _Colours(dict[str, str]):
    """A method's colour; with or without its MLP, in parts, and under every seed it has the same."""

    def __missing__(self, name: str) -> str:
        method = re.split(r" w/| \(| x |, seed", name)[0]
        return self[method] if method != name and method in self else "#7A7A7A"  # a user's own model


# Okabe and Ito's palette and hues of Tol's; SL and SL-MLP differ in lightness as well as in hue
COLOURS = _Colours(
    {
        "SL": "#D55E00",
        "SL-MLP": "#0072B2",
        "BYOL": "#009E73",
        "MoCo v1": "#CC79A7",
        "MoCo v2": "#56B4E9",
        "SimCLR": "#E69F00",
        "SupCon": "#882255",
        "SelfSupCon": "#999933",
        "CE+SelfSupCon": "#8C6D00",
        "SwAV": "#332288",
        "DINO": "#117733",
        "MAE": "#000000",
    }
)
COLOURS |= {"MoCo-v2": COLOURS["MoCo v2"], "Supervised": COLOURS["SL"]}  # paper B's names
FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
RING = {"color": "#555", "symbol": "circle-open", "line": {"width": 2}}  # what a paper prints

# plotly 7 offers to upload a figure to its maker's site
UNWANTED_BUTTONS = ("sendChartToCloud",)

Place = dict[str, int]  # row and column of a panel


def literal(text: object) -> str:
    """The text as plotly shows it: neither a tag, such as a link, nor a place of a hover template."""
    return html.escape(str(text), quote=False).replace("%{", "%&#123;")


def literal_texts(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text in its cells `literal`."""
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    shown = {name: table[name].map(lambda cell: literal(cell) if isinstance(cell, str) else cell) for name in texts}
    return table.assign(**shown)


def plain(figure: go.Figure, *, title: str, x: str | None = None, y: str | None = None, height: int = 500) -> go.Figure:
    """The figure with the workbook's title, fonts, grid and margins; x and y: what all its axes are called."""
    if x:
        figure.update_xaxes(title=literal(x))
    if y:
        figure.update_yaxes(title=literal(y))
    top_left = {"x": 0.01, "xanchor": "left", "y": 1 - 15 / height, "yanchor": "top"}
    return figure.update_layout(
        template="plotly_white",
        title={"text": literal(title), "font": {"size": 16}, **top_left},
        font={"family": FONT, "size": 13},
        height=height,
        margin={"l": 70, "r": 30, "t": 110, "b": 60},
        legend={"title": None, "orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        hoverlabel={"font": {"family": FONT}},
        modebar={"remove": list(UNWANTED_BUTTONS)},
    )


def axis_title(text: str) -> dict[str, Any]:
    """The title of an axis of a panel, which has less room than a figure."""
    return {"text": literal(text), "font": {"size": 12}, "standoff": 4}


def legend_entry(name: str, shown: bool) -> dict[str, Any]:
    """What traces of one name share: they come and go together, and one of them stands in the legend."""
    return {"name": name, "legendgroup": name, "showlegend": shown}


def points_and_range(
    rows: pd.DataFrame, along: str, at: Any, look: Mapping[str, Any], thickness: int | None = None
) -> go.Scatter:
    """A point a row at its mean, with a bar from its low to its high `along` "x" or "y"; `at` on the other axis."""
    bars = {"array": rows["high"] - rows["mean"], "arrayminus": rows["mean"] - rows["low"], "thickness": thickness}
    across = "y" if along == "x" else "x"
    return go.Scatter({along: rows["mean"], across: at, f"error_{along}": bars, "mode": "markers", **look})


def dash_of(method: str) -> str:
    """Solid with an MLP, dashed without, as in A Fig. 2; dotted for the method on a ViT."""
    if method.endswith("(ViT)"):
        return "dot"
    return "dash" if method.endswith("w/o MLP") or method in ("SL", "MoCo v1") else "solid"


def panels(count: int, columns: int | None = None, **how: Any) -> tuple[go.Figure, list[Place]]:
    """A figure of so many panels, `columns` of them in a row (None = all), and the place of each.

    how: titles and spacing, as `make_subplots` takes them.
    """
    columns = columns or count
    places = [{"row": number // columns + 1, "col": number % columns + 1} for number in range(count)]
    return make_subplots(-(-count // columns), columns, **how), places


def method_panels(methods: Sequence[str]) -> tuple[go.Figure, list[Place]]:
    """A figure with a titled panel a method, and the place of each.

    Up to three stand in a row; of more two, so that a method's pair, without and with its MLP, stands side by side.
    """
    columns = len(methods) if len(methods) <= 3 else 2
    spacing = {"horizontal_spacing": 0.05, "vertical_spacing": 0.12 / -(-len(methods) // columns)}
    return panels(len(methods), columns, subplot_titles=list(methods), **spacing)


def over_seeds(table: pd.DataFrame, column: str, by: str = "epoch") -> pd.DataFrame:
    """One row for every method and value of `by`: mean, low and high of `column` over the seeds, and their number.

    Methods in the order in which they come.
    """
    in_order = pd.Categorical(table["method"], categories=table["method"].unique())
    grouped = table.assign(method=in_order).groupby(["method", by], observed=True)[column]
    return grouped.agg(mean="mean", low="min", high="max", n="count").reset_index().astype({"method": str})


def lines_over(
    table: pd.DataFrame, columns: Mapping[str, str], by: str, *, spacing: float, starred: Collection[str] = ()
) -> go.Figure:
    """A panel a column of `table`, side by side: a line a method over `by`, with the range of its seeds.

    columns: column -> axis title. In the columns of `starred` a star stands where a method's mean is highest.
    """
    table = literal_texts(table)
    figure, places = panels(len(columns), horizontal_spacing=spacing)
    for place, (column, axis) in zip(places, columns.items(), strict=True):
        for method, rows in over_seeds(table, column, by).dropna().groupby("method", sort=False):
            traces = line_and_range(rows, by, str(method), shown=place["col"] == 1)
            if column in starred:
                traces += (_star(rows.loc[rows["mean"].idxmax()], by, str(method)),)
            figure.add_traces(traces, rows=place["row"], cols=place["col"])
        figure.update_yaxes(title=axis_title(axis), **place)
    return figure


def line_and_range(rows: pd.DataFrame, by: str, method: str, *, shown: bool = True) -> tuple[go.Scatter, ...]:
    """The mean of `over_seeds` as a line and the range of the seeds as a band, in the colour of the method."""
    positions, colour = list(rows[by]), COLOURS[method]
    hover = "%{x}: %{y:.4g} (%{customdata[0]:.4g} to %{customdata[1]:.4g}, n = %{customdata[2]})"
    told = {"customdata": rows[["low", "high", "n"]], "hovertemplate": hover}
    look = {"line": {"color": colour, "width": 3, "dash": dash_of(method)}, "marker": {"size": 7}}
    entry = legend_entry(method, shown)
    line = go.Scatter(x=positions, y=rows["mean"], mode="lines+markers", **look, **told, **entry)
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    filled = {"fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.18)", "line": {"width": 0}}
    border = [*rows["high"], *rows["low"][::-1]]
    behind = {"legendgroup": method, "showlegend": False, "hoverinfo": "skip"}
    return line, go.Scatter(x=positions + positions[::-1], y=border, mode="lines", **filled, **behind)


def _star(best: pd.Series, by: str, method: str) -> go.Scatter:
    marker = {"color": COLOURS[method], "size": 17, "symbol": "star", "line": {"color": "white", "width": 1}}
    entry = legend_entry(method, shown=False) | {"name": f"{method}, best"}
    hover = f"best at {by} = %{{x}}: %{{y:.4g}}"
    return go.Scatter(x=[best[by]], y=[best["mean"]], mode="markers", marker=marker, hovertemplate=hover, **entry)
