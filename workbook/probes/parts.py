"""What every probe starts with: the checked parts of a data set, their classes, and their standardisation."""

import numpy as np
import torch
from torch import Tensor

Array = Tensor | np.ndarray


def training_part(x: Array, y: Array, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Features (N, D) float64, classes (N,) int64 in 0 ... K-1, and the K labels that these stand for, ascending.

    The labels that occur here are the classes of the probe; gaps between them do not matter.
    """
    features, given = _checked(x, y, "train", device, None)
    labels, classes = torch.unique(given, return_inverse=True)
    if len(labels) < 2:
        raise ValueError(f"training labels must hold at least two classes, got {labels.tolist()}")
    if int(labels[0]) < 0:
        raise ValueError(f"training labels must not be negative, got {int(labels[0])}: leave out images without class")
    return features, classes, labels


def other_part(x: Array, y: Array, part: str, trained: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The same of the validation or test part: features as those of training (N, D), and the classes that it gave."""
    features, given = _checked(x, y, part, trained.device, trained.shape[1])
    classes = torch.searchsorted(labels, given).clamp_(max=len(labels) - 1)
    strange = torch.unique(given[labels[classes] != given]).tolist()
    if strange:
        raise ValueError(
            f"{part} labels must be among the {len(labels)} of training, {int(labels[0])} ... {int(labels[-1])}, "
            f"got {strange[:5]}: number all parts alike, or leave out images of classes that training lacks"
        )
    return features, classes


def _checked(x: Array, y: Array, part: str, device: torch.device, dim: int | None) -> tuple[Tensor, Tensor]:
    """Features in float64 and labels in int64 on the device; a ValueError says what came instead."""
    features = checked_features(x, part, device, dim)
    if tuple(y.shape) != (x.shape[0],):
        raise ValueError(f"{part} labels must have shape ({x.shape[0]},), got {tuple(y.shape)}")
    y = torch.as_tensor(np.array(y) if isinstance(y, np.ndarray) else y)
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ValueError(f"{part} labels must be integers, got {y.dtype}")
    return features, y.to(device, torch.int64)


def checked_features(x: Array, part: str, device: torch.device, dim: int | None) -> Tensor:
    """(N, dim) float64 on the device; a ValueError says what came instead. dim: None = any."""
    if x.ndim != 2 or 0 in x.shape or (dim is not None and x.shape[1] != dim):
        raise ValueError(f"{part} features must have shape (N, {dim or 'D'}), got {tuple(x.shape)}")
    x = torch.from_numpy(np.array(x, dtype=np.float64)) if isinstance(x, np.ndarray) else x
    x = x.to(device, torch.float64)
    if not bool(torch.isfinite(x).all()):
        strange = int((~torch.isfinite(x)).sum())
        raise ValueError(f"{part} features must be finite, got {strange} NaN or infinite values")
    return x


def standardisation(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel; infinite where constant, so that it becomes 0."""
    centre = x.mean(dim=0)
    scale = x.std(dim=0, correction=0)
    constant = scale <= torch.finfo(torch.float32).eps * centre.abs()
    return centre, scale.masked_fill(constant, float("inf"))


def top1(x: Tensor, y: Tensor, weights: Tensor) -> float:
    """Accuracy in percent of a linear classifier (D+1, K) whose last row is the intercept."""
    predicted = (x @ weights[:-1] + weights[-1]).argmax(dim=1)
    return 100.0 * float((predicted == y).double().mean())
