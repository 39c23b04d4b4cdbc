"""What all figures share: a colour-blind-safe colour for every method, and one plain look."""

import plotly.graph_objects as go

# Okabe and Ito's palette; a pair of methods differs in lightness as well as in hue
COLOURS = {"SL": "#D55E00", "SL-MLP": "#0072B2"}
FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"


def plain(figure: go.Figure, *, title: str, height: int = 500) -> go.Figure:
    """The figure with the workbook's title, fonts, grid and margins."""
    return figure.update_layout(
        template="plotly_white",
        title={"text": title, "x": 0.01, "xanchor": "left", "y": 0.97, "yanchor": "top", "font": {"size": 16}},
        font={"family": FONT, "size": 13},
        height=height,
        margin={"l": 70, "r": 30, "t": 110, "b": 60},
        legend={"title": None, "orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        hoverlabel={"font": {"family": FONT}},
    )


def faded(colour: str, alpha: float) -> str:
    """A #rrggbb colour as rgba with this opacity in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
