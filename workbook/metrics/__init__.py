"""Features and weights to numbers: pure functions; features are read in blocks, as tensors, arrays or memory maps."""

from typing import TYPE_CHECKING

from workbook.lazy import loaded_on_demand

if TYPE_CHECKING:
    from workbook.metrics.catalogue import MEASURES as MEASURES
    from workbook.metrics.catalogue import Measure as Measure
    from workbook.metrics.catalogue import measure_all as measure_all
    from workbook.metrics.catalogue import merit as merit
    from workbook.metrics.collapse import cdnv as cdnv
    from workbook.metrics.collapse import class_mean_accuracy as class_mean_accuracy
    from workbook.metrics.collapse import directional_cdnv as directional_cdnv
    from workbook.metrics.collapse import nc1 as nc1
    from workbook.metrics.collapse import nc2 as nc2
    from workbook.metrics.collapse import nc3 as nc3
    from workbook.metrics.collapse import nc4 as nc4
    from workbook.metrics.correlation import correlation_differences as correlation_differences
    from workbook.metrics.correlation import rank_correlations as rank_correlations
    from workbook.metrics.distance import frechet_distance as frechet_distance
    from workbook.metrics.diversity import calibrated_imagenet_score as calibrated_imagenet_score
    from workbook.metrics.diversity import cluster_diversity as cluster_diversity
    from workbook.metrics.diversity import cluster_ratio as cluster_ratio
    from workbook.metrics.diversity import explained_variance as explained_variance
    from workbook.metrics.diversity import spectral_diversity as spectral_diversity
    from workbook.metrics.evidence import h_score as h_score
    from workbook.metrics.evidence import ledoit_wolf_shrinkage as ledoit_wolf_shrinkage
    from workbook.metrics.evidence import logme as logme
    from workbook.metrics.evidence import transrate as transrate
    from workbook.metrics.fisher import ncti as ncti
    from workbook.metrics.fisher import ncti_parts as ncti_parts
    from workbook.metrics.fisher import sfda as sfda
    from workbook.metrics.mixture import MixtureLevels as MixtureLevels
    from workbook.metrics.mixture import feature_mixture as feature_mixture
    from workbook.metrics.mixture import mixture_levels as mixture_levels
    from workbook.metrics.moments import Moments as Moments
    from workbook.metrics.moments import feature_moments as feature_moments
    from workbook.metrics.overlap import gbc as gbc
    from workbook.metrics.overlap import parc as parc
    from workbook.metrics.prediction import Prediction as Prediction
    from workbook.metrics.prediction import log_odds_elsewhere as log_odds_elsewhere
    from workbook.metrics.prediction import predict_transfer as predict_transfer
    from workbook.metrics.ranking import average_precision as average_precision
    from workbook.metrics.ranking import average_precision_by_rank as average_precision_by_rank
    from workbook.metrics.ranking import mean_average_precision as mean_average_precision
    from workbook.metrics.readout import readout_over_classes as readout_over_classes
    from workbook.metrics.readout import readout_within_classes as readout_within_classes
    from workbook.metrics.redundancy import channel_correlation as channel_correlation
    from workbook.metrics.redundancy import feature_redundancy as feature_redundancy
    from workbook.metrics.redundancy import varying_channels as varying_channels
    from workbook.metrics.similarity import linear_cka as linear_cka
    from workbook.metrics.similarity import minibatch_cka as minibatch_cka
    from workbook.metrics.similarity import minibatch_cka_matrix as minibatch_cka_matrix
    from workbook.metrics.similarity import self_cka as self_cka
    from workbook.metrics.source import leep as leep
    from workbook.metrics.source import nce as nce
    from workbook.metrics.source import nleep as nleep
    from workbook.metrics.spectrum import alpha_req as alpha_req
    from workbook.metrics.spectrum import effective_rank as effective_rank
    from workbook.metrics.spectrum import lidar as lidar
    from workbook.metrics.spectrum import nesum as nesum
    from workbook.metrics.spectrum import participation_ratio as participation_ratio
    from workbook.metrics.spectrum import rankme as rankme
    from workbook.metrics.sphere import alignment as alignment
    from workbook.metrics.sphere import uniformity as uniformity
    from workbook.metrics.variation import RatioParts as RatioParts
    from workbook.metrics.variation import discriminative_ratio as discriminative_ratio
    from workbook.metrics.variation import inter_class_separation as inter_class_separation
    from workbook.metrics.variation import intra_class_variance as intra_class_variance
    from workbook.metrics.variation import mean_silhouette as mean_silhouette
    from workbook.metrics.variation import ratio_parts as ratio_parts
    from workbook.metrics.weights import ATTENTION as ATTENTION
    from workbook.metrics.weights import CLASSIFIERS as CLASSIFIERS
    from workbook.metrics.weights import DiversityChoices as DiversityChoices
    from workbook.metrics.weights import mean_diversity as mean_diversity
    from workbook.metrics.weights import model_diversity as model_diversity
    from workbook.metrics.weights import weight_features as weight_features

_HOMES = {
    "catalogue": (
        "MEASURES",
        "Measure",
        "measure_all",
        "merit",
    ),
    "collapse": (
        "cdnv",
        "class_mean_accuracy",
        "directional_cdnv",
        "nc1",
        "nc2",
        "nc3",
        "nc4",
    ),
    "correlation": (
        "correlation_differences",
        "rank_correlations",
    ),
    "distance": ("frechet_distance",),
    "diversity": (
        "calibrated_imagenet_score",
        "cluster_diversity",
        "cluster_ratio",
        "explained_variance",
        "spectral_diversity",
    ),
    "evidence": (
        "h_score",
        "ledoit_wolf_shrinkage",
        "logme",
        "transrate",
    ),
    "fisher": (
        "ncti",
        "ncti_parts",
        "sfda",
    ),
    "mixture": (
        "MixtureLevels",
        "feature_mixture",
        "mixture_levels",
    ),
    "moments": (
        "Moments",
        "feature_moments",
    ),
    "overlap": (
        "gbc",
        "parc",
    ),
    "prediction": (
        "Prediction",
        "log_odds_elsewhere",
        "predict_transfer",
    ),
    "ranking": (
        "average_precision",
        "average_precision_by_rank",
        "mean_average_precision",
    ),
    "readout": (
        "readout_over_classes",
        "readout_within_classes",
    ),
    "redundancy": (
        "channel_correlation",
        "feature_redundancy",
        "varying_channels",
    ),
    "similarity": (
        "linear_cka",
        "minibatch_cka",
        "minibatch_cka_matrix",
        "self_cka",
    ),
    "source": (
        "leep",
        "nce",
        "nleep",
    ),
    "spectrum": (
        "alpha_req",
        "effective_rank",
        "lidar",
        "nesum",
        "participation_ratio",
        "rankme",
    ),
    "sphere": (
        "alignment",
        "uniformity",
    ),
    "variation": (
        "RatioParts",
        "discriminative_ratio",
        "inter_class_separation",
        "intra_class_variance",
        "mean_silhouette",
        "ratio_parts",
    ),
    "weights": (
        "ATTENTION",
        "CLASSIFIERS",
        "DiversityChoices",
        "mean_diversity",
        "model_diversity",
        "weight_features",
    ),
}
__getattr__ = loaded_on_demand(__name__, {name: home for home, names in _HOMES.items() for name in names})
