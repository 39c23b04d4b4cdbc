"""The arms of an ablation, trained and probed."""

from collections.abc import Sequence

import pandas as pd
from lightning_fabric import Fabric

from workbook.data.images import Images
from workbook.evaluation.extraction import Extraction
from workbook.evaluation.linear_probe import ProbeRecipe
from workbook.evaluation.stagewise import stagewise_evaluation
from workbook.pretraining.ablations import Arm, over_seeds
from workbook.pretraining.runs import train_all
from workbook.progress import progress_bar
from workbook.store import Store


def evaluate_arms(
    arms: Sequence[Arm],
    seeds: Sequence[int],
    train: Images,
    test: Images,
    *,
    extraction: Extraction,
    probe: ProbeRecipe,
    store: Store,
    fabric: Fabric,
) -> pd.DataFrame:
    """`stagewise_evaluation` of every arm with every seed, with a column `arm`, the arm's label."""
    seeded = over_seeds(arms, seeds)
    runs = train_all([arm.recipe for arm in seeded], store, fabric)
    rows = []
    with progress_bar("arms", len(runs), unit="runs") as bar:
        for arm, run in zip(seeded, runs, strict=True):
            bar.set_description_str(f"arms: {arm.label}", refresh=False)
            found = stagewise_evaluation(
                [run], train, test, extraction=extraction, probe=probe, store=store, fabric=fabric
            )
            rows.append(found.assign(arm=arm.label))
            bar.update()
    return pd.concat(rows, ignore_index=True)
