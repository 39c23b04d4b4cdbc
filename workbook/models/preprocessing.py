"""What an image goes through before a network that was made elsewhere reads it: one rule for every way in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import get_pretrained_cfg, is_model, list_models

from workbook.errors import CheckpointError
from workbook.models.backbones import STAGES

_LARGEST = 2048  # pixels; timm's largest read 1,280


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The side of the images, and the channel statistics, of pixels in [0, 1], that they are normalised by."""

    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.image_size <= _LARGEST:
            raise CheckpointError(f"image_size is a side in pixels, from 1 to {_LARGEST:,}, got {self.image_size}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
                raise CheckpointError(f"{name} is three numbers of pixels in [0, 1], not in [0, 255], got {values}")
        if not all(self.std):
            raise CheckpointError(f"std must not be 0, got {self.std}")


class Usual(NamedTuple):
    """How images are read where nobody says otherwise, and whose rule that is."""

    image_size: int = 224
    mean: tuple[float, ...] = IMAGENET_DEFAULT_MEAN
    std: tuple[float, ...] = IMAGENET_DEFAULT_STD
    whose: str = "ImageNet's"


def preprocessing_of(
    architecture: str,
    *,
    of_timm: bool,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> tuple[Preprocessing, str]:
    """How images are read, and one sentence that says it and where it comes from. None: by the rule.

    The rule: of weights whose tag in timm is known, because the architecture is named with it (resnet50.a1_in1k) or
    the weights are timm's own (`of_timm`), timm's `pretrained_cfg`; else ImageNet's statistics. The size is the
    architecture's in timm, and of ours 224 pixels. Raises CheckpointError for an unknown architecture or tag, and for
    numbers out of range.
    """
    known = timm_config(architecture)
    size = known.input_size[-1] if known else 224
    if known is not None and (of_timm or "." in architecture):
        usual = Usual(size, known.mean, known.std, f"timm's of {known.architecture}.{known.tag}")
    else:
        usual = Usual(size, whose="ImageNet's, as no tag of timm is named")
    return reading_of(usual, image_size=image_size, mean=mean, std=std)


def reading_of(
    usual: Usual,
    *,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> tuple[Preprocessing, str]:
    """How images are read, and one sentence that says it and where it comes from. None: as is usual.

    Raises CheckpointError for numbers out of range.
    """
    chosen = Preprocessing(
        image_size=usual.image_size if image_size is None else image_size,
        mean=tuple(usual.mean if mean is None else mean),
        std=tuple(usual.std if std is None else std),
    )
    sources = [usual.whose] * (mean is None or std is None) + ["as given"] * (mean is not None or std is not None)
    centre, spread = (" ".join(f"{value:g}" for value in values) for values in (chosen.mean, chosen.std))
    told = f"images of {chosen.image_size} pixels, mean {centre}, std {spread} ({'; '.join(sources)})"
    return chosen, told


def untagged(architecture: str) -> str:
    """timm's name without the tag of its weights: resnet50 of resnet50.a1_in1k; any other name as it is."""
    return architecture if "/" in architecture or ":" in architecture else architecture.split(".")[0]


def timm_config(architecture: str) -> Any:
    """timm's `pretrained_cfg` of this name and tag; None of what is ours alone. CheckpointError for an unknown one."""
    name = architecture.split(".")[0]  # timm's names may say which weights: resnet50.a1_in1k
    if not is_model(name):
        if name in STAGES and name == architecture:
            return None
        near = ", ".join(list_models(f"*{name.split('_')[0]}*")[:5])
        raise CheckpointError(f"timm has no model {architecture!r}; its names are like {near or 'resnet50'}")
    try:
        return get_pretrained_cfg(architecture)
    except RuntimeError as error:
        tags = ", ".join(list_models(f"{name}.*", pretrained=True)[:5])
        raise CheckpointError(f"timm has no weights {architecture!r}; it has {tags or 'none of this model'}") from error
