"""SL and SL-MLP: cross-entropy on a linear head, with or without a projector before it (A Eq. 1)."""

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from workbook.data.augmentation import Augmentation, View
from workbook.pretraining.method import Encoder, Method, Moment, StepResult


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Cross-entropy of the labels."""

    name: str = field(default="SL", init=False)

    def create(self, encoder: Encoder, num_classes: int) -> "Supervised":
        return Supervised(encoder, num_classes)


class Supervised(Method):
    """W . g(f(x)); without a projector g is the identity."""

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__(encoder)
        self.head = nn.Linear(encoder.width, num_classes)

    def views(self, augmentation: Augmentation, size: int) -> tuple[View, ...]:
        return (View(augmentation.view(None), size),)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        logits = self.classify(views[0])
        return StepResult(F.cross_entropy(logits, labels), (logits.detach().argmax(1) == labels).sum())

    def classify(self, images: Tensor) -> Tensor:
        return self.head(self.projector(self.backbone(images)))
