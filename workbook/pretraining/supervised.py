"""SL and SL-MLP: cross-entropy on a linear head, with or without a projector before it (A Eq. 1)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2

from workbook.data.batches import Batch
from workbook.keys import added
from workbook.pretraining.heads import HeadStart
from workbook.pretraining.model import Encoder, Model, Moment, StepResult


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Cross-entropy of the labels."""

    name: str = field(default="SL", init=False)
    smoothing: float = added(0.0)  # part of a label that is spread over all classes
    # of Beta(a, a), from which a batch's share is drawn (Zhang et al. 2018; Yun et al. 2019); 0 = not used. Where
    # both are used, each batch gets one of them, both as likely
    mixup: float = added(0.0)
    cutmix: float = added(0.0)
    head: HeadStart | None = added(None)  # None = at random

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1 or self.mixup < 0 or self.cutmix < 0:
            got = f"{self.smoothing}, {self.mixup} and {self.cutmix}"
            raise ValueError(f"smoothing must lie in [0, 1), mixup and cutmix must not be negative, got {got}")


class Supervised(Model, choices=CrossEntropy):
    """W . g(f(x)); without a projector g is the identity."""

    view_numbers = (None,)

    def __init__(self, objective: CrossEntropy, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self.head = nn.Linear(encoder.width, num_classes)
        kinds = ((v2.MixUp, objective.mixup), (v2.CutMix, objective.cutmix))
        mixing = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha]
        self.mix = v2.RandomChoice(mixing) if mixing else None

    def alike(self) -> bool:
        return self.mix is None  # which draws its share and its box in Python

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

    def classifier(self) -> nn.Module:
        without = isinstance(self.projector, nn.Identity)
        return self.head if without else nn.Sequential(self.projector, self.head)
