"""Linear probe where an image has many labels: a logistic regression for each of them, with one C."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workbook.metrics import mean_average_precision
from workbook.probes.linear import ProbeRecipe, best_on
from workbook.probes.logistic import fit_labels, labels_path
from workbook.probes.parts import Array, checked_features, standardisation

Part = tuple[Tensor, Tensor]  # features (N, D) float64, labels (N, K) bool


@dataclass(frozen=True, kw_only=True)
class LabelsProbeResult:
    """`mean_average_precision`: percent on the test part; `left_out`: labels on none of its images, which the mean does
    not count; `c`: the chosen value; `largest_c`: the last that was tried.
    """

    mean_average_precision: float
    left_out: int
    c: float
    largest_c: float


def labels_probe(
    train_x: Array,
    train_y: Array,
    test_x: Array,
    test_y: Array,
    recipe: ProbeRecipe | None = None,
    *,
    device: torch.device | str | None = None,
    validation: tuple[Array, Array] | None = None,
) -> LabelsProbeResult:
    """mAP of K linear classifiers on frozen features: `linear_probe`, with labels (N, K) bool.

    All K have the same C, the one with the highest mAP on the validation part: `validation`, or a part of the training
    data that is drawn over all images. A label on none or all of the training images tells nothing: its score is 0
    everywhere, its average precision the share of test images that have it.
    """
    recipe = recipe or ProbeRecipe()
    device = torch.device(device or (train_x.device if isinstance(train_x, Tensor) else "cpu"))
    train = _part(train_x, train_y, "train", device, None)
    test = _part(test_x, test_y, "test", device, train)
    if validation is None:
        chosen_by, fitted = _drawn_part(train, recipe)
    else:
        chosen_by, fitted = _part(*validation, "validation", device, train), train
        train = torch.cat([train[0], chosen_by[0]]), torch.cat([train[1], chosen_by[1]])
    c, scores = _choose_c(fitted, chosen_by, recipe)
    x, tried, known = _standardised(train, test)
    weights = fit_labels(x, train[1][:, known], c)
    return LabelsProbeResult(
        mean_average_precision=_percent(tried, test[1], weights, known),
        left_out=int((~test[1].any(0)).sum()),
        c=c,
        largest_c=recipe.c_values[len(scores) - 1],
    )


def _choose_c(fitted: Part, chosen_by: Part, recipe: ProbeRecipe) -> tuple[float, tuple[float, ...]]:
    """The chosen C, and the mAP of each that was tried."""
    x, tried, known = _standardised(fitted, chosen_by)
    y = fitted[1][:, known]

    def loss(weights: Tensor) -> float:
        return float(F.binary_cross_entropy_with_logits(x @ weights[:-1] + weights[-1], y.double()))

    path = labels_path(x, y, recipe.c_values)
    c, _, scores = best_on(path, recipe, lambda weights: _percent(tried, chosen_by[1], weights, known), loss)
    return c, scores


def _standardised(fitted: Part, other: Part) -> tuple[Tensor, Tensor, Tensor]:
    """The features of both by the deviations of the first, and the labels (k,) that are on some of its images alone."""
    centre, scale = standardisation(fitted[0])
    counts = fitted[1].sum(0)
    known = ((counts > 0) & (counts < len(fitted[1]))).nonzero().flatten()
    if not len(known):
        raise ValueError("training labels must hold at least one that some images have and others lack, got none")
    return (fitted[0] - centre) / scale, (other[0] - centre) / scale, known


def _percent(x: Tensor, y: Tensor, weights: Tensor, known: Tensor) -> float:
    """mAP over all labels, of weights (D+1, k) for those that are known."""
    scores = x.new_zeros(y.shape).index_copy_(1, known, x @ weights[:-1] + weights[-1])
    return 100 * mean_average_precision(scores.float(), y)


def _drawn_part(train: Part, recipe: ProbeRecipe) -> tuple[Part, Part]:
    """A part of the images, drawn over all as a label's own cannot be parted from the others', and the rest."""
    x, y = train
    order = torch.from_numpy(np.random.default_rng(recipe.seed).permutation(len(x))).to(x.device)
    count = max(1, round(recipe.validation_fraction * len(x)))
    held_out, rest = order[:count], order[count:]
    return (x[held_out], y[held_out]), (x[rest], y[rest])


def _part(x: Array, y: Array, name: str, device: torch.device, train: Part | None) -> Part:
    """Checked, on the device. train: the part that its numbers of channels and labels must be those of."""
    features = checked_features(x, name, device, None if train is None else train[0].shape[1])
    labels = torch.as_tensor(np.array(y) if isinstance(y, np.ndarray) else y)
    wide = "K" if train is None else train[1].shape[1]
    if labels.ndim != 2 or len(labels) != len(x) or 0 in labels.shape or wide not in ("K", labels.shape[1]):
        raise ValueError(f"{name} labels must have shape ({len(x)}, {wide}), got {tuple(labels.shape)}")
    if labels.dtype != torch.bool:
        raise ValueError(f"{name} labels must be bool, got {labels.dtype}")
    return features, labels.to(device)
