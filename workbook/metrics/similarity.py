"""How alike two representations of the same samples are: linear CKA, on all samples or by minibatches."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from workbook.metrics.blocks import BLOCK_SIZE, Array, add_gram, check_features, device_of, mirror, read
from workbook.metrics.moments import centred_products


def linear_cka(x: Array, y: Array) -> float:
    """Linear centred kernel alignment of two representations of N samples (Nayman et al. 2022, App. D, Eq. 3).

    The cosine of the two N x N Gram matrices of the centred features. Eq. 3 prints X^T X, which is not N x N for X of
    shape (N, D), and no centring; X X^T with centred columns is meant (Kornblith et al. 2019).

    x: (N, D1) float, y: (N, D2) float, the same samples in the same order, at least two.
    In [0, 1]; higher = more alike, 1 = equal up to rotation, scale and offset, under all of which it is unchanged.
    Biased upwards where N is small beside D1 and D2: `minibatch_cka` is not. Features without any variation have no
    CKA: ValueError.
    """
    check_features(x, "x")
    check_features(y, "y")
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"x and y must have the same two or more samples, got {len(x)} and {len(y)} rows")
    # <X X^T, Y Y^T> = |X^T Y|^2: the same three numbers from N x N matrices or from those of the channels
    if 2 * len(x) < x.shape[1] + y.shape[1]:
        gram_x, gram_y = _sample_gram(x, "x"), _sample_gram(y, "y")
        cross, own_x, own_y = (gram_x * gram_y).sum(), gram_x.norm(), gram_y.norm()
    else:
        products, split = centred_products(x, y, names=("x", "y")), x.shape[1]
        cross = products[:split, split:].square().sum()
        own_x, own_y = products[:split, :split].norm(), products[split:, split:].norm()
    for own, name in ((own_x, "x"), (own_y, "y")):
        if own == 0:
            raise ValueError(f"every sample of {name} is the same: without variation there is no CKA")
    return min(1.0, float(cross / (own_x * own_y)))


def minibatch_cka(pairs: Iterable[tuple[Array, Array]]) -> float:
    """Linear CKA from minibatches (x, y) of two representations: `minibatch_cka_matrix` of one layer each."""
    return float(minibatch_cka_matrix(([x], [y]) for x, y in pairs)[0, 0])


def minibatch_cka_matrix(batches: Iterable[tuple[Sequence[Array], Sequence[Array]]]) -> np.ndarray:
    """Linear CKA of every layer of one model with every layer of another, from minibatches, in one pass.

    HSIC is estimated without bias on each minibatch (Song et al. 2012, Eq. 5), the estimates are averaged over the
    minibatches, and CKA = HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y)) of the averages (Nguyen et al. 2021, Eqs. 2-4;
    Nayman et al. 2022, App. D, with minibatches of 600 and three epochs).

    batches: an iterable of (layers_x, layers_y), each a list of (n, ...) float tensors or arrays of the same n >= 4
    samples; everything after the first axis is flattened. n may differ between minibatches.
    Returns (Lx, Ly) float64 in [-1, 1]; higher = more alike; about 0, and as often below, for unrelated layers.
    Unchanged by rotation, scale and offset of a layer. A layer without any variation has no CKA: ValueError.
    """
    found: list[list[np.ndarray]] = []  # of each minibatch HSIC(x, y), HSIC(x, x) and HSIC(y, y)
    for layers_x, layers_y in batches:
        flat_x = _centred_grams(layers_x, "layers_x")
        # within one model both sides are the same list
        flat_y = flat_x if layers_y is layers_x else _centred_grams(layers_y, "layers_y")
        n = len(layers_x[0])
        if flat_x.shape[1] != flat_y.shape[1]:
            raise ValueError(f"layers_x and layers_y must be of the same samples, got {n} and {len(layers_y[0])}")
        products = flat_x @ flat_y.T, flat_x.norm(dim=1).square(), flat_y.norm(dim=1).square()
        found.append([(product / (n * (n - 3))).cpu().numpy() for product in products])
        if (came := found[-1][0].shape) != (first := found[0][0].shape):
            raise ValueError(f"every minibatch must have the layers {first}, got {came}")
    if not found:
        raise ValueError("there is no minibatch")
    cross, hsic_x, hsic_y = (np.mean(estimates, axis=0) for estimates in zip(*found, strict=True))
    for hsic, name in ((hsic_x, "layers_x"), (hsic_y, "layers_y")):
        if not hsic.all():
            layer = int(np.argmin(hsic))
            raise ValueError(f"layer {layer} of {name} is the same for every sample: without variation there is no CKA")
    return np.clip(cross / np.sqrt(np.outer(hsic_x, hsic_y)), -1, 1)


def self_cka(cka: np.ndarray) -> float:
    """B's CKA score of a model, "the average of the off-diagonal values" (App. D, Table 6, Fig. 11).

    cka: (L, L), every layer of the model with every other, as `minibatch_cka_matrix` gives it; at least two layers.
    In [-1, 1]; higher = more alike stages, a less abstract representation. The diagonal is not read.
    """
    if cka.ndim != 2 or len(cka) != cka.shape[1] or len(cka) < 2:
        raise ValueError(f"cka must have shape (L, L) with at least two layers, got {cka.shape}")
    return float(cka[~np.eye(len(cka), dtype=bool)].mean())


def _centred_grams(layers: Sequence[Array], name: str) -> Tensor:
    """(L, n^2): of each layer its Gram matrix without diagonal, centred so that the estimator is an inner product."""
    if not layers:
        raise ValueError(f"{name} must hold at least one layer")
    names = [f"layer {i} of {name}" for i in range(len(layers))]
    for layer, label in zip(layers, names, strict=True):
        if layer.ndim < 2 or len(layer) < 4:
            raise ValueError(f"{label} must have shape (n, ...) with n >= 4, got {tuple(layer.shape)}")
        if len(layer) != len(layers[0]):
            raise ValueError(f"{label} must have {len(layers[0])} samples like layer 0, got {len(layer)}")
    n = len(layers[0])
    grams = torch.zeros(len(layers), n, n, dtype=torch.float64, device=device_of(layers[0]))
    for layer, gram, label in zip(layers, grams, names, strict=True):
        features = layer.reshape(n, -1)
        check_features(features, label)
        _sample_gram(features, label, gram)
        _centre_without_diagonal(gram)
    return grams.flatten(1)


def _centre_without_diagonal(gram: Tensor) -> None:
    """Makes of K, in place, A with A_ij = K_ij - r_i - r_j + t off the diagonal, 0 on it, every row summing to 0.

    K has its diagonal set to 0, r = K 1 / (n - 2), t = 1^T K 1 / ((n - 1)(n - 2)). With B made of L alike,
    sum A_ij B_ij = tr(K L) + 1^T K 1 1^T L 1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1^T K L 1, which is n (n - 3) times the
    unbiased estimator: all pairs of layers are one matrix product of the flattened A and B.
    """
    n = len(gram)
    gram.fill_diagonal_(0)
    row = gram.sum(1) / (n - 2)
    gram -= row[:, None]
    gram -= row - row.sum() / (n - 1)
    gram.fill_diagonal_(0)


def _sample_gram(features: Array, name: str, gram: Tensor | None = None) -> Tensor:
    """X X^T (N, N) of the features with every column centred, in `gram` of zeros; read in blocks of columns."""
    if gram is None:
        gram = torch.zeros(len(features), len(features), dtype=torch.float64, device=device_of(features))
    width = max(1, BLOCK_SIZE // len(features))
    for start in range(0, features.shape[1], width):
        block = read(features, slice(None), slice(start, start + width), name=name)
        block -= block[0].clone()  # a column that is constant is now exactly 0, and its mean too
        block -= block.mean(0)
        add_gram(gram, block.T)
    return mirror(gram)
