"""Training of a detector, all of it, from a backbone's weights; and what it finds on other images.

All randomness of fifty steps comes from seeds derived from (recipe's seed, first of them), so that the state after
them is all that a resumed training needs to end where an uninterrupted one does. A batch is not grouped by the shape of
its images, as Detectron2 does, which costs padding alone.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import pandas as pd
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from tqdm import tqdm

from workbook.detection.detector import DetectorSize, mask_rcnn
from workbook.detection.runs import Runs
from workbook.detection.scenes import Found, Objects, Scenes
from workbook.errors import DivergedError, going_on
from workbook.fields import ASCENDING, Count, Decay, NotNegative, Positive, Probability, Share, Whole, check_fields
from workbook.files import write_atomically
from workbook.keys import key_of
from workbook.lab import Lab
from workbook.models.pretrained import Pretrained
from workbook.pretraining.optimizers import set_learning_rate
from workbook.pretraining.resume import Writer, read_state
from workbook.progress import count_earlier, progress_bar
from workbook.seeding import derive_seed, seeded
from workbook.store import Artefact

# Part of every detector's key. Raise it when a change of the code alters what the same recipe trains.
TRAINING_VERSION = 1
_ROW = 50  # steps of a row of the history
RESUME_SECONDS = 60.0  # of work that a kill may cost
_HISTORY, _RESUME = "history.json", "resume.pt"
_READERS, _AHEAD = 8, 2  # threads that decode, and batches that they do so before one is asked for
_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
_WARMUP_FROM = 0.001  # of the rate, as Detectron2 begins

Example = tuple[Tensor, Objects]
Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class DetectionRecipe:
    """Every choice of one training of a detector; the defaults are A's, which are MoCo's (A 5.2; He et al. 2020, A.4),
    at Detectron2's 1x schedule of 90,000 steps."""

    size: DetectorSize = field(default_factory=DetectorSize)
    steps: Count = 90_000
    batch_size: Count = 16  # over all devices
    lr: Positive = 0.02  # at 16 images a step, scaled linearly with them
    # of the steps; after each the rate is a tenth
    drops: Annotated[tuple[Share, ...], ASCENDING] = (2 / 3, 8 / 9)
    warmup_steps: Whole = 1000
    momentum: Decay = 0.9
    weight_decay: NotNegative = 1e-4  # of weights and biases, but none of norms
    flip: Probability = 0.5
    precise_steps: Whole = 200  # batches over which the batch norms' statistics are taken anew before weights are kept
    checkpoint_steps: Annotated[tuple[Count, ...], ASCENDING] = ()  # after which the weights are kept, besides the last
    seed: Whole = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps must lie in [0, {self.steps}], got {self.warmup_steps}")
        if self.checkpoint_steps and self.checkpoint_steps[-1] >= self.steps:
            raise ValueError(f"checkpoint_steps must lie below {self.steps}, got {list(self.checkpoint_steps)}")

    @property
    def kept_steps(self) -> tuple[int, ...]:
        """After which the weights are kept, ascending; the last one is the end."""
        return (*self.checkpoint_steps, self.steps)

    def short(self) -> "DetectionRecipe":
        """The same in 12,000 steps, for 13 % of the cost; that it ranks backbones alike is not in the papers."""
        return replace(self, steps=12_000)


@dataclass(frozen=True)
class Detector:
    """A trained detector: the backbone that it began with, its weights, its history."""

    recipe: DetectionRecipe
    source: Pretrained
    class_names: tuple[str, ...]
    artefact: Artefact
    stored: bool  # it was in the store already

    @property
    def history(self) -> pd.DataFrame:
        """One row for fifty steps, see `train_detector`."""
        return pd.read_json(self.artefact.file(_HISTORY), orient="records")

    def model(self, step: int | None = None) -> nn.Module:
        """The detector after so many steps, one of the recipe's `kept_steps`, None = the last; in evaluation mode, on
        the CPU."""
        with torch.random.fork_rng(devices=[]):  # the fresh weights are replaced at once
            model = mask_rcnn(self.source.backbone, len(self.class_names), self.recipe.size)
        model.load_state_dict(load_file(self.artefact.file(_weights(step or self.recipe.steps))))
        return model.eval()


def train_detector(recipe: DetectionRecipe, source: Pretrained, scenes: Scenes, lab: Lab) -> Detector:
    """The detector of this recipe, from the store, or trained now (and resumed where it was interrupted).

    Images without an object that is no crowd are left out, and crowds on others. The history has one row for fifty
    steps: step (the last of them), loss and its five parts (means), lr (at the last), images_per_second, seconds.
    Raises ValueError where no image has an object, or the backbone has no pyramid (see `mask_rcnn`), and DivergedError
    when the loss is no longer finite.
    """
    spec = {"recipe": recipe, "backbone": source.spec, "data": scenes.digest, "version": TRAINING_VERSION}
    spec |= lab.trained_by
    fabric, title = lab.fabric, f"detector on {scenes.name}, seed {recipe.seed}"
    lab.check_together([key_of(spec)])
    with lab.store.lock("detectors", spec, title=title) if fabric.is_global_zero else nullcontext():
        if not (stored := fabric.broadcast(lab.store.find("detectors", spec) is not None)):
            lab.check_devices(f"the {title}")
            resumed = going_on("the detector goes on from its last step that was kept")
            with resumed, lab.store.workdir("detectors", spec) as folder:
                _train(recipe, source, scenes.annotated(), folder, fabric, title)
            if fabric.is_global_zero:
                lab.store.seal("detectors", spec, [_HISTORY, *map(_weights, recipe.kept_steps)])
            fabric.barrier()
    return Detector(recipe, source, scenes.class_names, lab.store.get("detectors", spec), stored)


@torch.inference_mode()
def detect(model: nn.Module, scenes: Scenes, fabric: Fabric, *, batch_size: int = 8) -> list[Found]:
    """What a detector finds on every image, at most 100 objects each, in the pixels of the image as it is.

    A mask is where its probability is at least one half.
    """
    model = model.to(fabric.device).eval()
    found: list[Found] = []
    batches = [range(at, min(at + batch_size, len(scenes))) for at in range(0, len(scenes), batch_size)]
    with progress_bar(f"detection on {scenes.name}, {scenes.split}", len(scenes)) as bar, fabric.autocast():
        for images in _ahead(scenes.image, batches):
            for one in model([_in_unit(image, fabric.device) for image in images]):
                masks = (one["masks"][:, 0] >= 0.5).cpu()
                found.append(Found(one["boxes"].cpu(), one["labels"].cpu() - 1, one["scores"].cpu(), Runs.of(masks)))
            bar.update(len(images))
    return found


def learning_rate(recipe: DetectionRecipe, step: int) -> float:
    """Linear warm-up, then a tenth after each drop; the rate is scaled by batch_size / 16."""
    drops = sum(step >= round(drop * recipe.steps) for drop in recipe.drops)
    rate = recipe.lr * recipe.batch_size / 16 * 0.1**drops
    share = min(1.0, step / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    return rate * (_WARMUP_FROM * (1 - share) + share)


def create_optimizer(model: nn.Module, recipe: DetectionRecipe) -> torch.optim.SGD:
    """SGD of every weight; those of norms are not decayed."""
    norms = {id(p) for module in model.modules() if isinstance(module, _NORMS) for p in module.parameters()}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if id(p) not in norms], "weight_decay": recipe.weight_decay},
        {"params": [p for p in model.parameters() if id(p) in norms], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)


@dataclass
class _Training:
    recipe: DetectionRecipe
    scenes: Scenes
    fabric: Fabric
    model: GeneralizedRCNN
    wrapped: nn.Module  # the model as Fabric wraps it
    optimizer: torch.optim.Optimizer

    @property
    def parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer}

    def examples(self, purpose: str, steps: range) -> Iterator[list[Example]]:
        """This device's share of the batches of these steps. Every image comes once in a turn, in the turn's order."""
        count, size, fabric = len(self.scenes), self.recipe.batch_size, self.fabric

        @cache
        def order(turn: int) -> list[int]:
            generator = torch.Generator().manual_seed(derive_seed(self.recipe.seed, purpose, turn))
            return torch.randperm(count, generator=generator).tolist()

        places = (range(step * size + fabric.global_rank, (step + 1) * size, fabric.world_size) for step in steps)
        rows = ([order(place // count)[place % count] for place in batch] for batch in places)
        return _ahead(lambda row: (self.scenes.image(row), self.scenes.objects(row)), rows)

    def step(self, examples: list[Example], step: int) -> dict[str, Tensor]:
        """One step; the parts of its loss."""
        set_learning_rate(self.optimizer, learning_rate(self.recipe, step))
        images, targets = zip(*(_drawn(one, self.recipe.flip, self.fabric.device) for one in examples), strict=True)
        losses = self.wrapped(list(images), list(targets))
        self.fabric.backward(sum(losses.values()))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {name: loss.detach() for name, loss in losses.items()}


def _train(
    recipe: DetectionRecipe, source: Pretrained, scenes: Scenes, folder: Path, fabric: Fabric, title: str
) -> None:
    """Leaves the weights and the history in the folder; resumes what is there."""
    if (folder / _HISTORY).exists():  # trained to its end, and interrupted before it was sealed
        (folder / _RESUME).unlink(missing_ok=True)
        return
    training = _set_up(recipe, source, scenes, fabric)
    history = _resume(folder, training)
    shown, kept = fabric.is_global_zero, time.monotonic()
    with progress_bar(title, recipe.steps * recipe.batch_size, shown=shown) as bar, Writer(folder / _RESUME) as resume:
        done = int(history[-1]["step"]) if history else 0
        count_earlier(bar, done * recipe.batch_size)
        for steps in _rows(recipe, done):
            history.append(_train_row(training, steps, bar))
            if steps.stop in recipe.kept_steps:
                make_precise(training)
                if shown:
                    tensors = {name: part.contiguous().cpu() for name, part in training.model.state_dict().items()}
                    write_atomically(folder / _weights(steps.stop), to_safetensors(tensors))
            if shown and time.monotonic() - kept >= RESUME_SECONDS:
                resume.write({name: part.state_dict() for name, part in training.parts.items()} | {"history": history})
                kept = time.monotonic()
    if shown:
        write_atomically(folder / _HISTORY, pd.DataFrame(history).to_json(orient="records", indent=1))
        (folder / _RESUME).unlink(missing_ok=True)
    fabric.barrier()


def _weights(step: int) -> str:
    return f"step-{step}.safetensors"


def _rows(recipe: DetectionRecipe, done: int) -> Iterator[range]:
    """The steps that are left, fifty a row of the history, and fewer up to a step whose weights are kept."""
    while done < recipe.steps:
        end = min(done + _ROW, *(step for step in recipe.kept_steps if step > done))
        yield range(done, end)
        done = end


def _set_up(recipe: DetectionRecipe, source: Pretrained, scenes: Scenes, fabric: Fabric) -> _Training:
    if not len(scenes):
        raise ValueError(f"no image of {scenes.name}, {scenes.split}, has an object to learn from")
    if recipe.batch_size % fabric.world_size:
        raise ValueError(f"batch_size ({recipe.batch_size}) must be a multiple of the {fabric.world_size} devices")
    with seeded(recipe.seed, "initialisation"):
        model = mask_rcnn(source.backbone, len(scenes.class_names), recipe.size)
    if fabric.world_size > 1:
        model = convert_sync_batchnorm(model)
    model = model.to(memory_format=torch.channels_last).to(fabric.device)
    wrapped, optimizer = fabric.setup(model, create_optimizer(model, recipe))
    return _Training(recipe, scenes, fabric, model, wrapped, optimizer)


def _resume(folder: Path, training: _Training) -> list[dict[str, float]]:
    """Load the state after the last complete row, where there is one; the history so far."""
    state = read_state(folder / _RESUME, training.fabric)
    if state is None:
        return []
    for name, part in training.parts.items():
        part.load_state_dict(state[name])
    return state["history"]


def _train_row(training: _Training, steps: range, bar: tqdm) -> dict[str, float]:
    """So many steps; their row of the history."""
    recipe, fabric = training.recipe, training.fabric
    sums: dict[str, Tensor] = {}
    started = time.perf_counter()
    training.wrapped.train()
    with seeded(recipe.seed, "steps", steps.start, fabric.global_rank):
        for step, examples in zip(steps, training.examples("order", steps), strict=True):
            for name, loss in training.step(examples, step).items():
                sums[name] = sums.get(name, 0) + loss
            bar.update(recipe.batch_size)
    parts = {name: float(cast(Tensor, fabric.all_reduce(value / len(steps)))) for name, value in sums.items()}
    total, lr = sum(parts.values()), learning_rate(recipe, steps[-1])
    seconds = time.perf_counter() - started  # only now has a GPU done what it was told
    if not math.isfinite(total):
        raise DivergedError(f"the loss of the detector is {total} by step {steps[-1] + 1} (lr {lr:.3g}): lower lr")
    bar.set_postfix({"loss": f"{total:.3f}"})
    speed = {"lr": lr, "images_per_second": len(steps) * recipe.batch_size / seconds, "seconds": seconds}
    return {"step": steps[-1] + 1, "loss": total} | parts | speed


@torch.no_grad()
def make_precise(training: _Training) -> None:
    """The batch norms' statistics become means over so many batches, each weighing the same, under the last weights."""
    norms = [module for module in training.model.modules() if isinstance(module, _BatchNorm)]
    recipe, fabric = training.recipe, training.fabric
    model = training.model.train()
    if not recipe.precise_steps:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with seeded(recipe.seed, "precise", fabric.global_rank), fabric.autocast():
        for examples in training.examples("precise order", range(recipe.precise_steps)):
            images = [_drawn(one, recipe.flip, fabric.device)[0] for one in examples]
            model.backbone(model.transform(images)[0].tensors)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _drawn(example: Example, flip: float, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
    """The image in [0, 1] and what is to be found there, mirrored as often as `flip` says.

    Crowds are no examples, nor is what has no area.
    """
    pixels, objects = example
    kept = ~objects.crowds & (objects.boxes[:, 2:] > objects.boxes[:, :2]).all(dim=1)
    image, boxes, masks = _in_unit(pixels, device), objects.boxes[kept], objects.masks[kept].to(device)
    if torch.rand(()) < flip:
        image, masks, width = image.flip(2), masks.flip(2), image.shape[2]
        left, top, right, bottom = boxes.unbind(1)
        boxes = torch.stack([width - right, top, width - left, bottom], dim=1)
    labels = objects.labels[kept] + 1  # 0 is the background
    return image, {"boxes": boxes.to(device), "labels": labels.to(device), "masks": masks}


def _in_unit(pixels: Tensor, device: torch.device) -> Tensor:
    return pixels.to(device).float() / 255


def _ahead(read: Callable[[int], Read], batches: Iterable[Sequence[int]]) -> Iterator[list[Read]]:
    """What `read` gives of the rows of every batch; threads read it a little before it is asked for."""
    with ThreadPoolExecutor(_READERS) as pool:
        waiting: deque[list[Future[Read]]] = deque()
        for rows in batches:
            waiting.append([pool.submit(read, row) for row in rows])
            if len(waiting) > _AHEAD:
                yield [one.result() for one in waiting.popleft()]
        for batch in waiting:
            yield [one.result() for one in batch]
