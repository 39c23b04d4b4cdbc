"""SL and SL-MLP: cross-entropy on a linear head, with or without a projector before it (A Eq. 1)."""

from dataclasses import asdict
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from workbook.models.backbones import create_backbone
from workbook.models.projectors import MLPProjector
from workbook.pretraining.recipe import Recipe


class StepResult(NamedTuple):
    """What a method gives the loop for one batch: the loss to minimise, and the number of images classified right."""

    loss: Tensor
    correct: Tensor


class Supervised(nn.Module):
    """W . g(f(x)); without a projector g is the identity."""

    def __init__(self, recipe: Recipe, num_classes: int) -> None:
        super().__init__()
        self.backbone = create_backbone(recipe.backbone, image_size=recipe.image_size, small_stem=recipe.small_stem)
        width = self.backbone.num_features
        self.projector: MLPProjector | nn.Identity = nn.Identity()
        if recipe.projector is not None:
            self.projector = MLPProjector(width, **asdict(recipe.projector))
            width = self.projector.out_features
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor, labels: Tensor) -> StepResult:
        """images (N, 3, H, W) in [0, 1], labels (N,)."""
        logits = self.head(self.projector(self.backbone(images)))
        return StepResult(F.cross_entropy(logits, labels), (logits.detach().argmax(1) == labels).sum())
