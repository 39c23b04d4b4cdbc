"""The transfer suite: models x data sets x protocols, as A Table 4 and B Tables 3 to 5 have them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm

from workbook.data.images import Images
from workbook.data.manifests import load_manifest
from workbook.data.sources import load_images
from workbook.errors import MissingDataError
from workbook.evaluation.extraction import POOLED, Features
from workbook.evaluation.finetuning import finetune, finetune_1000_recipe, fitted
from workbook.evaluation.stagewise import pooled_accuracy
from workbook.lab import Lab
from workbook.models.pretrained import Pretrained
from workbook.pretraining.ablations import trained
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import Run, train_all
from workbook.probes.few_shot import FewShotRecipe, draw_episodes, few_shot
from workbook.probes.knn import knn_accuracy
from workbook.probes.linear import ProbeRecipe
from workbook.probes.many_labels import labels_probe
from workbook.probes.sgd import SGDProbeRecipe, sgd_probe
from workbook.progress import progress_bar

Source = Run | Pretrained  # whose features are frozen

# Part of the key of every score that this module stores. Raise it when a change of the code alters one.
TRANSFER_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Task:
    """A downstream data set, or one side of its concept split."""

    dataset: str  # a manifest's name or path
    side: str | None
    train: Images
    test: Images
    validation: Images | None = None  # where the data set has an official one

    @property
    def name(self) -> str:
        """As reports say it, which is not where the manifest lies."""
        return self.train.name if self.side is None else f"{self.train.name}:{self.side}"

    @property
    def many_labels(self) -> bool:
        return self.train.many_labels


def load_task(name: str, images_per_class: int | None = None) -> Task:
    """The task of this name: a manifest's name or path, with a side as in "cifar100:eval".

    At most `images_per_class` training images, and as many to validate; all test images. Raises what `load_images`
    does.
    """
    dataset, _, side = name.partition(":")
    splits = [split for split in ("train", "val", "test") if split in load_manifest(dataset).splits]
    found = {split: load_images(dataset, split, side=side or None) for split in splits}
    validation = found["val"].per_class(images_per_class) if "val" in found else None
    train, test = found["train"].per_class(images_per_class), found["test"]
    return Task(dataset=dataset, side=side or None, train=train, test=test, validation=validation)


def load_present(names: Sequence[str], images_per_class: int | None = None) -> tuple[list[Task], dict[str, str]]:
    """The tasks whose data is on this machine; for each of the others what is missing and how to get it."""
    present, missing = [], {}
    for name in names:
        try:
            present.append(load_task(name, images_per_class))
        except MissingDataError as error:
            missing[name] = str(error)
    return present, missing


class TransferProtocol(Protocol):
    """How the transfer of a run to a task is scored."""

    def score(self, run: Run, task: Task, lab: Lab) -> dict[str, Any]:
        """At least `accuracy`, top-1 in percent; the score comes from the store where it was computed before.

        Of a task with many labels an image it is `mAP`, in percent, and `accuracy` is NaN. Where the task is none for
        this protocol, `accuracy` is NaN and `problem` says why.
        """
        ...


@dataclass(frozen=True)
class LinearProbe:
    """B App. H.1: L2-regularised logistic regression on the pooled features; of many labels one for each of them.

    C is chosen on the official validation images where there are some, else on a part of the training images.
    """

    probe: ProbeRecipe = field(default_factory=ProbeRecipe)

    def score(self, run: Source, task: Task, lab: Lab) -> dict[str, float]:
        train, test = _features(run, task, lab)
        validation = None if task.validation is None else Features(run, task.validation, POOLED, lab)
        if task.many_labels:
            return self._of_labels(train, test, validation, lab)
        return {"accuracy": pooled_accuracy(train, test, self.probe, lab, validation=validation)}

    def _of_labels(self, train: Features, test: Features, validation: Features | None, lab: Lab) -> dict[str, float]:
        parts = [part for part in (train, test, validation) if part is not None]

        def compute() -> dict[str, float]:
            (train_x, train_y), (test_x, test_y), *chooser = [(part.layer("pooled"), part.labels) for part in parts]
            given = (train_x, train_y, test_x, test_y, self.probe)
            found = labels_probe(*given, device=lab.fabric.device, validation=chooser[0] if chooser else None)
            return {"mAP": found.mean_average_precision, "left_out": found.left_out}

        return {"accuracy": float("nan")} | _remembered(compute, self, parts, lab)


@dataclass(frozen=True)
class SGDProbe:
    """A 3.1: a linear classifier on the frozen backbone, trained by SGD."""

    probe: SGDProbeRecipe = field(default_factory=SGDProbeRecipe)

    def score(self, run: Source, task: Task, lab: Lab) -> dict[str, Any]:
        if task.many_labels:
            return _one_label_alone(task)
        train, test = _features(run, task, lab)

        def compute() -> dict[str, float]:
            parts = (train.layer("pooled"), train.labels, test.layer("pooled"), test.labels)
            return {"accuracy": sgd_probe(*parts, self.probe, device=lab.fabric.device)}

        return _remembered(compute, self, (train, test), lab)


@dataclass(frozen=True)
class NearestNeighbours:
    """k-NN on the pooled features, by cosine; as many neighbours as there are images where those are fewer."""

    k: int = 20

    def score(self, run: Source, task: Task, lab: Lab) -> dict[str, Any]:
        if task.many_labels:
            return _one_label_alone(task)
        train, test = _features(run, task, lab)

        def compute() -> dict[str, float]:
            parts = (train.layer("pooled"), train.labels, test.layer("pooled"), test.labels)
            return {"accuracy": knn_accuracy(*parts, k=min(self.k, len(train.labels)), device=lab.fabric.device)}

        return _remembered(compute, self, (train, test), lab)


@dataclass(frozen=True)
class FewShot:
    """A Table 4: episodes drawn from all images of the set, on pooled features."""

    episodes: FewShotRecipe = field(default_factory=FewShotRecipe)

    def score(self, run: Source, task: Task, lab: Lab) -> dict[str, Any]:
        if task.many_labels:
            return _one_label_alone(task)
        parts = _features(run, task, lab)
        labels = np.concatenate([part.labels for part in parts])
        try:  # the labels alone decide whether there are classes and images enough
            draw_episodes(labels[:, None].astype(np.float32), labels, self.episodes)
        except ValueError as error:
            return {"accuracy": float("nan"), "problem": str(error)}

        def compute() -> dict[str, float]:
            # not in the paper: both splits, since nothing is trained on either, and Omniglot has 20 images a class
            x = np.concatenate([part.layer("pooled") for part in parts])
            result = few_shot(x, labels, self.episodes, device=lab.fabric.device)
            return {"accuracy": result.accuracy, "half_width": result.half_width}

        return _remembered(compute, self, parts, lab)


@dataclass(frozen=True)
class Finetuning:
    """A Table 4 and B 5.3: the whole network, trained on the task; a run of its own.

    recipe: one of `evaluation.finetuning`. It sees as many training images of the task's side as it says; where it says
    nothing, `images_per_class` of them. base: a supervised recipe, whose crops and flips all runs are finetuned with.
    """

    recipe: Callable[..., Recipe]
    base: Recipe
    epochs: int | None = None  # None = as many as the recipe says
    images_per_class: int | None = None  # None = all

    def recipe_of(self, run: Run, task: Task) -> Recipe | None:
        """What is trained; None where the task is none for it."""
        if task.many_labels and self.recipe is finetune_1000_recipe:
            return None
        of_run = {name: getattr(run.recipe, name) for name in ("backbone", "small_stem", "image_size", "seed")}
        recipe = self.recipe(replace(self.base, **of_run), task.dataset, run.start(), side=task.side)
        recipe = trained(recipe, self.epochs or recipe.epochs)
        return recipe if recipe.images is not None else replace(recipe, images_per_class=self.images_per_class)

    def score(self, run: Run, task: Task, lab: Lab) -> dict[str, Any]:
        recipe = self.recipe_of(run, task)
        if recipe is None:
            return _one_label_alone(task)
        row = finetune(recipe, task.test, lab)
        measure = "mAP" if task.many_labels else "accuracy"
        scores = {name: float(str(row[name])) for name in (measure, f"{measure}_before")}
        return {"accuracy": float("nan")} | scores


def transfer_suite(
    runs: Sequence[Run], tasks: Sequence[Task], protocols: Mapping[str, TransferProtocol], lab: Lab
) -> pd.DataFrame:
    """Every run scored on every task by every protocol, one row each.

    Columns: method, seed, run (its key), dataset (the task's name), protocol, accuracy (percent, top-1), and what some
    protocols say besides: `half_width` of the 95 % interval over episodes, `accuracy_before` the first step of a
    finetuning, and the `problem` of a task that is none for a protocol, whose accuracy is NaN. So it is where an image
    has many labels; there `mAP` (percent, `mAP_before` a finetuning) says it, without the `left_out` labels that no
    test image has.
    """
    if not tasks:
        remedy = "`workbook data show NAME` says how to get one"
        raise MissingDataError(f"none of the downstream sets is on this machine: {remedy}")
    jobs = [_Score(name, protocols[name], task, run) for name in protocols for task in tasks for run in runs]
    _finetune_all(jobs, lab)
    with progress_bar("transfer", len(jobs), unit="scores") as bar:
        return pd.DataFrame([row for _, row in lab.map(_scored, jobs, bar, title=lambda job: job.title)])


@dataclass(frozen=True)
class _Score:
    """A run that is scored on a task by a protocol of this name."""

    name: str
    protocol: TransferProtocol
    task: Task
    run: Run

    @property
    def title(self) -> str:
        return f"{self.name} on {self.task.name}: {self.run.recipe.title}"


def _scored(job: _Score, lab: Lab, bar: tqdm) -> dict[str, Any]:
    """A row of `transfer_suite`."""
    run = job.run.at(lab)
    row = {"method": run.recipe.method, "seed": run.recipe.seed, "run": run.key, "dataset": job.task.name}
    row |= {"protocol": job.name} | job.protocol.score(run, job.task, lab)
    bar.update()
    return row


def _finetune_all(jobs: Sequence[_Score], lab: Lab) -> None:
    """Train what they finetune, all at once and before anything is scored, so that it is shared like any runs."""
    found = [job.protocol.recipe_of(job.run, job.task) for job in jobs if isinstance(job.protocol, Finetuning)]
    if recipes := [fitted(recipe, lab) for recipe in found if recipe is not None]:
        train_all(recipes, lab)


def _one_label_alone(task: Task) -> dict[str, Any]:
    problem = f"an image of {task.name} has many labels, and this protocol takes one"
    return {"accuracy": float("nan"), "problem": problem}


def _features(run: Source, task: Task, lab: Lab) -> tuple[Features, Features]:
    return Features(run, task.train, POOLED, lab), Features(run, task.test, POOLED, lab)


def _remembered(
    compute: Callable[[], dict[str, float]], protocol: Any, parts: Sequence[Features], lab: Lab
) -> dict[str, float]:
    spec = {"protocol": type(protocol).__name__, "choices": asdict(protocol), "version": TRANSFER_VERSION}
    return lab.store.remember("scores", spec | {"features": [part.key for part in parts]}, compute)
