"""Features and weights to numbers: pure functions; features are read in blocks, as tensors, arrays or memory maps."""

from workbook.metrics.correlation import correlation_differences, rank_correlations
from workbook.metrics.diversity import (
    calibrated_imagenet_score,
    cluster_diversity,
    cluster_ratio,
    explained_variance,
    spectral_diversity,
)
from workbook.metrics.mixture import MixtureLevels, feature_mixture, mixture_levels
from workbook.metrics.redundancy import channel_correlation, feature_redundancy
from workbook.metrics.similarity import linear_cka, minibatch_cka, minibatch_cka_matrix, self_cka
from workbook.metrics.variation import (
    discriminative_ratio,
    inter_class_separation,
    intra_class_variance,
    mean_silhouette,
)
from workbook.metrics.weights import (
    ATTENTION,
    CLASSIFIERS,
    DiversityChoices,
    mean_diversity,
    model_diversity,
    weight_features,
)
