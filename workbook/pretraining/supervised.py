"""SL and SL-MLP: cross-entropy on a linear head, with or without a projector before it (A Eq. 1)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from workbook.data.augmentation import Augmentation, View, added
from workbook.data.batches import Batch
from workbook.pretraining.method import Encoder, Method, Moment, StepResult


class HeadStart(Protocol):
    """What a head is before the first step; a frozen dataclass, as its fields are part of the run's key."""

    def weights(self, features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """(K, D) weights and (K,) biases from the features (N, D) of the training images and their labels (N,).

        The features are the start's, in evaluation mode and not augmented.
        """
        ...


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


CENTROIDS = Centroids()


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Cross-entropy of the labels."""

    name: str = field(default="SL", init=False)
    smoothing: float = added(0.0)  # part of a label that is spread over all classes
    # of Beta(a, a), from which a batch's share is drawn (Zhang et al. 2018; Yun et al. 2019); 0 = not used. Where
    # both are used, each batch gets one of them, both as likely
    mixup: float = added(0.0)
    cutmix: float = added(0.0)
    head: HeadStart | None = field(default=None, metadata={"added": True})  # None = at random

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1 or self.mixup < 0 or self.cutmix < 0:
            raise ValueError(
                f"smoothing must lie in [0, 1), mixup and cutmix must not be negative, "
                f"got {self.smoothing}, {self.mixup} and {self.cutmix}"
            )

    def create(self, encoder: Encoder, num_classes: int) -> "Supervised":
        return Supervised(self, encoder, num_classes)


class Supervised(Method):
    """W . g(f(x)); without a projector g is the identity."""

    def __init__(self, objective: CrossEntropy, encoder: Encoder, num_classes: int) -> None:
        super().__init__(encoder)
        self.objective = objective
        self.head = nn.Linear(encoder.width, num_classes)
        mixing = [
            kind(alpha=alpha, num_classes=num_classes)
            for kind, alpha in ((v2.MixUp, objective.mixup), (v2.CutMix, objective.cutmix))
            if alpha
        ]
        self.mix = v2.RandomChoice(mixing) if mixing else None

    def views(self, augmentation: Augmentation, size: int) -> tuple[View, ...]:
        return (View(augmentation.view(None), size),)

    @torch.no_grad()
    def begin(self, batches: Iterator[Batch]) -> None:
        start = self.objective.head
        if start is None:
            return
        self.eval()
        seen = [(self.projector(self.backbone(images)).float(), labels) for images, labels in batches]
        self.train()
        features, labels = (torch.cat(parts) for parts in zip(*seen, strict=True))
        with torch.autocast(features.device.type, enabled=False):  # sums over all images need their precision
            weight, bias = start.weights(features, labels, self.head.out_features)
        self.head.weight.copy_(weight)
        self.head.bias.copy_(bias)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        images, targets = self.mixed(views[0], labels)
        return self.result(self.classify(images), targets)

    def mixed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The images and their targets, (N,) labels or (N, K) shares, after mixup or cutmix."""
        return self.mix(images, labels) if self.mix else (images, labels)

    def result(self, logits: Tensor, targets: Tensor) -> StepResult:
        loss = F.cross_entropy(logits, targets, label_smoothing=self.objective.smoothing)
        largest = targets if targets.ndim == 1 else targets.argmax(1)  # of two mixed images
        return StepResult(loss, (logits.detach().argmax(1) == largest).sum())

    def classify(self, images: Tensor) -> Tensor:
        return self.head(self.projector(self.backbone(images)))
