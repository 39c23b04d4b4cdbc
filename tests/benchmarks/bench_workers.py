"""Large JPEGs to batches: images a second of a core in a worker, before and now, from the files and from a small copy.

    python tests/benchmarks/bench_workers.py
    python tests/benchmarks/bench_workers.py --images 64 --side 256

before: every transform in the worker, image by image. now: the worker decodes, crops and flips, and the rest is done
with a batch, on the device. CPU seconds of one thread, so that other work on the machine does not count. device: what
is left to the device, here one core; a GPU has it beside its steps. The images are 500 x 375 pixels, about 110 kB, as
ImageNet's mostly are: clouds with grain, made here.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from image_by_image import ImageByImage
from PIL import Image
from torch.utils.data import default_collate

from workbook.data import Manifest, load_images, load_manifest
from workbook.data.augmentation import View
from workbook.data.batched import draws
from workbook.data.batches import WorkerBatches
from workbook.data.images import Images
from workbook.data.shrink import shrink_data
from workbook.pretraining.loop import create_model
from workbook.pretraining.recipe import Recipe, with_method
from workbook.seeding import seeded

SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="the two ways take turns; the best of each counts")
    parser.add_argument("--side", type=int, default=256, help="of the small copy")
    parser.add_argument("--methods", nargs="+", default=["SL", "SimCLR", "BYOL"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBOOK_DATA"] = folder
        manifest = photographs(Path(folder), args.images)
        started = time.process_time()
        *files, path = shrink_data(manifest, args.side)
        seconds = time.process_time() - started
        before, after = (sum(file.stat().st_size for file in group) / 2**20 for group in (jpegs(folder), files))
        print(f"shrink: {2 * args.images / seconds:.0f} images/s of a core, {before:.1f} MB to {after:.1f} MB")
        print(f"{'':12} {'method':10} {'before':>8} {'now':>8} {'times':>6} {'device':>8}   images/s of a core")
        sets = {"files": load_images(manifest, "train"), f"side {args.side}": load_images(load_manifest(path), "train")}
        for name, images in sets.items():
            for method in args.methods:
                old, new, device = measure(images, method, args.rounds)
                print(f"{name:12} {method:10} {old:8.0f} {new:8.0f} {new / old:6.1f} {device:8.0f}", flush=True)


def photographs(root: Path, count: int) -> Manifest:
    """A manifest of `count` JPEGs in each of train and test, which are the same."""
    draw = np.random.default_rng(0)
    for number in range(count):
        noise = [draw.integers(0, 256, (3 * side, 4 * side, 3), np.uint8) for side in (1, 2, 4, 8, 16)]
        clouds = sum(np.asarray(Image.fromarray(part).resize((500, 375)), float) / 5 for part in noise)
        grain = draw.normal(0, 7, (375, 500, 1))
        image = Image.fromarray((clouds + grain).clip(0, 255).astype(np.uint8))
        for split in ("train", "test"):
            path = root / "photographs" / split / f"class{number % 2}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, quality=92)
    splits = {split: f"{split}/{{*}}/*.jpg" for split in ("train", "test")}
    facts = dict.fromkeys(("title", "licence", "citation", "url", "obtain"), "made here")
    facts |= {"name": "photographs", "task": "classification", "classes": 2}
    source = {"kind": "folder", "root": "photographs", "splits": splits}
    return Manifest.model_validate(facts | {"splits": dict.fromkeys(splits, count), "sources": [source]})


def jpegs(folder: str) -> list[Path]:
    return list(Path(folder).glob("photographs/*/*/*.jpg"))


def measure(images: Images, method: str, rounds: int) -> tuple[float, ...]:
    """Images a second: of a worker before and now, and of what the device does now."""
    recipe = replace(with_method(Recipe(dataset="photographs", backbone="narrow_resnet"), method), image_size=SIZE)
    views: tuple[View, ...] = create_model(recipe, 2).views(recipe.augmentation, SIZE)
    now, before = WorkerBatches(images, views, torch.device("cpu"), workers=0), ImageByImage(images, views)
    indices = list(range(len(images)))
    crops, _ = now.loader.dataset[indices, 0, 0]
    floats = [pixels.float().div_(255) for pixels in crops]

    def on_device() -> None:
        with seeded(0):
            draw = draws(len(indices), torch.device("cpu"))
            for augment, pixels in zip(now.augment, floats, strict=True):
                augment(pixels, draw)

    ways: list[Callable[[], object]] = [
        lambda: default_collate([before[index, index] for index in indices]),
        lambda: now.loader.dataset[indices, 0, 0],
        on_device,
    ]
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for number, way in enumerate(ways):
            started = time.process_time()
            way()
            best[number] = min(best[number], time.process_time() - started)
    return tuple(len(indices) / max(seconds, 1e-9) for seconds in best)


if __name__ == "__main__":
    main()
