from dataclasses import replace

import pytest
import torch
from torch import Tensor

from workbook.pretraining.dino import DINOChoices
from workbook.pretraining.loop import create_model
from workbook.pretraining.mae import MAEChoices
from workbook.pretraining.model import Model, Moment
from workbook.pretraining.recipe import Projector, Recipe
from workbook.pretraining.swav import SwAVChoices

PROJECTOR = Projector(hidden_dim=24, out_dim=12)
SQUARES = Recipe(
    dataset="squares",
    side=None,
    image_size=16,
    backbone="narrow_resnet",
    small_stem=True,
    epochs=4,
    batch_size=16,
    warmup_epochs=0,
)
DIGITS = replace(SQUARES, dataset="digits", images_per_class=20, image_size=8, checkpoint_epochs=(0,), batch_size=32)
FEW = replace(DIGITS, images_per_class=4, epochs=1, batch_size=16)
SMALL_MAE = MAEChoices(decoder_dim=24, decoder_depth=1, decoder_heads=2)
SMALL_SWAV = SwAVChoices(prototypes=10, local_count=1)
SMALL_DINO = DINOChoices(outputs=20, local_count=1)
START = Moment(step=0, steps=100, epochs=10)


def make_model(objective, projector: Projector | None = PROJECTOR, backbone: str = "narrow_resnet") -> Model:
    """An untrained model for four classes of 16-pixel images, in train mode; always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fields = SQUARES.__dict__ | {"objective": objective, "projector": projector, "backbone": backbone}
        return create_model(Recipe(**fields), num_classes=4).train()


def make_views(*sizes: int, count: int = 8) -> list[torch.Tensor]:
    """Random images in [0, 1], one batch for every size."""
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(count, 3, size, size, generator=generator) for size in sizes]


LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 2])
WITH_OR_WITHOUT = pytest.mark.parametrize("projector", [PROJECTOR, None], ids=["with MLP", "without"])


def embed(model, views: Tensor) -> Tensor:
    return model.projector(model.backbone(views))


def embed_three(model, a: Tensor, b: Tensor, local: Tensor) -> tuple[Tensor, ...]:
    features = torch.cat([model.backbone(torch.cat([a, b])), model.backbone(local)])
    return model.projector(features).chunk(3)


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)
