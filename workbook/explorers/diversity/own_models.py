"""The runs that notebooks 06 and 07 train, as far as the store has them: nothing is trained or fitted here."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pandas as pd

from workbook.data.images import Images
from workbook.errors import CorruptArtefactError, MissingDataError, NotStoredError
from workbook.evaluation.extraction import head_accuracy
from workbook.evaluation.injection import upstream_accuracy
from workbook.evaluation.scoring import backbone_diversity
from workbook.evaluation.transfer import Task, load_present
from workbook.explorers.diversity.collection import COLUMNS, START, TRANSFERS, Collection, step_name
from workbook.metrics import mean_diversity
from workbook.papers.transfer import measured_transferability
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import Run
from workbook.progress import progress_bar
from workbook.provenance import other_versions
from workbook.study import SUPERVISED, Study

_T = TypeVar("_T")
_PROTOCOLS = {"linear": "linear", "finetune": "finetuned"}  # of TRANSFERS, as notebook 07 has them


def own_models(study: Study) -> Collection:
    """The supervised runs, the self-supervised starts and their label injections of this study, as they are stored.

    Diversity is computed from the weights, the accuracy of SL's and SL-MLP's own heads from test images; what would
    have to be trained or fitted is left out, and the notes say so. Transfer is adjusted by all models that have it
    (notebook 07: by those of a seed), so that circles of all seeds are on one scale.
    """
    study = study.upstream()
    profile, recipe, reading = study.profile, study.profile.recipe, _Reading(study)
    models, notes = _table([]), []
    layers: dict[str, pd.DataFrame] = {}
    try:
        if stored := _stored_models(reading):
            models, layers = _measured(stored, reading)
            if told := other_versions([model.run.artefact.provenance for model in stored]):
                notes.append(f"Of these runs, {told}")
    except MissingDataError as error:
        notes.append(f"The runs of profile {profile.name} cannot be looked up without their data: {error}")
    how = f"make reports PROFILE={profile.name} (its notebooks 06, 07 and 08; give them the same overrides as this one)"
    if models.empty and not notes:
        notes.append(f"The store {study.lab.store.root} has no run of profile {profile.name} yet. Train them: {how}")
    elif reading.lacking:
        for reason, names in reading.lacking.items():
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            notes.append(f"{reason.capitalize()}: {', '.join(names[:6])}{more}.")
        notes.append(f"What is missing is made by: {how}")
    classes = f"{recipe.dataset}:{recipe.side}" if recipe.side else recipe.dataset
    about = f"Runs of this store, profile {profile.name}: {recipe.backbone}, {classes}. Other data, another network "
    about += "and other downstream sets than the paper's: the two are not to be compared."
    if profile.name == "smoke":
        about += " The smoke profile shows that the code runs; its numbers are no evidence."
    return Collection(
        name="own runs",
        about=about,
        accuracy_title=f"upstream top-1 accuracy (%), {classes}: linear probe, or head of a run without a start",
        transfer_unit=dict.fromkeys(TRANSFERS, "adjusted log-odds, " + ", ".join(profile.transfer.sets_b)),
        models=models,
        layers=layers,
        notes=tuple(notes),
    )


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """A run and what it is: model, family, method and step, as a collection has them."""

    run: Run
    place: dict[str, str]

    @property
    def name(self) -> str:
        return self.place["model"]


@dataclass
class _Reading:
    """What the store of a study has, and, by reason, what it has not."""

    study: Study  # accuracies of heads are kept in its store: one pass over test images
    lacking: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.stored = replace(self.study, lab=self.study.lab.reading())

    def read(self, make: Callable[[], _T], what: str, *, missing: str) -> _T | None:
        """What `make` gives from the store; None, and noted, where the store has it not or not whole."""
        try:
            return make()
        except NotStoredError as error:
            self.lacking["unfinished" if error.unfinished else missing].append(what)
        except CorruptArtefactError as error:
            self.lacking[f"damaged ({error})"].append(what)
        return None

    def model(self, recipe: Recipe, method: str, step: str, seeds: int) -> _Stored | None:
        """The run of this recipe, one of so many seeds."""
        of_seed = f"{method}, seed {recipe.seed}" if seeds > 1 else method
        name = of_seed if step in ("", START) else f"{of_seed}, {step}"
        # a trajectory is of one seed; supervised runs of all seeds have none and are one family
        place = {"model": name, "family": of_seed if step else method, "method": method, "step": step}
        runs = self.read(lambda: self.stored.train(recipe), name, missing="not trained")
        return _Stored(run=runs[0], place=place) if runs else None

    def layers_of(self, model: _Stored) -> pd.DataFrame | None:
        """`backbone_diversity` of its weights."""
        return self.read(lambda: backbone_diversity(model.run.model().backbone), model.name, missing="not trained")

    def accuracy(self, model: _Stored, test: Images) -> float:
        """Upstream, in percent: along a trajectory of the stored linear probe, else of the run's own head."""

        def measure() -> float:
            if not model.place["step"]:
                return head_accuracy(model.run, test, self.study.lab)
            return upstream_accuracy(model.run, test, self.study.profile.probe, self.stored.lab)

        found = self.read(measure, f"{model.name} (upstream accuracy)", missing="trained, but not yet measured")
        return float("nan") if found is None else found

    def transfer(self, model: _Stored, tasks: Sequence[Task], column: str) -> dict[str, float] | None:
        """Task -> accuracy in percent; None, and noted, unless all are stored."""
        (protocol,) = self.stored.protocols(_PROTOCOLS[column]).values()
        return self.read(
            lambda: {task.name: protocol.score(model.run, task, self.stored.lab)["accuracy"] for task in tasks},
            f"{model.name} ({TRANSFERS[column]})",
            missing="trained, but transfer not yet measured",
        )


def _stored_models(reading: _Reading) -> list[_Stored]:
    """In the order of the trajectories; supervised runs last."""
    study, profile = reading.stored, reading.study.profile
    cycles = sorted(profile.injection.cycles, key=lambda cycle: -(cycle or float("inf")))
    found: list[_Stored | None] = []
    for recipe in study.starts(vit_methods=()):
        start = reading.model(recipe, recipe.method, START, profile.ablation.seeds)
        found.append(start)
        if start:
            injected = zip(study.injection_recipes(start.run, cycles), map(step_name, cycles), strict=True)
            found += [reading.model(own, recipe.method, step, profile.ablation.seeds) for own, step in injected]
    found += [reading.model(recipe, recipe.method, "", profile.seeds) for recipe in study.recipes(*SUPERVISED)]
    return [model for model in found if model]


def _measured(models: Sequence[_Stored], reading: _Reading) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """A row a model, and model -> its layers."""
    study, chosen = reading.study, reading.study.profile.transfer
    test, (tasks, _) = study.held_out(), load_present(chosen.sets_b, chosen.images_per_class)
    rows: list[dict[str, Any]] = []
    layers: dict[str, pd.DataFrame] = {}
    scores: dict[str, dict[str, dict[str, float]]] = {column: {} for column in TRANSFERS}
    with progress_bar("stored models", len(models), unit="models") as bar:
        for model in models:
            found = reading.layers_of(model)
            if found is not None:
                layers[model.name] = found
                measured = mean_diversity(found).to_dict() | {"accuracy": reading.accuracy(model, test)}
                rows.append(model.place | measured | {"run": model.run.key})
                for column, of_column in scores.items():
                    if scored := reading.transfer(model, tasks, column):
                        of_column[model.name] = scored
            bar.update()
    transfer = {column: measured_transferability(pd.DataFrame(of).T)["mean"] for column, of in scores.items()}
    return _table(rows).assign(**transfer), layers


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["model", *COLUMNS, "run"]).set_index("model")
