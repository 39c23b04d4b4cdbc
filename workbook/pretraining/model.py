"""What the loop asks of a method: its views of an image, the loss of a step, and what follows a step."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from workbook.data.augmentation import Augmentation, View
from workbook.data.batches import Batch
from workbook.models.backbones import Backbone
from workbook.models.projectors import MLPProjector

AnyModule = TypeVar("AnyModule", bound=nn.Module)
MODELS: dict[type, type["Model"]] = {}  # the dataclass of a method's choices -> its model


class Moment(NamedTuple):
    """Where in its training a run stands."""

    step: int  # from 0
    steps: int  # of the whole training
    epochs: int  # of the whole training
    part: Literal["all", "head", "backbone"] = "all"  # what this part of the step updates, see `Model.parts`

    @property
    def epoch(self) -> float:
        """Epochs done, with their fraction."""
        return self.step / self.steps * self.epochs


class StepResult(NamedTuple):
    """What a method gives the loop for one batch; every classifying method gives `correct`, every other `spread`."""

    loss: Tensor  # () to minimise
    correct: Tensor | None = None  # () images classified right, where the method classifies
    spread: Tensor | None = None  # () of what the loss compares, see `embedding_spread`; where it could collapse


class Encoder(NamedTuple):
    """What every method trains: a backbone and, where the recipe has one, its projector."""

    backbone: Backbone
    projector: MLPProjector | None

    @property
    def width(self) -> int:
        """Dimensions of what comes out."""
        return self.backbone.num_features if self.projector is None else self.projector.out_features


class Model(nn.Module):
    """A backbone and its projector (the identity without one) under a loss; each child adds what its loss needs.

    A resumed run continues from the state dict alone, so that everything that changes from step to step is a
    parameter or a persistent buffer. A child names the dataclass of its choices, `class BYOL(Model, choices=...)`.
    """

    objective: Any  # these choices
    view_numbers: tuple[int | None, ...] = (0, 1)  # of the views of an image, as `Augmentation.view` takes them

    def __init_subclass__(cls, choices: type | None = None) -> None:
        if choices is not None:
            MODELS[choices] = cls

    def __init__(self, objective: Any, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.objective, self.backbone = objective, encoder.backbone
        self.projector: nn.Module = encoder.projector or nn.Identity()

    @classmethod
    def read_from(cls, objective: Any) -> Mapping[str, str]:
        """What is read after training in place of a part that is trained: part -> its name within the model."""
        return {}

    def views(self, augmentation: Augmentation, size: int) -> tuple[View, ...]:
        """What `forward` gets of every image."""
        return tuple(View(augmentation.view(number), size) for number in self.view_numbers)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        """views: as asked for, each (N, 3, S, S) in [0, 1]; labels (N,)."""
        raise NotImplementedError

    def classifier(self) -> nn.Module | None:
        """What makes (N, classes) logits of the backbone's features (N, D); None where the method has none."""
        return None

    def classify(self, images: Tensor) -> Tensor:
        """(N, classes) logits of images (N, 3, S, S) in [0, 1]; ValueError where the method has no classifier."""
        classifier = self.classifier()
        if classifier is None:
            raise ValueError(f"{type(self).__name__} has no classifier: train a linear probe on its features")
        return classifier(self.backbone(images))

    def alike(self) -> bool:
        """Whether every step launches the same work on the device, whatever its moment, and never waits for it."""
        return False

    def check(self, images: int, batch_size: int) -> None:
        """Raise ValueError where the method cannot train on so many images in batches of this size."""

    def begin(self, batches: Iterator[Batch]) -> None:
        """Before the first step, on the device; `batches` are all training images in order, not augmented."""

    def begin_step(self, moment: Moment) -> None:
        """Before every step, outside of what a GPU replays: numbers that change with the moment go to buffers here."""

    def parts(self, moment: Moment) -> tuple[Moment, ...]:
        """What a step consists of, in order: each part has its own loss, backward pass and step of the optimiser."""
        return (moment,)

    def after_backward(self, moment: Moment) -> None:
        """Between the gradients and the optimiser's step."""

    def after_step(self, moment: Moment) -> None:
        """After the optimiser's step."""


def model_of(objective: Any) -> type[Model]:
    """The model of a method's choices; choices without one of their own are of their parent's."""
    return next(MODELS[kind] for kind in type(objective).__mro__ if kind in MODELS)


class MultiCropModel(Model):
    """A method that compares small crops with the two views, and whose last layer rests in the first epochs."""

    last_layer: str  # what it is called

    def views(self, augmentation: Augmentation, size: int) -> tuple[View, ...]:
        count, scale = self.objective.local_count, self.objective.local_scale
        return (*super().views(augmentation, size), *local_views(self.backbone, augmentation, size, count, scale))

    def embed(self, views: list[Tensor]) -> list[Tensor]:
        """(N, D) of every view: the backbone sees views of one size as one batch, the projector all of them at once."""
        features: dict[int, Tensor] = {}
        for size in {view.shape[-1]: None for view in views}:
            numbers = [number for number, view in enumerate(views) if view.shape[-1] == size]
            parts = self.backbone(torch.cat([views[number] for number in numbers])).chunk(len(numbers))
            features |= dict(zip(numbers, parts, strict=True))
        return list(self.projector(torch.cat([features[number] for number in range(len(views))])).chunk(len(views)))

    def after_backward(self, moment: Moment) -> None:
        if moment.epoch < self.objective.frozen_epochs:
            self.get_submodule(self.last_layer).weight.grad = None


def frozen_copy(module: AnyModule) -> AnyModule:
    """A copy that no gradient reaches: the start of a momentum target. It stays in train mode with the method.

    Its batch norms use the statistics of their own batches and keep their own running ones; the moving average
    is over parameters alone.
    """
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, momentum: float | Tensor) -> None:
    """The target's parameters move on, in place: `momentum` (a number, or () on the device) of what they are stays."""
    for own, leading in zip(target.parameters(), online.parameters(), strict=True):
        own.lerp_(leading, 1 - momentum)


def embedding_spread(embeddings: Tensor) -> Tensor:
    """() How far (N, D) vectors of length 1 spread: 0 where all are the same (collapse), 1 where they fill the sphere.

    The standard deviation of each channel, averaged, times sqrt(D) (Chen and He 2021, section 4.1).
    """
    unit = F.normalize(embeddings.detach().float(), dim=1)
    return unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5


def local_views(
    backbone: nn.Module, augmentation: Augmentation, size: int, count: int, scale: tuple[float, float]
) -> tuple[View, ...]:
    """`count` small crops beside the two of full size: 3/7 of the side (96 of 224), in whole patches.

    Raises ValueError for a Swin backbone, which takes images of one size alone.
    """
    model = getattr(backbone, "model", backbone)
    if isinstance(model, SwinTransformer):
        raise ValueError("small crops need a backbone that takes several sizes, got a Swin: take a ResNet or a ViT")
    patch = model.patch_embed.patch_size[0] if isinstance(model, VisionTransformer) else 1
    step = math.lcm(4, patch)
    small = step * max(1, round(size * 3 / 7 / step))
    # not in the papers: the mean of both views' probabilities; DINO's own small crops have blur 0.5, never solarisation
    return tuple(View(replace(augmentation.view(None), crop_scale=scale), small) for _ in range(count))
