"""SwAV (Caron et al. 2020): predict one view's cluster codes from the other views."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from lightly.loss import SwaVLoss
from lightly.models.modules.memory_bank import MemoryBankModule
from lightly.models.utils import normalize_weight
from lightly.utils import dist
from torch import Tensor, nn

from workbook.pretraining.model import Encoder, Moment, MultiCropModel, StepResult, embedding_spread


@dataclass(frozen=True, kw_only=True)
class SwAVChoices:
    """The defaults are the authors' for batches of 4,096."""

    name: str = field(default="SwAV", init=False)
    temperature: float = 0.1
    epsilon: float = 0.05  # of Sinkhorn's iterations
    prototypes: int = 3000
    frozen_epochs: float = 1.0  # at the start, while the prototypes do not move
    queue: int = 0  # features of each full view that join the batch in Sinkhorn's iterations; for small batches
    queue_from: float = 0.075  # part of the training after which they do: 15 of 200 epochs
    local_count: int = 6
    local_scale: tuple[float, float] = (0.05, 0.14)


class SwAV(MultiCropModel, choices=SwAVChoices):
    """Without a projector the prototypes lie among the backbone's features."""

    last_layer = "prototypes"

    def __init__(self, objective: SwAVChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        # no bias, as the authors have it: lightly's own prototypes have one
        self.prototypes = nn.Linear(encoder.width, objective.prototypes, bias=False)
        normalize_weight(self.prototypes.weight)
        size, banks = (objective.queue, encoder.width), range(2 if objective.queue else 0)
        self.queues = nn.ModuleList(
            _keep_in_state(MemoryBankModule(size, gather_distributed=True, feature_dim_first=False)) for _ in banks
        )
        self.loss = SwaVLoss(
            objective.temperature, sinkhorn_epsilon=objective.epsilon, sinkhorn_gather_distributed=True
        )

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        embeddings = [F.normalize(rows.float(), dim=1) for rows in self.embed(views)]
        full, local = embeddings[:2], embeddings[2:]
        with torch.no_grad():
            queued = [self.prototypes(rows) for rows in self._queued(full, moment)] or None
        logits = [self.prototypes(rows).float() for rows in full], [self.prototypes(rows).float() for rows in local]
        return StepResult(self.loss(*logits, queued).squeeze(), spread=embedding_spread(full[0]))

    def _queued(self, full: list[Tensor], moment: Moment) -> list[Tensor]:
        """What the queues held before this batch joined them; nothing while they are off or not yet full."""
        held = [queue(rows, update=self.training)[1] for queue, rows in zip(self.queues, full, strict=False)]
        filled = moment.step * len(full[0]) * dist.world_size() >= self.objective.queue
        if not filled or moment.step < self.objective.queue_from * moment.steps:
            return []
        return [rows[dist.rank() :: dist.world_size()] for rows in held]  # Sinkhorn gathers them again

    def check(self, images: int, batch_size: int) -> None:
        if self.objective.queue > images:
            raise ValueError(
                f"a queue of {self.objective.queue:,} features is larger than the {images:,} images: "
                "lower the queue, or batch_size where the queue is so many batches"
            )

    def after_step(self, moment: Moment) -> None:
        normalize_weight(self.prototypes.weight)


def _keep_in_state(bank: MemoryBankModule) -> MemoryBankModule:
    """The same bank, its content now a part of the state dict: a resumed run needs it."""
    bank.register_buffer("bank", bank.bank)
    bank.register_buffer("bank_ptr", bank.bank_ptr)
    return bank
