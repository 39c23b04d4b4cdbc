"""The one look of all figures, on light pages and on dark ones, and what is seen in a figure in words.

Plotly reads tags, links among them, and places such as %{x} in every text. Of what a figure function is given, all
names and titles are shown as they are, by `literal`; markup is the figures' own.
"""

import html
import math
import re
import textwrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
INK = "#767676"  # on white and on black; pages write in their own ink instead
CLEAR = "rgba(0,0,0,0)"
MODEBAR: dict[str, Any] = {"bgcolor": CLEAR, "color": "rgba(128,128,128,0.5)", "activecolor": INK}
MODEBAR |= {"remove": ["sendChartToCloud"]}  # plotly 7 offers to upload a figure to its maker's site

_LINE = "rgba(128,128,128,0.3)"
_AXIS: dict[str, Any] = {
    "automargin": True,
    "gridcolor": _LINE,
    "linecolor": _LINE,
    "zerolinecolor": _LINE,
    "title": {"standoff": 8},
}
LOOK = go.layout.Template(
    layout={
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": FONT, "size": 13, "color": INK},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hoverlabel": {"font": {"family": FONT}},
        # the title has the top of a figure and the legend its bottom, whatever else is there and however long both are
        "title": {"font": {"size": 16}, "x": 0.01, "xanchor": "left", "yref": "container", "yanchor": "top"},
        "legend": {"orientation": "h", "x": 0, "yref": "container", "y": 0, "yanchor": "bottom", "bgcolor": CLEAR},
        "coloraxis": {"colorbar": {"thickness": 12, "outlinewidth": 0, "title": {"side": "right"}}},
        "modebar": MODEBAR,
    }
)
# what a line of a narrow figure takes, in characters and in pixels
PANELS_WIDTH = 54
_TITLE_WIDTH, _NOTE_WIDTH, _LEGEND_WIDTH = 72, 96, 560


def literal(text: object) -> str:
    """The text as plotly shows it: neither a tag, such as a link, nor a place of a hover template."""
    return html.escape(str(text), quote=False).replace("%{", "%&#123;")


def literal_texts(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text in its cells `literal`."""
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    shown = {name: table[name].map(lambda cell: literal(cell) if isinstance(cell, str) else cell) for name in texts}
    return table.assign(**shown)


def plain(
    figure: go.Figure, *, title: str, x: str | None = None, y: str | None = None, height: int = 500, note: str = ""
) -> go.Figure:
    """The figure with the workbook's look; x and y: what all its axes are called; note: markup below the title.

    The title is broken into lines; these, and a legend of many lines, are added to the height. `layout.meta["alt"]`
    says in words what is seen.
    """
    if x:
        figure.update_xaxes(title=literal(x))
    if y:
        figure.update_yaxes(title=literal(y))
    lines, notes = [*map(literal, textwrap.wrap(title, _TITLE_WIDTH))], textwrap.wrap(note, _NOTE_WIDTH)
    top = 20 + 21 * len(lines) + 18 * len(notes)
    below = 21 * _legend_lines(figure) + 17 * (_break_axis_titles(figure) - 1)
    height += top - 41 + max(0, below - 21)
    # plotly hangs a title of one line from its place, and stands the first of several upon it
    place = 1 - (10 if len(lines) == 1 else 22) / height
    heading = {"text": "<br>".join(lines), "y": place, "subtitle": {"text": "<br>".join(notes) or None}}
    names = [1 + note.text.count("<br>") for note in figure.layout.annotations]  # of panels
    margin = {"l": 70, "r": 30, "t": top + 8 + (8 + 17 * max(names) if names else 0), "b": 60 + below}
    figure.for_each_annotation(lambda name: name.update(font={"size": 13}))
    figure.update_layout(template=LOOK, title=heading, height=height, margin=margin)
    return described(figure)


def _break_axis_titles(figure: go.Figure) -> int:
    """Break the titles of horizontal axes that are too long for their panels; the lines of the longest."""
    axes = list(figure.select_xaxes())
    columns, lines = len({axis.domain for axis in axes}), [1]
    for axis in axes:
        if axis.title.text:
            broken = textwrap.wrap(axis.title.text, PANELS_WIDTH // columns, break_long_words=False)
            axis.title.text = "<br>".join(broken)
            lines.append(len(broken))
    return max(lines)


def _legend_lines(figure: go.Figure) -> int:
    """How many lines the legend has where a figure is narrow.

    Plotly makes room for a legend too, but draws all a second time for it, and then without some texts at points.
    """
    shown = [html.unescape(trace.name) for trace in figure.data if trace.name and trace.showlegend is not False]
    return math.ceil(sum(44 + 8 * len(name) for name in shown) / _LEGEND_WIDTH)


def described(figure: go.Figure) -> go.Figure:
    """The figure with `layout.meta["alt"]`: its title, panels, axes with what they reach over, and names, in words."""
    layout = figure.layout
    told = [layout.title.text, *(note.text for note in layout.annotations)]
    for letter in "xy":
        told += _reaches(figure, letter)
    names = dict.fromkeys(trace.name for trace in figure.data if trace.name and trace.showlegend is not False)
    told += [f"Shown: {', '.join(names)}"] if names else []
    plain_words = [re.sub(r"<[^>]+>", " ", text) for text in told if text]
    return figure.update_layout(meta={"alt": ". ".join(html.unescape(text).rstrip(".") for text in plain_words)})


def _reaches(figure: go.Figure, letter: str) -> list[str]:
    """Of each title of the axes across (x) or up (y), from what to what its numbers go."""
    found: dict[str, list[pd.Series]] = {}
    for trace in figure.data:
        if getattr(trace, letter, None) is None or trace.hoverinfo == "skip":
            continue
        axis = figure.layout[f"{letter}axis{(getattr(trace, f'{letter}axis', None) or letter)[1:]}"]
        numbers = pd.to_numeric(pd.Series(list(trace[letter]), dtype=object), errors="coerce").dropna()
        if axis.title.text:
            found.setdefault(axis.title.text, []).append(numbers)
    told = []
    for title, parts in found.items():
        numbers = pd.concat(parts)
        reach = f", {numbers.min():.3g} to {numbers.max():.3g}" if len(numbers) else ""
        told.append(f"{'Across' if letter == 'x' else 'Up'}: {title}{reach}")
    return told


def axis_title(text: str) -> dict[str, Any]:
    """The title of an axis of a panel, which has less room than a figure."""
    return {"text": literal(text), "font": {"size": 12}, "standoff": 4}
