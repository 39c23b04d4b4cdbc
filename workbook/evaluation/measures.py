"""Measures of the features of runs: numbers, which are stored, so that they outlive the features."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any

import pandas as pd
from tqdm import tqdm

from workbook import metrics
from workbook.data.images import Images
from workbook.evaluation.extraction import Extraction, Features
from workbook.lab import Lab
from workbook.pretraining.runs import Checkpoint, Run
from workbook.progress import progress_bar

# Part of the key of all measures. Raise it when a change of `workbook.metrics` alters a result.
MEASURE_VERSION = 1
Measure = Callable[..., float]


def feature_measures(
    runs: Sequence[Run],
    images: Images,
    measures: Mapping[str, Measure],
    extraction: Extraction,
    lab: Lab,
    *,
    every_epoch: bool = True,
) -> pd.DataFrame:
    """What each measure is of the features of `images`, one row for every run and checkpoint, or for its last.

    measures: what it is called in the table -> a function of `workbook.metrics` that takes features, or features and
    labels, or a `functools.partial` of one that gives it more by keyword. extraction: of one layer.
    Columns: method, seed, epoch, and one for each measure. Each number is stored by itself, and features are read, or
    extracted, where one is missing.
    Raises ValueError for a function from elsewhere, which its name would not tell from another.
    """
    named = {name: (*_told(measure), measure) for name, measure in measures.items()}
    todo = partial(_of_checkpoint, images, named, extraction)
    jobs = [Checkpoint(run, epoch) for run in runs for epoch in run.recipe.saved_epochs[0 if every_epoch else -1 :]]
    with progress_bar("measures", len(jobs), unit="checkpoints") as bar:
        done = lab.map(todo, jobs, bar, title=lambda job: f"measures of {images.name}: {job.title}")
        return pd.DataFrame([row for _, row in done], columns=["method", "seed", "epoch", *measures])


def _told(measure: Measure) -> tuple[str, dict[str, Any]]:
    """What it is called in `workbook.metrics`, and what it takes besides features and labels."""
    whole = measure if isinstance(measure, partial) else partial(measure)
    name = getattr(whole.func, "__name__", "")
    if whole.args or getattr(metrics, name, None) is not whole.func:
        raise ValueError(
            f"a measure is a function of workbook.metrics, or a partial of one with keywords, got {measure}: "
            "call others on what `Study.features` gives"
        )
    taken = signature(whole).parameters.values()  # as it is given them, else as they stand
    return name, {part.name: part.default for part in taken if part.default is not part.empty}


def _of_checkpoint(
    images: Images,
    named: Mapping[str, tuple[str, dict[str, Any], Measure]],
    extraction: Extraction,
    job: Checkpoint,
    lab: Lab,
    bar: tqdm,
) -> dict[str, Any]:
    run, epoch = job
    features = Features(run.at(lab), images, extraction, lab, epoch)

    def compute(measure: Measure) -> float:
        (layer,) = features.layers
        labels = [features.labels] if "labels" in signature(measure).parameters else []
        return float(measure(features.layer(layer), *labels))

    row: dict[str, Any] = {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": epoch}
    for name, (of, given, measure) in named.items():
        spec = {"features": features.key, "measure": of, "given": given, "version": MEASURE_VERSION}
        row[name] = lab.store.remember("measures", spec, partial(compute, measure))
    bar.update()
    return row
