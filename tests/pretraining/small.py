from dataclasses import replace

import torch

from workbook.pretraining.loop import create_method
from workbook.pretraining.method import Method, Moment
from workbook.pretraining.recipe import Projector, Recipe

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
START = Moment(step=0, steps=100, epochs=10)


def make_method(objective, projector: Projector | None = PROJECTOR, backbone: str = "narrow_resnet") -> Method:
    """An untrained method for four classes of 16-pixel images, in train mode; always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fields = SQUARES.__dict__ | {"objective": objective, "projector": projector, "backbone": backbone}
        return create_method(Recipe(**fields), num_classes=4).train()


def make_views(*sizes: int, count: int = 8) -> list[torch.Tensor]:
    """Random images in [0, 1], one batch for every size."""
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(count, 3, size, size, generator=generator) for size in sizes]


LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 2])
