"""SimCLR, SupCon, SelfSupCon and CE+SelfSupCon: images and classes told apart within one batch."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from lightly.models.utils import concat_all_gather
from lightly.utils import dist
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
    """Without a projector the backbone's features themselves are compared, on the unit sphere."""

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        embeddings = self.projector(self.backbone(torch.cat(views)))
        loss = contrast(embeddings, self.names(labels), self.objective.temperature)
        return StepResult(loss, spread=embedding_spread(embeddings))

    def alike(self) -> bool:
        return True

    def names(self, labels: Tensor) -> Tensor:
        """(N,) a number an image; images of the same one are to be alike."""
        return own_names(labels)


class SelfSupCon(SimCLR, choices=SelfSupConChoices):
    """On one device NT-Xent is SupCon's loss with a class an image."""


class SupCon(SimCLR, choices=SupConChoices):
    def names(self, labels: Tensor) -> Tensor:
        return labels


class CESelfSupCon(Model, choices=CESelfSupConChoices):
    """not in the papers: the classifier reads the backbone's features; the projector serves the contrast alone."""

    def __init__(self, objective: CESelfSupConChoices, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self.head = nn.Linear(encoder.backbone.num_features, num_classes)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        features = self.backbone(torch.cat(views))
        logits, embeddings = self.head(features), self.projector(features)
        told_apart = contrast(embeddings, own_names(labels), self.objective.temperature)
        loss = F.cross_entropy(logits, labels.repeat(2)) + self.objective.weight * told_apart
        correct = (logits.detach()[: len(labels)].argmax(1) == labels).sum()
        return StepResult(loss, correct, embedding_spread(embeddings))

    def alike(self) -> bool:
        return True

    def classifier(self) -> nn.Module:
        return self.head


def contrast(embeddings: Tensor, names: Tensor, temperature: float) -> Tensor:
    """() Supervised contrastive loss, L_out (Khosla et al. 2020, Eq. 2), of both views of N images.

    embeddings (2N, D): the first views, then the second ones. names (N,): of which class an image is; where each is
    a class of its own, this is NT-Xent (Chen et al. 2020, Eq. 1). Every device computes the whole loss, of all
    devices' images; the gradients that lightly's gather adds up are then averaged.
    """
    names = names.repeat(2)
    with torch.autocast(embeddings.device.type, enabled=False):
        rows = F.normalize(embeddings.float(), dim=1)
        if dist.world_size() > 1:
            rows, names = torch.cat(dist.gather(rows)), concat_all_gather(names)
        own = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        log_shares = (rows @ rows.T / temperature).masked_fill(own, -torch.inf).log_softmax(1)
    positives = (names[:, None] == names) & ~own  # at least the other view
    # chosen, not multiplied by 0: an image has a share of minus infinity in itself
    return -(torch.where(positives, log_shares, 0).sum(1) / positives.sum(1)).mean()


def own_names(labels: Tensor) -> Tensor:
    """(N,) one number an image, different on every device."""
    return torch.arange(len(labels), device=labels.device) + dist.rank() * len(labels)
