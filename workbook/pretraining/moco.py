"""MoCo v1 and v2 (He et al. 2020, Chen et al. 2020): tell an image's key from a queue of other images' keys."""

from dataclasses import dataclass
from typing import Literal

import torch
from lightly.loss import NTXentLoss
from lightly.models.utils import batch_shuffle, batch_unshuffle
from lightly.utils import dist
from torch import Tensor, nn

from workbook.pretraining.model import (
    Encoder,
    Model,
    Moment,
    StepResult,
    embedding_spread,
    follow,
    frozen_copy,
    keep_in_state,
)


@dataclass(frozen=True, kw_only=True)
class MoCoChoices:
    """v1 and v2 share this code: what else v2 changed lies in the recipe (projector, augmentation, temperature)."""

    name: Literal["MoCo v1", "MoCo v2"] = "MoCo v2"
    temperature: float = 0.2
    queue: int = 65536  # keys
    momentum: float = 0.999  # of the key encoder's moving average
    dim: int = 128  # of queries and keys where there is no projector
    # not in the paper: shuffled batch norm needs several devices. The batch in so many groups, each with batch
    # statistics of its own, stands for them; with more devices each takes its share of the groups
    norm_groups: int = 4


class MoCo(Model, choices=MoCoChoices):
    """Without a projector a linear layer makes the query, as in v1; that is v2 "w/o MLP" too (not in the paper)."""

    def __init__(self, objective: MoCoChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        plain = encoder.projector is None
        self.head = nn.Linear(encoder.width, objective.dim) if plain else nn.Identity()
        self.target = frozen_copy(self._online)
        size = (objective.queue, objective.dim if plain else encoder.width)
        self.loss = NTXentLoss(objective.temperature, memory_bank_size=size, gather_distributed=True)
        keep_in_state(self.loss.memory_bank)

    @property
    def _online(self) -> nn.Sequential:
        return nn.Sequential(self.backbone, self.projector, self.head)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        queries = self._in_groups(self._online, views[0])
        with torch.no_grad():
            # a key's batch statistics come from other images than its query's: they must not give the pair away
            mixed, order = batch_shuffle(views[1], distributed=dist.world_size() > 1)
            keys = batch_unshuffle(self._in_groups(self.target, mixed), order, distributed=dist.world_size() > 1)
        return StepResult(self.loss(queries, keys), spread=embedding_spread(queries))

    def _in_groups(self, encode: nn.Module, images: Tensor) -> Tensor:
        groups = max(1, self.objective.norm_groups // dist.world_size())
        return torch.cat([encode(group) for group in images.tensor_split(groups)])

    def check(self, images: int, batch_size: int) -> None:
        queue, groups = self.objective.queue, self.objective.norm_groups
        if queue > images:
            raise ValueError(
                f"a queue of {queue:,} keys is larger than the {images:,} images, "
                "whose own keys would be among their negatives: "
                "lower the queue, or batch_size where the queue is so many batches"
            )
        if batch_size < 2 * groups:
            raise ValueError(f"{groups} norm_groups need a batch_size of 2 each, got {batch_size}")

    def after_step(self, moment: Moment) -> None:
        follow(self.target, self._online, self.objective.momentum)
