"""Scenes of coloured rectangles on grey: a class is a colour."""

import numpy as np
import torch
from torch import Tensor

from workbook.detection.runs import Runs
from workbook.detection.scenes import Objects, Scenes

COLOURS = {"red": (230, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}


def toy_scenes(count: int, *, size: int = 64, most: int = 1, seed: int = 0, crowd: int | None = None) -> Scenes:
    """Image i has one to `most` rectangles; on image `crowd` the first of them is a crowd."""
    return Scenes(
        name="rectangles",
        split="train",
        class_names=tuple(COLOURS),
        digest=f"rectangles-{count}-{size}-{most}-{seed}-{crowd}",
        ids=tuple(range(count)),
        image_at=lambda index: _drawn(index, size, most, seed)[0],
        objects_at=lambda index: _objects(*_drawn(index, size, most, seed)[1:], size, crowd == index),
    )


def _drawn(index: int, size: int, most: int, seed: int) -> tuple[Tensor, list[list[int]], list[int]]:
    rng = np.random.default_rng([seed, index])
    image = rng.integers(100, 140, (3, size, size))
    boxes, labels = [], []
    for place in range(int(rng.integers(1, most + 1))):
        width, height = rng.integers(size // 5, size // 3, 2)
        left, top = rng.integers(0, size // 2 - width // 2), rng.integers(0, size // 2 - height // 2)
        left, top = left + (place % 2) * size // 2, top + (place // 2) * size // 2
        box = [left, top, min(size, left + width), min(size, top + height)]
        labels.append((index + place) % len(COLOURS))
        image[:, box[1] : box[3], box[0] : box[2]] = np.array(list(COLOURS.values())[labels[-1]])[:, None, None]
        boxes.append(box)
    return torch.from_numpy(image.astype(np.uint8)), boxes, labels


def _objects(boxes: list[list[int]], labels: list[int], size: int, crowd: bool) -> Objects:
    masks = torch.zeros(len(boxes), size, size, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    crowds = torch.zeros(len(boxes), dtype=torch.bool)
    crowds[0] = crowd
    return Objects(
        torch.tensor(boxes, dtype=torch.float32),
        torch.tensor(labels),
        Runs.of(masks),
        masks.sum((1, 2)).float(),
        crowds,
    )
