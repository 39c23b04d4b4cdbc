"""Sums over features that many measures share: moments of the classes, products of the channels, in one pass."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from workbook.metrics.blocks import (
    Array,
    Classes,
    add_gram,
    check_classes,
    check_features,
    check_samples,
    device_of,
    mirror,
    one_class,
    read,
    row_blocks,
    unit_or_zero,
)


@dataclass(frozen=True, kw_only=True)
class ClassMoments:
    means: Tensor  # (C, D) float64
    scatter: Tensor  # (C,) float64, mean squared distance of a class's samples to its mean
    zeros: Tensor  # (C,) float64, share of its samples that are zero vectors, where rows were scaled to length 1
    counts: Tensor  # (C,) float64, its samples


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What the measures of second moments need of features (N, D): `feature_moments` makes it in one pass.

    They take it in place of the features and labels, so that many of them cost one pass.
    """

    classes: Classes  # one, where there were no labels
    rows: ClassMoments  # of the features
    units: ClassMoments  # of the features scaled to length 1, a zero vector staying one
    within: Tensor  # (D, D) float64, W = sum of (x - mu)(x - mu)^T over the samples, mu the mean of its class
    origin: Tensor  # (D,) float64, the first sample; e = x - origin
    cubes: Tensor  # (D,) float64, sum of |e|^2 e
    fourths: Tensor  # () float64, sum of |e|^4

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D), of the features."""
        return len(self.classes.index), len(self.origin)

    def __len__(self) -> int:
        return self.shape[0]

    @cached_property
    def mean(self) -> Tensor:
        """(D,), of all samples."""
        first = self.rows.means[0]  # a constant channel keeps its value exactly
        return first + self.rows.counts @ (self.rows.means - first) / len(self)

    @cached_property
    def deviations(self) -> Tensor:
        """A (C, D), its rows sqrt(N_k) (mu_k - mean): the scatter between the classes is B = A^T A."""
        return self.rows.counts.sqrt()[:, None] * (self.rows.means - self.mean)

    @cached_property
    def centred(self) -> Tensor:
        """(D, D), the sum of (x - mean)(x - mean)^T over the samples: W + B, of which nothing cancels."""
        return self.within + self.deviations.T @ self.deviations

    @cached_property
    def spread(self) -> tuple[Tensor, Tensor]:
        """`principal` axes of the features about their mean. ValueError where they do not vary."""
        return principal(self.centred, "every sample is the same: features without variation have no spectrum")

    @cached_property
    def spread_from_zero(self) -> tuple[Tensor, Tensor]:
        """`principal` axes of the features not centred: their squared singular values and right singular vectors."""
        products = self.centred + len(self) * torch.outer(self.mean, self.mean)
        return principal(products, "every sample is the zero vector: such features have no spectrum")

    @property
    def fourth(self) -> float:
        """The sum of |x - mean|^4 over the samples."""
        # with m = mean e: |e - m|^4 = (|e|^2 - 2 e . m + |m|^2)^2 and sum e e^T = centred + N m m^T. The origin is a
        # sample, so that the sum is at least |m|^4: however far the features are from 0, next to nothing cancels
        m = self.mean - self.origin
        square, count = m @ m, len(self)
        squares = self.centred.trace() + count * square
        about = self.fourths - 4 * m @ self.cubes + 4 * m @ self.centred @ m + 2 * square * squares + count * square**2
        return max(0.0, float(about))


def principal(products: Tensor, otherwise: str) -> tuple[Tensor, Tensor]:
    """Eigenvalues (r,) above 0 of Z^T Z, descending, and their eigenvectors (D, r); ValueError(otherwise) if none is.

    Above 0 is what lies above the rounding of the largest, by numpy's rule for the rank of a product.
    """
    values, vectors = torch.linalg.eigh(products)
    positive = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    if not bool(positive.any()):
        raise ValueError(otherwise)
    return values[positive].flip(0), vectors[:, positive].flip(1)


def feature_moments(features: Array, labels: Any = None) -> Moments:
    """The moments of features (N, D) float and of their classes, labels (N,) int: one pass, not growing with N.

    labels: None = one class; then what comes back is for the measures that take no labels.
    """
    check_features(features)
    classes = one_class(features) if labels is None else check_classes(features, labels)
    pivot, counts = read(features, classes.first), classes.sizes(features)
    rows, units = ClassSums(pivot, counts), ClassSums(pivot, counts, unit=True)
    gram = pivot.new_zeros(pivot.shape[1], pivot.shape[1])
    origin = read(features, slice(0, 1))[0]
    cubes, fourths = torch.zeros_like(origin), torch.zeros_like(counts[0])
    for part, block in row_blocks(features):
        index = classes.of(part, pivot.device)
        units.add(block.clone(), index)
        shifted = block - origin
        squares = shifted.square().sum(1)
        cubes += squares @ shifted
        fourths += squares @ squares
        rows.add(block, index)
        add_gram(gram, block)
    return Moments(
        classes=classes,
        rows=rows.moments(),
        units=units.moments(),
        within=rows.within(gram),
        origin=origin,
        cubes=cubes,
        fourths=fourths,
    )


def moments_of(features: Array | Moments, labels: Any = None, *, samples: int | None = None) -> Moments:
    """The first arguments of a measure, as moments: made now, or given.

    samples: None = the measure takes no labels; else every class has at least so many samples.
    """
    if isinstance(features, Moments):
        _check_given(features, labels, samples)
        return features
    if samples is not None:
        check_classes(features, labels, samples)
    return feature_moments(features, labels)


def class_moments_of(features: Array | Moments, labels: Any, *, samples: int, unit: bool = False) -> ClassMoments:
    """The same for measures that need the means and scatter of the classes alone, which cost far less."""
    if isinstance(features, Moments):
        _check_given(features, labels, samples)
        return features.units if unit else features.rows
    return class_moments(features, check_classes(features, labels, samples), unit=unit)


def class_moments(features: Array, classes: Classes, *, unit: bool = False) -> ClassMoments:
    """Means and scatter of the classes, of the rows or (`unit`) of `unit_or_zero` of them, in one pass."""
    sums = ClassSums(read(features, classes.first), classes.sizes(features), unit=unit)
    for rows, block in row_blocks(features):
        sums.add(block, classes.of(rows, block.device))
    return sums.moments()


class ClassSums:
    """Sums over the samples of each class, less one of them: its pivot (C, D)."""

    # With d = x - p, for any p: mu = p + mean d and mean |x - mu|^2 = mean |d|^2 - |mean d|^2. Where p is one of the
    # N_k samples, |mean d|^2 = |p - mu|^2 <= N_k mean |x - mu|^2: however far the origin, next to nothing cancels.
    # So for the products: W = sum of d d^T - sum over classes of N_k (mean d)(mean d)^T.
    def __init__(self, pivot: Tensor, counts: Tensor, *, unit: bool = False) -> None:
        self.pivot, self.counts, self.unit = pivot.clone(), counts, unit
        if unit:
            unit_or_zero(self.pivot)
        self.sums, self.squares, self.zeros = (torch.zeros_like(like) for like in (pivot, counts, counts))

    def add(self, block: Tensor, index: Tensor) -> None:
        """Adds rows of these classes; leaves of `block` what was added up, the rows less their pivots."""
        if self.unit:
            self.zeros.index_add_(0, index, (unit_or_zero(block)[:, 0] == 0).double())
        block -= self.pivot[index]
        self.sums.index_add_(0, index, block)
        self.squares.index_add_(0, index, torch.linalg.vector_norm(block, dim=1).square())

    def moments(self) -> ClassMoments:
        shift = self.sums / self.counts[:, None]
        scatter = (self.squares / self.counts - shift.square().sum(1)).clamp(min=0)
        zeros = self.zeros / self.counts
        return ClassMoments(means=self.pivot + shift, scatter=scatter, zeros=zeros, counts=self.counts)

    def within(self, gram: Tensor) -> Tensor:
        """W (D, D), from what `add_gram` made of the blocks that `add` left, in its place."""
        shift = self.sums / self.counts.sqrt()[:, None]
        return mirror(gram).sub_(shift.T @ shift)


def projected(features: Array, centre: Tensor, axes: Tensor) -> Tensor:
    """(N, k): the features less `centre` (D,) along the columns of `axes` (D, k); all that is kept of them."""
    return torch.cat([(block - centre) @ axes for _, block in row_blocks(features)])


def _check_given(moments: Moments, labels: Any, samples: int | None) -> None:
    if labels is not None:
        raise ValueError("moments hold the labels that they were made with: leave out `labels`")
    if samples is not None:
        check_samples(moments.classes, samples)


def centred_products(*features: Array, names: tuple[str, ...] = ("features",)) -> Tensor:
    """Z^T Z, (D, D) float64, Z being the given features side by side with every column centred; one pass."""
    width, device = sum(part.shape[1] for part in features), device_of(features[0])
    total = torch.zeros(width, dtype=torch.float64, device=device)
    gram = torch.zeros(width, width, dtype=torch.float64, device=device)
    pivot = torch.cat([read(part, slice(0, 1)) for part in features], dim=1)
    # With d = z - p: Z^T Z = sum d d^T - (sum d)(sum d)^T / N for any p. With p one of the N samples next to nothing
    # cancels, as in `ClassSums`, and a constant column is exactly 0.
    streams = (row_blocks(part, width=width, name=name) for part, name in zip(features, names, strict=True))
    for parts in zip(*streams, strict=True):
        block = torch.cat([part for _, part in parts], dim=1) - pivot
        total += block.sum(0)
        add_gram(gram, block)
    return mirror(gram) - torch.outer(total, total) / len(features[0])
