"""Images a second of the pretraining loop, beside the same model with nothing to wait for, and beside a DataLoader.

    python tests/benchmarks/bench_pretraining.py
    python tests/benchmarks/bench_pretraining.py --methods SL BYOL --steps 10 --threads 1

limit: the same steps on one batch of random tensors. loader: the same steps fed by torch's DataLoader with a PIL
transform an image, as lightly's examples do, and worker processes on the other cores. feed: the batches of the loop
and of a loader on one core, without any step. The pocket profile's recipe on generated images; on a GPU the study's.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import cycle, islice

import torch
from image_by_image import ImageByImage
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader

from workbook.data.batches import MemoryBatches, shuffled
from workbook.data.sources import load_images
from workbook.devices import make_fabric
from workbook.pretraining.loop import create_model
from workbook.pretraining.model import Model, Moment
from workbook.pretraining.optimizers import create_optimizer
from workbook.pretraining.recipe import Recipe, with_method
from workbook.profiles import load_profile

Batch = tuple[list[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["SL", "SL-MLP", "BYOL", "MoCo v2", "SimCLR"])
    parser.add_argument("--steps", type=int, default=20, help="timed, after two that are not")
    parser.add_argument("--rounds", type=int, default=3, help="the three ways take turns; the best of each counts")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its default")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    fabric = make_fabric()
    profile = load_profile("study" if fabric.device.type == "cuda" else "pocket")
    print(f"{fabric.device}, {torch.get_num_threads()} threads, {profile.recipe.backbone}, images/s")
    print(f"{'method':10} {'loop':>8} {'limit':>8} {'of it':>6} {'loader':>8} {'times':>6} {'feed':>16} {'times':>6}")
    for name in args.methods:
        recipe = replace(with_method(profile.recipe, name), dataset="generated", side=None)
        loop, limit, loader, held, loaded = measure(recipe, fabric, args.steps, args.rounds)
        timed = f"{loop:8.0f} {limit:8.0f} {loop / limit:6.0%} {loader:8.0f} {loop / loader:6.1f}"
        print(f"{name:10} {timed} {held:8.0f}{loaded:8.0f} {held / loaded:6.1f}", flush=True)


def measure(recipe: Recipe, fabric: Fabric, steps: int, rounds: int) -> list[float]:
    images = load_images(recipe.dataset, "train", side=recipe.side)
    model = create_model(recipe, len(images.class_names)).to(memory_format=torch.channels_last)
    views = model.views(recipe.augmentation, recipe.image_size)
    order = shuffled(len(images), recipe.batch_size, torch.Generator().manual_seed(0))
    order = list(islice(cycle(order), steps + 2))
    held = MemoryBatches(images, recipe.image_size, views, fabric.device)
    fixed = next(held.batches(order[:1], seed=0))
    fixed = ([torch.rand_like(view) for view in fixed[0]], fixed[1])
    dataset = ImageByImage(images, views)

    def loader(workers: int) -> Iterator[Batch]:
        sampler = [[(index, index) for index in batch] for batch in order]
        return on_device(DataLoader(dataset, batch_sampler=sampler, num_workers=workers), fabric)

    step = stepper(recipe, model, fabric)
    ways: list[tuple[Callable[[], Iterable[Batch]], Callable[[Batch, int], None]]] = [
        (lambda: held.batches(order, seed=0), step),
        (lambda: [fixed] * len(order), step),
        (lambda: loader(max(0, (os.cpu_count() or 1) - 1)), step),
        (lambda: held.batches(order, seed=0), lambda batch, number: None),
        (lambda: loader(0), lambda batch, number: None),
    ]
    best = [0.0] * len(ways)
    for _ in range(rounds):
        for number, (source, use) in enumerate(ways):
            best[number] = max(best[number], speed(source(), use, recipe.batch_size, fabric))
    return best


def on_device(loader: DataLoader, fabric: Fabric) -> Iterator[Batch]:
    for views, labels in loader:
        yield [view.to(fabric.device).float().div_(255) for view in views], labels.to(fabric.device)


def stepper(recipe: Recipe, model: Model, fabric: Fabric) -> Callable[[Batch, int], None]:
    """One step of the training, as the loop takes it."""
    choices = {"lr": 1e-3, "momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
    optimizer = create_optimizer(recipe.optimizer, model, adam_beta=recipe.adam_beta, **choices)
    wrapped, optimizer = fabric.setup(model, optimizer)

    def step(batch: Batch, number: int) -> None:
        moment = Moment(number, 1000, 10)
        model.begin_step(moment)
        fabric.backward(wrapped(*batch, moment).loss)
        model.after_backward(moment)
        optimizer.step()
        optimizer.zero_grad()
        model.after_step(moment)

    return step


def speed(batches: Iterable[Batch], step: Callable[[Batch, int], None], batch_size: int, fabric: Fabric) -> float:
    """Images a second over all batches but the first two."""
    for number, batch in enumerate(batches):
        if number == 2:
            synchronise(fabric)
            started = time.perf_counter()
        step(batch, number)
    synchronise(fabric)
    return (number - 1) * batch_size / (time.perf_counter() - started)


def synchronise(fabric: Fabric) -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
