"""Controlled Label Injection (B 4.1, Algorithm 1): labels reach the backbone once every T steps, the head at each."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from workbook.pretraining.model import Encoder, Moment, StepResult
from workbook.pretraining.supervised import CrossEntropy, Supervised


@dataclass(frozen=True, kw_only=True)
class LabelInjection(CrossEntropy):
    """Cross-entropy whose gradient reaches the backbone at the steps t = T, 2T ... alone, counted from 1.

    control_cycle: T. 1 is finetuning; None never reaches it: a linear probe on what the augmentation shows.
    """

    name: str = field(default="CLI", init=False)
    control_cycle: int | None = 1
    # not in the paper: how Algorithm 1's lines 4 and 6 are computed. 1 = both gradients from one backward pass, which
    # makes T = 1 the finetuning that the paper calls it; 2 = line by line, the backbone's with the head just updated
    backward_passes: int = 1
    # not in the paper: what a skipped step does to the backbone's optimiser. "rest" = nothing; "coast" = a gradient of
    # zero, so that momentum and weight decay go on
    skipped_update: str = "rest"
    # not in the paper: "move" = skipped steps normalise by their own batch and move the running statistics, as
    # training does; "keep" = the backbone is in evaluation mode then
    skipped_statistics: str = "move"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.control_cycle is not None and self.control_cycle < 1:
            raise ValueError(f"control_cycle must be at least 1, or None for never, got {self.control_cycle}")
        known = {"backward_passes": (1, 2), "skipped_update": ("rest", "coast"), "skipped_statistics": ("move", "keep")}
        for name, (one, other) in known.items():
            if getattr(self, name) not in (one, other):
                raise ValueError(f"{name} must be {one!r} or {other!r}, got {getattr(self, name)!r}")


class LabelInjector(Supervised, choices=LabelInjection):
    """A backbone that learns at some steps, under a head that learns at all."""

    def __init__(self, objective: LabelInjection, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self._held: tuple[Tensor, Tensor] | None = None  # features and targets between the two parts of a step

    def alike(self) -> bool:
        return False

    def reaches_backbone(self, moment: Moment) -> bool:
        cycle = self.objective.control_cycle
        return cycle is not None and (moment.step + 1) % cycle == 0

    def parts(self, moment: Moment) -> tuple[Moment, ...]:
        if self.objective.backward_passes == 2 and self.reaches_backbone(moment):
            return moment._replace(part="head"), moment._replace(part="backbone")
        return (moment,)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        if moment.part == "head":
            images, targets = self.mixed(views[0], labels)
            features = self.backbone(images)
            self._held = features, targets
            return self.result(self.head(features.detach()), targets)
        if moment.part == "backbone" and self._held is not None:
            (features, targets), self._held = self._held, None
            return self.result(F.linear(features, self.head.weight.detach(), self.head.bias.detach()), targets)
        if self.reaches_backbone(moment):
            return super().forward(views, labels, moment)
        images, targets = self.mixed(views[0], labels)
        if self.objective.skipped_statistics == "keep":
            self.backbone.eval()
        with torch.no_grad():
            features = self.backbone(images)
        self.backbone.train()
        return self.result(self.head(features), targets)

    def after_backward(self, moment: Moment) -> None:
        cycle = self.objective.control_cycle
        if self.objective.skipped_update == "coast" and cycle is not None and not self.reaches_backbone(moment):
            for parameter in self.backbone.parameters():
                parameter.grad = torch.zeros_like(parameter)
