"""Runs: recipes that were trained, from the store or trained now."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from workbook.data.images import Images
from workbook.data.sources import load_images
from workbook.errors import CheckpointError
from workbook.models.checkpoints import from_checkpoint
from workbook.pretraining.loop import HISTORY, checkpoint_name, create_method, images_to_train, pretrain
from workbook.pretraining.method import Method
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.starts import RunStart
from workbook.progress import expect, progress_bar
from workbook.store import Artefact, Store

# Part of every run's key. Raise it when a change of the code alters what the same recipe trains.
LOOP_VERSION = 1


@dataclass(frozen=True)
class Run:
    """A trained recipe: checkpoints over epochs, history, provenance."""

    recipe: Recipe
    artefact: Artefact
    class_names: tuple[str, ...]
    stored: bool  # it was in the store already

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch, see `loop.pretrain`."""
        return pd.read_json(self.artefact.file(HISTORY), orient="records")

    def method(self, epoch: int | None = None) -> Method:
        """Backbone, projector and all else at the end of `epoch` (None = the last), in evaluation mode, on the CPU."""
        epoch = self.recipe.epochs if epoch is None else epoch
        if epoch not in self.recipe.saved_epochs:
            raise ValueError(
                f"run {self.artefact.key} has no checkpoint of epoch {epoch}; it has {self.recipe.saved_epochs}"
            )
        with torch.random.fork_rng(devices=[]):  # the fresh weights are replaced at once
            method = create_method(self.recipe, len(self.class_names))
        method.load_state_dict(load_file(self.artefact.file(checkpoint_name(epoch))))
        return method.eval().to(memory_format=torch.channels_last)

    def start(self, epoch: int | None = None) -> RunStart:
        """Its backbone at the end of `epoch` (None = the last), as the start of another recipe."""
        return RunStart(run=self.artefact.key, epoch=self.recipe.epochs if epoch is None else epoch)


def pretraining_images(recipe: Recipe) -> Images:
    """The training images of a recipe: its side of the concept split, thinned to its number a class or of all."""
    # not in the paper: every seed sees the same subset, so that seeds differ in weights and order alone
    images = load_images(recipe.dataset, "train", side=recipe.side)
    return images.per_class(recipe.images_per_class).drawn(recipe.images)


@dataclass(frozen=True)
class _Planned:
    """A recipe with the images that it trains on, and what the store knows its run by."""

    recipe: Recipe
    images: Images
    spec: Mapping[str, Any]

    @property
    def work(self) -> int:
        return images_to_train(self.recipe, self.images)

    def stored(self, store: Store, fabric: Fabric) -> bool:
        return fabric.broadcast(store.find("runs", self.spec) is not None)

    def run(self, store: Store, *, stored: bool) -> Run:
        return Run(self.recipe, store.get("runs", self.spec), self.images.class_names, stored)


def train(recipe: Recipe, store: Store, fabric: Fabric) -> Run:
    """The run of this recipe: from the store, or trained now (and resumed where it was interrupted).

    Raises CheckpointError, before anything is trained, where the recipe's start cannot be had or does not fit.
    """
    (run,) = train_all([recipe], store, fabric)
    return run


def train_all(recipes: Sequence[Recipe], store: Store, fabric: Fabric) -> list[Run]:
    """The runs of these recipes, in their order; what the store holds is not trained again.

    A run that another process trains just now is left until the others are done, so that processes which want the
    same runs share the work, on one machine or on several with one store. Raises what `train` does.
    """
    planned = _plan(recipes, fabric)
    runs = {at: plan.run(store, stored=True) for at, plan in enumerate(planned) if plan.stored(store, fabric)}
    left = [at for at in range(len(planned)) if at not in runs]
    if left:
        with progress_bar("runs", sum(planned[at].work for at in left), shown=fabric.is_global_zero) as bar:
            runs |= _train_left(planned, left, store, fabric, bar)
    return [runs[at] for at in range(len(planned))]


def _train_left(
    planned: Sequence[_Planned], left: Sequence[int], store: Store, fabric: Fabric, bar: tqdm
) -> dict[int, Run]:
    """The runs of the plans at `left`; the bar expects the images of all of them, and is told which come without us."""
    runs: dict[int, Run] = {}
    elsewhere: set[int] = set()
    wait = False
    while left:
        for at in left:
            plan = planned[at]
            titled = f"run {at + 1} of {len(planned)}: " if len(planned) > 1 else ""
            bar.set_description_str(titled + plan.recipe.title)
            with _held(plan, store, fabric, wait=wait) as held:
                missing = held and not plan.stored(store, fabric)
                if missing == (at in elsewhere):  # ours now after all, or known not to be
                    expect(bar, plan.work if missing else -plan.work)
                    elsewhere ^= {at}
                if missing:
                    _train(plan, store, fabric, bar)
            if held:
                runs[at] = plan.run(store, stored=not missing)
                wait = False
        left, before = [at for at in left if at not in runs], len(left)
        wait = len(left) == before  # others train all that is left: wait for the first of them
    return runs


@contextmanager
def _held(plan: _Planned, store: Store, fabric: Fabric, *, wait: bool) -> Iterator[bool]:
    """Under the lock of the run, which the first process takes for all of ours; whether it is held."""
    title = plan.recipe.title
    with store.lock("runs", plan.spec, title=title, wait=wait) if fabric.is_global_zero else nullcontext(True) as held:
        yield fabric.broadcast(held)


def _plan(recipes: Sequence[Recipe], fabric: Fabric) -> list[_Planned]:
    opened: dict[tuple[object, ...], Images] = {}  # a sweep is over few sets of images, and their digest takes time
    planned = []
    for recipe in recipes:
        which = (recipe.dataset, recipe.side, recipe.images_per_class, recipe.images)
        images = opened[which] = opened.get(which) or pretraining_images(recipe)
        spec = {
            "recipe": recipe,
            "data": images.digest,
            "precision": fabric._precision.precision,
            "loop": LOOP_VERSION,
        }
        planned.append(_Planned(recipe, images, spec))
    return planned


def _train(plan: _Planned, store: Store, fabric: Fabric, bar: tqdm) -> None:
    backbone = start_weights(plan.recipe, store)
    with store.workdir("runs", plan.spec) as folder:
        pretrain(plan.recipe, plan.images, folder, fabric, backbone=backbone, bar=bar)
    if fabric.is_global_zero:
        store.seal("runs", plan.spec)
    fabric.barrier()


def start_weights(recipe: Recipe, store: Store) -> dict[str, Tensor] | None:
    """The weights that the recipe's start gives the backbone's model; None without a start.

    A projector, a head or a target that the start has besides stays behind.
    Raises CheckpointError where there is no such run, epoch or file, or the weights are of another backbone.
    """
    start = recipe.start
    if start is None:
        return None
    load = partial(
        from_checkpoint,
        architecture=recipe.backbone,
        image_size=recipe.image_size,
        small_stem=recipe.small_stem,
    )
    if isinstance(start, RunStart):
        return load(_run_checkpoint(start, recipe, store), prefix="backbone.model.").backbone.model.state_dict()
    model = load(Path(start.path), part=start.part, prefix=start.prefix)
    if model.digest != start.digest:
        raise CheckpointError(
            f"the weights in {start.path} are not those that the recipe names (their digest is {model.digest}, "
            f"not {start.digest}): make the start anew with `file_start`"
        )
    return model.backbone.model.state_dict()


def _run_checkpoint(start: RunStart, recipe: Recipe, store: Store) -> Path:
    run = next((found for found in store.artefacts() if found.key == start.run), None)
    if run is None or "recipe" not in run.spec:
        raise CheckpointError(
            f"{store.root} has no run {start.run} to start from: train it first, or take another key "
            "(`workbook store list` shows them)"
        )
    own = run.spec["recipe"]
    if (own["backbone"], own["small_stem"]) != (recipe.backbone, recipe.small_stem):
        raise CheckpointError(
            f"run {start.run} is a {own['backbone']} with small_stem={own['small_stem']} and cannot start a "
            f"{recipe.backbone} with small_stem={recipe.small_stem}: give the recipe the backbone of its start"
        )
    if checkpoint_name(start.epoch) not in run.checksums:
        kept = sorted({own["epochs"], *own["checkpoint_epochs"]})
        raise CheckpointError(f"run {start.run} has no checkpoint of epoch {start.epoch}: start from one of {kept}")
    return run.file(checkpoint_name(start.epoch))


def run_table(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run: what its last epoch was like, how fast it trained, and whether the store had it."""
    rows = []
    for run in runs:
        history = run.history
        rows.append(
            {
                "method": run.recipe.method,
                "seed": run.recipe.seed,
                "epochs": run.recipe.epochs,
                "loss": history["loss"].iloc[-1],
                "train_accuracy": history["accuracy"].iloc[-1],
                "images_per_second": history["images_per_second"].median(),
                "minutes": history["seconds"].sum() / 60,
                "from_store": run.stored,
                "key": run.artefact.key,
            }
        )
    return pd.DataFrame(rows)
