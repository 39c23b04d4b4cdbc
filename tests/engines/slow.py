"""What workers do in the tests of an engine: jobs that take long enough to be interrupted, and jobs that fail."""

import os
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from workbook.engines import away
from workbook.lab import Lab
from workbook.pretraining import loop, runs

EPOCH = "EPOCHS_ARE_TOLD_IN"  # a variable that names the file


def trained_slowly(plan: Any, lab: Lab, bar: tqdm) -> None:
    """As `runs._trained`, an epoch in a second or so, each of which is kept and brought home."""
    loop.RESUME_SECONDS, away.KEPT_SECONDS = 0.0, 0.2
    whole = loop._train_epoch

    def slow_epoch(training: Any, source: Any, count: int, epoch: int, bar: tqdm) -> dict[str, float]:
        row = whole(training, source, count, epoch, bar)
        with Path(os.environ[EPOCH]).open("a") as file:
            file.write(f"{plan.recipe.seed} {epoch} {lab.store.root.name}\n")
        time.sleep(0.8)
        return row

    loop._train_epoch = slow_epoch
    try:
        runs._train_left([plan], [0], lab, bar)
    finally:
        loop._train_epoch = whole


def doubled(number: int, lab: Lab, bar: tqdm) -> int:
    """Fails at 3 and 5."""

    def compute() -> int:
        if number in (3, 5):
            raise ValueError(f"{number} is odd")
        return 2 * number

    found = lab.store.remember("doubled", {"doubled": number}, compute)
    bar.update(number)
    return found


def nothing(number: int, lab: Lab, bar: tqdm) -> None:
    """Asks the store, as every job does."""
    lab.store.remember("empty", {"number": number}, lambda: number)


def patient(seconds: float, number: int, lab: Lab, bar: tqdm) -> None:
    """Waits for so long, once."""
    lab.store.remember("patient", {"number": number, "seconds": seconds}, lambda: time.sleep(seconds))
