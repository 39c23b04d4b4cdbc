"""Every figure function with what the notebooks give it: as many methods, panels and classes, and texts as long.

What was adopted is drawn from its measurements, and the rest from numbers that look like them.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbook.figures import (
    ablations,
    correlation,
    detection,
    diversity,
    epochs,
    injection,
    kept,
    linked_maps,
    maps,
    prediction,
    semantic_gap,
    stagewise,
    trajectories,
    transfer,
    verdicts,
)
from workbook.figures.linked_maps import class_styles
from workbook.figures.stagewise import STAGES
from workbook.files import CHECKOUT
from workbook.papers.claims import CLAIMS
from workbook.papers.tables import models_of_paper_b

EIGHT = ("SL", "SL-MLP", "BYOL", "BYOL w/o MLP", "MoCo v1", "MoCo v1 w/ MLP", "MoCo v2", "MoCo v2 w/o MLP")
SIX = ("SL", "SL-MLP", "SupCon w/o MLP", "SupCon", "BYOL w/o MLP", "BYOL")
_PAPER_A = {"SL-MLP": 64.1, "SL": 54.4, "BYOL": 62.3, "BYOL w/o MLP": 39.0, "MoCo v1 w/ MLP": 59.2, "MoCo v1": 54.1}
_PROTOCOLS = ("linear probe", "few-shot, 5 images a class", "finetuned, all layers")


def adopted(notebook: str, profile: str = "pocket") -> pd.DataFrame:
    """The measurements of an adopted run."""
    record = CHECKOUT / f"notebooks/results/{profile}/{notebook}.json"
    return pd.DataFrame(json.loads(record.read_text(encoding="utf-8"))["measurements"])


def _crossed(*columns: Sequence[Any], names: Sequence[str], values: Iterable[str], seed: int = 0) -> pd.DataFrame:
    """A row for every combination, with a random walk in each column of `values`."""
    table = pd.DataFrame(itertools.product(*columns), columns=list(names))
    rng = np.random.default_rng(seed)
    return table.assign(**{value: 0.3 + 0.01 * rng.normal(size=len(table)).cumsum() for value in values})


def _stages() -> go.Figure:
    table = adopted("01_stagewise_evaluation")
    table = pd.concat([table.assign(method=name) for name in EIGHT])
    table["accuracy"] += table["method"].map({name: 0.7 * number for number, name in enumerate(EIGHT)})
    title = "Stage-wise evaluation on eval-D of cifar100, 5 seeds"
    return stagewise.stagewise_curves(
        table, paper={"SL": 54.4, "SL-MLP": 64.1}, paper_setting="ImageNet, ResNet-50", title=title
    )


def _over_epochs(levels: dict[str, float] | None = None) -> go.Figure:
    columns = {
        "phi_pre": "φ on pre-D (lower = more variation)",
        "phi_eval": "φ on eval-D (higher is better)",
        "accuracy": "accuracy on eval-D (%), higher is better",
    }
    title = "Discriminative ratio and transfer over pretraining, cifar100"
    return epochs.measures_over(adopted("03_intra_class_variation"), columns, title=title, levels=levels)


def _eight_methods() -> go.Figure:
    names = ("method", "seed", "layer")
    readings = ("pooled, as it is", "standardised", "all places", "largest place")
    table = _crossed(EIGHT, range(3), STAGES, names=names, values=readings)
    columns = {reading: f"{reading}: accuracy on eval-D (%)" for reading in readings}
    title = "The same backbones, their feature maps read in four ways"
    return epochs.measures_over(table, columns, over=("layer", "stage"), title=title)


def _redundancy() -> go.Figure:
    columns = {"R_pre": "R on pre-D (lower = less redundant)", "R_eval": "R on eval-D (lower = less redundant)"}
    levels = {"paper: SL 0.087": 0.087, "paper: SL-MLP 0.034": 0.034}
    title = "Feature redundancy over pretraining, cifar100"
    return epochs.measures_over(adopted("05_feature_redundancy"), columns, title=title, levels=levels)


def _epoch_trajectories() -> go.Figure:
    table = adopted("03_intra_class_variation")
    means = table.groupby(["method", "epoch"], as_index=False)[["phi_pre", "phi_eval"]].mean()
    axes = {"phi_pre": "φ on pre-D (lower = more variation)", "phi_eval": "φ on eval-D (higher is better)"}
    return epochs.trajectories(means, axes, title="From epoch to epoch: discriminative ratio on the two sides")


def _cycles() -> go.Figure:
    columns = {
        "accuracy": "upstream accuracy, probe (%)",
        "cluster": "cluster diversity",
        "cluster_cis": "cluster CIS",
        "finetuned": "transfer by finetuning (log-odds)",
    }
    table = adopted("07_label_injection").query("stage != 'start'")
    title = "Over the control cycle, cifar100, seeds: 3"
    return injection.measures_over_cycles(table, columns, title=title, starred=["accuracy", "finetuned"])


def _cka() -> go.Figure:
    rng, stages = np.random.default_rng(0), ["1", "2", "3", "4", "5"]
    names = ("start", "T = 1", "T = 4", "T = ∞", "supervised")
    title = "SimCLR, one seed: CKA of each stage (rows) with its start"
    return injection.cka_maps({name: rng.random((5, 5)) for name in names}, stages, x_title="start", title=title)


def _class_maps(methods: Sequence[str] = SIX, classes: int = 10, *, several: bool = True) -> go.Figure:
    """Maps as t-SNE makes them from principal components: three times as wide as high."""
    rng = np.random.default_rng(0)
    names = [f"a class of name {number}" for number in range(classes)]
    centres = rng.normal(size=(classes, 2)) * [30, 8]
    rows = [
        {"method": method, "epoch": epoch, "image": number, "class_name": names[number % classes]}
        | dict(zip("xy", centres[number % classes] + rng.normal(size=2) * [3, 1], strict=True))
        for method in methods
        for epoch in ((0, 20, 60) if several else (60,))
        for number in range(20 * classes)
    ]
    styles = class_styles(dict.fromkeys(names, "pre"))
    title = "t-SNE of ten classes of pre-D, without and with the projector"
    return maps.class_maps(
        pd.DataFrame(rows), colours=list(styles["colour"]), symbols=list(styles["symbol"]), title=title
    )


def _linked() -> go.Figure:
    rng = np.random.default_rng(0)
    styles = class_styles({f"class {number}": "pre" if number < 6 else "eval" for number in range(12)})
    points = styles.iloc[rng.integers(0, 12, 300)].reset_index().rename(columns={"class_name": "text"})
    return linked_maps.linked_maps(["SL", "SL-MLP"], [rng.uniform(-1, 1, (300, 2)) for _ in range(2)], points)


def _layer_curves() -> go.Figure:
    over = np.linspace(0, 1, 21)
    tables = [
        pd.DataFrame({"model": model, "layer": f"layer {layer}", "diversity": area, "K": over, "share": over**area})
        for model, area in itertools.product(("ResNet-18, supervised", "ResNet-50, DINO", "ViT-S/16"), (0.3, 0.6))
        for layer in range(4)
    ]
    title = "Explained variance of each layer; dashed, all directions alike"
    curves = {"x": "share of the components K / d", "y": "explained variance"}
    table = pd.concat(tables).rename(columns={"K": curves["x"], "share": curves["y"]})
    return diversity.layer_curves(table, **curves, title=title, diagonal=True)


def _by_layer() -> go.Figure:
    models = ("SL", "SL-MLP", "SimCLR", "a network of one's own", "DINO")
    names = ("model", "layer")
    table = _crossed(models, [f"layer{n}" for n in range(20)], names=names, values=("cluster", "spectral"))
    return diversity.diversity_by_layer(table, title="Diversity of each layer; dotted, the model's mean")


def _paper_models() -> go.Figure:
    models = models_of_paper_b().reset_index()
    points = models.rename(columns={"model": "name", "base": "group"}).assign(
        diversity=models["cluster_cis"] / models["accuracy"], transferability=models["finetune"]
    )
    title = "Paper B's models: cluster diversity, and transfer by finetuning as size"
    return diversity.score_contours(points, diversity_title="cluster diversity (higher = more diverse)", title=title)


def _own_models() -> go.Figure:
    table = adopted("07_label_injection")
    points = table.assign(name=table["stage"], group=table["method"], diversity=table["cluster"])
    title = "Contours: cluster CIS; size: transfer by linear probe"
    return diversity.score_contours(
        points.rename(columns={"linear": "transferability"}), diversity_title="cluster diversity", title=title
    )


def _trajectory_map() -> go.Figure:
    models = models_of_paper_b().reset_index()
    table = pd.DataFrame(
        {
            "family": models["base"].to_numpy(),
            "method": models["base"].to_numpy(),
            "step": models["control_cycle"].map(lambda cycle: "start" if pd.isna(cycle) else f"T = {cycle}").to_numpy(),
            "accuracy": models["accuracy"].to_numpy(),
            "cluster": (models["cluster_cis"] / models["accuracy"]).to_numpy(),
            "spectral": (models["spectral_cis"] / models["accuracy"]).to_numpy(),
            "linear": models["linear"].to_numpy(),
        },
        index=models["model"].to_numpy(),
    )
    table, families = trajectories.with_looks(table), list(table["family"].unique())
    view = trajectories.MapView(
        measure="cluster", transfer="linear", step="T = 1", families=families, chosen=table.index[0]
    )
    figure = trajectories.trajectory_map(trajectories.trajectory_traces(table, view, slots=len(families)))
    axes = trajectories.map_axes(table, measure="cluster", accuracy_title="ImageNet top-1 accuracy (%)")
    return figure.update_layout(axes)


def _layer_panel() -> go.Figure:
    layers = pd.DataFrame({"cluster": np.linspace(0.2, 0.9, 20), "spectral": np.linspace(0.1, 0.3, 20)})
    return trajectories.layer_panel(trajectories.layer_traces(layers, layers * 0.8, colour="#D55E00"))


def _arms() -> go.Figure:
    table = adopted("01_stagewise_evaluation").query("layer == 'pooled'")
    table = pd.concat([table[table["method"] == "SL"].assign(method=name, arm=name) for name in EIGHT])
    title = "Pooled features on eval-D of cifar100: with and without MLP"
    setting = "ImageNet, ResNet-50, 300 epochs"
    return ablations.arm_ranges(table, paper=_PAPER_A, paper_setting=setting, title=title)


def _scales() -> go.Figure:
    steps = {"channels": (256, 1024, 4096), "pretraining classes": (31, 63, 126), "images a class": (25, 50, 100)}
    steps["epochs"] = (15, 30, 60)
    of_scale = {
        scale: _crossed(("SL", "SL-MLP"), range(3), numbers, names=("method", "seed", "step"), values=("accuracy",))
        for scale, numbers in steps.items()
    }
    table = pd.concat([rows.assign(scale=scale) for scale, rows in of_scale.items()])
    levels = {"paper, 100 epochs": 0.5, "paper, 300 epochs": 0.6}
    title = "SL and SL-MLP over four scales, eval-D of tiny-imagenet-32"
    return ablations.over_scales(
        table, "accuracy", y="accuracy on eval-D (%), higher is better", title=title, levels=levels
    )


def _factors(layers: dict[str, str]) -> pd.DataFrame:
    factors = ("horizontal place", "vertical place", "size", "turn", "hue", "hue of the ground", "texture")
    names = ("method", "seed", "layer", "factor")
    return _crossed(EIGHT[:4], range(3), list(layers), factors, names=names, values=("within",))


_LAYERS = {stage: stage.removeprefix("stage") for stage in STAGES} | {"pooled": "pooled"}


def _difference_map() -> go.Figure:
    table = _factors(_LAYERS).groupby(["factor", "layer"], sort=False)["within"].mean().sub(0.6).reset_index()
    table = table.assign(measured=table["within"], low=table["within"] - 0.1, high=table["within"] + 0.2)
    title = "R² within classes, SL-MLP less SL (* = 95 % interval over seeds without 0)"
    return kept.difference_map(table, _LAYERS, title=title)


def _boxes() -> go.Figure:
    images = [np.full((60, 80, 3), 30 * number, np.uint8) for number in range(8)]
    sides = {"left": 10, "top": 10, "right": 50, "bottom": 40, "text": "car, 0.9"}
    boxes = pd.DataFrame([{"image": n, "what": what} | sides for n in range(8) for what in ("there", "found")])
    title = "SL-MLP, seed 5, after 2000 steps: scores of at least 0.3"
    return detection.boxes_on_images(images, boxes, title=title)


def _transfer_against() -> go.Figure:
    scores = {"accuracy": "ImageNet accuracy (%)", "spectral_cis": "Spectral CIS", "cluster_cis": "Cluster CIS"}
    axis = "transfer by linear probe (100 × log-odds), higher is better"
    title = "Linear probe: 39 models; lines from T = 1 to the self-supervised origin (star)"
    return prediction.transfer_against(models_of_paper_b(), scores, transfer="linear", transfer_title=axis, title=title)


def _residuals() -> go.Figure:
    tables, models = ("B.6, linear", "B.7, finetuned", "B.9, linear"), list(models_of_paper_b().index[:12])
    rows = pd.DataFrame(itertools.product(tables, models), columns=["table", "model"])
    rows = rows.assign(bound=0.05, residual=0.04 * np.random.default_rng(0).normal(size=len(rows)))
    rows.loc[[5, 20], "residual"] = [0.2, -0.07]
    return prediction.residuals_against_bounds(
        rows, title="Transfer as printed less as recomputed, one constant a table"
    )


def _correlations() -> go.Figure:
    table = adopted("10_what_predicts_transfer")
    x = "coefficient (higher = closer)"
    return prediction.correlation_intervals(
        table, titles=list(table["panel"].unique()), x_title=x, title="Correlation with transfer"
    )


def _importance() -> go.Figure:
    panels = [
        f"{protocol}, {kind} diversity" for protocol in ("linear", "finetuned") for kind in ("cluster", "spectral")
    ]
    changes = ("none", "column order", "a model left out", "a family left out", "families drawn")
    inputs = ("CIS", "CKA", "MSC", "S_inter", "V_intra")
    study = _crossed(panels, changes, inputs, names=("panel", "change", "input"), values=("gain",))
    title = "Importance as XGBoost reports it, and after changes that should not matter"
    return prediction.importance_ranges(study, measure="gain", measure_title="importance (gain)", title=title)


def _predictors() -> go.Figure:
    measures = [f"{name} of the features" for name in ("RankMe", "LogME", "H-score", "NESum", "SFDA", "Π", "R", "φ")]
    rng = np.random.default_rng(0)
    table = pd.DataFrame(itertools.product(("linear probe", "finetuned"), measures), columns=["panel", "measure"])
    value = rng.uniform(-0.2, 0.8, len(table))
    table = table.assign(value=value, low=value - 0.2, high=value + 0.1, without_low=value - 0.1, without_high=value)
    table["baseline"] = table["measure"].isin(measures[:2])
    title = "Which printed measure ranks paper B's 39 models?"
    x = "weighted tau (higher = ranks better)"
    return prediction.predictors(table, titles=["linear probe", "finetuned"], x_title=x, title=title)


def _distances() -> go.Figure:
    names = ("distance", "method", "seed", "epoch")
    far = ("near", "middle", "far")
    table = _crossed(far, ("SL", "SL-MLP"), range(3), range(0, 61, 10), names=names, values=("phi_pre", "phi_eval"))
    turns = pd.DataFrame({"distance": far, "mean": 0.3, "low": [0.29, np.nan, 0.25], "high": [0.31, np.nan, 0.4]})
    turns["turns"] = ["seen in 5 of 5 seeds", "not seen", "at or above 0.3"]
    title = "From epoch to epoch, and the turning point t (dashed): generated-distances"
    return semantic_gap.ratios_by_distance(table, turns, title=title)


def _model_of_the_gap() -> go.Figure:
    cases = ("unseen classes share their mean", "seen classes differ", "more classes", "fewer channels")
    over = np.logspace(-1, 2, 30)
    tables = [
        pd.DataFrame({"case": case, "name": f"overlap of {overlap:g}", "phi_pre": over, "turn": 3.0})
        .assign(phi_eval=over**overlap / (1 + over / 10), simulated=np.where(over > 5, np.nan, over**overlap))
        for case in cases
        for overlap in (0.9, 0.6, 0.3, 0.1)
    ]  # fmt: skip
    title = "φ on eval-D over φ on pre-D: closed form (lines), simulation (circles), t (stars)"
    return semantic_gap.model_and_simulation(pd.concat(tables), title=title)


def _side_by_side() -> go.Figure:
    layers = [*STAGES, "pooled", "projector"]
    names = ("model", "dataset", "layer")
    models = ("resnet18 (torchvision)", "a checkpoint of my own.pt", "vit_small_patch16_224.dino")
    table = _crossed(models, ("cifar100:eval", "omniglot:eval"), layers, names=names, values=("accuracy",))
    table = table.assign(accuracy=100 * table["accuracy"])[lambda rows: rows.index % 9 != 3]
    return stagewise.stages_side_by_side(table, title="Accuracy (%) of linear probes, layer by layer")


def _transfer_points() -> go.Figure:
    names = ("method", "seed", "dataset", "protocol")
    sets = ("cifar100:eval", "omniglot:eval", "generated:eval", "digits", "cub200", "pets")
    table = _crossed(EIGHT[:4], range(3), sets, _PROTOCOLS, names=names, values=("accuracy",))
    title = "Transfer of models pretrained on cifar100, 5 seeds"
    return transfer.transfer_points(table.assign(accuracy=100 * table["accuracy"]), title=title)


def _gains() -> go.Figure:
    gain = _crossed(_PROTOCOLS, range(5), names=("protocol", "seed"), values=("gain",))
    title = "What the projector brings: linear probe, few-shot, finetuned"
    paper = {_PROTOCOLS[0]: 5.79, _PROTOCOLS[2]: 0.31}
    return transfer.gains(gain, paper, title=title, axis="SL-MLP less SL, points, mean over data sets")


def _grid() -> go.Figure:
    outcomes, topics = itertools.cycle(verdicts.SIGNS), {}
    for claim in CLAIMS.values():
        topics.setdefault((claim.paper, claim.topic), []).append(claim)
    rows = [
        {"panel": profile, "paper": paper, "topic": topic, "claim": claim.id, "statement": claim.statement}
        | {"outcome": next(outcomes), "text": "2.00 points, n = 5 seeds"}
        for profile in ("smoke", "pocket", "study")
        for (paper, topic), claims in topics.items()
        for claim in claims
    ]
    return verdicts.verdict_grid(pd.DataFrame(rows), title="The claims of both papers, profile by profile")


def _effects() -> go.Figure:
    table = adopted("16_what_the_tables_say")
    title = "Injected models less their start, and less supervised models"
    return verdicts.effect_intervals(table, title=title, x="log-odds, mean over 14 data sets")


def _correlation_maps() -> go.Figure:
    rng = np.random.default_rng(0)
    matrices = {name: np.corrcoef(rng.normal(size=(40, 80)) @ rng.normal(size=(80, 60)), rowvar=False) for name in SIX}
    title = "Correlation of the channels of the pooled features on pre-D"
    return correlation.correlation_maps(matrices, title=title)


# module.function, and after a comma what is special about it
EXAMPLES: dict[str, Callable[[], go.Figure]] = {
    "stagewise.stagewise_curves": _stages,
    "stagewise.stages_side_by_side": _side_by_side,
    "epochs.measures_over": _over_epochs,
    "epochs.measures_over, levels": _redundancy,
    "epochs.measures_over, eight methods": _eight_methods,
    "epochs.trajectories": _epoch_trajectories,
    "ablations.arm_ranges": _arms,
    "ablations.over_scales": _scales,
    "maps.class_maps": _class_maps,
    "maps.class_maps, many classes": lambda: _class_maps(("SL", "SL-MLP"), 24, several=False),
    "correlation.correlation_maps": _correlation_maps,
    "diversity.layer_curves": _layer_curves,
    "diversity.diversity_by_layer": _by_layer,
    "diversity.score_contours": _paper_models,
    "diversity.score_contours, own": _own_models,
    "injection.measures_over_cycles": _cycles,
    "injection.cka_maps": _cka,
    "transfer.transfer_points": _transfer_points,
    "transfer.gains": _gains,
    "detection.boxes_on_images": _boxes,
    "prediction.transfer_against": _transfer_against,
    "prediction.residuals_against_bounds": _residuals,
    "prediction.correlation_intervals": _correlations,
    "prediction.importance_ranges": _importance,
    "prediction.predictors": _predictors,
    "kept.readouts_by_layer": lambda: kept.readouts_by_layer(
        _factors(_LAYERS),
        _LAYERS,
        value="within",
        y="R² within classes (higher = kept)",
        title="What can be read off the stages, generated-factors",
    ),
    "kept.difference_map": _difference_map,
    "semantic_gap.ratios_by_distance": _distances,
    "semantic_gap.model_and_simulation": _model_of_the_gap,
    "verdicts.verdict_grid": _grid,
    "verdicts.effect_intervals": _effects,
    "linked_maps.linked_maps": _linked,
    "trajectories.trajectory_map": _trajectory_map,
    "trajectories.layer_panel": _layer_panel,
}
