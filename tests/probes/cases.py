"""Data with known classes, and scikit-learn's answer to it."""

import warnings

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor


def blobs(n: int, d: int, k: int, *, separation: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian classes around random centres; every class occurs."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    x = rng.normal(size=(n, d)) + separation * np.random.default_rng(99).normal(size=(k, d))[y]
    return torch.from_numpy(x), torch.from_numpy(y)


def sklearn_weights(x: Tensor, y: Tensor, c: float) -> Tensor:
    # on centred data: the intercept moves, the objective does not
    mean = x.mean(dim=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=c, tol=1e-10, max_iter=20_000).fit((x - mean).numpy(), y.numpy())
    w, b = torch.from_numpy(model.coef_.T), torch.from_numpy(model.intercept_)
    if w.shape[1] == 1:
        w, b = torch.cat([-w / 2, w / 2], dim=1), torch.cat([-b / 2, b / 2])
    return torch.cat([w, (b - mean @ w)[None]])
