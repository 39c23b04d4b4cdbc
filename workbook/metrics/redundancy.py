"""How much the channels of features repeat each other."""

import torch
from torch import Tensor

from workbook.metrics.blocks import Array, check_features
from workbook.metrics.moments import Moments, centred_products


def feature_redundancy(features: Array | Moments) -> float:
    """Mean absolute correlation of the channels, R (Wang et al. 2022, Eq. 3).

    Over all D^2 pairs, a channel with itself included as printed, so that 1 / D is the least for channels that all
    vary. Eq. 3 prints the cosine of the channels; the text calls it Pearson's coefficient, so channels are centred
    here. That matters: channels after a ReLU are positive, and without centring nearly all of them look alike.

    features: (N, D) float, at least two rows.
    In [0, 1]; higher = more redundant. Unchanged by scale and offset, even of single channels; not by a rotation.
    A constant channel correlates with nothing, itself included: it counts 0, so R is 0 where all are constant.
    """
    return float(channel_correlation(features).abs().mean())


def channel_correlation(features: Array | Moments) -> Tensor:
    """Pearson's correlation of every two channels, (D, D) float64 in [-1, 1], on the features' own device.

    features: (N, D) float, at least two rows. The rows and columns of a constant channel are 0, its diagonal too.
    """
    if not isinstance(features, Moments):
        check_features(features)
    if len(features) < 2:
        raise ValueError(f"a correlation needs at least two samples, got features of shape {tuple(features.shape)}")
    products = features.centred if isinstance(features, Moments) else centred_products(features)
    deviation = products.diagonal().clamp(min=0).sqrt()
    varies = deviation > 0
    scale = torch.where(varies, 1 / deviation, 0.0)
    correlation = (products * scale[:, None] * scale).clamp(-1, 1)
    correlation.diagonal().copy_(varies)  # exactly 1, or 0
    return correlation


def varying_channels(features: Array) -> float:
    """Share of the channels that are not constant. Not in the paper.

    features: (N, D) float, at least two rows.
    In [0, 1]; a channel of a ReLU that is 0 for every image says nothing, and makes `feature_redundancy` lower.
    """
    return float(channel_correlation(features).diagonal().mean())
