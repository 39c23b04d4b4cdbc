"""Measures of the features and the weights of runs: numbers, which are stored, so that they outlive both."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any

import pandas as pd
from tqdm import tqdm

from workbook import metrics
from workbook.data.images import Images
from workbook.evaluation.extraction import Extraction, Features
from workbook.evaluation.scoring import backbone_diversity
from workbook.lab import Lab
from workbook.metrics import mean_diversity
from workbook.pretraining.runs import Checkpoint, Run
from workbook.progress import progress_bar

# Part of the key of all measures. Raise it when a change of `workbook.metrics` alters a result.
MEASURE_VERSION = 1
Measure = Callable[..., Any]  # gives one number


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
    for measure in measures.values():
        _told(measure)
    todo = partial(_of_checkpoint, images, measures, extraction)
    jobs = [Checkpoint(run, epoch) for run in runs for epoch in run.recipe.saved_epochs[0 if every_epoch else -1 :]]
    with progress_bar("measures", len(jobs), unit="checkpoints") as bar:
        done = lab.map(todo, jobs, bar, title=lambda job: f"measures of {images.name}: {job.title}")
        return pd.DataFrame([row for _, row in done], columns=["method", "seed", "epoch", *measures])


def _of_checkpoint(
    images: Images, measures: Mapping[str, Measure], extraction: Extraction, job: Checkpoint, lab: Lab, bar: tqdm
) -> dict[str, Any]:
    """The row of a run's epoch."""
    run, epoch = job
    found = measures_of(Features(run.at(lab), images, extraction, lab, epoch), measures)
    bar.update()
    return {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": epoch, **found}


def measures_of(features: Features, measures: Mapping[str, Measure]) -> dict[str, float]:
    """The same of one set of features, of one layer."""

    def compute(measure: Measure) -> float:
        (layer,) = features.layers
        labels = [features.labels] if "labels" in signature(measure).parameters else []
        return float(measure(features.layer(layer), *labels))

    found = {}
    for name, measure in measures.items():
        of, given = _told(measure)
        spec = {"features": features.key, "measure": of, "given": given, "version": MEASURE_VERSION}
        found[name] = features.lab.store.remember("measures", spec, partial(compute, measure))
    return found


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


def weight_diversity(runs: Sequence[Run], lab: Lab, *, every_epoch: bool = True) -> pd.DataFrame:
    """The diversity of the weights of the backbones, one row for every run and checkpoint, or for its last.

    Columns: method, seed, epoch, cluster and spectral, means over layers, see `backbone_diversity`. Stored.
    """
    rows = [
        {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": epoch} | diversity_of(run, epoch, lab)
        for run in runs
        for epoch in run.recipe.saved_epochs[0 if every_epoch else -1 :]
    ]
    return pd.DataFrame(rows)


def diversity_of(run: Run, epoch: int, lab: Lab) -> dict[str, float]:
    """Cluster and spectral diversity of a run's backbone after an epoch, from the store or computed now."""
    spec = {"run": run.key, "epoch": epoch, "version": MEASURE_VERSION}

    def compute() -> dict[str, float]:
        return mean_diversity(backbone_diversity(run.model(epoch).backbone)).to_dict()

    return lab.store.remember("diversity", spec, compute)
