"""k-NN on frozen features: a classifier without training, the quickest look at what they hold."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workbook.probes.parts import Array, other_part, training_part

_ROWS = 512  # test images compared at once


def knn_accuracy(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    *,
    k: int = 20,
    temperature: float | None = 0.07,
    device: torch.device | str = "cpu",
) -> float:
    """Top-1 accuracy (percent) of the k nearest training images by cosine (Wu et al. 2018, section 3.4).

    train_x, test_x: (N, D) float; train_y, test_y: (N,) int from 0, as in `linear_probe`. A neighbour of cosine s votes
    for its class with weight exp(s / temperature): 0.07 is the protocol of Wu et al. and of DINO; None counts heads. Of
    classes with equal votes the smallest wins. Computed in float32. In [0, 100]; higher = nearer to their own class.
    Raises ValueError as `linear_probe` does, and for k beyond the training images.
    """
    x, y, names = training_part(train_x, train_y, torch.device("cpu"))  # in float64, which not every device has
    tested, answers = other_part(test_x, test_y, "test", x, names)
    if not 1 <= k <= len(x):
        raise ValueError(f"k must lie in [1, {len(x)}], the number of training images, got {k}")
    train, test = (F.normalize(part.to(device, torch.float32), dim=1) for part in (x, tested))
    train_labels, test_labels = y.to(device), answers.to(device)
    correct = 0
    for rows, labels in zip(test.split(_ROWS), test_labels.split(_ROWS), strict=True):
        similarity, nearest = (rows @ train.T).topk(k)
        correct += int((_winners(similarity, train_labels[nearest], len(names), temperature) == labels).sum())
    return 100 * correct / len(test)


def loo_knn_accuracy(
    features: Array,
    labels: Array,
    *,
    k: int = 20,
    temperature: float | None = None,
    device: torch.device | str = "cpu",
) -> float:
    """Top-1 accuracy (percent) of the k nearest other images of the same set by cosine: each is left out in turn.

    The plain baseline of a measure of transferability: nothing is trained, and no image is set apart. features: (N, D)
    float; labels: (N,) int; k: 1 to N - 1; temperature: None = heads are counted, otherwise, and for ties, as
    `knn_accuracy` has it. In [0, 100]; higher = nearer to their own class. Unchanged by scale and rotation. The time
    grows with the square of N. Raises ValueError as `knn_accuracy` does.
    """
    right = loo_knn_right(features, labels, k=k, temperature=temperature, device=device)
    return 100 * int(right.sum()) / len(right)


def loo_knn_right(
    features: Array,
    labels: Array,
    *,
    k: int = 20,
    temperature: float | None = None,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """(N,) bool: which images `loo_knn_accuracy`, of the same arguments, counts as right."""
    x, y, names = training_part(features, labels, torch.device("cpu"))
    if not 1 <= k < len(x):
        raise ValueError(f"k must lie in [1, {len(x) - 1}], one less than the images, got {k}")
    units, y = F.normalize(x.to(device, torch.float32), dim=1), y.to(device)
    found = []
    for start in range(0, len(units), _ROWS):
        cosine = units[start : start + _ROWS] @ units.T
        cosine[:, start:].fill_diagonal_(-torch.inf)
        similarity, nearest = cosine.topk(k)
        found.append(_winners(similarity, y[nearest], len(names), temperature) == y[start : start + _ROWS])
    return torch.cat(found).cpu().numpy()


def _winners(similarity: Tensor, classes: Tensor, count: int, temperature: float | None) -> Tensor:
    """(n,): the class that the neighbours (n, k) of each row vote for, the nearest of them first."""
    # exp(s / T) reaches exp(14): less the largest, which scales all votes of an image alike
    weight = torch.ones_like(similarity)
    if temperature is not None:
        weight = ((similarity - similarity[:, :1]) / temperature).exp()
    return torch.zeros(len(classes), count, device=classes.device).scatter_add_(1, classes, weight).argmax(1)
