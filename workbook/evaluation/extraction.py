"""Features of frozen backbones: the five stages, the pooled features and the projector's output, in one pass."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import MinLen
from lightning_fabric import Fabric
from torch import Tensor, nn

from workbook.data.batches import plain_batches
from workbook.data.images import Images
from workbook.fields import Count, check_fields, one_of
from workbook.files import write_array, written
from workbook.keys import added
from workbook.lab import Lab
from workbook.models.backbones import Backbone
from workbook.models.checkpoints import Pretrained
from workbook.models.projectors import MLPProjector
from workbook.pretraining.runs import Run
from workbook.progress import progress_bar
from workbook.store import Artefact

# Part of the key of all features. Raise it when a change of the code alters what is extracted.
EXTRACTION_VERSION = 1
# The same for the accuracies of heads.
HEAD_VERSION = 1
_BATCH = 256
STAGES = ("stage1", "stage2", "stage3", "stage4", "stage5")
LAYERS = (*STAGES, "pooled", "projector")
# asks for the features after every component of the projector, as "projector.1.fc", "projector.2.norm" ...
CUT_POINTS = "projector.*"
Layer = Annotated[str, one_of((*LAYERS, CUT_POINTS))]
_COMPONENTS = {nn.Linear: "fc", nn.BatchNorm1d: "norm", nn.ReLU: "relu"}


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
    dtype: Literal["float32", "float16"] = "float32"  # of the stored stages; "float16" halves their size

    def __post_init__(self) -> None:
        check_fields(self)


POOLED = Extraction(layers=("pooled",))


@dataclass(frozen=True)
class Features:
    """The features of one set of images: `layer(name)` is (N, D), memory-mapped; `labels` (N,) int64."""

    artefact: Artefact
    class_names: tuple[str, ...]

    def layer(self, name: str) -> np.ndarray:
        """One of `layers`: "stage1" ... "stage5", "pooled", and where the run has a projector, "projector" and what
        is within it.
        """
        return np.load(self.artefact.file(f"{name}.npy"), mmap_mode="r")

    @property
    def layers(self) -> tuple[str, ...]:
        """What was kept, from the first stage to the projector's output."""
        kept = [name.removesuffix(".npy") for name in self.artefact.checksums]
        within = [name for name in kept if name.startswith("projector.")]
        within.sort(key=lambda name: int(name.split(".")[1]))
        return tuple(name for name in (*LAYERS[:-1], *within, LAYERS[-1]) if name in kept)

    @property
    def labels(self) -> np.ndarray:
        return np.load(self.artefact.file("labels.npy"))


def extract(
    source: Run | Pretrained, images: Images, extraction: Extraction, lab: Lab, *, epoch: int | None = None
) -> Features:
    """The features of `images`, from the store or made now: under a run's checkpoint, or weights from outside.

    epoch: of a run; None = its last. Weights from outside have no projector.
    """
    if isinstance(source, Run):
        what = {"run": source.key, "epoch": source.recipe.epochs if epoch is None else epoch}
    else:
        what = source.spec
    spec = what | {"data": images.digest, "extraction": extraction}
    spec |= {"precision": lab.precision, "version": EXTRACTION_VERSION}

    def make(folder: Path) -> None:
        if isinstance(source, Run):
            model = source.model(epoch)
            network = _Network(model.backbone, model.projector, source.recipe.image_size, extraction)
        else:
            network = _Network(source.backbone, nn.Identity(), source.image_size, extraction)
        _write_layers(network, images, folder, lab.fabric)

    files = ["labels.npy", *(f"{layer}.npy" for layer in extraction.layers)]
    return Features(lab.store.get_or_make("features", spec, make, files), images.class_names)


def over_epochs(
    runs: Sequence[Run], images: Images, extraction: Extraction, lab: Lab, *, every_epoch: bool = True
) -> Iterator[tuple[Run, int, Features]]:
    """The features of `images` under every checkpoint of every run, or its last: (run, epoch, features), ascending."""
    jobs = [(run, epoch) for run in runs for epoch in run.recipe.saved_epochs[0 if every_epoch else -1 :]]
    with progress_bar("features", len(jobs), unit="checkpoints") as bar:
        for run, epoch in jobs:
            title = f"features of {images.name}, {images.split}: {run.recipe.title}, epoch {epoch}"
            bar.set_description_str(title, refresh=False)
            yield run, epoch, extract(run, images, extraction, lab, epoch=epoch)
            bar.update()


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


def head_accuracy(run: Run, images: Images, lab: Lab, *, epoch: int | None = None) -> float:
    """Top-1 accuracy (percent) of the run's own head on images of its own classes, after `epoch` (None = its last).

    From the store or computed now.
    """
    if images.class_names != (run.class_names or images.class_names):
        raise ValueError(f"the head knows the run's {len(run.class_names or ())} classes, got images of other classes")
    spec = {"run": run.key, "epoch": run.recipe.epochs if epoch is None else epoch, "test": images.digest}
    spec |= {"precision": lab.precision, "version": HEAD_VERSION}
    found = lab.store.remember("accuracies", spec, lambda: {"accuracy": _of_head(run, images, lab.fabric, epoch)})
    return found["accuracy"]


def _of_head(run: Run, images: Images, fabric: Fabric, epoch: int | None) -> float:
    model = run.model(epoch).to(fabric.device)
    correct = 0
    title = f"the head of {run.recipe.title} on {images.name}, {images.split}"
    with torch.inference_mode(), fabric.autocast(), progress_bar(title, len(images)) as bar:
        for batch, labels in plain_batches(images, run.recipe.image_size, _BATCH, fabric.device):
            correct += int((model.classify(batch).argmax(1) == labels).sum())
            bar.update(len(labels))
    return 100 * correct / len(images)


@dataclass(frozen=True)
class _Network:
    """What images go through, and what of it is kept."""

    backbone: Backbone
    projector: nn.Module
    image_size: int
    extraction: Extraction

    def layers(self, batch: Tensor) -> dict[str, Tensor]:
        kept = set(self.extraction.layers)
        maps, pooled = self.backbone.stages(batch)
        # a model with fewer stages than five has the last ones
        names = STAGES[len(STAGES) - len(maps) :]
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


def _write_layers(network: _Network, images: Images, folder: Path, fabric: Fabric) -> None:
    """One .npy a layer, written in blocks as they come: memory does not grow with the number of images."""
    for part in (network.backbone, network.projector):
        part.to(fabric.device)
    files: dict[str, BinaryIO] = {}
    title = f"images of {images.name}, {images.split}"
    with ExitStack() as stack, torch.inference_mode(), fabric.autocast(), progress_bar(title, len(images)) as bar:
        for batch, _ in plain_batches(images, network.image_size, _BATCH, fabric.device):
            for name, block in network.layers(batch).items():
                dtype = network.extraction.dtype if name in STAGES else "float32"
                array = block.float().cpu().numpy().astype(dtype)
                if name not in files:
                    files[name] = stack.enter_context(written(folder / f"{name}.npy"))
                    header = {"descr": array.dtype.str, "fortran_order": False, "shape": (len(images), array.shape[1])}
                    np.lib.format.write_array_header_1_0(files[name], header)
                files[name].write(array.tobytes())
            bar.update(len(batch))
    write_array(folder / "labels.npy", images.labels)


def _after_components(projector: MLPProjector, features: Tensor) -> dict[str, Tensor]:
    outputs = {}
    for number, layer in enumerate(projector.layers, start=1):
        # a copy goes in: a ReLU in place would overwrite what the norm before it gave
        features = layer(features.clone())
        outputs[f"projector.{number}.{_COMPONENTS[type(layer)]}"] = features
    return outputs
