"""Features on the unit sphere: how evenly they lie and how near those of one class (Wang & Isola 2020).

not in the paper: a zero vector, which has no direction. Its cosine is 0, as in `variation`, and so its squared distance
from all others 2.
"""

from typing import Any

import torch

from workbook.metrics.blocks import Array, check_directions, drawn, read, row_blocks, unit_or_zero
from workbook.metrics.moments import Moments, class_moments_of


def uniformity(features: Array, *, t: float = 2.0, rows: int = 5000, seed: int = 0) -> float:
    """Uniformity, log mean exp(-t |u - v|^2) over all pairs of two different samples (Wang & Isola 2020).

    u, v: the features scaled to length 1. The time grows with the square of the samples: of more than `rows`, so many
    are drawn from `seed`.

    features: (N, D) float, at least two. In [-4 t, 0]; lower = more even on the sphere; about
    -2 t + 2 t^2 / D where it is even. Unchanged by scale and rotation, not by an offset. 0 where all directions are the
    same. ValueError where all are the zero vector.
    """
    numbers = drawn(features, rows, seed)
    if len(numbers) < 2:
        raise ValueError("uniformity needs at least two samples, got 1")
    units, total = read(features, numbers), 0.0
    check_directions(unit_or_zero(units))
    for part, block in row_blocks(units, width=len(units)):
        # |u - v|^2 = 2 - 2 u . v; a sample with itself, whatever rounding makes of it, is left out
        near = ((block @ units.T).clamp_(max=1) - 1).mul_(2 * t).exp_()
        near[:, part].fill_diagonal_(0)
        total += float(near.sum())
    return float(torch.tensor(total / (len(units) * (len(units) - 1)), dtype=torch.float64).log())


def alignment(features: Array | Moments, labels: Any = None) -> float:
    """Alignment, the mean |u - v|^2 over all pairs of two different samples of one class (Wang & Isola 2020).

    u, v: the features scaled to length 1. In the paper a pair is two views of one image; here two images of one class.
    Every pair counts alike, so that large classes weigh more: `intra_class_variance` is the mean over classes.

    features: (N, D) float. labels: (N,) int, at least two classes of two samples. In [0, 4]; lower = the classes are
    narrower. Unchanged by scale and rotation, not by an offset. 0 where every class has one direction. ValueError where
    all are the zero vector.
    """
    moments = class_moments_of(features, labels, samples=2, unit=True)
    counts, zeros = moments.counts, moments.zeros
    check_directions(1 - zeros)
    # sum_mn (2 - 2 u_m . u_n) = 2 N_k^2 (1 - |mean u|^2), and 1 - |mean u|^2 is the mean |u - mean u|^2 plus the share
    # of zero vectors; of the N_k pairs m = n theirs add 2 each, and all others 0
    squares = 2 * counts.square() * (moments.scatter + zeros) - 2 * counts * zeros
    return float(squares.sum() / (counts * (counts - 1)).sum())
