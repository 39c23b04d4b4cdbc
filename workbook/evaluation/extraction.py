"""Features of frozen backbones: the five stages, the pooled features and the projector's output, in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from workbook.data.batches import plain_batches
from workbook.data.images import Images
from workbook.errors import StoreError
from workbook.evaluation.layers import (
    CUT_POINTS,
    LAYERS,
    POOLED,
    READINGS,
    STAGES,
    Extraction,
    Network,
    cut_points,
    last_stages,
    read_stages,
)
from workbook.files import write_array, written
from workbook.keys import Named, key_of
from workbook.lab import Lab
from workbook.metrics import mean_average_precision
from workbook.models.pretrained import Pretrained
from workbook.pretraining.runs import Checkpoint, Run
from workbook.progress import progress_bar
from workbook.store import PASSING, Artefact

__all__ = ["CUT_POINTS", "LAYERS", "POOLED", "READINGS", "STAGES", "Extraction", "read_stages"]

# Part of the key of all features. Raise it when a change of the code alters what is extracted.
EXTRACTION_VERSION = 1
# The same for the accuracies of heads.
HEAD_VERSION = 1
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Features:
    """The features of one set of images: `layer(name)` is (N, D), memory-mapped; `labels` (N,) int64, or (N, K) bool.

    In the store every layer is an artefact of its own, under the key of the extraction that keeps it alone, so that a
    layer lies there once, whichever others it was asked for with. `key` names all of them together. What is not stored
    is extracted when it is read. What is not kept lies under a kind of its own, so that it is known for what it is even
    where the process that was to remove it was killed.
    """

    source: Run | Pretrained
    images: Images = field(repr=False)
    extraction: Extraction
    lab: Lab = field(repr=False)
    epoch: int | None = None  # of a run; None = its last
    kept: tuple[str, ...] | None = (
        None  # layers; what is extracted of others stays in the store until `drop`; None = all
    )

    def _kind(self, part: str) -> str:
        kept = self.kept is None or part in self.kept or self.lab.keep_features
        return "features" if kept else PASSING

    @cached_property
    def key(self) -> str:
        spec = self._spec(*self.extraction.layers)
        return Named(key_of(spec), spec)

    @property
    def labels(self) -> np.ndarray:
        return self.images.labels

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.images.class_names

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """What the model has of the extraction's layers, from the first stage to the projector's output."""
        within = cut_points(self._projector) if CUT_POINTS in self._parts and self._projector else ()
        named = [name for name in LAYERS if name in self._parts]
        last = named.index("projector") if "projector" in named else len(named)
        return (*named[:last], *within, *named[last:])

    def layer(self, name: str) -> np.ndarray:
        """One of `layers`: "stage1" ... "stage5", "pooled", and where the run has a projector, "projector" and what
        is within it. From the store, or extracted now, in one pass with all others that are not there.
        """
        if name not in self.layers:
            raise StoreError(f"the features {self.key} have no layer {name!r}; they have {', '.join(self.layers)}")
        part = name if name in LAYERS else CUT_POINTS
        while True:
            found = self._stored(part)
            if found is None:
                self.make()
                continue
            try:
                return np.load(found.file(f"{name}.npy"), mmap_mode="r")
            except (StoreError, FileNotFoundError):
                if found.path.exists():  # else another process has dropped it meanwhile
                    raise

    def make(self) -> None:
        """Extracts those layers that are not stored, in one pass over the images."""
        store = self.lab.store
        if not self.missing():
            return
        with ExitStack() as locks:
            # in one order everywhere, so that no two processes wait for each other
            for part in sorted(self._parts, key=lambda part: key_of(self._spec(part))):
                locks.enter_context(store.lock(self._kind(part), self._spec(part), title="these features"))
            missing = self.missing()
            with ExitStack() as opened:
                folders = {
                    part: opened.enter_context(store.workdir(self._kind(part), self._spec(part))) for part in missing
                }
                if folders:
                    _write_layers(self._network(missing), self.images, folders, self.lab.fabric)
            for part in missing:
                store.seal(self._kind(part), self._spec(part), ["labels.npy", f"{part}.npy"])

    def missing(self) -> list[str]:
        """Those of `extraction.layers` that the model has and the store has not."""
        return [part for part in self._parts if not self._stored(part)]

    def drop(self) -> None:
        """Removes from the store what is not kept; `layer` makes it anew."""
        for part in self._parts:
            if (kind := self._kind(part)) != "features":
                self.lab.store.drop(kind, self._spec(part))

    @cached_property
    def _parts(self) -> tuple[str, ...]:
        """Those of `extraction.layers` that the model has."""
        stages: tuple[str, ...] = STAGES
        if not isinstance(self.source, Run) and set(self.extraction.layers) & set(STAGES):
            stages = last_stages(_stage_count(self.source))
        has = {*stages, "pooled", *(("projector", CUT_POINTS) if self._projector else ())}
        return tuple(part for part in self.extraction.layers if part in has)

    @property
    def _projector(self) -> Any:
        return self.source.recipe.projector if isinstance(self.source, Run) else None

    def _spec(self, *layers: str) -> dict[str, Any]:
        if isinstance(self.source, Run):
            epoch = self.source.recipe.epochs if self.epoch is None else self.epoch
            what: dict[str, Any] = {"run": self.source.key, "epoch": epoch}
        else:
            what = self.source.spec
        what = what | {"data": self.images.digest, "extraction": self.extraction.of(*layers)}
        return what | {"precision": self.lab.precision, "version": EXTRACTION_VERSION}

    def _stored(self, part: str) -> Artefact | None:
        """Where the layer lies: alone, or, as earlier versions kept it, with the others of its extraction."""
        store, spec = self.lab.store, self._spec(part)
        kept = store.find("features", spec) or store.by_key("features", self.key)
        kind = self._kind(part)
        return kept or (None if kind == "features" else store.find(kind, spec))

    def _network(self, parts: Sequence[str]) -> Network:
        kept = self.extraction.of(*parts)
        if isinstance(self.source, Run):
            model = self.source.model(self.epoch)
            return Network(model.backbone, model.projector, self.source.recipe.image_size, kept)
        return Network(self.source.backbone, nn.Identity(), self.source.image_size, kept)


def extract(
    source: Run | Pretrained, images: Images, extraction: Extraction, lab: Lab, *, epoch: int | None = None
) -> Features:
    """The features of `images`, from the store or made now: under a run's checkpoint, or weights from outside.

    epoch: of a run; None = its last. Weights from outside have no projector.
    """
    found = Features(source, images, extraction, lab, epoch)
    found.make()
    return found


def over_epochs(
    runs: Sequence[Run], images: Images, extraction: Extraction, lab: Lab, *, every_epoch: bool = True
) -> Iterator[tuple[Run, int, Features]]:
    """The features of `images` under every checkpoint of every run, or its last: (run, epoch, features), ascending."""
    todo = partial(_of_checkpoint, images, extraction)
    jobs = [Checkpoint(run, epoch) for run in runs for epoch in run.recipe.saved_epochs[0 if every_epoch else -1 :]]
    of = f"features of {images.name}, {images.split}"
    with progress_bar("features", len(jobs), unit="checkpoints") as bar:
        for (run, epoch), _ in lab.map(todo, jobs, bar, title=lambda job: f"{of}: {job.title}"):
            yield run, epoch, Features(run, images, extraction, lab, epoch)


def _of_checkpoint(images: Images, extraction: Extraction, job: Checkpoint, lab: Lab, bar: tqdm) -> None:
    """The features of a run's epoch are in the store now."""
    run, epoch = job
    extract(run.at(lab), images, extraction, lab, epoch=epoch)
    bar.update()


def head_accuracy(run: Run, images: Images, lab: Lab, *, epoch: int | None = None) -> float:
    """Top-1 accuracy (percent) of the run's own head on images of its own classes, after `epoch` (None = its last).

    From the store or computed now. Raises ManifestError where they have many labels an image.
    """
    spec = _head_spec(run, images.one_label("top-1 accuracy"), lab, epoch)
    found = lab.store.remember("accuracies", spec, lambda: {"accuracy": _of_head(run, images, lab.fabric, epoch)})
    return found["accuracy"]


def head_average_precision(run: Run, images: Images, lab: Lab, *, epoch: int | None = None) -> float:
    """mAP (percent) of the run's own head on images with many labels of its own, after `epoch` (None = its last).

    From the store or computed now, from logits in float32.
    """
    spec = _head_spec(run, images, lab, epoch) | {"measure": "mAP"}

    def compute() -> dict[str, float]:
        logits = torch.cat([block.float().cpu() for block, _ in _logits(run, images, lab.fabric, epoch)])
        return {"mAP": 100 * mean_average_precision(logits, images.labels)}

    return lab.store.remember("accuracies", spec, compute)["mAP"]


def _head_spec(run: Run, images: Images, lab: Lab, epoch: int | None) -> dict[str, Any]:
    if images.class_names != (run.class_names or images.class_names):
        raise ValueError(f"the head knows the run's {len(run.class_names or ())} classes, got images of other classes")
    spec = {"run": run.key, "epoch": run.recipe.epochs if epoch is None else epoch, "test": images.digest}
    return spec | {"precision": lab.precision, "version": HEAD_VERSION}


def _of_head(run: Run, images: Images, fabric: Fabric, epoch: int | None) -> float:
    correct = sum(int((logits.argmax(1) == labels).sum()) for logits, labels in _logits(run, images, fabric, epoch))
    return 100 * correct / len(images)


def _logits(run: Run, images: Images, fabric: Fabric, epoch: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Of the run's own head, with the labels, in batches on the device."""
    model = run.model(epoch).to(fabric.device)
    title = f"the head of {run.recipe.title} on {images.name}, {images.split}"
    with torch.inference_mode(), fabric.autocast(), progress_bar(title, len(images)) as bar:
        for batch, labels in plain_batches(images, run.recipe.image_size, _BATCH, fabric.device):
            yield model.classify(batch), labels
            bar.update(len(labels))


@torch.inference_mode()
def _stage_count(source: Pretrained) -> int:
    """How many stages the backbone calls; a few models of timm name some that they never do."""
    mean = source.backbone.mean
    return len(source.backbone.stages(mean.new_zeros(1, 3, source.image_size, source.image_size))[0])


def _write_layers(network: Network, images: Images, folders: Mapping[str, Path], fabric: Fabric) -> None:
    """One .npy a layer, each part in its folder, in blocks as they come: memory does not grow with the images."""
    for part in (network.backbone, network.projector):
        part.to(fabric.device)
    files: dict[str, BinaryIO] = {}
    title = f"images of {images.name}, {images.split}"
    with ExitStack() as stack, torch.inference_mode(), fabric.autocast(), progress_bar(title, len(images)) as bar:
        for batch, _ in plain_batches(images, network.image_size, _BATCH, fabric.device):
            for name, block in network.layers(batch).items():
                array = _as_stored(name, block.float().cpu().numpy(), network.extraction)
                if name not in files:
                    folder = folders[name if name in LAYERS else CUT_POINTS]
                    files[name] = stack.enter_context(written(folder / f"{name}.npy"))
                    header = {"descr": array.dtype.str, "fortran_order": False, "shape": (len(images), array.shape[1])}
                    np.lib.format.write_array_header_1_0(files[name], header)
                files[name].write(array.tobytes())
            bar.update(len(batch))
    for folder in folders.values():
        write_array(folder / "labels.npy", images.labels)


def _as_stored(name: str, features: np.ndarray, extraction: Extraction) -> np.ndarray:
    """In the precision of the store; ValueError where that cannot hold the features."""
    if name not in STAGES or extraction.dtype == "float32":
        return features
    largest, limit = np.abs(features).max(), np.finfo(np.float16).max
    if largest > limit and np.isfinite(largest):
        raise ValueError(
            f"{name} has features up to {largest:.3g}, and float16 ends at {limit:,.0f}: extract with dtype='float32'"
        )
    return features.astype(np.float16)
