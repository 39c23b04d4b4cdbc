"""Stage-wise evaluation (A 3.2, Fig. 1): a linear probe on every stage of a frozen backbone."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from tqdm import tqdm

from workbook.data.images import Images
from workbook.evaluation.extraction import Extraction, Features
from workbook.lab import Lab
from workbook.pretraining.runs import Checkpoint, Run
from workbook.probes.linear import ProbeRecipe, linear_probe
from workbook.progress import progress_bar

# Part of the key of all probe results. Raise it when a change of the code alters a result.
PROBE_VERSION = 1


def stagewise_evaluation(
    runs: Sequence[Run],
    parts: tuple[Images, Images],
    extraction: Extraction,
    probe: ProbeRecipe,
    lab: Lab,
    *,
    every_epoch: bool = False,
) -> pd.DataFrame:
    """Accuracy of linear probes, one row for every run and layer.

    parts: the images that probes are fitted to, and those that they are tested on. With `every_epoch` all checkpoints
    of a run are probed, else its last.
    Columns: method, seed, epoch, layer (as in `extraction.layers`), dims, accuracy (percent, top-1), c (the
    regularisation chosen on a validation part of the first images), largest_c (the last that was tried, where the
    recipe lets the path over C end early). Probes are stored, and then the features are dropped, see `probe_layers`.
    """
    todo = partial(_of_checkpoint, parts, extraction, probe)
    jobs = [Checkpoint(run, epoch) for run in runs for epoch in run.recipe.saved_epochs[0 if every_epoch else -1 :]]
    with progress_bar("linear probes", len(jobs), unit="backbones") as bar:
        done = lab.map(todo, jobs, bar, title=lambda job: f"linear probes: {job.title}")
        rows = [row for _, of_checkpoint in done for row in of_checkpoint]
    return pd.DataFrame(rows, columns=None if rows else ["method", "seed", "epoch", "layer", "dims", "accuracy", "c"])


def _of_checkpoint(
    parts: tuple[Images, Images],
    extraction: Extraction,
    probe: ProbeRecipe,
    job: Checkpoint,
    lab: Lab,
    bar: tqdm,
) -> list[dict[str, Any]]:
    """The rows of a run's epoch."""
    run, epoch = job
    fitted, tested = (Features(run.at(lab), images, extraction, lab, epoch, kept=()) for images in parts)
    who = {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": epoch}
    rows = [who | result for result in probe_layers(fitted, tested, probe, lab)]
    bar.update()
    return rows


def probe_layers(
    fitted: Features,
    tested: Features,
    probe: ProbeRecipe,
    lab: Lab,
    *,
    validation: Features | None = None,
) -> list[dict[str, object]]:
    """One row a layer of the features: layer, dims, accuracy (percent on `tested`), c, and largest_c where the recipe
    has a patience. Probes are stored, and features are read where one is missing.

    validation: on which C is chosen; None = on a part of `fitted`. When the probes are stored, features that are not
    kept are dropped.
    """

    def probed(layer: str) -> dict[str, object]:
        train_x, test_x = fitted.layer(layer), tested.layer(layer)
        chooser = None if validation is None else (validation.layer(layer), validation.labels)
        parts = (train_x, fitted.labels, test_x, tested.labels)
        result = linear_probe(*parts, probe, device=lab.fabric.device, validation=chooser)
        row = {"layer": layer, "dims": train_x.shape[1], "accuracy": result.accuracy, "c": result.c}
        return row if probe.patience is None else row | {"largest_c": result.largest_c}

    spec = {"train": fitted.key, "test": tested.key, "probe": probe, "version": PROBE_VERSION}
    if validation is not None:
        spec["validation"] = validation.key
    rows = [lab.store.remember("probes", spec | {"layer": layer}, partial(probed, layer)) for layer in fitted.layers]
    for part in filter(None, (fitted, tested, validation)):
        part.drop()
    return rows


def pooled_accuracy(
    fitted: Features, tested: Features, probe: ProbeRecipe, lab: Lab, *, validation: Features | None = None
) -> float:
    """Accuracy (percent) of the probe of features of one layer; see `probe_layers`."""
    (row,) = probe_layers(fitted, tested, probe, lab, validation=validation)
    return float(str(row["accuracy"]))
