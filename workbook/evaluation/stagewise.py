"""Stage-wise evaluation (A 3.2, Fig. 1): a linear probe on every stage of a frozen backbone."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from lightning_fabric import Fabric

from workbook.data.images import Images
from workbook.evaluation.extraction import Extraction, Features, extract
from workbook.evaluation.linear_probe import ProbeRecipe, linear_probe
from workbook.files import write_atomically
from workbook.pretraining.runs import Run
from workbook.progress import progress_bar
from workbook.store import Store

# Part of the key of all probe results. Raise it when a change of the code alters a result.
PROBE_VERSION = 1


def stagewise_evaluation(
    runs: Sequence[Run],
    train: Images,
    test: Images,
    *,
    extraction: Extraction,
    probe: ProbeRecipe,
    store: Store,
    fabric: Fabric,
    every_epoch: bool = False,
) -> pd.DataFrame:
    """Accuracy on `test` of linear probes fitted on `train`, one row for every run and layer.

    With `every_epoch` all checkpoints of a run are probed, else its last.
    Columns: method, seed, epoch, layer (as in `extraction.layers`), dims, accuracy (percent, top-1), c (the
    regularisation chosen on a validation part of `train`). Features and probes are stored.
    """
    rows = []
    jobs = [(run, epoch) for run in runs for epoch in run.recipe.saved_epochs[0 if every_epoch else -1 :]]
    with progress_bar("linear probes", len(jobs), unit="backbones") as bar:
        for run, epoch in jobs:
            bar.set_description_str(f"linear probes: {run.recipe.title}, epoch {epoch}", refresh=False)
            fitted, tested = (extract(run, images, extraction, store, fabric, epoch=epoch) for images in (train, test))
            for result in probe_layers(fitted, tested, probe, store, fabric):
                rows.append({"method": run.recipe.method, "seed": run.recipe.seed, "epoch": epoch, **result})
            bar.update()
    return pd.DataFrame(rows)


def probe_layers(
    fitted: Features,
    tested: Features,
    probe: ProbeRecipe,
    store: Store,
    fabric: Fabric,
    *,
    validation: Features | None = None,
) -> list[dict[str, object]]:
    """One row a layer of the features: layer, dims, accuracy (percent on `tested`), c. Probes are stored.

    validation: on which C is chosen; None = on a part of `fitted`.
    """
    return [_probe(fitted, tested, layer, probe, store, fabric, validation) for layer in fitted.layers]


def _probe(
    fitted: Features,
    tested: Features,
    layer: str,
    recipe: ProbeRecipe,
    store: Store,
    fabric: Fabric,
    validation: Features | None,
) -> dict[str, object]:
    spec = {
        "train": fitted.artefact.key,
        "test": tested.artefact.key,
        "layer": layer,
        "probe": asdict(recipe),
        "version": PROBE_VERSION,
    }
    if validation is not None:
        spec["validation"] = validation.artefact.key

    def make(folder: Path) -> None:
        train_x, test_x = fitted.layer(layer), tested.layer(layer)
        chooser = None if validation is None else (validation.layer(layer), validation.labels)
        result = linear_probe(
            train_x, fitted.labels, test_x, tested.labels, recipe, device=fabric.device, validation=chooser
        )
        row = {"layer": layer, "dims": train_x.shape[1], "accuracy": result.accuracy, "c": result.c}
        write_atomically(folder / "result.json", json.dumps(row).encode())

    return json.loads(store.get_or_make("probes", spec, make).file("result.json").read_text())
