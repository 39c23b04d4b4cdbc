"""Policies and patches of a batch at once, beside torchvision's image by image: times as fast.

    python tests/benchmarks/bench_policies.py

One thread, by the time of the process; the two ways take turns, and the median of each counts. On a GPU the batch is
there, and torchvision's images are on the CPU as they were.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from workbook.data.augmentation import POLICIES
from workbook.data.batched import draws
from workbook.data.policies import GREY, Cutout, Erase, Policy
from workbook.devices import choose_device

ROUNDS = 5


def main() -> None:
    torch.set_num_threads(1)
    device = choose_device()
    print(f"{device}, 1 thread, images/s: image by image, a batch, times as fast")
    for size, count in ((32, 256), (224, 32)):
        images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
        there = images.to(device)
        for name, (theirs, ours) in ways(size).items():
            old, new = in_turn(theirs, ours.to(device), images, there)
            print(f"{name:12} {size:4} pixels {old:10,.0f} {new:10,.0f} {new / old:8.1f}", flush=True)


def in_turn(theirs: Callable[[Tensor], Tensor], ours: nn.Module, images: Tensor, there: Tensor) -> tuple[float, float]:
    """Images a second of both."""

    def one_by_one() -> Tensor:
        return torch.stack([theirs(image) for image in images])

    def at_once() -> Tensor:
        return ours(there, draws(len(there), there.device))

    turns = [(rate(one_by_one, len(images)), rate(at_once, len(images))) for _ in range(ROUNDS)]
    old, new = (median(way) for way in zip(*turns, strict=True))
    return old, new


def ways(size: int) -> dict[str, tuple[Callable[[Tensor], Tensor], nn.Module]]:
    """name -> torchvision's for one image, and ours for a batch."""
    found = {name: (policy(), Policy(policy(), size)) for name, policy in POLICIES.items()}
    erasing = {"scale": (0.02, 1 / 3), "ratio": (0.3, 3.3)}
    theirs = v2.RandomErasing(0.25, **erasing, value=list(map(float, GREY)))
    return found | {"erasing": (theirs, Erase(0.25, **erasing)), "cutout": (cutout, Cutout(0.5))}


def cutout(image: Tensor) -> Tensor:
    """As it was before batches: one image, torchvision has none."""
    height, width = image.shape[-2:]
    side = height // 2
    top, left = (int(torch.randint(length, ())) - side // 2 for length in (height, width))
    image = image.clone()
    grey = torch.tensor(GREY, dtype=image.dtype).view(3, 1, 1)
    image[:, max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = grey
    return image


def rate(work: Callable[[], object], count: int) -> float:
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    started = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return count / (clock() - started)


if __name__ == "__main__":
    main()
