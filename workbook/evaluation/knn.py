"""k-NN on frozen features: a classifier without training, the quickest look at what they hold."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Array = Tensor | np.ndarray

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

    train_x, test_x: (N, D) float; train_y, test_y: (N,) int from 0. A neighbour of cosine s votes for its class with
    weight exp(s / temperature): 0.07 is the protocol of Wu et al. and of DINO; None counts heads. Of classes with
    equal votes the smallest wins. Computed in float32. In [0, 100]; higher = nearer to their own class.
    Raises ValueError for shapes that do not fit, features that are not finite, and k beyond the training images.
    """
    train, train_labels = _checked(train_x, train_y, "train", device)
    test, test_labels = _checked(test_x, test_y, "test", device)
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"train and test features must be as wide, got {train.shape[1]} and {test.shape[1]}")
    if not 1 <= k <= len(train):
        raise ValueError(f"k must lie in [1, {len(train)}], the number of training images, got {k}")
    classes = int(max(train_labels.max(), test_labels.max())) + 1
    correct = 0
    for rows, labels in zip(test.split(_ROWS), test_labels.split(_ROWS), strict=True):
        similarity, nearest = (rows @ train.T).topk(k)
        # exp(s / T) reaches exp(14): less the largest, which scales all votes of an image alike
        weight = torch.ones_like(similarity)
        if temperature is not None:
            weight = ((similarity - similarity[:, :1]) / temperature).exp()
        votes = torch.zeros(len(rows), classes, device=rows.device).scatter_add_(1, train_labels[nearest], weight)
        correct += int((votes.argmax(1) == labels).sum())
    return 100 * correct / len(test)


def _checked(x: Array, y: Array, part: str, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Unit vectors in float32 and int64 labels on the device."""
    if x.ndim != 2 or 0 in x.shape or tuple(y.shape) != (x.shape[0],):
        raise ValueError(
            f"{part} features and labels must have shapes (N, D) and (N,), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    features = torch.as_tensor(np.array(x) if isinstance(x, np.ndarray) else x).to(device, torch.float32)
    if not bool(torch.isfinite(features).all()):
        raise ValueError(f"{part} features must be finite, got NaN or infinite values")
    labels = torch.as_tensor(np.array(y) if isinstance(y, np.ndarray) else y)
    if labels.is_floating_point() or labels.dtype == torch.bool or int(labels.min()) < 0:
        raise ValueError(f"{part} labels must be integers from 0, got {labels.dtype} from {labels.min().item()}")
    return F.normalize(features, dim=1), labels.to(device, torch.int64)
