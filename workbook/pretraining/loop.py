"""The one pretraining loop: images and a recipe to checkpoints and a history.

All randomness of an epoch comes from seeds derived from (recipe's seed, epoch), so that the state at the end of an
epoch is all that a resumed run needs to end where an uninterrupted one does.
"""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from lightning_fabric import Fabric
from safetensors.torch import save as to_safetensors
from timm.layers import convert_sync_batchnorm
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from tqdm import tqdm

from workbook.data.batches import MemoryBatches, WorkerBatches, plain_batches, shuffled
from workbook.data.images import Images
from workbook.errors import DivergedError
from workbook.files import write_atomically
from workbook.models.backbones import create_backbone
from workbook.models.projectors import MLPProjector
from workbook.pretraining.model import Encoder, Model, Moment, StepResult, model_of
from workbook.pretraining.optimizers import create_optimizer, set_learning_rate
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.replay import Replayed, Update
from workbook.pretraining.resume import Writer, read_state
from workbook.progress import count_earlier
from workbook.seeding import derive_seed, seeded

HISTORY = "history.json"
_RESUME = "resume.pt"
# how much work a kill may cost; writing the state after every epoch of seconds would take as long
RESUME_SECONDS = 60.0
# from so many images on, the backbone on a GPU is compiled, which takes about twenty seconds in a process and saves a
# fifth of every step after
_COMPILED_FROM = 1_000_000
_PLAIN_BATCH = 256


def checkpoint_name(epoch: int) -> str:
    return f"epoch_{epoch:04d}.safetensors"


def files_of(recipe: Recipe) -> list[str]:
    """What `pretrain` leaves in its folder."""
    return [HISTORY, *map(checkpoint_name, recipe.saved_epochs)]


@dataclass
class Training:
    """A recipe, the device that it trains on, and what changes from step to step."""

    recipe: Recipe
    fabric: Fabric
    model: Model
    wrapped: nn.Module  # the model as Fabric wraps it
    optimizer: torch.optim.Optimizer
    ema: ModelEmaV3 | None
    recorded: bool  # its steps are replayed

    def __post_init__(self) -> None:
        self.update: Update = Replayed(self._update, self.fabric.device) if self.recorded else self._update

    @property
    def parts(self) -> dict[str, Any]:
        """What a resumed run continues from, by its name in the file."""
        parts = {"method": self.model, "optimizer": self.optimizer, "ema": self.ema}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def result(self) -> nn.Module:
        """What a checkpoint holds."""
        return self.model if self.ema is None else self.ema.module

    def step(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        """One batch: every part of the method's step, its moving average, and what the first part found."""
        set_learning_rate(self.optimizer, learning_rate(self.recipe, moment.step, moment.steps))
        self.model.begin_step(moment)
        return self.update(views, labels, moment)

    def _update(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        results = []
        for part in self.model.parts(moment):
            results.append(self.wrapped(views, labels, part))
            self.fabric.backward(results[-1].loss)
            self.model.after_backward(part)
            if (largest := self.recipe.clip_norm) is not None:
                # a gradient that is not finite makes the loss so, and the epoch's end says what to do
                self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=largest, error_if_nonfinite=False)
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.model.after_step(moment)
        if self.ema is not None:
            self.ema.update(self.model, moment.step + 1)
        return results[0]


def pretrain(
    recipe: Recipe,
    images: Images,
    folder: Path,
    fabric: Fabric,
    *,
    backbone: dict[str, Tensor] | None = None,
    bar: tqdm | None = None,
) -> None:
    """Train `recipe` on `images` and leave in `folder` its checkpoints and history; resumes what is there.

    backbone: the first weights of the backbone's model, where the recipe has a start. With `recipe.ema` the
    checkpoints hold the moving average. bar: is told of every image (see `images_to_train`).
    The history has one row an epoch: epoch, loss and accuracy (percent; NaN where the method does not classify) over
    the epoch's augmented batches, lr at its end, images_per_second, seconds; and, where a method's embeddings could
    collapse, their spread (mean over the epoch, see `method.embedding_spread`).
    Raises DivergedError when the loss is no longer finite, ValueError where the method cannot train on these images,
    or the weights of its start are missing.
    """
    bar = tqdm(disable=True) if bar is None else bar
    # what the first process sees of the folder counts for all
    done, resumed = fabric.broadcast(tuple((folder / name).exists() for name in (HISTORY, _RESUME)))
    if done:  # trained to its end, and interrupted before it was sealed
        count_earlier(bar, images_to_train(recipe, images))
        (folder / _RESUME).unlink(missing_ok=True)
        return
    if recipe.start is not None and backbone is None:
        raise ValueError("the recipe has a start, and its weights did not come: let `runs.train` load them")
    model = _first_model(recipe, images, fabric, backbone, resumed=resumed)
    recorded = can_replay(recipe, model, fabric)
    compiled = recorded and images_to_train(recipe, images) >= _COMPILED_FROM
    training = set_up(recipe, model, fabric, recorded=recorded, compiled=compiled)
    views = model.views(recipe.augmentation, recipe.image_size)
    source: MemoryBatches | WorkerBatches
    if images.image_size is None:
        shared = {"rank": fabric.global_rank, "world": fabric.world_size}
        source = WorkerBatches(images, views, fabric.device, **shared)
    else:
        source = MemoryBatches(images, recipe.image_size, views, fabric.device)
    history = _resume(folder, training)
    if not history and 0 in recipe.saved_epochs:
        _save_checkpoint(folder, training, 0)
    count_earlier(bar, images_to_train(recipe, images, epochs=len(history)))
    kept = time.monotonic()
    with Writer(folder / _RESUME) as resume:
        for epoch in range(len(history) + 1, recipe.epochs + 1):
            bar.set_postfix({"epoch": f"{epoch}/{recipe.epochs}"} | _shown(history))
            history.append(_train_epoch(training, source, len(images), epoch, bar))
            if epoch in recipe.saved_epochs:
                _save_checkpoint(folder, training, epoch)
            if time.monotonic() - kept >= RESUME_SECONDS:
                _save_resume(resume, training, history)
                kept = time.monotonic()
    if fabric.is_global_zero:
        write_atomically(folder / HISTORY, pd.DataFrame(history).to_json(orient="records", indent=1))
        (folder / _RESUME).unlink(missing_ok=True)
    fabric.barrier()


def images_to_train(recipe: Recipe, images: Images, *, epochs: int | None = None) -> int:
    """How many images the recipe's epochs show, those of a last, incomplete batch left out; of `epochs` where given."""
    return len(images) // recipe.batch_size * recipe.batch_size * (recipe.epochs if epochs is None else epochs)


def create_model(recipe: Recipe, num_classes: int) -> Model:
    """The untrained method of a recipe; weights come from torch's global generator."""
    shape = {name: getattr(recipe, name) for name in ("image_size", "small_stem", "drop_path", "global_pool")}
    backbone = create_backbone(recipe.backbone, **shape)
    mlp = None if recipe.projector is None else MLPProjector(backbone.num_features, **asdict(recipe.projector))
    return model_of(recipe.objective)(recipe.objective, Encoder(backbone, mlp), num_classes)


def _first_model(
    recipe: Recipe, images: Images, fabric: Fabric, backbone: dict[str, Tensor] | None, *, resumed: bool
) -> Model:
    """The method before its first step; of one that is resumed, only what its state is loaded into."""
    with seeded(recipe.seed, "initialisation"):
        model = create_model(recipe, len(images.class_names))
    model.check(len(images), recipe.batch_size)
    if backbone is not None:
        model.backbone.model.load_state_dict(backbone)
    model = model.to(memory_format=torch.channels_last).to(fabric.device)
    if not resumed:
        # Fabric wraps the method later, and then gives every device what the first one has
        with fabric.autocast():
            model.begin(plain_batches(images, recipe.image_size, _PLAIN_BATCH, fabric.device))
    return model


def set_up(recipe: Recipe, model: Model, fabric: Fabric, *, recorded: bool = False, compiled: bool = False) -> Training:
    """The training before its first step. recorded: its steps are replayed, see `can_replay`. compiled: the backbone
    is, at its first step."""
    names = ("lr", "momentum", "weight_decay", "decay_embeddings", "adam_beta", "layer_decay")
    chosen = {name: getattr(recipe, name) for name in names}
    if recipe.sync_norm and fabric.world_size > 1:
        if fabric.device.type != "cuda":
            raise ValueError(f"torch has no batch norm over several devices for {fabric.device.type}: sync_norm=False")
        model = convert_sync_batchnorm(model)
    if compiled:
        model.backbone.model.compile()
    # the decay grows from 0 with the steps, or the average of a short training would be its start
    ema = None if recipe.ema is None else ModelEmaV3(model, recipe.ema, use_warmup=True)
    optimizer = create_optimizer(recipe.optimizer, model, **chosen, recorded=recorded)
    wrapped, optimizer = fabric.setup(model, optimizer)
    return Training(recipe, fabric, model, wrapped, optimizer, ema, recorded)


def can_replay(recipe: Recipe, model: Model, fabric: Fabric) -> bool:
    """Whether every step is the same work for this device: LARS and the moving average compute rates in Python."""
    return _records(fabric) and model.alike() and recipe.ema is None and recipe.optimizer != "lars"


def _records(fabric: Fabric) -> bool:
    """Whether steps can be replayed on this device: on one GPU, as gradients that are averaged come from elsewhere."""
    return fabric.device.type == "cuda" and fabric.world_size == 1


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Linear warm-up, then one cosine down to 0, at step `step` of `total`; rates are scaled by batch_size / 1024."""
    first, peak = (rate * recipe.batch_size / 1024 for rate in (recipe.warmup_lr, recipe.lr))
    warmup = total * recipe.warmup_epochs // recipe.epochs
    if step < warmup:
        return first + (peak - first) * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _train_epoch(
    training: Training, source: MemoryBatches | WorkerBatches, count: int, epoch: int, bar: tqdm
) -> dict[str, float]:
    """One epoch; its row of the history."""
    recipe, fabric = training.recipe, training.fabric
    generator = torch.Generator().manual_seed(derive_seed(recipe.seed, "order", epoch))
    order = shuffled(count, recipe.batch_size, generator, rank=fabric.global_rank, world=fabric.world_size)
    first, total = (epoch - 1) * len(order), recipe.epochs * len(order)
    sums: dict[str, Tensor] = {}
    started = time.perf_counter()
    training.wrapped.train()
    with seeded(recipe.seed, "epoch", epoch, fabric.global_rank):
        batches = source.batches(order, derive_seed(recipe.seed, "views", epoch))
        for step, (views, labels) in enumerate(batches, start=first):
            result = training.step(views, labels, Moment(step, total, recipe.epochs))
            for name, value in result._asdict().items():
                if value is not None:
                    sums[name] = sums.get(name, 0) + value.detach()
            bar.update(recipe.batch_size)
    loss = _over_devices(fabric, sums["loss"] / len(order), "mean")
    seconds = time.perf_counter() - started  # only now has a GPU done what it was told
    lr = learning_rate(recipe, first + len(order) - 1, total)
    if not math.isfinite(loss):
        found = f"the loss of {recipe.method} is {loss} in epoch {epoch} (lr {lr:.3g})"
        raise DivergedError(f"{found}: lower lr, or set clip_norm")
    seen = len(order) * recipe.batch_size
    row = {"epoch": epoch, "loss": loss, "accuracy": math.nan, "lr": lr}
    if "correct" in sums:
        row["accuracy"] = 100 * _over_devices(fabric, sums["correct"], "sum") / seen
    if "spread" in sums:
        row["spread"] = _over_devices(fabric, sums["spread"] / len(order), "mean")
    return row | {"images_per_second": seen / seconds, "seconds": seconds}


def _shown(history: list[dict[str, float]]) -> dict[str, str]:
    """What the bar says of the last complete epoch."""
    row = history[-1] if history else {}
    what = "accuracy" if math.isfinite(row.get("accuracy", math.nan)) else "spread"
    return {name: f"{row[name]:{form}}" for name, form in (("loss", ".3f"), (what, ".3g")) if name in row}


def _over_devices(fabric: Fabric, value: Tensor, how: str) -> float:
    return float(cast(Tensor, fabric.all_reduce(value, reduce_op=how)))


def _save_checkpoint(folder: Path, training: Training, epoch: int) -> None:
    if training.fabric.is_global_zero:
        tensors = {name: tensor.contiguous().cpu() for name, tensor in training.result.state_dict().items()}
        write_atomically(folder / checkpoint_name(epoch), to_safetensors(tensors))


def _save_resume(resume: Writer, training: Training, history: list[dict[str, float]]) -> None:
    if training.fabric.is_global_zero:
        resume.write({name: part.state_dict() for name, part in training.parts.items()} | {"history": history})


def _resume(folder: Path, training: Training) -> list[dict[str, float]]:
    """Load the state after the last complete epoch, where there is one; the history so far."""
    state = read_state(folder / _RESUME, training.fabric)
    if state is None:
        return []
    # how its groups are stepped is the recipe's and this device's matter: a run may go on where steps are replayed
    state["optimizer"]["param_groups"] = training.optimizer.state_dict()["param_groups"]
    for name, part in training.parts.items():
        part.load_state_dict(state[name])
    return state["history"]
