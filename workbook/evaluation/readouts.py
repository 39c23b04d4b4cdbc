"""What a frozen network keeps of an image besides its class: linear readouts of the factors, layer by layer."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import pandas as pd
from tqdm import tqdm

from workbook.data.factors import PERIODS, Varied
from workbook.evaluation.extraction import Extraction, Features
from workbook.lab import Lab
from workbook.metrics import readout_over_classes, readout_within_classes
from workbook.pretraining.runs import Checkpoint, Run
from workbook.progress import progress_bar

# Part of the key of all readouts. Raise it when a change of the code alters a result.
READOUT_VERSION = 1
Epochs = Literal["first", "last", "all"]
_SAVED = {"first": slice(1), "last": slice(-1, None), "all": slice(None)}


def factor_readouts(
    runs: Sequence[Run], varied: Varied, extraction: Extraction, lab: Lab, *, epochs: Epochs = "last"
) -> pd.DataFrame:
    """How well each factor of the images can be read off frozen features, a row for every run, layer and factor.

    epochs: which checkpoints of a run are read.
    Columns: method, seed, epoch, layer (as in `extraction.layers`), factor, and its R2: `within` the groups of what
    varies, and on `unseen` classes, which the readout was not fitted to. Readouts are stored, and then the features are
    dropped.
    """
    todo = partial(_of_checkpoint, varied, extraction)
    jobs = [Checkpoint(run, epoch) for run in runs for epoch in run.recipe.saved_epochs[_SAVED[epochs]]]
    with progress_bar("readouts", len(jobs), unit="checkpoints") as bar:
        done = lab.map(todo, jobs, bar, title=lambda job: f"readouts: {job.title}")
        found = pd.concat([table for _, table in done], ignore_index=True)
    return found[["method", "seed", "epoch", "layer", "factor", "within", "unseen"]]


def _of_checkpoint(varied: Varied, extraction: Extraction, job: Checkpoint, lab: Lab, bar: tqdm) -> pd.DataFrame:
    """The rows of a run's epoch."""
    run, epoch = job
    features = Features(run.at(lab), varied.images, extraction, lab, epoch, kept=())
    table = pd.concat([_of_layer(features, layer, varied) for layer in features.layers], ignore_index=True)
    features.drop()
    bar.update()
    return table.assign(epoch=epoch)


def _of_layer(features: Features, layer: str, varied: Varied) -> pd.DataFrame:
    """Columns method, seed, layer, factor, within and unseen."""
    run: Any = features.source

    def read() -> dict[str, dict[str, float]]:
        x, labels = features.layer(layer), varied.images.labels
        return {
            "within": readout_within_classes(x, varied.factors, varied.groups, periods=PERIODS),
            "unseen": readout_over_classes(x, varied.factors, labels, periods=PERIODS),
        }

    spec = {"features": features.key, "layer": layer, "version": READOUT_VERSION}
    values = pd.DataFrame(features.lab.store.remember("readouts", spec, read)).rename_axis("factor").reset_index()
    return values.assign(method=run.recipe.method, seed=run.recipe.seed, layer=layer)
