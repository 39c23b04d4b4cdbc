"""Average precision of scores that rank images, for each of many labels."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Tensor | np.ndarray


def average_precision(scores: Array, labels: Array) -> np.ndarray:
    """AP of each class as scikit-learn defines it: the precision at every score, weighted by the recall gained there.

    AP = sum_t (R_t - R_{t-1}) P_t over the distinct scores t in falling order; P_t and R_t are precision and recall of
    the images that score at least t, so that tied images count together and their order does not matter.
    scores: (N, K) float, finite; the logits, as sigmoids of large ones tie. labels: (N, K) bool, which of the classes
    an image has. (K,) float64 in (0, 1]; higher = the images that have the class stand first; NaN for a class that no
    image has. Scores that are all the same give the share of images that have the class.
    """
    falling, hits = _ranked(scores, labels)
    last = torch.ones_like(hits, dtype=torch.bool)  # of those that tie
    last[:-1] = falling[1:] != falling[:-1]
    places = torch.arange(len(hits), device=hits.device)[:, None].expand_as(hits)
    ends = torch.where(last, places, len(hits)).flip(0).cummin(0).values.flip(0)
    precision = hits.double().cumsum(0).gather(0, ends) / (ends + 1)
    return _mean_over_hits(precision, hits)


def average_precision_by_rank(scores: Array, labels: Array) -> np.ndarray:
    """AP of each class as the code of Ben-Baruch et al. (ASL, 2021) computes it: the mean precision at its images.

    Every image has a rank of its own, and of tied ones the later row stands first, so that the order of the rows
    matters: where all scores are the same, the class of the last of three images has 1 and that of the first 1/3, where
    `average_precision` has 1/3 for both. Without ties they are equal. Arguments and range: as there; NaN for a class
    that no image has, which that code counts as 0.
    """
    _, hits = _ranked(scores, labels)
    ranks = torch.arange(1, len(hits) + 1, device=hits.device)[:, None]
    return _mean_over_hits(hits.double().cumsum(0) / ranks, hits)


def mean_average_precision(scores: Array, labels: Array) -> float:
    """mAP: `average_precision` averaged over the classes that any image has; the others are left out.

    In (0, 1]; higher = better. Raises ValueError where no image has any class.
    """
    found = average_precision(scores, labels)
    if np.isnan(found).all():
        raise ValueError(f"labels must hold at least one image that has a class, got none among {len(labels)}")
    return float(np.nanmean(found))


def _ranked(scores: Array, labels: Array) -> tuple[Tensor, Tensor]:
    """Scores in falling order, of tied ones the later row first, and whether the image at each place has the class."""
    scores, labels = _checked(scores, labels)
    falling, order = scores.flip(0).sort(dim=0, descending=True, stable=True)
    return falling, labels.flip(0).gather(0, order)


def _mean_over_hits(precision: Tensor, hits: Tensor) -> np.ndarray:
    return ((precision * hits).sum(0) / hits.sum(0)).cpu().numpy()


def _checked(scores: Any, labels: Any) -> tuple[Tensor, Tensor]:
    scores, labels = torch.as_tensor(scores).detach(), torch.as_tensor(labels)
    if scores.ndim != 2 or 0 in scores.shape or not scores.is_floating_point():
        raise ValueError(f"scores must be floats of shape (N, K), got {scores.dtype} {tuple(scores.shape)}")
    if labels.shape != scores.shape or labels.dtype != torch.bool:
        raise ValueError(
            f"labels must be bool of shape {tuple(scores.shape)}, got {labels.dtype} {tuple(labels.shape)}"
        )
    if strange := int((~torch.isfinite(scores)).sum()):
        raise ValueError(f"scores must be finite, got {strange} NaN or infinite values")
    return scores, labels.to(scores.device)
