"""Time of a step of label injection for control cycles 1, 4 and 100, beside the forward pass that none can do without.

    python tests/benchmarks/bench_injection.py
    python tests/benchmarks/bench_injection.py --steps 20 --rounds 1 --threads 1

forward: the backbone on a batch, in training mode, no gradient. with head: the same and a step of a linear head on its
features, what the limit T -> infinity costs at least. The ways take turns, and the fastest round of each counts; a
round of a cycle is as many steps as --steps, a multiple of 100, so that every cycle is whole. One fixed batch of
random images, the pocket profile's network; on a GPU the study's.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric

from workbook.devices import make_fabric
from workbook.pretraining.injection import injection_recipe
from workbook.pretraining.loop import create_model
from workbook.pretraining.model import Moment
from workbook.pretraining.optimizers import create_optimizer
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.starts import RunStart
from workbook.profiles import load_profile

CLASSES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its default")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    fabric = make_fabric()
    base = load_profile("study" if fabric.device.type == "cuda" else "pocket").recipe
    ways = {"forward": alone(base, fabric, head=False), "with head": alone(base, fabric, head=True)}
    ways |= {f"T = {cycle}": injected(base, cycle, fabric) for cycle in (100, 4, 1)}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(args.rounds):
        for name, way in ways.items():
            best[name] = min(best[name], per_step(way, args.steps, fabric))
    print(f"{fabric.device}, {torch.get_num_threads()} threads, {base.backbone}, batches of 200, ms a step")
    for name, seconds in best.items():
        print(f"{name:10} {1000 * seconds:8.1f}  {seconds / best['with head']:5.2f} x with head")


def alone(base: Recipe, fabric: Fabric, *, head: bool) -> Callable[[int], None]:
    recipe = injection_recipe(base, RunStart(run="", epoch=0), None)
    model = fabric.setup_module(create_model(recipe, CLASSES).to(memory_format=torch.channels_last)).train()
    images, labels = batch(recipe, fabric)
    optimizer = torch.optim.SGD(model.head.parameters(), lr=1e-3, momentum=0.9)

    def step(number: int) -> None:
        with torch.no_grad(), fabric.autocast():
            features = model.backbone(images)
        if head:
            with fabric.autocast():
                loss = F.cross_entropy(model.head(features), labels)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()

    return step


def injected(base: Recipe, cycle: int, fabric: Fabric) -> Callable[[int], None]:
    recipe = injection_recipe(base, RunStart(run="", epoch=0), cycle)
    model = create_model(recipe, CLASSES).to(memory_format=torch.channels_last)
    choices = {"lr": 1e-3, "momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
    optimizer = create_optimizer(recipe.optimizer, model, adam_beta=recipe.adam_beta, **choices)
    wrapped, optimizer = fabric.setup(model, optimizer)
    wrapped.train()
    images, labels = batch(recipe, fabric)

    def step(number: int) -> None:
        for part in model.parts(Moment(number, 10_000, 100)):
            fabric.backward(wrapped([images], labels, part).loss)
            model.after_backward(part)
            optimizer.step()
            optimizer.zero_grad()

    return step


def batch(recipe: Recipe, fabric: Fabric) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (recipe.batch_size, 3, recipe.image_size, recipe.image_size)
    images = torch.rand(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (recipe.batch_size,), generator=generator)
    return images.to(fabric.device), labels.to(fabric.device)


def per_step(way: Callable[[int], None], steps: int, fabric: Fabric) -> float:
    """Seconds; a first step warms up and is not counted."""
    way(0)
    synchronise(fabric)
    started = time.perf_counter()
    for number in range(steps):
        way(number)
    synchronise(fabric)
    return (time.perf_counter() - started) / steps


def synchronise(fabric: Fabric) -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
