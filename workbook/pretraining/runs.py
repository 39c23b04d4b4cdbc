"""Runs: recipes that were trained, from the store or trained now."""

import html
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from workbook.data.images import Images
from workbook.data.sources import load_images
from workbook.engines.outcomes import Failures
from workbook.errors import CheckpointError, ManifestError, NotStoredError, did_you_mean, going_on
from workbook.keys import Named, key_of, restored
from workbook.lab import Lab
from workbook.models.checkpoints import from_checkpoint
from workbook.models.pretrained import Pretrained
from workbook.pretraining.loop import HISTORY, checkpoint_name, create_model, files_of, images_to_train, pretrain
from workbook.pretraining.many_labels import MultiLabel
from workbook.pretraining.model import Model, model_of
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.starts import FileStart, RunStart
from workbook.progress import expect, progress_bar
from workbook.provenance import other_versions
from workbook.store import Artefact, Store

# Part of every run's key. Raise it when a change of the code alters what the same recipe trains.
LOOP_VERSION = 5

_RESUMED = "the run under way goes on from its last epoch that was kept; those that are done are stored"
_TICK = 1.0  # seconds between two looks at a lock that another process holds


@dataclass(frozen=True)
class Run:
    """A trained recipe: checkpoints over epochs, history, provenance."""

    recipe: Recipe
    artefact: Artefact
    class_names: tuple[str, ...] | None  # None where the run was looked up by its key, without its images
    stored: bool  # it was in the store already

    def __repr__(self) -> str:
        return f"Run({self.recipe.title}, to epoch {self.recipe.epochs}: {self.key})"

    @property
    def key(self) -> str:
        return self.artefact.key

    def at(self, lab: Lab) -> "Run":
        """The run as the lab's store has it, which is elsewhere on another machine; as it is where that has none."""
        found = lab.store.by_key("runs", self.key)
        return self if found is None else replace(self, artefact=found)

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch, see `loop.pretrain`."""
        return pd.read_json(self.artefact.file(HISTORY), orient="records")

    def model(self, epoch: int | None = None) -> Model:
        """Backbone, projector and all else at the end of `epoch` (None = the last), in evaluation mode, on the CPU.

        Of DINO they are the teacher's, see `DINOChoices.evaluated`.
        """
        state = load_file(self._checkpoint(epoch))
        # only a classifier is asked how many classes there are
        classes = len(state["head.weight"]) if "head.weight" in state else 0
        with torch.random.fork_rng(devices=[]):  # the fresh weights are replaced at once
            model = create_model(self.recipe, classes)
        model.load_state_dict(state)
        for part, name in model.read_from(self.recipe.objective).items():
            setattr(model, part, model.get_submodule(name))
        return model.eval().to(memory_format=torch.channels_last)

    def backbone(self, epoch: int | None = None, *, image_size: int | None = None) -> Pretrained:
        """The backbone at the end of `epoch` (None = the last), and, of a method that classifies, what it reads its
        features by as the head: a projector belongs to that, and else stays behind as a target does.

        image_size: of the images that it is to read; None = those of its recipe.
        """
        size, objective = image_size or self.recipe.image_size, self.recipe.objective
        part = model_of(objective).read_from(objective).get("backbone", "backbone")
        found = _backbone_in(self._checkpoint(epoch), self.recipe, prefix=f"{part}.model.", image_size=size)
        digest = Named(found.digest, self.key)
        return replace(found, name=self.recipe.name, digest=digest, head=self.model(epoch).classifier())

    def _checkpoint(self, epoch: int | None) -> Path:
        epoch = self.recipe.epochs if epoch is None else epoch
        if epoch not in self.recipe.saved_epochs:
            named = f"{self.recipe.title} (run {self.key})"
            raise ValueError(f"{named} has no checkpoint of epoch {epoch}; it has {self.recipe.saved_epochs}")
        return self.artefact.file(checkpoint_name(epoch))

    def start(self, epoch: int | None = None) -> RunStart:
        """Its backbone at the end of `epoch` (None = the last), as the start of another recipe."""
        return RunStart(run=self.key, epoch=self.recipe.epochs if epoch is None else epoch)


class Checkpoint(NamedTuple):
    """A run at the end of an epoch."""

    run: Run
    epoch: int

    @property
    def title(self) -> str:
        return f"{self.run.recipe.title}, epoch {self.epoch}"


def _backbone_in(path: Path, recipe: Recipe, **how: Any) -> Pretrained:
    """The recipe's kind of backbone with a file's weights."""
    shape = {name: getattr(recipe, name) for name in ("small_stem", "global_pool")}
    return from_checkpoint(path, recipe.backbone, **shape, **how)


def load_run(key: str, store: Store) -> Run:
    """The run under this key, as `workbook store list` shows it; its data need not be on this machine.

    Raises CheckpointError where the store has no such run, or one whose recipe this version does not know.
    """
    artefact = store.by_key("runs", key)
    if artefact is None:
        near = did_you_mean(key, store.keys("runs"))
        advice = "train it first, or take one of `workbook store list`"
        raise CheckpointError(f"{store.root} has no run {key}{near}: {advice}")
    try:
        recipe = restored(Recipe, artefact.spec["recipe"])
    except ValueError as error:
        raise CheckpointError(f"run {key} was trained by another version ({error}): train its recipe again") from error
    return Run(recipe, artefact, None, stored=True)


def pretraining_images(recipe: Recipe) -> Images:
    """The training images of a recipe: its side of the concept split, of as many classes, thinned to its number a class
    or of all.

    Raises ManifestError where they have many labels an image and the objective takes one, or the other way round.
    """
    # not in the paper: every seed sees the same subset, so that seeds differ in weights and order alone
    images = load_images(recipe.dataset, "train", side=recipe.side)
    if not isinstance(recipe.objective, MultiLabel):
        images.one_label(f"the objective {recipe.objective.name}")
    elif not images.many_labels:
        what = f"the objective {recipe.objective.name}"
        raise ManifestError(f"an image of {images.name} has one label, and {what} takes many. Choose SL.")
    return images.some_classes(recipe.classes).per_class(recipe.images_per_class).drawn(recipe.images)


class _Unmade(Artefact):
    def file(self, name: str) -> Path:
        raise NotStoredError(f"the run {self.key} is planned and not yet trained: `workbook sweep` trains it")


@dataclass(frozen=True)
class Planned:
    """A recipe with the images that it trains on, and what the store knows its run by."""

    recipe: Recipe
    images: Images
    spec: Mapping[str, Any]

    @property
    def key(self) -> str:
        return key_of(self.spec)

    @property
    def work(self) -> int:
        """How many images its epochs show."""
        return images_to_train(self.recipe, self.images)

    def unmade(self, lab: Lab) -> Run:
        """The run as it will be: what does not read its files can be asked of it."""
        missing = _Unmade(lab.store.root / "runs" / self.key, dict(self.spec), {}, {})
        return Run(self.recipe, missing, self.images.class_names, stored=False)

    def stored(self, lab: Lab) -> bool:
        return lab.fabric.broadcast(lab.store.find("runs", self.spec) is not None)

    def run(self, lab: Lab, *, stored: bool) -> Run:
        return Run(self.recipe, lab.store.get("runs", self.spec), self.images.class_names, stored)

    @contextmanager
    def held(self, lab: Lab, *, wait: bool) -> Iterator[bool]:
        """Under the lock of the run, which the first process takes for all of ours; whether it is held."""
        # several processes look again and again: the others would wait for the first in vain, and be taken for dead
        together = lab.fabric.world_size > 1
        locked = lab.store.lock("runs", self.spec, title=self.recipe.title, wait=wait and not together)
        if wait and together:
            time.sleep(_TICK)
        with locked if lab.fabric.is_global_zero else nullcontext(True) as held:
            yield lab.fabric.broadcast(held)


def train(recipe: Recipe, lab: Lab) -> Run:
    """The run of this recipe: from the store, or trained now (and resumed where it was interrupted).

    Raises CheckpointError, before anything is trained, where the recipe's start cannot be had or does not fit.
    """
    return train_all([recipe], lab)[0]


def train_all(recipes: Sequence[Recipe], lab: Lab) -> "Runs":
    """The runs of these recipes, in their order; what the store holds is not trained again.

    A run that another process trains just now is left until the others are done, so that processes which want the
    same runs share the work, on one machine or on several with one store. A run that fails does not stop the others,
    see `Engine.map`. In a lab that plans, they are put on its list and come back as they will be. Raises what `train`
    does.
    """
    planned = _plan(recipes, lab)
    if lab.planned is not None:
        lab.planned.extend(planned)
        return Runs(plan.unmade(lab) for plan in planned)
    lab.check_together([plan.key for plan in planned])
    runs = {at: plan.run(lab, stored=True) for at, plan in enumerate(planned) if plan.stored(lab)}
    left = [at for at in range(len(planned)) if at not in runs]
    if left:
        work = sum(planned[at].work for at in left)
        with going_on(_RESUMED), progress_bar("runs", work, shown=lab.fabric.is_global_zero) as bar:
            runs |= (_train_apart if lab.engine.apart else _train_left)(planned, left, lab, bar)
    return Runs(runs[at] for at in range(len(planned)))


def _train_apart(planned: Sequence[Planned], left: Sequence[int], lab: Lab, bar: tqdm) -> dict[int, Run]:
    """As `_train_left`, by the other processes of the lab's engine."""
    bar.set_description_str(f"{len(left)} runs")
    for _ in lab.map(_trained, [planned[at] for at in left], bar, title=lambda plan: plan.recipe.title):
        pass
    return {at: planned[at].run(lab, stored=False) for at in left}


def _trained(plan: Planned, lab: Lab, bar: tqdm) -> None:
    """The run of the plan is in the store now."""
    _train_left([plan], [0], lab, bar)


def _train_left(planned: Sequence[Planned], left: Sequence[int], lab: Lab, bar: tqdm) -> dict[int, Run]:
    """The runs of the plans at `left`; the bar expects the images of all of them, and is told which come without us."""
    runs: dict[int, Run] = {}
    elsewhere: set[int] = set()
    failures, asked = Failures(lab), len(left)
    wait = False
    while left:
        for at in left:
            plan = planned[at]
            titled = f"run {at + 1} of {len(planned)}: " if len(planned) > 1 else ""
            bar.set_description_str(titled + plan.recipe.title)
            with failures.of(at, plan.recipe.title), plan.held(lab, wait=wait) as held:
                missing = held and not plan.stored(lab)
                if missing == (at in elsewhere):  # ours now after all, or known not to be
                    expect(bar, plan.work if missing else -plan.work)
                    elsewhere ^= {at}
                if missing:
                    _train(plan, lab, bar)
                if held:
                    runs[at] = plan.run(lab, stored=not missing)
                    wait = False
        left, before = [at for at in left if at not in runs and at not in failures.found], len(left)
        wait = len(left) == before  # others train all that is left: wait for the first of them
    failures.tell(asked)
    return runs


def _plan(recipes: Sequence[Recipe], lab: Lab) -> list[Planned]:
    opened: dict[tuple[object, ...], Images] = {}  # a sweep is over few sets of images, and their digest takes time
    planned = []
    for recipe in recipes:
        which = (recipe.dataset, recipe.side, recipe.classes, recipe.images_per_class, recipe.images)
        images = opened[which] = opened.get(which) or pretraining_images(recipe)
        named = replace(recipe, dataset=images.name)  # where a manifest lies says nothing of what it names
        spec = {"recipe": named, "data": images.digest, "loop": LOOP_VERSION} | lab.trained_by
        planned.append(Planned(recipe, images, spec))
    return planned


def _train(plan: Planned, lab: Lab, bar: tqdm) -> None:
    lab.check_devices(f"the run {plan.key}, {plan.recipe.title},")
    backbone = start_weights(plan.recipe, lab.store)
    with lab.store.workdir("runs", plan.spec) as folder:
        pretrain(plan.recipe, plan.images, folder, lab.fabric, backbone=backbone, bar=bar)
    if lab.fabric.is_global_zero:
        lab.store.seal("runs", plan.spec, files_of(plan.recipe))
    lab.fabric.barrier()


def start_weights(recipe: Recipe, store: Store) -> dict[str, Tensor] | None:
    """The weights that the recipe's start gives the backbone's model; None without a start.

    A projector, a head or a target that the start has besides stays behind.
    Raises CheckpointError where there is no such run, epoch or file, or the weights are of another backbone.
    """
    start = recipe.start
    if start is None:
        return None
    found = _of_run(start, recipe, store) if isinstance(start, RunStart) else _of_file(start, recipe)
    return found.backbone.model.state_dict()


def _of_file(start: FileStart, recipe: Recipe) -> Pretrained:
    how = {"part": start.part, "prefix": start.prefix, "image_size": recipe.image_size}
    found = _backbone_in(Path(start.path), recipe, **how)
    if found.digest != start.digest:
        raise CheckpointError(
            f"the weights in {start.path} are not those that the recipe names (their digest is {found.digest}, "
            f"not {start.digest}): make the start anew with `file_start`"
        )
    return found


def _of_run(start: RunStart, recipe: Recipe, store: Store) -> Pretrained:
    run = load_run(start.run, store)
    own = run.recipe
    if (own.backbone, own.small_stem) != (recipe.backbone, recipe.small_stem):
        raise CheckpointError(
            f"{own.title} (run {start.run}) is a {own.backbone} with small_stem={own.small_stem} and cannot start a "
            f"{recipe.backbone} with small_stem={recipe.small_stem}: give the recipe the backbone of its start"
        )
    if start.epoch not in own.saved_epochs:
        kept = list(own.saved_epochs)
        named = f"{own.title} (run {start.run})"
        raise CheckpointError(f"{named} has no checkpoint of epoch {start.epoch}: start from one of {kept}")
    return run.backbone(start.epoch, image_size=recipe.image_size)


class Runs(list[Run]):
    """Runs that show themselves as `run_table`, and say where other versions made them."""

    @property
    def versions(self) -> str:
        """See `provenance.other_versions`."""
        return other_versions([run.artefact.provenance for run in self])

    def _repr_html_(self) -> str:
        told = f"<p>{html.escape(self.versions)}</p>" if self.versions else ""
        # a loss may be small, and images a second are many
        digits = {"loss": 4, "train_accuracy": 2, "images_per_second": 0, "minutes": 2}
        return run_table(self).round(digits).to_html() + told


def run_table(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run: what its last epoch was like, how fast it trained, and whether the store had it."""
    rows = []
    for run in runs:
        recipe, history = run.recipe, run.history
        row = {"method": recipe.method, "seed": recipe.seed, "epochs": recipe.epochs}
        row |= {"loss": history["loss"].iloc[-1], "train_accuracy": history["accuracy"].iloc[-1]}
        row |= {"images_per_second": history["images_per_second"].median(), "minutes": history["seconds"].sum() / 60}
        rows.append(row | {"from_store": run.stored, "key": run.key})
    return pd.DataFrame(rows)
