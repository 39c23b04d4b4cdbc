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
    """|rho| of the channels in percent, a panel a method, ordered by clustering; blocks are redundant channels.

    correlations: name -> (D, D). Where D is larger than `most`, every (D / most)-th channel of the order is drawn.
    """
    figure, places = method_panels([*map(literal, correlations)])
    for place, matrix in zip(places, correlations.values(), strict=True):
        order = clustered_order(np.asarray(matrix, dtype=np.float64))
        kept = order[np.linspace(0, len(order) - 1, min(most, len(order))).astype(int)]
        picture = 100 * np.abs(matrix[np.ix_(kept, kept)])
        # in bytes: with eight of them a number, six panels make a page of four megabytes
        figure.add_trace(go.Heatmap(z=picture.round().astype(np.uint8), coloraxis="coloraxis", hoverinfo="z"), **place)
        figure.update_xaxes(visible=False, **place)
        figure.update_yaxes(visible=False, autorange="reversed", **place)
    figure.update_layout(coloraxis={"colorscale": "Cividis", "cmin": 0, "cmax": 100, "colorbar": {"title": "|ρ|, %"}})
    return plain(figure, title=title, height=120 + 400 * places[-1]["row"])
