"""DINO (Caron et al. 2021): a student matches its teacher's centred and sharpened output on other crops."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from lightly.loss import DINOLoss
from lightly.utils.scheduler import cosine_schedule, linear_warmup_schedule
from torch import Tensor, nn

from workbook.pretraining.model import (
    Encoder,
    Moment,
    MultiCropModel,
    StepResult,
    embedding_spread,
    follow,
    frozen_copy,
)


@dataclass(frozen=True, kw_only=True)
class DINOChoices:
    """The defaults are the authors' for 1,024 images a batch."""

    name: str = field(default="DINO", init=False)
    outputs: int = 65536
    student_temperature: float = 0.1
    teacher_temperature: tuple[float, float] = (0.04, 0.07)  # at the start, and from `warmup` on
    warmup: float = 0.3  # part of the training: 30 of 100 epochs
    momentum: float = 0.996  # of the teacher's moving average at the start; a cosine takes it to 1
    center_momentum: float = 0.9
    frozen_epochs: float = 1.0  # at the start, while the last layer does not move
    local_count: int = 8
    local_scale: tuple[float, float] = (0.05, 0.4)
    # whose weights are the backbone and projector that are read after training: the authors evaluate the teacher
    evaluated: Literal["teacher", "student"] = "teacher"


class _UnitLinear(nn.Linear):
    """Cosines with the rows of the weight: the authors' weight-normalised last layer with its scale fixed at 1."""

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(F.normalize(features, dim=-1), F.normalize(self.weight, dim=-1))


class DINO(MultiCropModel, choices=DINOChoices):
    """not in the papers: DINO's own head has three layers with GELU; here it is the recipe's projector as elsewhere,

    so that the switch is the same in all methods. Without it the last layer reads the backbone's features.
    """

    last_layer = "head"

    def __init__(self, objective: DINOChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self.head = _UnitLinear(encoder.width, objective.outputs, bias=False)
        self.target = frozen_copy(self._student)
        self.loss = DINOLoss(
            objective.outputs, student_temp=objective.student_temperature, center_momentum=objective.center_momentum
        )

    @classmethod
    def read_from(cls, objective: DINOChoices) -> Mapping[str, str]:
        return {"backbone": "target.0", "projector": "target.1"} if objective.evaluated == "teacher" else {}

    @property
    def _student(self) -> nn.Sequential:
        return nn.Sequential(self.backbone, self.projector, self.head)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        embeddings = self.embed(views)
        student = [self.head(rows).float() for rows in embeddings]
        with torch.no_grad():
            teacher = list(self.target(torch.cat(views[:2])).float().chunk(2))
        start, end = self.objective.teacher_temperature
        warmup = max(1, round(self.objective.warmup * moment.steps))
        temperature = linear_warmup_schedule(moment.step, warmup, start, end)
        return StepResult(self.loss(teacher, student, temperature), spread=embedding_spread(embeddings[0]))

    def after_step(self, moment: Moment) -> None:
        momentum = cosine_schedule(moment.step, moment.steps, self.objective.momentum, 1.0)
        follow(self.target, self._student, momentum)
