"""The channel correlation matrix as a picture: what A's redundancy R is the mean of."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from workbook.figures.look import literal, plain
from workbook.figures.style import method_panels


def clustered_order(correlation: np.ndarray) -> np.ndarray:
    """The channels (D,) in the order of an average-linkage clustering with distance 1 - |rho|."""
    distance = 1 - np.abs(correlation)
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform((distance + distance.T) / 2, checks=False), "average"))


def correlation_maps(correlations: Mapping[str, np.ndarray], *, title: str, most: int = 256) -> go.Figure:
    """|rho| of the channels, a panel a method, ordered by clustering; blocks are groups of redundant channels.

    correlations: name -> (D, D). Where D is larger than `most`, every (D / most)-th channel of the order is drawn.
    """
    figure, places = method_panels([*map(literal, correlations)])
    for place, matrix in zip(places, correlations.values(), strict=True):
        order = clustered_order(np.asarray(matrix, dtype=np.float64))
        kept = order[np.linspace(0, len(order) - 1, min(most, len(order))).astype(int)]
        picture = np.abs(matrix[np.ix_(kept, kept)])
        figure.add_trace(go.Heatmap(z=np.round(picture, 3), coloraxis="coloraxis", hoverinfo="z"), **place)
        figure.update_xaxes(visible=False, **place)
        figure.update_yaxes(visible=False, autorange="reversed", **place)
    figure.update_layout(coloraxis={"colorscale": "Cividis", "cmin": 0, "cmax": 1, "colorbar": {"title": "|ρ|"}})
    return plain(figure, title=title, height=120 + 400 * places[-1]["row"])
