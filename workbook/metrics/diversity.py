"""How diverse the features of one weight matrix are: by clustering and by spectrum (B section 3, App. B and C)."""

from typing import Any, Literal

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.linalg import eigvalsh
from scipy.linalg.blas import dsyrk
from scipy.spatial.distance import squareform
from torch import Tensor

Components = Literal["available", "nonzero", "features", "dimensions"]

# Rows shorter than this, or longer than one over it, are scaled first: their products would lose digits.
_SMALLEST = 1e-140


def cluster_diversity(weights: Any) -> float:
    """Area under the cluster ratio over all thresholds in [0, 1], D_C (Nayman et al. 2022, App. B).

    weights: (n_features, dim) float, rows are features. In [0, 1]; higher = more diverse. 1/n where all n features
    have one direction, 1 where no two point to the same side on average, and of a single feature. Unchanged by the
    scale of each row and by a rotation. A zero row is no feature: it is never a cluster, and counts among the n.
    Exact: no grid of thresholds.
    """
    matrix = check_weights(weights)
    # C_tau = (features - merges with a similarity above tau) / n; a merge at similarity s lowers it on [0, s), and
    # never where s <= 0, so the integral over [0, 1] is (features - sum of s clipped to [0, 1]) / n
    features, merged = merge_similarities(matrix)
    return float((features - merged.clip(0, 1).sum()) / len(matrix))


def cluster_ratio(weights: Any, thresholds: Any) -> np.ndarray:
    """Clusters over features at each threshold, C_tau(W) (B Eq. 2, App. B, Fig. 9).

    weights: (n_features, dim). thresholds: (T,) cosine similarities; returns (T,) in [0, 1], rising with tau.
    Two clusters are merged while their mean pairwise cosine similarity is above the threshold.
    """
    matrix = check_weights(weights)
    features, merged = merge_similarities(matrix)
    above = len(merged) - np.searchsorted(np.sort(merged), np.asarray(thresholds, dtype=np.float64), side="right")
    return (features - above) / len(matrix)


def merge_similarities(matrix: np.ndarray) -> tuple[int, np.ndarray]:
    """The number m of non-zero rows, and the similarities (m - 1,) at which average linkage merges them.

    The mean similarity of a merged cluster to a third is a mean of the two before: it never exceeds the merge's own,
    so that one dendrogram holds what Eq. 2's loop leaves at every threshold.
    """
    lengths = _lengths(matrix)
    if not _SMALLEST < lengths.min() <= lengths.max() < 1 / _SMALLEST:
        matrix = matrix[np.any(matrix, axis=1)]
        matrix = matrix / np.abs(matrix).max(axis=1, keepdims=True)
        lengths = _lengths(matrix)
    if len(matrix) < 2:
        return len(matrix), np.empty(0)
    # half of the products: `linkage` reads the distances above the diagonal alone
    cosine = dsyrk(1.0, matrix.T, trans=1, lower=1).T
    cosine /= lengths
    cosine /= lengths[:, None]
    np.subtract(1, cosine, out=cosine)
    return len(matrix), 1 - linkage(squareform(cosine, checks=False), "average")[:, 2]


def _lengths(matrix: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", matrix, matrix))


def spectral_diversity(weights: Any, *, components: Components = "available") -> float:
    """One minus the area under the explained-variance curve, D_Sigma (Nayman et al. 2022, App. C).

    1 - 1/d sum_K (s_1^2 + ... + s_K^2) / (s_1^2 + ... + s_d^2) over the singular values s of W, not centred. App. C
    prints the area as a sum without the factor 1/d, which the area under a curve over [0, 1] has.

    weights: (n_features, dim) float, rows are features. In [0, 1/2); higher = more diverse; 0 where one direction
    explains all, (d - 1) / 2d where d directions explain alike. Unchanged by the scale of all rows and by a rotation.
    0 for a single feature and for a zero matrix.
    components: what d counts. "available" = min(n_features, dim); "nonzero" = the rank, as App. C's words can be
    read: the same for every matrix of full rank; "features" and "dimensions" = the two sides of the matrix.
    """
    variance = explained_variance(weights, components=components)
    return float(1 - variance.mean()) if variance.any() else 0.0


def explained_variance(weights: Any, *, components: Components = "available") -> np.ndarray:
    """Fraction of the variance that the first K components explain, K = 1 ... d (B App. C, Figs. 2 and 10).

    weights: (n_features, dim); returns (d,), rising to 1; all 0 for a zero matrix. `components` as in
    `spectral_diversity`.
    """
    matrix = check_weights(weights)
    largest = max(matrix.max(), -matrix.min())
    if not _SMALLEST < largest < 1 / _SMALLEST:
        matrix = matrix / (largest or 1.0)
    # the smaller of the two products W W^T and W^T W has all that is not zero; `eigvalsh` reads its lower half alone.
    # scipy's, as the product is: a second BLAS, numpy's, would have its threads wait against these
    gram = dsyrk(1.0, matrix.T, trans=int(len(matrix) < matrix.shape[1]), lower=1)
    squares = eigvalsh(gram)[::-1].clip(min=0)
    counts = {
        "available": len(gram),
        # numpy's rule for the rank of a product: what rounding leaves of a zero
        "nonzero": int((squares > squares[0] * max(matrix.shape) * np.finfo(np.float64).eps).sum()),
        "features": matrix.shape[0],
        "dimensions": matrix.shape[1],
    }
    if components not in counts:
        raise ValueError(f"components must be one of {', '.join(counts)}, got {components!r}")
    kept = np.zeros(max(1, counts[components]))
    kept[: len(squares)] = squares[: len(kept)]
    total = kept.sum()
    return np.cumsum(kept) / total if total else kept


def calibrated_imagenet_score(accuracy: Any, diversity: Any) -> Any:
    """ImageNet accuracy times feature diversity, CIS (Nayman et al. 2022, Eq. 1).

    accuracy: top-1 in percent, [0, 100]. diversity: cluster or spectral, of the model, [0, 1]. Numbers or arrays that
    broadcast; so is what comes back, in [0, 100]; higher = expected to transfer better.
    """
    for name, values, most in (("accuracy", accuracy, 100), ("diversity", diversity, 1)):
        array = np.asarray(values, dtype=np.float64)
        if len(bad := array[~((array >= 0) & (array <= most))]):
            raise ValueError(f"{name} must lie in [0, {most}], got {bad[0]}")
    return accuracy * diversity


def check_weights(weights: Any) -> np.ndarray:
    """The matrix in float64 on the CPU; refused unless it is (n_features, dim), not empty and finite."""
    array = weights.detach().double().cpu().numpy() if isinstance(weights, Tensor) else np.asarray(weights)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"weights must have shape (n_features, dim), neither of them 0, got {array.shape}")
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(f"weights must be real numbers, got {array.dtype}")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array.sum()):  # several times faster than to look at each number
        bad = array[~np.isfinite(array)]
        if len(bad):
            raise ValueError(f"weights must be finite, got {len(bad)} that are not, the first of them {bad[0]}")
    return array
