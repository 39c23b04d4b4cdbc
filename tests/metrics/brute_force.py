"""The papers' sums as printed, term by term in float64, and the data that they are computed on."""

from collections.abc import Callable

import numpy as np
import torch
from numpy import ndarray

SIZES = {3: 7, -8: 2, 101: 12, 0: 5}  # unbalanced; ids negative, not contiguous, not in sorted order


def clusters(dim: int = 6, sizes: dict[int, int] = SIZES, offset: float = 0.0) -> tuple[ndarray, ndarray]:
    """Gaussian classes of these sizes in mixed order, (N, dim) float64 and (N,) int64."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(list(sizes), list(sizes.values())))
    centres = {label: rng.normal(size=dim) for label in sizes}
    return np.stack([centres[label] + 0.7 * rng.normal(size=dim) for label in labels]) + offset, labels


def duplicated() -> tuple[ndarray, ndarray]:
    """Every sample three times: twice in its class and once in the next one."""
    x, y = clusters(sizes={0: 4, 1: 4, 2: 6})
    return np.concatenate([x, x, x]), np.concatenate([y, y, (y + 1) % 3])


def with_zeros() -> tuple[ndarray, ndarray]:
    x, y = clusters()
    x[[0, 5, 11]] = 0
    return x, y


DATA: dict[str, Callable[[], tuple[ndarray, ndarray]]] = {
    "balanced": lambda: clusters(sizes={0: 8, 1: 8, 2: 8}),
    "unbalanced": clusters,
    "wide": lambda: clusters(dim=60),  # D > N
    "offset": lambda: clusters(offset=100.0),
    "duplicated": duplicated,
    "with zeros": with_zeros,
}


def cosine(a: ndarray, b: ndarray) -> float:
    """0 where one of them is the zero vector."""
    return float(a @ b / (np.sqrt((a @ a) * (b @ b)) or 1))


def by_class(x: ndarray, y: ndarray) -> list[ndarray]:
    return [x[y == label] for label in np.unique(y)]


def discriminative_ratio(x: ndarray, y: ndarray) -> float:
    classes = by_class(x, y)
    count = len(classes)
    means = [members.mean(0) for members in classes]
    pairs = [((means[j] - means[k]) ** 2).sum() for j in range(count) for k in range(count) if k != j]
    widths = [np.mean([((f - mean) ** 2).sum() for f in members]) for members, mean in zip(classes, means, strict=True)]
    return float(sum(pairs) / (count * (count - 1)) / (sum(widths) / count))


def intra_class_variance(x: ndarray, y: ndarray) -> float:
    classes = by_class(x, y)
    terms = [(1 - cosine(a, b)) / (len(classes) * len(own) ** 2) for own in classes for a in own for b in own]
    return sum(terms)


def inter_class_separation(x: ndarray, y: ndarray) -> float:
    classes = by_class(x, y)
    return sum(
        (1 - cosine(a, b)) / (len(classes) ** 2 * len(left) * len(right))
        for left in classes
        for right in classes
        for a in left
        for b in right
    )


def mean_silhouette(x: ndarray, y: ndarray) -> float:
    values = []
    for m in range(len(x)):
        distances = {
            label: [1 - cosine(x[m], x[n]) for n in range(len(x)) if y[n] == label and n != m] for label in np.unique(y)
        }
        v = np.mean(distances.pop(y[m]))
        s = min(np.mean(others) for others in distances.values())
        values.append((s - v) / max(s, v))
    return float(np.mean(values))


def feature_mixture(x: ndarray, y: ndarray, is_eval: list[bool], k: int) -> float:
    means = [members.mean(0) for members in by_class(x, y)]
    count, terms = len(means), []
    for i in range(count):
        others = sorted((j for j in range(count) if j != i), key=lambda j, i=i: -cosine(means[i], means[j]))
        terms.append(abs(sum(is_eval[j] for j in others[:k]) / k - sum(is_eval) / count))
    return 1 - sum(terms) / count


def feature_redundancy(x: ndarray) -> float:
    f = x - x.mean(0)
    dim = f.shape[1]
    total = 0.0
    for i in range(dim):
        for j in range(dim):
            total += abs((f[:, i] * f[:, j]).sum() / (np.sqrt((f[:, i] ** 2).sum()) * np.sqrt((f[:, j] ** 2).sum())))
    return total / dim**2


def linear_cka(x: ndarray, y: ndarray) -> float:
    gram_x, gram_y = ((f - f.mean(0)) @ (f - f.mean(0)).T for f in (x, y))
    return float((gram_x * gram_y).sum() / np.sqrt((gram_x**2).sum() * (gram_y**2).sum()))


def unbiased_hsic(x: ndarray, y: ndarray) -> float:
    """Song et al. 2012, Eq. 5, of uncentred Gram matrices."""
    n, ones = len(x), np.ones(len(x))
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    middle = (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
    return float((np.trace(k @ m) + middle - 2 / (n - 2) * (ones @ k @ m @ ones)) / (n * (n - 3)))


def minibatch_cka(pairs: list[tuple[ndarray, ndarray]]) -> float:
    means = [
        np.mean([unbiased_hsic(*(pair[i] for i in sides)) for pair in pairs]) for sides in ((0, 1), (0, 0), (1, 1))
    ]
    return float(means[0] / np.sqrt(means[1] * means[2]))


def as_kind(x: ndarray, kind: str) -> tuple[object, ndarray]:
    """`x` as the kind of features that a caller may have, and its exact values in float64."""
    if kind == "big-endian":
        return x.astype(">f4"), x.astype(np.float32).astype(np.float64)
    package, _, dtype = kind.partition(".")
    tensor = torch.from_numpy(x).to(getattr(torch, dtype))
    return tensor if package == "torch" else tensor.numpy(), tensor.double().numpy()


KINDS = (
    "torch.float16",
    "torch.bfloat16",
    "torch.float32",
    "torch.float64",
    "numpy.float16",
    "numpy.float32",
    "numpy.float64",
    "big-endian",
)


def average_precision_by_rank_as_coded(scores, labels) -> float:
    """ASL's code for one class: ranks from a sort that is turned round, and 0 for a class without an image."""
    order = np.argsort(scores, kind="stable")[::-1]
    hits, total = 0, 0.0
    for rank, hit in enumerate(labels[order], start=1):
        hits += hit
        total += hit * hits / rank
    return total / (hits + 1e-8)
