"""Linear discriminant analysis as a score: SFDA and NCTI, which classify the samples by shrunk covariances."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbook.metrics.blocks import Array, add_gram, check_classes, row_blocks
from workbook.metrics.moments import ClassMoments, ClassSums, Moments, feature_moments, projected

_LEAST_SHRINKAGE = 1e-10  # as SFDA's and NCTI's authors'
_DIMS, _ENERGY_DIMS = 64, 32  # NCTI's principal components, and those whose variance sets its shrinkage


@dataclass(frozen=True, kw_only=True)
class Discriminant:
    """Gaussian classes of one covariance: what it says of rows less `centre`."""

    centre: Tensor  # (D,)
    weight: Tensor  # (C, D)
    bias: Tensor  # (C,)

    def posterior(self, block: Tensor) -> Tensor:
        """(n, C): the probability of each class."""
        return torch.softmax((block - self.centre) @ self.weight.T + self.bias, dim=1)


def sfda(features: Array, labels: Any, *, moments: Moments | None = None) -> float:
    """SFDA, the mean probability that discriminant analysis gives the own class, made harder (Shao et al. 2022).

    A first discriminant, its covariance shrunk by exp(-5 l), l the largest variance within classes, gives each sample
    the probability of its class. The sample is moved towards the mean of the other classes' means, by the softmax of
    these probabilities (ConfMix); a second discriminant with the same shrinkage is fitted to the moved samples, and
    scored on them. l is the authors' three rounds of the power method, which may end before the largest: exact to
    rotation only as far as these are. On scikit-learn's digits l's exact value gives 0.804427 in place of 0.803241.

    features: (N, D) float. labels: (N,) int, at least two classes. In [0, 1]; higher = the classes stay apart.
    Unchanged by an offset; not by scale, which sets the shrinkage. ValueError where no class has any width. Three
    passes; moments: see `transrate`.
    """
    classes = check_classes(features, labels)
    moments = moments or feature_moments(features, labels)
    strength = max(math.exp(-5 * _power_method(moments.within / len(moments))), _LEAST_SHRINKAGE)
    first = _discriminant(moments.within, moments.rows, strength)
    others = (moments.rows.means.sum(0) - moments.rows.means) / (len(classes) - 1)

    def moved(rows: slice, block: Tensor) -> tuple[Tensor, Tensor]:
        own = classes.of(rows, block.device)
        share = torch.softmax(first.posterior(block), dim=1).gather(1, own[:, None])
        return share * block + (1 - share) * others[own], own

    sums, gram = ClassSums(moments.rows.means, moments.rows.counts), torch.zeros_like(moments.within)
    for rows, block in row_blocks(features, width=len(classes)):
        block, own = moved(rows, block)
        sums.add(block, own)
        add_gram(gram, block)
    second, total = _discriminant(sums.within(gram), sums.moments(), strength), 0.0
    for rows, block in row_blocks(features, width=len(classes)):
        block, own = moved(rows, block)
        total += float(second.posterior(block).gather(1, own[:, None]).sum())
    return total / len(features)


def ncti_parts(features: Array, labels: Any, *, moments: Moments | None = None) -> dict[str, float]:
    """The three parts of NCTI, which measure how near to collapse a finetuned model would be (Wang et al. 2023).

    On the first 64 principal components a discriminant, its covariance shrunk by the exponential of minus the variance
    of the first 32: "SELI", the nuclear norm of all samples in its C - 1 directions (higher = better); "NCC", the mean
    probability of the own class (higher); "VC", the log of the sum over classes of the nuclear norm of its samples'
    probabilities (lower). They mean little by themselves: `ncti` compares a pool of models by them.

    features: (N, D) float. labels: (N,) int, at least two classes. SELI in [0, inf), NCC in [0, 1], VC a real number.
    Unchanged by rotation and offset; not by scale, which sets the shrinkage. ValueError where no class has any width.
    moments: see `transrate`.
    """
    classes = check_classes(features, labels)
    moments = moments or feature_moments(features, labels)
    values, axes = moments.spread
    dims = min(_DIMS, *moments.shape)  # as in its code, components without variance among them
    axes = torch.nn.functional.pad(axes, (0, max(0, dims - axes.shape[1])))[:, :dims]
    variance = float(values[:_ENERGY_DIMS].sum()) / (len(moments) - 1)
    # not in the paper: where this is below 1e-10 its code shrinks nothing, with another solver; here it stays 1e-10
    strength = max(math.exp(-variance), _LEAST_SHRINKAGE)
    rows = projected(features, moments.mean, axes)
    means = (moments.rows.means - moments.mean) @ axes
    found = ClassMoments(
        means=means, scatter=moments.rows.scatter, zeros=moments.rows.zeros, counts=moments.rows.counts
    )
    within, spread = axes.T @ moments.within @ axes, axes.T @ moments.centred @ axes
    discriminant = _discriminant(within, found, strength)
    own = [discriminant.posterior(rows[chosen]) for chosen in classes.rows()]
    certain = sum(float(posterior[:, label].sum()) for label, posterior in enumerate(own))
    return {
        "SELI": _nuclear_norm(within, spread, strength, len(moments), len(classes) - 1),
        "NCC": certain / len(moments),
        "VC": math.log(sum(float(torch.linalg.svdvals(posterior).sum()) for posterior in own)),
    }


def ncti(pool: Sequence[Mapping[str, float]]) -> list[float]:
    """NCTI of each model of a pool: SELI + NCC - VC, each from 0 to 1 over the pool (Wang et al. 2023).

    pool: what `ncti_parts` gives of at least two models on the same images. In [-1, 2]; higher = better; a number of
    one pool says nothing about another.
    """
    if len(pool) < 2:
        raise ValueError(f"NCTI compares the models of a pool, got {len(pool)}")
    scaled = {}
    for part in ("SELI", "NCC", "VC"):
        values = np.array([parts[part] for parts in pool])
        # not in the paper: a part that is the same for all models counts 0
        scaled[part] = (values - values.min()) / (np.ptp(values) or 1)
    return (scaled["SELI"] + scaled["NCC"] - scaled["VC"]).tolist()


def _shrunk(products: Tensor, count: int, strength: float) -> Tensor:
    """(1 - s) S + s m I of the covariance S = products / count, m its mean variance."""
    covariance = (1 - strength) * products / count
    covariance.diagonal().add_(strength * products.trace() / count / len(products))
    return covariance


def _discriminant(within: Tensor, moments: ClassMoments, strength: float) -> Discriminant:
    count, centre = int(moments.counts.sum()), moments.means.mean(0)
    factor = _factor(_shrunk(within, count, strength))
    means = moments.means - centre
    weight = torch.cholesky_solve(means.T, factor).T
    bias = (moments.counts / count).log() - (weight * means).sum(1) / 2
    return Discriminant(centre=centre, weight=weight, bias=bias)


def _factor(covariance: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if bool(failed):
        raise ValueError("the classes have no width in some direction: a discriminant divides by it")
    return factor


def _nuclear_norm(within: Tensor, spread: Tensor, strength: float, count: int, directions: int) -> float:
    """Of all samples in the first directions of the discriminant, each with variance 1 within the classes."""
    factor = _factor(_shrunk(within, count, strength))
    half = torch.linalg.solve_triangular(factor, _shrunk(spread, count, strength), upper=False)
    whitened = torch.linalg.solve_triangular(factor, half.T, upper=False)
    axes = torch.linalg.solve_triangular(factor.T, torch.linalg.eigh(whitened)[1][:, -directions:], upper=True)
    return float(torch.linalg.eigvalsh(axes.T @ spread @ axes).clamp(min=0).sqrt().sum())


def _power_method(matrix: Tensor) -> float:
    """About the largest eigenvalue, by three rounds of two products from the sum of the columns."""
    vector = before = matrix.sum(1)
    for _ in range(6):
        before, vector = vector, matrix @ vector
        length = torch.linalg.vector_norm(vector)
        if not bool(length > 0):
            raise ValueError("the classes have no width that the power method finds")
        vector = vector / length
    return float(vector @ matrix @ before)
