"""Finetuning where an image has many labels (B Table 4, COCO): one decision for each of them."""

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor

from workbook.pretraining.heads import LabelCentroids
from workbook.pretraining.model import StepResult
from workbook.pretraining.supervised import CrossEntropy, Supervised

# of Ben-Baruch et al. (ASL, 2021) on COCO, for labels that an image lacks: the power that focuses on the hard ones,
# which is 0 for those that it has, and what is taken off their probability
_FOCUS, _MARGIN = 4, 0.05
LOSSES = ("asl", "bce")


@dataclass(frozen=True, kw_only=True)
class MultiLabel(CrossEntropy):
    """Binary cross-entropy of every label, or the asymmetric loss; summed over labels and images.

    not in the paper, which names neither: the asymmetric loss, as is usual on COCO, and what smoothing is here, a part
    of an image's labels that is spread over all classes.
    """

    name: str = field(default="many labels", init=False)
    loss: str = "asl"  # or "bce"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        if not isinstance(self.head, LabelCentroids | None):
            raise ValueError(f"the head of many labels starts from LabelCentroids or at random, got {self.head}")


class ManyLabels(Supervised, choices=MultiLabel):
    """W . f(x), a logit for each label."""

    def mixed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return super().mixed(images, labels.float())

    def result(self, logits: Tensor, targets: Tensor) -> StepResult:
        """`correct` are the images whose largest logit is of one of their labels."""
        smoothed = targets.lerp(targets.mean(1, keepdim=True), self.objective.smoothing)
        loss = asymmetric_loss if self.objective.loss == "asl" else binary_cross_entropy
        found = targets.gather(1, logits.detach().argmax(1, keepdim=True)) > 0
        return StepResult(loss(logits.float(), smoothed), found.sum())


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """() Summed over all of (N, K)."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


def asymmetric_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """() Ben-Baruch et al. (2021), Eq. 5 to 7: labels that an image lacks count the less, the surer they are.

    logits: (N, K) float. targets: (N, K) in [0, 1]. With p the sigmoid and p_m = max(p - 0.05, 0) it is minus the sum
    of y (1 - p)^0 log p + (1 - y) p_m^4 log(1 - p_m). As in their code no gradient goes through the powers.
    """
    absent = ((-logits).sigmoid() + _MARGIN).clamp(max=1)  # 1 - p_m
    weight = (1 - absent).detach() ** _FOCUS
    return -(targets * F.logsigmoid(logits) + (1 - targets) * weight * absent.log()).sum()
