"""Layers of a frozen model: which there are, how the stages' maps become vectors, and what one pass gives of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import MinLen
from torch import Tensor, nn

from workbook.fields import Count, check_fields, one_of
from workbook.keys import added
from workbook.models.backbones import Backbone
from workbook.models.projectors import MLPProjector, Reweighting, UnitLength
from workbook.pretraining.recipe import Projector

STAGES = ("stage1", "stage2", "stage3", "stage4", "stage5")
LAYERS = (*STAGES, "pooled", "projector")
# asks for the features after every component of the projector, as "projector.1.fc", "projector.2.norm" ...
CUT_POINTS = "projector.*"
Layer = Annotated[str, one_of((*LAYERS, CUT_POINTS))]
_COMPONENTS = {nn.Linear: "fc", nn.BatchNorm1d: "norm", nn.ReLU: "relu"}
_COMPONENTS |= {nn.GELU: "gelu", UnitLength: "unit", Reweighting: "weighted"}


# How the stages' maps become vectors. A Fig. 1 says "flatten": that is the first; not in the paper: the others, which
# take away how much larger one stage is than another, and at last where in the image something is
READINGS = ("whole maps", "equal numbers", "equal grids", "averaged")


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """How feature maps become feature vectors."""

    # "equal numbers": each stage in as many as the smallest has; "equal grids": each on the last stage's grid;
    # "averaged": each on a grid of 1 x 1
    reading: Annotated[str, one_of(READINGS)] = added("whole maps")
    # not in the paper: stage 1 of a ResNet-50 is 200,704 numbers an image; a map that has more than this many is
    # average-pooled to the largest square grid within, and one of more channels than that to 1 x 1
    stage_budget: Count = 4096
    layers: Annotated[tuple[Layer, ...], MinLen(1)] = LAYERS  # what is kept; CUT_POINTS may be among them
    dtype: Literal["float32", "float16"] = "float16"  # of the stored stages, which are large; of all else "float32"

    def __post_init__(self) -> None:
        check_fields(self)

    def of(self, *layers: str) -> "Extraction":
        """The extraction of these layers. Where no stage is among them, what concerns stages is as in `POOLED`."""
        return replace(self if set(layers) & set(STAGES) else POOLED, layers=layers)


POOLED = Extraction(layers=("pooled",), dtype="float32")


def read_stages(maps: Sequence[Tensor], extraction: Extraction) -> list[Tensor]:
    """The maps (N, C, H, W) of all stages as vectors (N, C * side * side), by the reading and within the budget.

    A map with more channels than the budget keeps all of them, each averaged to one number.
    """
    budget, grid = extraction.stage_budget, None
    if extraction.reading == "equal numbers":
        smallest = min(stage[0].numel() for stage in maps)
        budget = min(budget, max(smallest, *(stage.shape[1] for stage in maps)))  # one number a channel has room
    elif extraction.reading == "equal grids":
        grid = min(maps[-1].shape[2:])
    elif extraction.reading == "averaged":
        grid = 1
    return [_pooled(stage, budget, grid) for stage in maps]


def _pooled(maps: Tensor, budget: int, grid: int | None) -> Tensor:
    channels, height, width = maps.shape[1:]
    if grid is None and maps[0].numel() <= budget:
        return maps.flatten(1)
    side = max(1, min(int((budget / channels) ** 0.5), height, width, grid or height))
    return F.adaptive_avg_pool2d(maps, side).flatten(1)


def last_stages(count: int) -> tuple[str, ...]:
    """What the stages of a model that has so many are called: one with fewer than five has the last ones."""
    return STAGES[len(STAGES) - count :]


def cut_points(projector: Projector) -> tuple[str, ...]:
    """The names of the features after every component of such a projector, in their order."""
    with torch.device("meta"):  # its shape alone
        made = MLPProjector(1, **asdict(projector))
    return tuple(_component_names(made))


@dataclass(frozen=True)
class Network:
    """What images go through, and what of it is kept."""

    backbone: Backbone
    projector: nn.Module
    image_size: int
    extraction: Extraction

    def layers(self, batch: Tensor) -> dict[str, Tensor]:
        kept = set(self.extraction.layers)
        maps, pooled = self.backbone.stages(batch)
        names = last_stages(len(maps))
        read = read_stages(maps, self.extraction) if kept & set(names) else maps
        layers = {name: stage for name, stage in zip(names, read, strict=True) if name in kept}
        if "pooled" in kept:
            layers["pooled"] = pooled
        if isinstance(self.projector, MLPProjector):
            if CUT_POINTS in kept:
                layers |= _after_components(self.projector, pooled)
            if "projector" in kept:
                layers["projector"] = self.projector(pooled)
        return layers


def _component_names(projector: MLPProjector) -> list[str]:
    numbered = enumerate(projector.layers, start=1)
    return [f"projector.{number}.{_COMPONENTS[type(layer)]}" for number, layer in numbered]


def _after_components(projector: MLPProjector, features: Tensor) -> dict[str, Tensor]:
    outputs = {}
    for name, layer in zip(_component_names(projector), projector.layers, strict=True):
        # a copy goes in: a ReLU in place would overwrite what the norm before it gave
        features = layer(features.clone())
        outputs[name] = features
    return outputs
