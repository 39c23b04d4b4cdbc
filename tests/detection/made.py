"""Scenes and detections that several tests look at."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from workbook.detection.coco import coco_scenes
from workbook.detection.runs import Runs
from workbook.detection.scenes import Found, Objects, Scenes, tight_boxes

COCO = Path(os.environ.get("WORKBOOK_DATA", "")) / "coco_mini"
needs_coco = pytest.mark.skipif(not COCO.is_dir(), reason="WORKBOOK_DATA names no folder with coco_mini")


def coco_mini(split: str) -> Scenes:
    return coco_scenes(COCO / split, COCO / "annotations" / f"instances_{split}.json")


def square(left: int, top: int, side: int = 4, size: int = 20) -> Tensor:
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def objects(masks: Tensor, labels: list[int], crowds: list[bool] | None = None) -> Objects:
    crowd = torch.tensor(crowds or [False] * len(labels), dtype=torch.bool)
    boxes, areas = tight_boxes(masks), masks.sum(dim=(1, 2)).float()
    return Objects(boxes=boxes, labels=torch.tensor(labels), runs=Runs.of(masks), areas=areas, crowds=crowd)


def squares(*images: Objects) -> Scenes:
    """Grey images of 20 x 20 pixels with these objects, of three classes."""
    return Scenes(
        name="squares",
        split="train",
        class_names=("red", "green", "blue"),
        digest="squares",
        ids=tuple(range(10, 10 + len(images))),
        image_at=lambda index: torch.full((3, 20, 20), index, dtype=torch.uint8),
        objects_at=lambda index: images[index],
    )


def found(masks: Tensor, labels: list[int], scores: list[float]) -> Found:
    return Found(
        boxes=tight_boxes(masks), labels=torch.tensor(labels), scores=torch.tensor(scores), runs=Runs.of(masks)
    )


def nothing() -> Found:
    return Found(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0), Runs((), 20, 20))


def perfect(scenes: Scenes) -> list[Found]:
    """Every object that is no crowd, as it is."""
    return [_perfect(scenes.objects(index)) for index in range(len(scenes))]


def _perfect(those: Objects) -> Found:
    alone = (~those.crowds).nonzero().flatten()
    runs = Runs(tuple(those.runs.codes[place] for place in alone), those.runs.height, those.runs.width)
    return Found(boxes=those.boxes[alone], labels=those.labels[alone], scores=torch.ones(len(alone)), runs=runs)


def blurred(scenes: Scenes, seed: int, most: int = 12) -> list[Found]:
    """Detections at random: objects moved and misnamed, some twice, and crowds hit; scores with ties."""
    stream = torch.Generator().manual_seed(seed)
    return [_blurred(scenes.objects(index), len(scenes.class_names), stream, most) for index in range(len(scenes))]


def _blurred(those: Objects, classes: int, stream: torch.Generator, most: int) -> Found:
    def draw(high: int, count: int) -> Tensor:
        return torch.randint(high, (count,), generator=stream)

    count = int(draw(most, 1)) if len(those) else 0
    places, moves = draw(max(len(those), 1), count), draw(9, 2 * count).reshape(-1, 2) - 4
    masks = [those.masks[place].roll((int(dy), int(dx)), (0, 1)) for place, (dx, dy) in zip(places, moves, strict=True)]
    labels = torch.where(draw(4, count) > 0, those.labels[places], draw(classes, count))
    boxes = those.boxes[places] + moves.repeat(1, 2) / 2
    scores = draw(20, count) / 20
    height, width = those.runs.shape[1:]
    return Found(boxes, labels, scores, Runs.of(torch.stack(masks)) if masks else Runs((), height, width))
