"""How far two sets of features lie apart: the Frechet distance."""

import torch

from workbook.metrics.blocks import Array
from workbook.metrics.moments import Moments, moments_of


def frechet_distance(features: Array | Moments, others: Array | Moments) -> float:
    """Squared Frechet distance of two sets of features, each taken for a Gaussian (Dowson and Landau 1982).

    |m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), m the means and S the covariances, divided by N; on features of
    one fixed network it is the FID (Heusel et al. 2017). Not in the papers, which name a distance of the distributions
    and measure Pi.

    features: (N, D) float. others: (M, D) float.
    In [0, inf); higher = further apart, 0 = the same mean and covariance. Unchanged by rotation and by an offset of
    both; grows with the square of their scale. Of few samples for D it is biased upwards: compare equal numbers.
    """
    one, two = moments_of(features), moments_of(others)
    if one.shape[1] != two.shape[1]:
        raise ValueError(f"both must have the same channels, got {one.shape[1]} and {two.shape[1]}")
    covariances = one.centred / len(one), two.centred / len(two)
    # tr (S_1 S_2)^(1/2) = tr (R S_2 R)^(1/2) with R = S_1^(1/2): of a symmetric matrix the root is that of its
    # eigenvalues, which are real and, but for rounding, not below 0, however many channels are constant
    values, vectors = torch.linalg.eigh(covariances[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    common = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    apart = (one.mean - two.mean).square().sum()
    return max(0.0, float(apart + covariances[0].trace() + covariances[1].trace() - 2 * common))
