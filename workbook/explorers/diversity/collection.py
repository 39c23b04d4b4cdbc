"""What the diversity explorer can show: the models of paper B, or models whose weights are at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import pandas as pd

from workbook.errors import CheckpointError
from workbook.evaluation.scoring import backbone_diversity, open_model
from workbook.figures.trajectories import with_looks
from workbook.metrics import calibrated_imagenet_score, mean_diversity
from workbook.models.pretrained import check_accuracy
from workbook.papers.tables import models_of_paper_b
from workbook.store import Store

# how transfer was measured: a column of `Collection.models`, and its name
TRANSFERS = {"linear": "linear probe", "finetune": "finetuning"}
START = "start"
COLUMNS = ("family", "method", "step", "accuracy", "cluster", "spectral", *TRANSFERS)


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Models that may be compared with each other, since they lie on the same data.

    models: index name; COLUMNS, `cluster_cis` and `spectral_cis` (accuracy times diversity), and what else is known of
    each. family: whose trajectory a model lies on; step: where, as in `steps`, empty without a trajectory; accuracy in
    percent, diversity in [0, 1], transfer as `transfer_unit` says; NaN where it was not measured.
    layers: model -> `model_diversity`, of the models whose weights are at hand.
    about: which data and models these are. notes: what is missing, and how to get it.
    """

    name: str
    about: str
    accuracy_title: str
    transfer_unit: Mapping[str, str]
    models: pd.DataFrame
    layers: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    no_layers: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if missing := set(COLUMNS) - set(self.models):
            raise ValueError(f"a collection needs the columns {', '.join(COLUMNS)}; {sorted(missing)} are missing")
        if not self.models.index.is_unique:
            twice = self.models.index[self.models.index.duplicated()].unique()
            raise ValueError(f"every model needs a name of its own; twice there: {', '.join(twice)}")
        cis = {
            f"{measure}_cis": calibrated_imagenet_score(self.models["accuracy"].fillna(0), self.models[measure])
            for measure in ("cluster", "spectral")
        }
        known = self.models["accuracy"].notna()
        models = self.models.assign(**{name: values.where(known) for name, values in cis.items()})
        object.__setattr__(self, "models", with_looks(models))

    @property
    def steps(self) -> list[str]:
        """All steps of the trajectories, from the start over falling T to T = 1."""
        return sorted(set(self.models["step"]) - {""}, key=_labels_seen)

    @property
    def families(self) -> list[str]:
        return [str(name) for name in self.models["family"].unique()]

    def start_of(self, model: str) -> str | None:
        """The start of the model's trajectory; None where it has none or is it."""
        family = self.models[self.models["family"] == self.models.loc[model, "family"]]
        starts = family.index[family["step"] == START]
        return None if starts.empty or starts[0] == model else str(starts[0])

    def points(self, measure: str, transfer: str) -> pd.DataFrame:
        """The models of known accuracy as `figures.diversity.score_contours` takes them; trajectories are groups."""
        placed = self.models.dropna(subset=["accuracy"]).rename_axis("name").reset_index()
        group = placed["family"].where(placed["step"] != "", placed["name"])
        points = placed.assign(group=group).rename(columns={measure: "diversity"})
        points = points[["name", "group", "accuracy", "diversity", transfer]]
        measured = points[transfer].notna().any()
        return points.rename(columns={transfer: "transferability"}) if measured else points.drop(columns=transfer)


def step_name(control_cycle: float | None) -> str:
    """ "T = 4"; "T = ∞" for None, where labels reach the head alone."""
    return f"T = {'∞' if control_cycle is None else int(control_cycle)}"


def _labels_seen(step: str) -> float:
    """Rises from the start to T = 1."""
    if step == START:
        return -1.0
    cycle = step.removeprefix("T = ")
    return 0.0 if cycle in ("", "∞") else 1 / float(cycle)


def paper_models() -> Collection:
    """Paper B's 39 CNN models, as its Tables 6, 7 and 9 print them."""
    printed = models_of_paper_b()
    base, alone = printed["base"], ~printed["base"].duplicated(keep=False)
    steps = [START if pd.isna(cycle) else step_name(cycle) for cycle in printed["control_cycle"]]
    steps = pd.Series(steps, index=printed.index).mask(alone, "")
    names = base + steps.map(lambda step: "" if step in ("", START) else f", {step}")
    diversity = {measure: printed[f"{measure}_cis"] / printed["accuracy"] for measure in ("cluster", "spectral")}
    models = printed.drop(columns=["base", "control_cycle"]).assign(family=base, method=base, step=steps, **diversity)
    order = pd.DataFrame({"family": pd.factorize(base)[0], "step": steps.map(_labels_seen)}, index=printed.index)
    order = order.sort_values(["family", "step"], kind="stable")
    return Collection(
        name="paper B",
        about="Paper B's 39 ResNet-50s on ImageNet, every number as the paper prints it (Tables 6, 7 and 9). "
        "Diversity is the printed CIS over the printed accuracy.",
        accuracy_title="ImageNet top-1 accuracy (%), higher is better",
        transfer_unit={"linear": "100 × adjusted log-odds, 14 sets", "finetune": "adjusted log-odds, 14 sets"},
        models=models.loc[order.index].set_axis(names.loc[order.index].rename("model")),
        no_layers="The weights of this model are not published with the paper, so its layers cannot be measured here; "
        "these are its printed numbers. Layers of a checkpoint of yours: the notebook's parameter `models`.",
    )


def named_models(models: Sequence[str | Mapping[str, Any]], store: Store) -> Collection:
    """Models of the user's, as `open_model` opens them.

    models: a name each, or a mapping with `model` and what `open_model` takes besides, `name` (what it is called
    here) and `accuracy` (its top-1 in percent; without one a model has layers, but no place on the map).
    Raises CheckpointError where a model cannot be opened, is described in other words, or has an accuracy untrained.
    """
    rows: list[dict[str, Any]] = []
    layers = {}
    for given in models:
        how: dict[str, Any] = {"model": given} if isinstance(given, str) else dict(given)
        name, accuracy = how.pop("name", None), how.pop("accuracy", None)
        known = [parameter for parameter in signature(open_model).parameters if parameter != "store"]
        if "model" not in how or set(how) - set(known):
            raise CheckpointError(f"a model is described by {', '.join([*known, 'name', 'accuracy'])}; got {given!r}")
        opened = open_model(how.pop("model"), store, **how)
        check_accuracy(opened, accuracy)
        name = name or opened.name
        layers[name] = backbone_diversity(opened.backbone)
        row = {"model": name, "family": name, "method": name, "step": "", "accuracy": accuracy, "weights": opened.name}
        rows.append(row | mean_diversity(layers[name]).to_dict() | dict.fromkeys(TRANSFERS, float("nan")))
    table = pd.DataFrame(rows, columns=["model", *COLUMNS, "weights"]).set_index("model")
    unplaced = table.index[table["accuracy"].isna()]
    note = f"No accuracy was given for {', '.join(unplaced)}: layers, but no place on the map."
    return Collection(
        name="yours",
        about="Models named in the notebook's parameter `models`. Accuracies are as given there; whether "
        "they may be compared depends on whether they are of the same data and architecture.",
        accuracy_title="accuracy as given (%), higher is better",
        transfer_unit=dict.fromkeys(TRANSFERS, "not measured"),
        models=table.astype({"accuracy": float}),
        layers=layers,
        notes=(note,) if len(unplaced) else (),
    )
