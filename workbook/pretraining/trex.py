"""t-ReX (Sariyildiz et al. 2023, 2206.15369): classes by prototypes on the sphere, in place of a classifier's weights.

Not in the papers: it is later work, here for its head. Its small crops are left out, so that the head alone differs
from SL's.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from lightly.models.utils import concat_all_gather
from lightly.utils import dist
from torch import Tensor, nn

from workbook.pretraining.model import Encoder, Model, Moment, StepResult, follow, frozen_copy


@dataclass(frozen=True, kw_only=True)
class TReXChoices:
    """Cosine softmax over class prototypes, the means of the embeddings in a memory."""

    name: str = field(default="t-ReX", init=False)
    temperature: float = 0.1
    memory: int = 8192  # embeddings, over all classes
    momentum: float = 0.999  # of the moving average of the encoder whose embeddings go there

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.memory < 1 or not 0 <= self.momentum < 1:
            got = f"{self.temperature}, {self.memory} and {self.momentum}"
            raise ValueError(f"temperature must be above 0, memory at least 1 and momentum in [0, 1), got {got}")


class Prototypes(nn.Module):
    """Logits (N, K) of embeddings (N, D): their cosines with the classes' mean embeddings, over the temperature.

    A class of which the memory holds nothing has the cosine 0 with everything.
    """

    weight: Tensor  # (K, D) the prototypes, of length 1, or 0
    embeddings: Tensor  # (M, D)
    labels: Tensor  # (M,)
    oldest: Tensor  # (1,) where in the memory the next batch goes

    def __init__(self, width: int, num_classes: int, objective: TReXChoices) -> None:
        super().__init__()
        self.temperature = objective.temperature
        self.register_buffer("weight", torch.zeros(num_classes, width))
        # not in its text: the memory begins with zeros, which move no mean
        self.register_buffer("embeddings", torch.zeros(objective.memory, width))
        self.register_buffer("labels", torch.zeros(objective.memory, dtype=torch.long))
        self.register_buffer("oldest", torch.zeros(1, dtype=torch.long))

    def forward(self, embeddings: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            # a copy: the prototypes move on before the backward pass
            return F.normalize(embeddings.float(), dim=1) @ self.weight.clone().T / self.temperature

    @torch.no_grad()
    def remember(self, embeddings: Tensor, labels: Tensor) -> None:
        """These (N, D) take the places of the oldest; the last of them, where the memory is smaller."""
        size = len(self.embeddings)
        embeddings, labels = embeddings[-size:].float(), labels[-size:]
        places = (self.oldest + torch.arange(len(labels), device=labels.device)) % size
        self.embeddings.index_copy_(0, places, embeddings)
        self.labels.index_copy_(0, places, labels)
        self.oldest.add_(len(labels)).remainder_(size)
        sums = torch.zeros_like(self.weight).index_add_(0, self.labels, self.embeddings)
        self.weight.copy_(F.normalize(sums, dim=1))


class TReX(Model, choices=TReXChoices):
    """The embeddings of an encoder that follows fill the memory; they are of the same views of the images."""

    view_numbers = (None,)  # not in its text: one, drawn as SL's is

    def __init__(self, objective: TReXChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self.head = Prototypes(encoder.width, num_classes, objective)
        self.target = frozen_copy(self._online)

    @property
    def _online(self) -> nn.Sequential:
        return nn.Sequential(self.backbone, self.projector)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        logits = self.head(self._online(views[0]))
        with torch.no_grad():
            own = (self.target(views[0]), labels)
            self.head.remember(*(concat_all_gather(part) if dist.world_size() > 1 else part for part in own))
        return StepResult(F.cross_entropy(logits, labels), (logits.detach().argmax(1) == labels).sum())

    def classifier(self) -> nn.Module:
        return nn.Sequential(self.projector, self.head)

    def after_step(self, moment: Moment) -> None:
        follow(self.target, self._online, self.objective.momentum)
