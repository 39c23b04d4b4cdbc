"""What figures of methods share: a colour and a marker for every method, seeds as a range, panels, a paper's values."""

import re
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbook.figures.look import PANELS_WIDTH, axis_title, literal_texts


class _OfMethods(dict[str, str]):
    """What a method has; with or without its MLP, in parts, and under every seed it has the same."""

    def __init__(self, known: Mapping[str, str], otherwise: str) -> None:
        super().__init__(known)
        self._otherwise = otherwise  # of a user's own model

    def __missing__(self, name: str) -> str:
        method = re.split(r" w/| \(| x |, seed", name)[0]
        return self[method] if method != name and method in self else self._otherwise


_LOOKS = {  # Okabe and Ito's palette, and what stays as far from it under each colour blindness, on white and on black
    "SL": ("#D55E00", "circle"),
    "SL-MLP": ("#0072B2", "square"),
    "BYOL": ("#009E73", "diamond"),
    "MoCo v1": ("#CC79A7", "triangle-up"),
    "MoCo v2": ("#56B4E9", "triangle-down"),
    "SimCLR": ("#E69F00", "x"),
    "SupCon": ("#882255", "cross"),
    "SelfSupCon": ("#5C683E", "hexagon"),
    "CE+SelfSupCon": ("#564405", "pentagon"),
    "SwAV": ("#1F3AA7", "star"),
    "DINO": ("#99BE7A", "bowtie"),
    "MAE": ("#9772FE", "hourglass"),
    "t-ReX": ("#87657E", "star-diamond"),
}
_LOOKS |= {"MoCo-v2": _LOOKS["MoCo v2"], "Supervised": _LOOKS["SL"]}  # paper B's names
COLOURS = _OfMethods({name: colour for name, (colour, _) in _LOOKS.items()}, "#7A7A7A")
SYMBOLS = _OfMethods({name: symbol for name, (_, symbol) in _LOOKS.items()}, "circle")

Place = dict[str, int]  # row and column of a panel


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


def own_range(own: pd.Series, also: Iterable[float] = (), margin: float = 0.08) -> tuple[float, float]:
    """What an axis shows: our values, those of `also` that leave them at least half of it, and a little beyond."""
    low, high = own.min(), own.max()
    least = high - low
    for value in sorted(also, key=lambda value: max(low - value, value - high)):
        wider = min(low, value), max(high, value)
        low, high = wider if wider[1] - wider[0] <= 2 * least else (low, high)
    beyond = margin * (high - low) or 0.05 * abs(high) or 0.05
    return low - beyond, high + beyond


def add_paper(figure: go.Figure, printed: pd.DataFrame, along: str, own: pd.Series, setting: str) -> str:
    """Rings at what a paper prints, arrows where the axis ends before; the text that names the latter, or none.

    The axis `along` "x" or "y" shows the `own_range` of `own`. printed: columns name, at (its place on the other
    axis), value and colour.
    """
    value = printed["value"]
    low, high = own_range(own, value)
    figure.update_layout({f"{along}axis": {"range": (low, high)}})
    if printed.empty:
        return ""
    inset = (high - low) / 60  # an arrow stands on no label
    ends = {"x": ("triangle-left-open", "triangle-right-open"), "y": ("triangle-down-open", "triangle-up-open")}[along]
    across, beyond = "y" if along == "x" else "x", (value < low) | (value > high)
    for name, part in ((f"paper ({setting})", printed[~beyond]), ("paper, beyond the axis", printed[beyond])):
        if part.empty:
            continue
        symbols = np.select([part["value"] < low, part["value"] > high], ends, "circle-open")
        figure.add_scatter(
            **{along: part["value"].clip(low + inset, high - inset), across: part["at"]},
            name=name,
            mode="markers",
            marker={"color": part["colour"], "symbol": symbols, "size": 13, "line": {"width": 2}},
            customdata=part[["name", "value"]],
            hovertemplate="%{customdata[0]}: %{customdata[1]} in the paper<extra></extra>",
            showlegend=True,
        )
    named = ", ".join(f"{row['name']} {row['value']:g}" for _, row in printed[beyond].iterrows())
    return f"Beyond this axis, the paper's ({setting}): {named}" if named else ""


def dash_of(method: str) -> str:
    """Solid with an MLP, dashed without, as in A Fig. 2; dotted for the method on a ViT."""
    if method.endswith("(ViT)"):
        return "dot"
    return "dash" if method.endswith("w/o MLP") or method in ("SL", "MoCo v1") else "solid"


def panels(count: int, columns: int | None = None, **how: Any) -> tuple[go.Figure, list[Place]]:
    """A figure of so many panels, `columns` of them in a row (None = all), and the place of each.

    how: titles and spacing, as `make_subplots` takes them; a title too long for its panel is broken into lines.
    """
    columns = columns or count
    if titles := how.get("subplot_titles"):
        wrapped = (textwrap.wrap(title, PANELS_WIDTH // columns, break_long_words=False) for title in titles)
        how["subplot_titles"] = ["<br>".join(lines) for lines in wrapped]
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
    marker = {"size": 8, "symbol": SYMBOLS[method]}
    look = {"line": {"color": colour, "width": 2.5, "dash": dash_of(method)}, "marker": marker}
    entry = legend_entry(method, shown)
    line = go.Scatter(x=positions, y=rows["mean"], mode="lines+markers", **look, **told, **entry)
    filled = {"fill": "toself", "fillcolor": colour, "opacity": 0.18, "line": {"width": 0}}
    border = [*rows["high"], *rows["low"][::-1]]
    behind = {"legendgroup": method, "showlegend": False, "hoverinfo": "skip"}
    return line, go.Scatter(x=positions + positions[::-1], y=border, mode="lines", **filled, **behind)


def _star(best: pd.Series, by: str, method: str) -> go.Scatter:
    marker = {"color": COLOURS[method], "size": 17, "symbol": "star"}
    entry = legend_entry(method, shown=False) | {"name": f"{method}, best"}
    hover = f"best at {by} = %{{x}}: %{{y:.4g}}"
    return go.Scatter(x=[best[by]], y=[best["mean"]], mode="markers", marker=marker, hovertemplate=hover, **entry)
