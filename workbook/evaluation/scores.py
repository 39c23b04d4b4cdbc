"""Many models measured alike: their weights, features, probes and transfer, and which results may be compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import pandas as pd

from workbook.data.images import Images
from workbook.data.manifests import load_manifest
from workbook.data.sources import load_images
from workbook.errors import CheckpointError, NotStoredError, WorkbookError
from workbook.evaluation.entries import Entry
from workbook.evaluation.extraction import POOLED, Extraction, Features
from workbook.evaluation.injection import CKARecipe, stage_cka
from workbook.evaluation.scoring import backbone_diversity, measure_features, open_model, sides_of, tried
from workbook.evaluation.stagewise import probe_layers
from workbook.evaluation.transfer import FewShot, LinearProbe, NearestNeighbours, Task
from workbook.keys import is_key
from workbook.lab import Lab
from workbook.metrics import calibrated_imagenet_score, mean_diversity, self_cka
from workbook.models.pretrained import Pretrained
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import load_run
from workbook.probes.few_shot import FewShotRecipe
from workbook.probes.linear import ProbeRecipe
from workbook.progress import progress_bar

# Part of the key of what this module stores. Raise it when a change of the code alters a value.
SCORE_VERSION = 1
_DIVERSITIES = ("cluster", "spectral")
# four draws of random weights lay within 0.1 to 0.35 % (ResNet-18, narrow ResNet), and two epochs changed 0.3 % of the
# one and 0.6 % of the other diversity: a hint, not a proof
_ALIKE = 2e-3
# what must be the same of two models for one ranking on a data set
_SETTINGS = {"data": "other images", "image_size": "images of another size", "how": "another budget or protocol"}


@dataclass(frozen=True, kw_only=True)
class ScoreRecipe:
    """How models are measured on a data set; the same for all that are ranked together."""

    measured_per_class: int | None = None  # training images that measures of features read; None = all
    probe_images_per_class: int | None = None  # training images of probes and neighbours; None = all
    extraction: Extraction | None = field(default_factory=Extraction)  # of the stages; None = they are not probed
    probe: ProbeRecipe = field(default_factory=ProbeRecipe)
    few_shot: FewShotRecipe = field(default_factory=FewShotRecipe)
    cka: CKARecipe = field(default_factory=CKARecipe)

    @property
    def protocols(self) -> dict[str, LinearProbe | NearestNeighbours | FewShot]:
        return {
            "linear": LinearProbe(self.probe),
            "k-NN": NearestNeighbours(),
            "5-way 5-shot": FewShot(self.few_shot),
        }


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Everything that was measured; a model is named alike in all tables.

    models: one row a model (index `model`): group (of a run its method), run (its key; None of what is no run),
    architecture, trained, parameters, accuracy (percent, where given), cluster and spectral diversity,
    untrained_cluster and untrained_spectral of the same architecture before training, cluster_cis and spectral_cis,
    image_size, mean, std, pooling, digest, and `reasons` for what could not be had, or looks odd.
    measured: one row a model and data set: model, dataset, data (digest), images, how, image_size, every measure of
    `measure_features`, the accuracy (percent) of every protocol with few-shot's half_width, `reasons`, and `apart`, see
    `apart`. stages: one row a model, data set and layer, as `probe_layers` has them. layers: one row a model and layer,
    as `model_diversity` has them. problems: what was not scored at all -> why. notes: model -> what loading says.
    """

    models: pd.DataFrame
    measured: pd.DataFrame
    stages: pd.DataFrame
    layers: pd.DataFrame
    problems: dict[str, str]
    notes: dict[str, tuple[str, ...]]

    def accuracies(self, protocol: str = "linear") -> pd.DataFrame:
        """(models, data sets): percent by this protocol, of the models that may be compared on all data sets."""
        if self.measured.empty:
            return pd.DataFrame()
        wide = self.measured[self.measured["apart"] == ""].pivot(index="model", columns="dataset", values=protocol)
        order = [name for name in self.models.index if name in wide.index]
        return wide.reindex(index=order, columns=list(dict.fromkeys(self.measured["dataset"]))).dropna()


@dataclass(frozen=True, kw_only=True)
class _Set:
    """A data set as models are measured on it: its training images, and a task a side."""

    images: Images
    sides: Mapping[str, str]  # class -> side
    tasks: Mapping[str, Task]  # side -> task


def score_models(entries: Sequence[Entry], datasets: Sequence[str], recipe: ScoreRecipe, lab: Lab) -> Scores:
    """Measures every model on every data set, each result from the store or made now.

    datasets: a manifest's name or path, or one side of its concept split as in "cifar100:eval"; without a side both
    are measured, each for itself, and Pi over both. A model that cannot be opened or read does not stop the others.
    Raises what `load_images` does, ManifestError for a set whose images have many labels, WorkbookError where no model
    could be read, and NotStoredError while a plan is made, which has none.
    """
    if lab.planned is not None:
        raise NotStoredError("runs are planned and not yet trained, so none is scored: `workbook sweep` trains them")
    sets = [_load(name, recipe) for name in datasets]
    models: list[dict[str, Any]] = []
    measured: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []
    layers: list[pd.DataFrame] = []
    problems: dict[str, str] = {}
    notes: dict[str, tuple[str, ...]] = {}
    with progress_bar("scores", len(entries) * max(1, len(sets)), unit="scores") as bar:
        for entry in entries:
            try:
                opened = entry.open(lab.store)
                bar.set_description_str(f"scores: {entry.name or opened.name}", refresh=False)
                run = load_run(entry.model, lab.store).recipe if is_key(entry.model) else None
                name = _name_of(entry.name or opened.name, [row["model"] for row in models])
                row, found = _of_weights(entry, opened, lab)
                row |= {"run": run and entry.model, "group": entry.group or (run and run.method)}
                on_sets = [_on_set(opened, one, recipe, lab, run) for one in sets]
            except (WorkbookError, ValueError) as error:  # of features that are not finite, a measure says so
                problems[entry.name or entry.model] = str(error)
                bar.update(max(1, len(sets)))
                continue
            models.append({"model": name, **row})
            layers.append(found.reset_index().assign(model=name))
            notes[name] = opened.notes
            for rows, probed in on_sets:
                measured += [{"model": name, **one} for one in rows]
                stages += [{"model": name, **one} for one in probed]
            bar.update(max(1, len(sets)))
    if problems and not models:
        raise WorkbookError("; ".join(f"{name} was not scored: {why}" for name, why in problems.items()))
    table = pd.DataFrame(measured)
    of_models = pd.DataFrame(models).set_index("model")
    return Scores(
        models=of_models,
        measured=table if table.empty else table.assign(apart=apart(table, of_models["trained"])),
        stages=pd.DataFrame(stages),
        layers=pd.concat(layers, ignore_index=True) if layers else pd.DataFrame(),
        problems=problems,
        notes=notes,
    )


def apart(measured: pd.DataFrame, trained: pd.Series) -> pd.Series:
    """Why a row does not stand in the ranking of its data set; "" where it does.

    measured: columns model, dataset, data, image_size and how, see `Scores`. trained: model -> bool. On each data set
    those are ranked that most models share the settings of (of as many, the first): the same images, at the same size,
    with the same budget and protocol. Means and deviations of channels are each network's own first layer and may
    differ. Untrained weights are in no ranking.
    """
    reasons = pd.Series("", index=measured.index)
    for _, rows in measured.groupby("dataset", sort=False):
        settings = rows[list(_SETTINGS)].apply(tuple, axis=1)
        counts = settings.value_counts(sort=False)
        ranked = next(one for one in settings if counts[one] == counts.max())
        for number, own in settings.items():
            reasons[number] = ", ".join(
                why for why, value, theirs in zip(_SETTINGS.values(), own, ranked, strict=True) if value != theirs
            )
    untrained = ~measured["model"].map(trained).astype(bool)
    return reasons.where(~untrained, "not trained")


def _load(name: str, recipe: ScoreRecipe) -> _Set:
    dataset, _, side = name.partition(":")
    images = load_images(dataset, "train", side=side or None).one_label("a score").per_class(recipe.measured_per_class)
    sides = dict.fromkeys(images.class_names, side) if side else sides_of(dataset, images)
    tasks = {}
    for one in dict.fromkeys(sides.values()):
        which = None if one == "all" else one
        splits = {split: load_images(dataset, split, side=which) for split in ("train", "test")}
        train = splits["train"].per_class(recipe.probe_images_per_class)
        tasks[one] = Task(dataset=dataset, side=which, train=train, test=splits["test"])
    return _Set(images=images, sides=sides, tasks=tasks)


def _name_of(name: str, taken: Sequence[str]) -> str:
    """As tables call it: by its own name, numbered where another has it."""
    numbered = (name, *(f"{name} ({number})" for number in range(2, len(taken) + 2)))
    return next(one for one in numbered if one not in taken)


def _of_weights(entry: Entry, opened: Pretrained, lab: Lab) -> tuple[dict[str, Any], pd.DataFrame]:
    """What is known of the weights alone: a row of `Scores.models`, and the diversity of their layers."""
    layers, why = _diversity(opened, lab)
    found = _means(layers)
    untrained, why_not = _untrained(opened, lab)
    row = {
        "architecture": opened.architecture,
        "trained": not opened.fresh,
        "parameters": sum(weight.numel() for weight in opened.backbone.model.parameters()),
        "accuracy": float("nan") if entry.accuracy is None else entry.accuracy,
        **found,
        **{f"untrained_{name}": value for name, value in untrained.items()},
    }
    for name, value in found.items():
        row[f"{name}_cis"] = float("nan")
        if entry.accuracy is not None and not why:
            row[f"{name}_cis"] = calibrated_imagenet_score(entry.accuracy, value)
    row |= asdict(opened.preprocessing) | {"pooling": opened.pooling, "digest": opened.digest}
    reasons = [f"diversity: {why}"] * bool(why) + [f"untrained: {why_not}"] * bool(why_not)
    if not opened.fresh and all(math.isclose(found[name], untrained[name], rel_tol=_ALIKE) for name in found):
        reasons.append("as diverse as this architecture is before training: are these weights trained?")
    return row | {"reasons": "; ".join(reasons)}, layers


def _means(layers: pd.DataFrame) -> dict[str, float]:
    if layers.empty:
        return dict.fromkeys(_DIVERSITIES, float("nan"))
    return {str(name): float(value) for name, value in mean_diversity(layers).items()}


def _diversity(opened: Pretrained, lab: Lab) -> tuple[pd.DataFrame, str]:
    """`backbone_diversity`, from the store or computed now, and why there is none."""

    def compute() -> dict[str, Any]:
        found, why = tried(lambda: backbone_diversity(opened.backbone).reset_index(), pd.DataFrame())
        return {"layers": found.to_dict("list"), "why": why}

    stored = lab.store.remember("diversity", {"weights": opened.spec, "version": SCORE_VERSION}, compute)
    layers = pd.DataFrame(stored["layers"])
    return (layers if layers.empty else layers.set_index("layer")), stored["why"]


def _untrained(opened: Pretrained, lab: Lab) -> tuple[dict[str, float], str]:
    """Both diversities of the same architecture before training, and why there are none.

    Not in the papers: random weights are more diverse than any that are trained, so a diversity by itself says little.
    """
    try:
        fresh = open_model(opened.architecture, lab.store, fresh=True, small_stem=opened.small_stem)
    except (CheckpointError, ValueError) as error:
        return _means(pd.DataFrame()), str(error)
    layers, why = _diversity(fresh, lab)
    return _means(layers), why


def _on_set(
    opened: Pretrained, one: _Set, recipe: ScoreRecipe, lab: Lab, run: Recipe | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of `Scores.measured`, one a side, and rows of `Scores.stages`."""
    measures = _measures(opened, one, lab, run)
    rows: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []
    for side, task in one.tasks.items():
        found = measures.loc[side].to_dict()
        settings = {"data": f"{task.train.digest} {task.test.digest}", "how": repr(recipe)}
        probed, why = _stages(opened, task, recipe, lab)
        scores, reasons = _transfer(opened, task, recipe, lab)
        alike, unlike = tried(partial(_cka_score, opened, task, recipe, lab), float("nan"))
        told = filter(None, [found.pop("reasons"), *reasons, unlike and f"CKA: {unlike}", why])
        row = {"dataset": task.name, **settings, "image_size": opened.image_size, **found, "CKA": alike, **scores}
        rows.append(row | {"reasons": "; ".join(told)})
        stages += [{"dataset": task.name, **layer} for layer in probed]
    return rows, stages


def _measures(opened: Pretrained, one: _Set, lab: Lab, run: Recipe | None) -> pd.DataFrame:
    """`measure_features` of the training images, indexed by side, from the store or computed now."""
    features = Features(opened, one.images, POOLED, lab)
    # what a run was trained on has the classes of its head
    own = next((side for side, task in one.tasks.items() if run and _same_set(task, run)), None)
    spec = {"features": features.key, "sides": one.sides, "head": opened.head_digest, "trained_on": own}

    def compute() -> list[dict[str, Any]]:
        return measure_features(features, one.sides, head=opened.head, trained_on=own).to_dict("records")

    rows = lab.store.remember("measures", spec | {"version": SCORE_VERSION}, compute)
    return pd.DataFrame(rows).set_index("side")


def _same_set(task: Task, run: Recipe) -> bool:
    return task.side == run.side and load_manifest(task.dataset).name == load_manifest(run.dataset).name


def _transfer(opened: Pretrained, task: Task, recipe: ScoreRecipe, lab: Lab) -> tuple[dict[str, float], list[str]]:
    """Percent by every protocol, with few-shot's half_width, and why one gives none."""
    found: dict[str, float] = {}
    reasons = []
    for name, protocol in recipe.protocols.items():
        none: dict[str, Any] = {}
        score, why = tried(partial(protocol.score, opened, task, lab), none)
        found |= {name: score.get("accuracy", float("nan"))}
        found |= {"half_width": score["half_width"]} if "half_width" in score else {}
        if why := why or score.get("problem", ""):
            reasons.append(f"{name}: {why}")
    return found, reasons


def _cka_score(opened: Pretrained, task: Task, recipe: ScoreRecipe, lab: Lab) -> float:
    return self_cka(stage_cka(opened, opened, task.train, recipe.cka, lab))


def _stages(opened: Pretrained, task: Task, recipe: ScoreRecipe, lab: Lab) -> tuple[list[dict[str, object]], str]:
    nothing: list[dict[str, object]] = []
    if recipe.extraction is None:
        return nothing, ""
    # features of others may be larger than float16 holds
    extraction = replace(recipe.extraction, dtype="float32")
    # the pooled features come out of the same pass, and are read by the protocols
    how: dict[str, Any] = {"source": opened, "extraction": extraction, "lab": lab, "kept": ("pooled",)}
    fitted, tested = (Features(images=part, **how) for part in (task.train, task.test))
    found, why = tried(partial(probe_layers, fitted, tested, recipe.probe, lab), nothing)
    return found, why and f"stages: {why}"
