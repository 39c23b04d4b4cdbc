"""Images a second of the pretraining loop, beside the same model with nothing to wait for, and beside a DataLoader.

    python tests/benchmarks/bench_pretraining.py
    python tests/benchmarks/bench_pretraining.py --methods SL BYOL --steps 10

limit: the same steps on one batch of random tensors. loader: the same steps fed by torch's DataLoader with a PIL
transform an image, as lightly's examples do, in the same process. feed: the batches of the loop and of that loader
alone. The pocket profile's recipe on generated images; on a GPU the study's. On a CPU one thread, by the time of the
process, which other processes change least; the ways take turns, and the median of each counts.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from statistics import median

import torch
from image_by_image import ImageByImage
from lightning_fabric import Fabric
from torch.utils.data import DataLoader

from workbook.bench.throughput import batches, new_training, some_batches, speed, stepper
from workbook.data.batches import ViewBatch
from workbook.data.sources import load_images
from workbook.devices import make_fabric
from workbook.pretraining.recipe import Recipe, with_method
from workbook.profiles import load_profile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["SL", "SL-MLP", "BYOL", "MoCo v2", "SimCLR"])
    parser.add_argument("--steps", type=int, default=6, help="that are timed in a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    fabric = make_fabric()
    profile = load_profile("study" if fabric.device.type == "cuda" else "pocket")
    print(f"{fabric.device}, {torch.get_num_threads()} thread, {profile.recipe.backbone}, images/s")
    print(f"{'method':10} {'loop':>8} {'limit':>8} {'of it':>6} {'loader':>8} {'times':>6} {'feed':>16} {'times':>6}")
    for name in args.methods:
        recipe = replace(with_method(profile.recipe, name), dataset="generated", side=None)
        loop, limit, loader, held, loaded = measure(recipe, fabric, args.steps, args.rounds)
        timed = f"{loop:8.0f} {limit:8.0f} {loop / limit:6.0%} {loader:8.0f} {loop / loader:6.1f}"
        print(f"{name:10} {timed} {held:8.0f}{loaded:8.0f} {held / loaded:6.1f}", flush=True)


def measure(recipe: Recipe, fabric: Fabric, steps: int, rounds: int) -> list[float]:
    images = load_images(recipe.dataset, "train", side=recipe.side)
    training = new_training(recipe, images, fabric)
    order = some_batches(recipe, images, fabric, steps)
    step = stepper(training)
    views, labels = next(batches(training, images, order[:1]))
    fixed = ([torch.rand_like(view) for view in views], labels)
    asked = training.model.views(recipe.augmentation, recipe.image_size)
    dataset = ImageByImage(images, asked)

    def loader() -> Iterator[ViewBatch]:
        sampler = [[(index, index) for index in batch] for batch in order]
        for views, labels in DataLoader(dataset, batch_sampler=sampler):
            yield [view.to(fabric.device).float().div_(255) for view in views], labels.to(fabric.device)

    def nothing(batch: ViewBatch, number: int) -> None:
        pass

    ways: list[tuple[Callable[[], Iterable[ViewBatch]], Callable[[ViewBatch, int], object]]] = [
        (lambda: batches(training, images, order), step),
        (lambda: [fixed] * len(order), step),
        (loader, step),
        (lambda: batches(training, images, order), nothing),
        (loader, nothing),
    ]
    turns = [[speed(given(), use, recipe.batch_size, fabric) for given, use in ways] for _ in range(rounds)]
    return [median(way) for way in zip(*turns, strict=True)]


if __name__ == "__main__":
    main()
