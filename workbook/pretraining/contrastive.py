"""SimCLR, SupCon, SelfSupCon and CE+SelfSupCon: images and classes told apart within one batch."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from lightly.loss import NTXentLoss
from lightly.models.utils import concat_all_gather
from lightly.utils import dist
from pytorch_metric_learning.losses import SupConLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn

from workbook.pretraining.model import Encoder, Model, Moment, StepResult, embedding_spread


@dataclass(frozen=True, kw_only=True)
class SimCLRChoices:
    """Chen et al. 2020: an image's two views against all other views of the batch."""

    name: str = field(default="SimCLR", init=False)
    temperature: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SupConChoices:
    """Khosla et al. 2020 (their L_out): views of the same class against the rest of the batch."""

    name: str = field(default="SupCon", init=False)
    temperature: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SelfSupConChoices(SupConChoices):
    """SupCon with every image a class of its own.

    not in the paper: A Table 4's row of this name is [22]'s model, trained as MoCo v2; here it stays with SupCon,
    so that the labels are all that differs.
    """

    name: str = field(default="SelfSupCon", init=False)


@dataclass(frozen=True, kw_only=True)
class CESelfSupConChoices:
    """Islam et al. 2021: cross-entropy and SelfSupCon together."""

    name: str = field(default="CE+SelfSupCon", init=False)
    temperature: float = 0.1
    weight: float = 1.0  # of SelfSupCon; not in the paper


class SimCLR(Model, choices=SimCLRChoices):
    def __init__(self, objective: SimCLRChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self.loss = NTXentLoss(objective.temperature, gather_distributed=True)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        first, second = self.projector(self.backbone(torch.cat(views))).chunk(2)
        return StepResult(self.loss(first, second), spread=embedding_spread(first))


class SupCon(Model, choices=SupConChoices):
    """Without a projector the backbone's features themselves are compared, on the unit sphere."""

    def __init__(self, objective: SupConChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self.loss, self.by_class = _sup_con(objective.temperature), not isinstance(objective, SelfSupConChoices)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        embeddings = self.projector(self.backbone(torch.cat(views)))
        names = labels if self.by_class else _own_names(labels)
        return StepResult(self.loss(*_gathered(embeddings, names)), spread=embedding_spread(embeddings))


class CESelfSupCon(Model, choices=CESelfSupConChoices):
    """not in the papers: the classifier reads the backbone's features; the projector serves the contrast alone."""

    def __init__(self, objective: CESelfSupConChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self.loss = _sup_con(objective.temperature)
        self.head = nn.Linear(encoder.backbone.num_features, num_classes)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        features = self.backbone(torch.cat(views))
        logits, embeddings = self.head(features), self.projector(features)
        contrast = self.loss(*_gathered(embeddings, _own_names(labels)))
        loss = F.cross_entropy(logits, labels.repeat(2)) + self.objective.weight * contrast
        correct = (logits.detach()[: len(labels)].argmax(1) == labels).sum()
        return StepResult(loss, correct, embedding_spread(embeddings))

    def classify(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))


def _sup_con(temperature: float) -> SupConLoss:
    return SupConLoss(temperature, reducer=MeanReducer())


def _own_names(labels: Tensor) -> Tensor:
    """(N,) one number an image, different on every device."""
    return torch.arange(len(labels), device=labels.device) + dist.rank() * len(labels)


def _gathered(embeddings: Tensor, names: Tensor) -> tuple[Tensor, Tensor]:
    """Both views' embeddings (2N, D) and the names (N,) of their images, from all devices, as pairs of the same length.

    Every device computes the whole loss; lightly's gather adds up the gradients, which DDP then averages.
    """
    embeddings, names = embeddings.float(), names.repeat(2)
    if dist.world_size() > 1:
        embeddings, names = torch.cat(dist.gather(embeddings)), concat_all_gather(names)
    return embeddings, names
