"""Features to numbers: pure functions that read tensors, arrays and memory maps in blocks."""

from workbook.metrics.mixture import MixtureLevels, feature_mixture, mixture_levels
from workbook.metrics.redundancy import channel_correlation, feature_redundancy
from workbook.metrics.similarity import linear_cka, minibatch_cka, minibatch_cka_matrix
from workbook.metrics.variation import (
    discriminative_ratio,
    inter_class_separation,
    intra_class_variance,
    mean_silhouette,
)

__all__ = [
    "MixtureLevels",
    "channel_correlation",
    "discriminative_ratio",
    "feature_mixture",
    "feature_redundancy",
    "inter_class_separation",
    "intra_class_variance",
    "linear_cka",
    "mean_silhouette",
    "minibatch_cka",
    "minibatch_cka_matrix",
    "mixture_levels",
]
