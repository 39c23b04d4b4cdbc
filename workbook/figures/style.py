"""What all figures share: a colour-blind-safe colour for every method, seeds as a range, one plain look."""

import re
from collections.abc import Sequence

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
        "Byol": "#009E73",
        "Mocov1": "#CC79A7",
        "Mocov2": "#56B4E9",
        "SimCLR": "#E69F00",
        "SupCon": "#882255",
        "SelfSupCon": "#999933",
        "CE+SelfSupCon": "#8C6D00",
        "SwAV": "#332288",
        "DINO": "#117733",
        "MAE": "#000000",
    }
)
COLOURS |= {"MoCo-v2": COLOURS["Mocov2"], "Supervised": COLOURS["SL"]}  # paper B's names
FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"


# plotly 7 offers to upload a figure to its maker's site
UNWANTED_BUTTONS = ("sendChartToCloud",)


def plain(figure: go.Figure, *, title: str, height: int = 500) -> go.Figure:
    """The figure with the workbook's title, fonts, grid and margins."""
    return figure.update_layout(
        template="plotly_white",
        title={
            "text": title,
            "x": 0.01,
            "xanchor": "left",
            "y": 1 - 15 / height,
            "yanchor": "top",
            "font": {"size": 16},
        },
        font={"family": FONT, "size": 13},
        height=height,
        margin={"l": 70, "r": 30, "t": 110, "b": 60},
        legend={"title": None, "orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        hoverlabel={"font": {"family": FONT}},
        modebar={"remove": list(UNWANTED_BUTTONS)},
    )


def dash_of(method: str) -> str:
    """Solid with an MLP, dashed without, as in A Fig. 2; dotted for the method on a ViT."""
    if method.endswith("(ViT)"):
        return "dot"
    return "dash" if method.endswith("w/o MLP") or method in ("SL", "Mocov1") else "solid"


def method_panels(methods: Sequence[str]) -> tuple[go.Figure, list[dict[str, int]]]:
    """A figure with a titled panel a method, and the row and column of each.

    Up to three stand in a row; of more two, so that a method's pair, without and with its MLP, stands side by side.
    """
    columns = len(methods) if len(methods) <= 3 else 2
    rows = -(-len(methods) // columns)
    spacing = {"horizontal_spacing": 0.05, "vertical_spacing": 0.12 / rows}
    figure = make_subplots(rows, columns, subplot_titles=list(methods), **spacing)
    places = [{"row": number // columns + 1, "col": number % columns + 1} for number in range(len(methods))]
    return figure, places


def faded(colour: str, alpha: float) -> str:
    """A #rrggbb colour as rgba with this opacity in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def over_seeds(table: pd.DataFrame, column: str, by: str = "epoch") -> pd.DataFrame:
    """One row for every method and value of `by`: mean, low and high of `column` over the seeds, and their number.

    Methods in the order in which they come.
    """
    grouped = table.groupby(["method", by], observed=True, sort=False)[column]
    summary = grouped.agg(mean="mean", low="min", high="max", n="count").reset_index()
    order = {method: number for number, method in enumerate(table["method"].unique())}
    summary = summary.sort_values(by, kind="stable")
    return summary.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def line_and_range(rows: pd.DataFrame, by: str, method: str, *, shown: bool = True) -> tuple[go.Scatter, go.Scatter]:
    """The mean of `over_seeds` as a line and the range of the seeds as a band, in the colour of the method."""
    colour = COLOURS[method]
    positions = list(rows[by])
    line = go.Scatter(
        x=positions,
        y=rows["mean"],
        name=method,
        legendgroup=method,
        showlegend=shown,
        mode="lines+markers",
        line={"color": colour, "width": 3, "dash": dash_of(method)},
        marker={"size": 7},
        customdata=rows[["low", "high", "n"]],
        hovertemplate="%{x}: %{y:.4g} (%{customdata[0]:.4g} to %{customdata[1]:.4g}, n = %{customdata[2]})",
    )
    band = go.Scatter(
        x=positions + positions[::-1],
        y=[*rows["high"], *rows["low"][::-1]],
        mode="lines",
        fill="toself",
        fillcolor=faded(colour, 0.18),
        line={"width": 0},
        legendgroup=method,
        showlegend=False,
        hoverinfo="skip",
    )
    return line, band
