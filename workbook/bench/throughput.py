"""Images a second on this device, of each thing that makes training fast with it and without it."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, islice
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from workbook.bench.budget import Budget
from workbook.data.batched import draws
from workbook.data.batches import MemoryBatches, ViewBatch, shuffled
from workbook.data.images import Images
from workbook.data.policies import Policy
from workbook.pretraining.loop import Training, can_replay, create_model, set_up
from workbook.pretraining.model import Moment
from workbook.pretraining.recipe import Recipe, with_method
from workbook.pretraining.runs import pretraining_images

_TIMED = 60
_COMPILING = 60.0  # seconds that a compiler may take, twice; measured on no GPU yet


class Comparison(NamedTuple):
    """Images a second without a change and with it."""

    what: str
    before: float
    after: float


def comparisons(recipe: Recipe, fabric: Fabric, budget: Budget) -> Iterator[Comparison]:
    """One line for each change, as they come. recipe: of SL; the other methods are made from it.

    A step is the loop's: batches are drawn and augmented on the device. Where a device cannot do one of the two, that
    line is left out.
    """
    images, steps = pretraining_images(recipe), _TIMED if fabric.device.type == "cuda" else 2
    recipes = {name: with_method(recipe, name) for name in ("SL", "BYOL", "SimCLR", "MoCo v2")}
    replayed = {}
    for name, own in recipes.items():
        what = f"{name}: steps one by one, and replayed"
        if budget.allows(what):
            before = of_loop(own, images, fabric, steps)
            if not can_replay(own, create_model(own, len(images.class_names)), fabric):
                yield Comparison(f"{name}: steps one by one (not replayed here)", before, before)
                continue
            replayed[name] = of_loop(own, images, fabric, steps, recorded=True)
            yield Comparison(what, before, replayed[name])
    for what, compare in {
        "BYOL: augmented image by image on a core, and on the device": of_views,
        "AutoAugment: image by image on a core, and a batch on the device": of_policies,
    }.items():
        if budget.allows(what):
            yield Comparison(what, *compare(recipes["BYOL"], images, fabric, steps))
    compiled = "SL: replayed, and with a compiled backbone"
    if "SL" in replayed and budget.allows(compiled, _COMPILING):
        after = of_loop(recipes["SL"], images, fabric, steps, recorded=True, compiled=True)
        yield Comparison(compiled, replayed["SL"], after)


def of_loop(recipe: Recipe, images: Images, fabric: Fabric, steps: int, **how: bool) -> float:
    """Of the loop: batches made and steps taken. how: see `loop.set_up`."""
    training = new_training(recipe, images, fabric, **how)
    return speed(
        batches(training, images, some_batches(recipe, images, fabric, steps)),
        stepper(training),
        recipe.batch_size,
        fabric,
    )


def new_training(recipe: Recipe, images: Images, fabric: Fabric, **how: bool) -> Training:
    model = create_model(recipe, len(images.class_names)).to(memory_format=torch.channels_last).to(fabric.device)
    return set_up(recipe, model.train(), fabric, **how)


def batches(training: Training, images: Images, order: list[list[int]]) -> Iterator[ViewBatch]:
    """As the loop gets them."""
    recipe = training.recipe
    views = training.model.views(recipe.augmentation, recipe.image_size)
    return MemoryBatches(images, recipe.image_size, views, training.fabric.device).batches(order, seed=0)


def stepper(training: Training) -> Callable[[ViewBatch, int], object]:
    """One step of the training, as the loop takes it, far from its end."""
    return lambda batch, number: training.step(*batch, Moment(number, 10_000, training.recipe.epochs))


def speed(given: Iterable[Any], use: Callable[[Any, int], object], each: int, fabric: Fabric) -> float:
    """Images a second over all batches of `each` images but the first ones, which make the device ready.

    On a CPU of the process's own time, which other processes do not change.
    """
    clock = time.perf_counter if fabric.device.type == "cuda" else time.process_time
    number, started = 0, clock()
    for number, batch in enumerate(given, start=1):
        use(batch, number)
        if number == untimed(fabric):
            _finish(fabric)
            started = clock()
    _finish(fabric)
    return (number - untimed(fabric)) * each / (clock() - started)


def of_views(recipe: Recipe, images: Images, fabric: Fabric, steps: int) -> tuple[float, float]:
    """Batches alone: each image by torchvision's transforms, as the same choices are written there; on the device."""
    augmentation, size = recipe.augmentation, recipe.image_size
    transform = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=augmentation.crop_scale, ratio=augmentation.crop_ratio),
            v2.RandomHorizontalFlip(augmentation.flip),
            v2.RandomApply([v2.ColorJitter(*augmentation.jitter_strength)], augmentation.jitter),
            v2.RandomGrayscale(augmentation.greyscale),
            v2.RandomApply([v2.GaussianBlur(max(3, size // 10 // 2 * 2 + 1), (0.1, 2.0))], augmentation.blur[0]),
            v2.PILToTensor(),
        ]
    )

    def one_by_one(indices: list[int], number: int) -> object:
        return [torch.stack([transform(image) for image in map(_picture, pixels[indices])]) for _ in range(2)]

    pixels, few = images.tensor(size), [indices[:64] for indices in some_batches(recipe, images, fabric, 2)]
    before = speed(few, one_by_one, len(few[0]), fabric)
    training = new_training(recipe, images, fabric)
    made = batches(training, images, some_batches(recipe, images, fabric, steps))
    return before, speed(made, lambda batch, number: None, recipe.batch_size, fabric)


def of_policies(recipe: Recipe, images: Images, fabric: Fabric, steps: int) -> tuple[float, float]:
    """AutoAugment alone: torchvision's, image by image, on the CPU; ours on a batch on the device."""
    theirs, order = v2.AutoAugment(), some_batches(recipe, images, fabric, steps)
    pixels, few = images.tensor(recipe.image_size), [indices[:64] for indices in order[: untimed(fabric) + 2]]
    before = speed(few, lambda chosen, number: [theirs(pixels[at]) for at in chosen], len(few[0]), fabric)
    ours, there = Policy(theirs, recipe.image_size).to(fabric.device), pixels.to(fabric.device)
    chosen = list(torch.tensor(order, device=fabric.device))
    return before, speed(
        chosen, lambda at, number: ours(there[at], draws(len(at), fabric.device)), recipe.batch_size, fabric
    )


def _picture(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def untimed(fabric: Fabric) -> int:
    """Steps in which kernels are chosen, memory is reserved and, on a GPU, a step is recorded."""
    return 8 if fabric.device.type == "cuda" else 1


def some_batches(recipe: Recipe, images: Images, fabric: Fabric, steps: int) -> list[list[int]]:
    """The indices of so many batches, and of the untimed ones before them."""
    whole = shuffled(len(images), recipe.batch_size, torch.Generator().manual_seed(0))
    return list(islice(cycle(whole), untimed(fabric) + steps))


def _finish(fabric: Fabric) -> None:
    if fabric.device.type == "cuda":
        torch.cuda.synchronize(fabric.device)
