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
    rows = [
        stagewise_evaluation([run], train, test, extraction=extraction, probe=probe, store=store, fabric=fabric).assign(
            arm=arm.label
        )
        for arm, run in zip(seeded, runs, strict=True)
    ]
    return pd.concat(rows, ignore_index=True)
