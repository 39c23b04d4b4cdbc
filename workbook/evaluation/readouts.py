"""What a frozen network keeps of an image besides its class: linear readouts of the factors, layer by layer."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from workbook.data.factors import PERIODS
from workbook.data.images import Images
from workbook.evaluation.extraction import Extraction, Features
from workbook.lab import Lab
from workbook.metrics import readout_over_classes, readout_within_classes
from workbook.pretraining.runs import Run
from workbook.progress import progress_bar

# Part of the key of all readouts. Raise it when a change of the code alters a result.
READOUT_VERSION = 1
Epochs = Literal["first", "last", "all"]
_SAVED = {"first": slice(1), "last": slice(-1, None), "all": slice(None)}
_READOUTS = {"within": readout_within_classes, "unseen": readout_over_classes}


def factor_readouts(
    runs: Sequence[Run], images: Images, extraction: Extraction, lab: Lab, *, epochs: Epochs = "last"
) -> pd.DataFrame:
    """How well each factor of the images can be read off frozen features, a row for every run, layer and factor.

    images: with `factors` that are numbers, see `with_factors`. epochs: which checkpoints of a run are read.
    Columns: method, seed, epoch, layer (as in `extraction.layers`), factor, and its R2: `within` classes, and on
    `unseen` ones, which the readout was not fitted to. Readouts are stored, and then the features are dropped.
    """
    jobs = [(run, epoch) for run in runs for epoch in run.recipe.saved_epochs[_SAVED[epochs]]]
    tables = []
    with progress_bar("readouts", len(jobs), unit="checkpoints") as bar:
        for run, epoch in jobs:
            bar.set_description_str(f"readouts: {run.recipe.title}, epoch {epoch}", refresh=False)
            features = Features(run, images, extraction, lab, epoch, kept=())
            tables += [_of_layer(features, layer).assign(epoch=epoch) for layer in features.layers]
            features.drop()
            bar.update()
    found = pd.concat(tables, ignore_index=True)
    return found[["method", "seed", "epoch", "layer", "factor", *_READOUTS]]


def _of_layer(features: Features, layer: str) -> pd.DataFrame:
    """Columns method, seed, layer, factor, and the R2 of each readout."""
    run: Any = features.source
    spec = {"features": features.key, "layer": layer, "version": READOUT_VERSION}
    found = features.lab.store.remember("readouts", spec, partial(_read, features, layer))
    values = pd.DataFrame(found).rename_axis("factor").reset_index()
    return values.assign(method=run.recipe.method, seed=run.recipe.seed, layer=layer)


def _read(features: Features, layer: str) -> dict[str, dict[str, float]]:
    images = features.images
    if images.factors is None:
        raise ValueError(f"{images.name} comes without factors: give it some by `with_factors`")
    x = np.asarray(features.layer(layer), dtype=np.float64)
    return {name: read(x, images.factors, images.labels, periods=PERIODS) for name, read in _READOUTS.items()}
