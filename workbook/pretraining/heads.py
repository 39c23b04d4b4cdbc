"""What a classifier's head is before the first step (B 5.3, App. G): class centroids, or a linear probe.

Each is a frozen dataclass, as its fields are part of a run's key, and gives `weights(features, labels, num_classes)`:
(K, D) weights and (K,) biases from the features (N, D) of the training images, which are the start's, in evaluation
mode and not augmented, and their labels (N,); `LabelCentroids` takes (N, K) bool.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from workbook.probes.linear import ProbeRecipe, choose_c
from workbook.probes.logistic import fit_logistic
from workbook.probes.parts import standardisation


@dataclass(frozen=True, kw_only=True)
class Centroids:
    """The mean feature W_i of each class, as it is (B App. G). A class without an image gets zeros."""

    name: str = field(default="centroids", init=False)
    # not in the paper, which names no bias: with -|W_i|^2 / 2 the head is the nearest-centroid classifier that it says
    # to approximate, f . W_i - |W_i|^2 / 2 = (|f|^2 - |f - W_i|^2) / 2. Without, the longest centroids win, as pooled
    # features share a large mean: on digits 10 % before the first step where this gives 87 (SL-MLP, pocket)
    bias: bool = True

    def weights(self, features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        sums = features.new_zeros(num_classes, features.shape[1], dtype=torch.float64)
        sums.index_add_(0, labels, features.double())
        counts = torch.bincount(labels, minlength=num_classes).clamp_min(1)
        means = sums / counts[:, None]
        return means, -0.5 * self.bias * (means**2).sum(1)


@dataclass(frozen=True, kw_only=True)
class LabelCentroids:
    """Of each label the nearest of two centroids: of the images that have it, W+, and of those that lack it, W-.

    not in the paper, whose centroids are of one label an image: the logit is (|f - W-|^2 - |f - W+|^2) / 2, the
    difference of the two that `Centroids` would give them. A label that no image has, or every one, gets zeros.
    """

    name: str = field(default="label centroids", init=False)

    def weights(self, features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        x, present = features.double(), labels.double()
        counts = torch.stack([present.sum(0), (1 - present).sum(0)])[:, :, None]
        having, lacking = torch.stack([present.T @ x, (1 - present).T @ x]) / counts.clamp_min(1)
        known = (counts > 0).all(0).double()
        return known * (having - lacking), -0.5 * known[:, 0] * (having**2 - lacking**2).sum(1)


@dataclass(frozen=True, kw_only=True)
class ProbeHead:
    """A head that starts as the linear probe of the start's features (B 5.3, for label injection).

    c_values: as in `ProbeRecipe`. One is taken as it is; among several the best on a part of the training images.
    """

    name: str = field(default="probe", init=False)
    c_values: tuple[float, ...] = tuple(float(c) for c in np.logspace(-6, 5, 45))
    validation_fraction: float = 0.2

    def weights(self, features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Raises ValueError where a class has no image: a probe needs one of each."""
        x, c = features.double(), self.c_values[0]
        if len(self.c_values) > 1:
            choice = ProbeRecipe(c_values=self.c_values, validation_fraction=self.validation_fraction)
            c = choose_c(x, labels, choice).c
        centre, scale = standardisation(x)
        fitted = fit_logistic((x - centre) / scale, labels, c, num_classes=num_classes)
        weight = fitted[:-1] / scale[:, None]
        return weight.T, fitted[-1] - centre @ weight


HeadStart = Centroids | LabelCentroids | ProbeHead
CENTROIDS = Centroids()
