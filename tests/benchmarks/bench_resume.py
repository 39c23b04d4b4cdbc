"""What it costs a training to keep what it could resume from: after every epoch and waited for, and as it is.

    python tests/benchmarks/bench_resume.py [--epochs 12] [--rounds 3]

Epochs are as short as a GPU makes them: the backbone of the profile study, one batch an epoch, generated images. Prints
seconds of the process (all threads) and by the clock, the median of the rounds, beside those of a training that keeps
nothing. Old: RESUME_SECONDS is 0, and each file is waited for.
"""

import workbook  # noqa: F401  # before torch: it keeps OpenMP's threads from spinning while another process runs

# isort: split
import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch

from workbook.data import load_images
from workbook.devices import make_fabric
from workbook.pretraining import loop
from workbook.profiles import load_profile


class Waited(loop.Writer):
    def write(self, state: dict) -> None:
        super().write(state)
        self.wait()


WAYS = {"nothing kept": (float("inf"), loop.Writer), "old": (0.0, Waited), "new": (loop.RESUME_SECONDS, loop.Writer)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    fabric = make_fabric("cpu", "float32")
    images = load_images("generated", "train").per_class(1)
    recipe = replace(load_profile("study").recipe, dataset="generated", side=None, batch_size=16, image_size=32)
    recipe = replace(recipe, epochs=args.epochs, checkpoint_epochs=(), warmup_epochs=0)
    turns = [{name: trained(recipe, images, fabric, *way) for name, way in WAYS.items()} for _ in range(args.rounds)]
    seconds = {name: [median(turn[name][kind] for turn in turns) for kind in (0, 1)] for name in WAYS}
    print("| what is kept | process (s) | clock (s) | more than nothing |")
    print("|---|---:|---:|---:|")
    for name, (process, clock) in seconds.items():
        print(f"| {name} | {process:.2f} | {clock:.2f} | {clock / seconds['nothing kept'][1] - 1:.0%} |")


def trained(recipe, images, fabric, every: float, writer: type) -> tuple[float, float]:
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(loop, "RESUME_SECONDS", every),
        patch.object(loop, "Writer", writer),
    ):
        process, clock = time.process_time(), time.perf_counter()
        loop.pretrain(recipe, images, Path(folder), fabric)
        return time.process_time() - process, time.perf_counter() - clock


if __name__ == "__main__":
    main()
