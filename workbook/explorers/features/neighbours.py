"""Which images are nearest to one, by cosine in the features."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics.pairwise import cosine_similarity

MOST = 12


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """images: (k,) int, the nearest first; cosines: (k,) float, of each with the image asked for."""

    images: np.ndarray
    cosines: np.ndarray


def nearest(features: np.ndarray, image: int, k: int = MOST) -> Neighbours:
    """The k other images nearest to `image`, fewer where there are no more; of equal cosines the first comes first.

    features: (N, D) float, may be memory-mapped; a row of zeros has cosine 0 with all.
    """
    cosines = cosine_similarity(features[image : image + 1], features)[0]
    order = np.argsort(-cosines, kind="stable")
    order = order[order != image][:k]
    return Neighbours(images=order, cosines=cosines[order])
