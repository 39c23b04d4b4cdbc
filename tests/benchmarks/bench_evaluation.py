"""What an evaluation costs, the way it was and the way it is: probe, store and decoding, as ratios of one run.

    python tests/benchmarks/bench_evaluation.py [--images 200] [--rounds 2]

probe: the path over nine C, all of it and with the patience of the profile pocket, on 1,024 generated channels of 30
overlapping classes; the processor's time of one thread. wide: the same with patience on 8,192 channels of 6,000 images,
as of a feature map, in an eigenbasis and as it is now. store: one stage-wise evaluation of a barely trained network of
the pocket's kind: bytes of features an image, in float32 and as they are now, and of what stays when the probes are
stored. decoding: batches of 256 JPEGs of 500 x 375 pixels for a network of 224, 256 images a
task and as it is now; images a second by the clock, as it is about cores.
"""

import workbook  # noqa: F401  # before torch: it keeps OpenMP's threads from spinning while another process runs

# isort: split
import argparse
import io
import os
import tempfile
import time
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from workbook.data import images as decoding
from workbook.data import load_images
from workbook.data.batches import plain_batches
from workbook.data.images import Images
from workbook.devices import make_fabric
from workbook.evaluation.stagewise import stagewise_evaluation
from workbook.lab import Lab
from workbook.pretraining.runs import train
from workbook.probes import logistic
from workbook.probes.linear import ProbeRecipe, linear_probe
from workbook.profiles import load_profile
from workbook.store import Store

POCKET, SMOKE = load_profile("pocket"), load_profile("smoke")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200, help="a class that the probe is fitted to")
    parser.add_argument("--rounds", type=int, default=2, help="of each way; the fastest counts")
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench_probe(args.images, args.rounds)
    bench_wide(args.rounds)
    bench_store()
    bench_decoding(args.rounds)


def bench_probe(per_class: int, rounds: int) -> None:
    data = overlapping(per_class, 1024)
    best = {"all C": float("inf"), "patience": float("inf")}
    for _ in range(rounds):
        for name, recipe in {"all C": replace(POCKET.probe, patience=None), "patience": POCKET.probe}.items():
            best[name] = min(best[name], processor_time(data, recipe, f"probe, {name:8}"))
    print(f"probe: {best['all C'] / best['patience']:.2f} times as fast", flush=True)


def bench_wide(rounds: int) -> None:
    data, now = overlapping(200, 8192), logistic.LARGEST_EIGENBASIS
    best = {"eigenbasis": float("inf"), "now": float("inf")}
    for _ in range(rounds):
        for name, largest in {"eigenbasis": 10**9, "now": now}.items():
            logistic.LARGEST_EIGENBASIS = largest
            best[name] = min(best[name], processor_time(data, POCKET.probe, f"wide, {name:10}"))
    print(f"wide: {best['eigenbasis'] / best['now']:.2f} times as fast", flush=True)


def overlapping(per_class: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x and y to fit, of 30 classes, and half as many to test."""
    rng = np.random.default_rng(0)
    y = np.arange(30 * per_class * 3 // 2) % 30
    spectrum = np.arange(1, width + 1) ** -0.5  # as that of trained features: a few directions hold most
    x = (rng.normal(size=(len(y), width)) + 0.1 * rng.normal(size=(30, width))[y]) * spectrum
    x = np.maximum(x @ rng.normal(size=(width, width)) / width**0.5, 0).astype(np.float32)
    n = 30 * per_class
    return x[:n], y[:n], x[n:], y[n:]


def processor_time(data: tuple[np.ndarray, ...], recipe: ProbeRecipe, what: str) -> float:
    start = time.process_time()
    found = linear_probe(*data, recipe)
    seconds = time.process_time() - start
    told = f"C {found.c:g} of up to {found.largest_c:g}, {found.accuracy:.2f} %"
    print(f"{what} {seconds:6.1f} s  {told}", flush=True)
    return seconds


def bench_store() -> None:
    parts = tuple(load_images("generated", split, side="eval").per_class(20) for split in ("train", "test"))
    recipe = replace(SMOKE.recipe, image_size=32, images_per_class=4, epochs=1, checkpoint_epochs=(), warmup_epochs=0)
    ways = {"float32, kept": ("float32", True), "kept": (POCKET.extraction.dtype, True)}
    ways |= {"dropped": (POCKET.extraction.dtype, False)}
    sizes = {}
    for name, (dtype, keep) in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            lab = Lab(Store(folder), make_fabric("cpu"), keep_features=keep)
            extraction, probe = replace(POCKET.extraction, dtype=dtype), ProbeRecipe(c_values=(0.01,))
            stagewise_evaluation([train(recipe, lab)], parts, extraction, probe, lab)
            entries = [entry for entry in lab.store.entries() if entry.kind in ("features", "probes")]
            sizes[name] = 1e6 * sum(entry.megabytes for entry in entries) / sum(map(len, parts))
        print(f"store, {name:13} {sizes[name]:9,.0f} bytes an image, features and probes", flush=True)
    first, left = sizes["float32, kept"], sizes["dropped"] / sizes["float32, kept"]
    print(f"store: {first / sizes['kept']:.2f} times less, and {left:.3%} of it when probes are stored", flush=True)


def bench_decoding(rounds: int) -> None:
    buffer, rng = io.BytesIO(), np.random.default_rng(0)
    pixels = Image.fromarray((255 * rng.random((12, 16, 3))).astype(np.uint8))
    pixels.resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    count = 768
    images = Images(
        name="jpegs",
        split="test",
        decode=lambda row: Image.open(io.BytesIO(buffer.getvalue())),
        rows=np.arange(count),
        labels=np.zeros(count, dtype=np.int64),
        class_names=("one",),
        digest="",
    )
    now, best = decoding._IMAGES_A_TASK, {}
    for _ in range(rounds):
        for task in (256, now):
            decoding._IMAGES_A_TASK = task
            start = time.perf_counter()
            for _ in plain_batches(images, 224, 256, torch.device("cpu")):
                pass
            best[task] = max(best.get(task, 0.0), count / (time.perf_counter() - start))
    decoding._IMAGES_A_TASK = now
    for task, speed in best.items():
        print(f"decoding, {task:3} images a task: {speed:6.0f} images/s on {os.cpu_count()} cores")
    print(f"decoding: {best[now] / best[256]:.2f} times as fast")


if __name__ == "__main__":
    main()
