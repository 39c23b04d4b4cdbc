"""MoCo v1 and v2 (He et al. 2020, Chen et al. 2020): tell an image's key from a queue of other images' keys."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from lightly.models.utils import batch_shuffle, batch_unshuffle, concat_all_gather
from lightly.utils import dist
from torch import Tensor, nn

from workbook.pretraining.model import Encoder, Model, Moment, StepResult, embedding_spread, follow, frozen_copy


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

    queue: Tensor  # (keys, D) of length 1
    oldest: Tensor  # (1,) where in it the next batch's keys go

    def __init__(self, objective: MoCoChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        plain = encoder.projector is None
        self.head = nn.Linear(encoder.width, objective.dim) if plain else nn.Identity()
        self.target = frozen_copy(self._online)
        width = objective.dim if plain else encoder.width
        self.register_buffer("queue", F.normalize(torch.randn(objective.queue, width), dim=1))
        self.register_buffer("oldest", torch.zeros(1, dtype=torch.long))

    @property
    def _online(self) -> nn.Sequential:
        return nn.Sequential(self.backbone, self.projector, self.head)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        queries = self._in_groups(self._online, views[0])
        with torch.no_grad():
            # a key's batch statistics come from other images than its query's: they must not give the pair away
            mixed, order = batch_shuffle(views[1], distributed=dist.world_size() > 1)
            keys = batch_unshuffle(self._in_groups(self.target, mixed), order, distributed=dist.world_size() > 1)
        return StepResult(self._told_apart(queries, keys), spread=embedding_spread(queries))

    def _told_apart(self, queries: Tensor, keys: Tensor) -> Tensor:
        """() Cross-entropy of (N, D) queries' own keys among those in the queue, which these keys then join."""
        with torch.autocast(queries.device.type, enabled=False):
            queries, keys = F.normalize(queries.float(), dim=1), F.normalize(keys.float(), dim=1)
            own, others = (queries * keys).sum(1, keepdim=True), queries @ self.queue.clone().T
            logits = torch.cat([own, others], dim=1) / self.objective.temperature
        keys = concat_all_gather(keys) if dist.world_size() > 1 else keys
        places = (self.oldest + torch.arange(len(keys), device=keys.device)) % len(self.queue)
        self.queue.index_copy_(0, places, keys)
        self.oldest.add_(len(keys)).remainder_(len(self.queue))
        return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))

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
        if queue < batch_size:
            raise ValueError(f"a queue of {queue:,} keys does not hold those of one batch of {batch_size:,} images")
        if batch_size < 2 * groups:
            raise ValueError(f"{groups} norm_groups need a batch_size of 2 each, got {batch_size}")

    def after_step(self, moment: Moment) -> None:
        follow(self.target, self._online, self.objective.momentum)
