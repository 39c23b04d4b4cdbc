"""BYOL (Grill et al. 2020): predict the target network's view of an image from the online network's other view."""

from dataclasses import dataclass, field

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

from workbook.pretraining.model import Encoder, Model, Moment, StepResult, embedding_spread, follow, frozen_copy


@dataclass(frozen=True, kw_only=True)
class BYOLChoices:
    """BYOL is made for batches of 4,096 images and falls off below (A Fig. 10b): at 64 it is BYOL at 64, no more."""

    name: str = field(default="BYOL", init=False)
    momentum: float = 0.99  # of the target's moving average at the start (A 5.1); a cosine takes it to 1
    predictor_dim: int = 4096  # hidden


class BYOL(Model, choices=BYOLChoices):
    """q(g(f(x))) is to meet the target's g'(f'(x')), and the other way round.

    not in the paper: "BYOL w/o MLP" takes g and g' away and keeps the predictor q, without which BYOL collapses
    (Grill et al. 2020, Table 5b); q then works on the backbone's features themselves.
    """

    momentum: Tensor

    def __init__(self, objective: BYOLChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self.predictor = BYOLPredictionHead(encoder.width, objective.predictor_dim, encoder.width)
        self.target = frozen_copy(self._online)
        self.similarity = NegativeCosineSimilarity()
        self.register_buffer("momentum", torch.ones(()), persistent=False)  # of this step

    @property
    def _online(self) -> nn.Sequential:
        return nn.Sequential(self.backbone, self.projector)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        projections = [self._online(view) for view in views]  # one by one: a view's batch norm sees that view alone
        with torch.no_grad():
            targets = [self.target(view) for view in views]
        first, second = (self.predictor(projection) for projection in projections)
        # |p/|p| - z/|z||^2 = 2 - 2 cos, summed over both directions; lightly's similarity is -cos
        loss = 4 + 2 * self.similarity(first, targets[1]) + 2 * self.similarity(second, targets[0])
        return StepResult(loss, spread=embedding_spread(projections[0]))

    def alike(self) -> bool:
        return True

    def begin_step(self, moment: Moment) -> None:
        self.momentum.fill_(cosine_schedule(moment.step, moment.steps, self.objective.momentum, 1.0))

    def after_step(self, moment: Moment) -> None:
        follow(self.target, self._online, self.momentum)
