"""The runs that notebooks 06 and 07 train, as far as the store has them: nothing is trained or fitted here."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pandas as pd
from lightning_fabric import Fabric

from workbook.data import load_images
from workbook.data.images import Images
from workbook.errors import CorruptArtefactError, MissingDataError, NotStoredError
from workbook.evaluation.extraction import Extraction, extract
from workbook.evaluation.finetuning import finetune_1000_recipe, stored_accuracy
from workbook.evaluation.stagewise import probe_layers
from workbook.evaluation.transfer import Finetuning, LinearProbe, Task, TransferProtocol, load_present
from workbook.explorers.collection import COLUMNS, START, TRANSFERS, Collection, step_name
from workbook.metrics import mean_diversity, model_diversity
from workbook.papers.transfer import transferability
from workbook.pretraining.injection import injection_recipe, over_cycles
from workbook.pretraining.recipe import Recipe, sweep
from workbook.pretraining.runs import Run, pretraining_images, train
from workbook.profiles import Profile
from workbook.progress import progress_bar
from workbook.store import Store

SUPERVISED = ("SL", "SL-MLP")
_POOLED = Extraction(layers=("pooled",))
_T = TypeVar("_T")


@dataclass
class _Reading:
    """What the store has, and, by reason, what it has not."""

    setting: Profile
    store: Store  # accuracies of heads are kept here: one pass over test images
    fabric: Fabric
    lacking: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.stored = Store(self.store.root, read_only=True)

    def read(self, make: Callable[[], _T], what: str, *, missing: str) -> _T | None:
        """What `make` gives from the store; None, and noted, where the store has it not or not whole."""
        try:
            return make()
        except NotStoredError as error:
            self.lacking["unfinished" if error.unfinished else missing].append(what)
        except CorruptArtefactError as error:
            self.lacking[f"damaged ({error})"].append(what)
        return None

    def run(self, recipe: Recipe, name: str) -> Run | None:
        return self.read(lambda: train(recipe, self.stored, self.fabric), name, missing="not trained")


def own_models(setting: Profile, store: Store, fabric: Fabric) -> Collection:
    """The supervised runs, the self-supervised starts and their label injections of this profile, as they are stored.

    Diversity is computed from the weights and the accuracy of a run's own head from test images; what would have to be
    trained or fitted is left out, and the notes say so. Transfer is adjusted by all models that have it (notebook 07:
    by those of a seed), so that circles of all seeds are on one scale.
    """
    reading = _Reading(setting, store, fabric)
    command = _command(setting)
    rows: list[dict[str, Any]] = []
    layers: dict[str, pd.DataFrame] = {}
    notes = []
    try:
        runs = _stored_runs(reading)
        if runs:
            rows, layers = _measured(runs, reading)
    except MissingDataError as error:
        notes.append(f"The runs of profile {setting.name} cannot be looked up without their data: {error}")
    if not rows and not notes:
        notes.append(f"The store {store.root} has no run of profile {setting.name} yet. Train them: {command}")
    elif reading.lacking:
        notes += [f"{reason.capitalize()}: {_list(names)}." for reason, names in reading.lacking.items()]
        notes.append(f"What is missing is made by: {command}")
    classes = f"{setting.recipe.dataset}:{setting.recipe.side}" if setting.recipe.side else setting.recipe.dataset
    smoke = (
        " The smoke profile shows that the code runs; its numbers are no evidence." if setting.name == "smoke" else ""
    )
    table = pd.DataFrame(rows, columns=["model", *COLUMNS, "run"]).set_index("model")
    unit = "adjusted log-odds, " + ", ".join(setting.transfer_sets)
    return Collection(
        name="own runs",
        about=f"Runs of this store, profile {setting.name}: {setting.recipe.backbone}, {classes}. Other data, another "
        f"network and other downstream sets than the paper's: the two are not to be compared.{smoke}",
        accuracy_title=f"upstream top-1 accuracy (%), test images of {classes}",
        transfer_unit=dict.fromkeys(TRANSFERS, unit),
        models=table,
        layers=layers,
        notes=tuple(notes),
    )


def _command(setting: Profile) -> str:
    return (
        f"make reports PROFILE={setting.name} (its notebooks 06, 07 and 08; give them the same overrides as this one)"
    )


def _list(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _stored_runs(reading: _Reading) -> list[tuple[dict[str, str], Run]]:
    """What a run is (model, family, method, step), and the run; in the order of the trajectories."""
    setting, found = reading.setting, []

    def look_up(recipe: Recipe, method: str, step: str, seeds: int) -> Run | None:
        name = of_seed = f"{method}, seed {recipe.seed}" if seeds > 1 else method
        if step not in ("", START):
            name = f"{of_seed}, {step}"
        # a trajectory is of one seed; supervised runs of all seeds have none and are one family
        family = of_seed if step else method
        run = reading.run(recipe, name)
        if run is not None:
            found.append(({"model": name, "family": family, "method": method, "step": step}, run))
        return run

    for method in setting.injected:
        for recipe in sweep(setting.ablation, [method], range(setting.ablation_seeds)):
            start = look_up(recipe, method, START, setting.ablation_seeds)
            if start is None:
                continue
            base = replace(setting.ablation, seed=recipe.seed)
            injected = injection_recipe(base, start.start(), 1, epochs=setting.injection_epochs)
            cycles = sorted(setting.control_cycles, key=lambda cycle: -(cycle or float("inf")))
            for cycle, of_cycle in zip(cycles, over_cycles(injected, cycles), strict=True):
                look_up(of_cycle, method, step_name(cycle), setting.ablation_seeds)
    for method in SUPERVISED:
        for recipe in sweep(setting.recipe, [method], range(setting.seeds)):
            look_up(recipe, method, "", setting.seeds)
    return found


def _measured(
    runs: list[tuple[dict[str, str], Run]], reading: _Reading
) -> tuple[list[dict[str, Any]], dict[str, pd.DataFrame]]:
    """A row a run, and model -> its layers."""
    setting = reading.setting
    test = load_images(setting.recipe.dataset, "test", side=setting.recipe.side)
    tasks, _ = load_present(setting.transfer_sets, setting.transfer_images_per_class)
    protocols: dict[str, TransferProtocol] = {
        "linear": LinearProbe(setting.probe),
        "finetune": Finetuning(finetune_1000_recipe, setting.recipe, setting.finetune_epochs),
    }
    rows, layers = [], {}
    scores: dict[str, dict[str, dict[str, float]]] = {name: {} for name in protocols}
    with progress_bar("stored models", len(runs), unit="models") as bar:
        for what, run in runs:
            name = what["model"]
            found = _layers(run, name, reading)
            if found is None:
                continue
            layers[name] = found
            accuracy = _accuracy(run, what, test, reading)
            rows.append(what | mean_diversity(layers[name]).to_dict() | {"accuracy": accuracy, "run": run.artefact.key})
            for protocol, how in protocols.items():
                scored = _scores(run, how, tasks, f"{name} ({TRANSFERS[protocol]})", reading)
                if scored is not None:
                    scores[protocol][name] = scored
            bar.update()
    transfers = {name: _transfer(of_protocol) for name, of_protocol in scores.items()}
    for row in rows:
        row |= {name: values.get(row["model"], float("nan")) for name, values in transfers.items()}
    return rows, layers


def _layers(run: Run, name: str, reading: _Reading) -> pd.DataFrame | None:
    return reading.read(lambda: model_diversity(run.method().backbone.model), name, missing="not trained")


def _accuracy(run: Run, what: dict[str, str], test: Images, reading: _Reading) -> float:
    """Upstream, in percent: of the run's own head; of a start, which has none, the stored linear probe's."""
    stored, fabric = reading.stored, reading.fabric

    def of_head() -> float:
        return stored_accuracy(run, test, reading.store, fabric)

    def of_probe() -> float:
        train = pretraining_images(run.recipe)
        fitted, tested = (extract(run, images, _POOLED, stored, fabric) for images in (train, test))
        (row,) = probe_layers(fitted, tested, reading.setting.probe, stored, fabric)
        return float(str(row["accuracy"]))

    measure = of_probe if what["step"] == START else of_head
    found = reading.read(measure, f"{what['model']} (upstream accuracy)", missing="trained, but not yet measured")
    return float("nan") if found is None else found


def _scores(
    run: Run, protocol: TransferProtocol, tasks: list[Task], what: str, reading: _Reading
) -> dict[str, float] | None:
    """Task -> accuracy in percent; None, and noted, unless all are stored."""

    def stored() -> dict[str, float]:
        return {task.name: protocol.score(run, task, reading.stored, reading.fabric)["accuracy"] for task in tasks}

    return reading.read(stored, what, missing="trained, but transfer not yet measured")


def _transfer(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """Model -> transferability; nothing where fewer than two models or two data sets can be compared."""
    wide = pd.DataFrame(scores).T.clip(0.05, 99.95)  # log-odds are finite
    return transferability(wide)["mean"].to_dict() if min(wide.shape) >= 2 else {}
