"""The frozen probe finds coloured rectangles by a backbone that sees colours."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from tests.detection.toys import toy_scenes
from workbook.detection.probe import DetectionProbeRecipe, _boxes, _wanted, frozen_probe
from workbook.detection.runs import Runs
from workbook.detection.scenes import Found, Objects, Scenes
from workbook.models.backbones import Backbone
from workbook.models.preprocessing import Preprocessing
from workbook.models.pretrained import Pretrained, finished

RECIPE = DetectionProbeRecipe(epochs=12, batch_size=16, lr=0.01, width=16)


class Pooled(nn.Module):
    """Four maps of the image, each of half the resolution of the one before; constant ones where it sees nothing."""

    def __init__(self, seen: float) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Identity() for _ in range(4))
        self.seen = nn.Parameter(torch.tensor(seen))

    def forward(self, images):
        maps = images * self.seen + 1
        for stage in self.stages:
            maps = stage(nn.functional.avg_pool2d(maps, 2))
        return maps.mean((2, 3))


def pooled(seen: float) -> Pretrained:
    backbone = Backbone(Pooled(seen), tuple(f"stages.{i}" for i in range(4)), num_features=3)
    reading = Preprocessing(image_size=64, mean=(0.5,) * 3, std=(0.25,) * 3)
    return finished(backbone, reading, (), architecture="pooled", name="pooled")


def share_found(found: list[Found], scenes: Scenes) -> float:
    """Of all objects, those that the surest box of their class overlaps by half."""
    hits = []
    for at, one in enumerate(found):
        objects = scenes.objects(at)
        for box, label in zip(objects.boxes, objects.labels, strict=True):
            mine = one.boxes[one.labels == label][:1]
            hits.append(len(mine) > 0 and float(box_iou(box[None], mine)) > 0.5)
    return sum(hits) / len(hits)


def test_a_backbone_that_sees_colours_ranks_above_one_that_sees_nothing(fabric):
    train, test = toy_scenes(96, most=2), toy_scenes(32, most=2, seed=1)
    seeing, blind = (share_found(frozen_probe(pooled(s), train, test, fabric, RECIPE), test) for s in (1.0, 0.0))
    assert seeing > 0.8
    assert blind < 0.3


def test_the_same_seed_finds_the_same_and_the_backbone_stays_as_it_is(fabric):
    source, scenes = pooled(1.0), toy_scenes(8)
    recipe = replace(RECIPE, epochs=1)
    before = source.backbone.model.seen.clone()
    first, again = (frozen_probe(source, scenes, scenes, fabric, recipe) for _ in range(2))
    assert all(
        torch.equal(a.boxes, b.boxes) and torch.equal(a.scores, b.scores) for a, b in zip(first, again, strict=True)
    )
    assert torch.equal(before, source.backbone.model.seen)
    assert source.backbone.model.seen.grad is None


def objects(boxes: list[list[float]], labels: list[int]) -> Objects:
    none = torch.zeros(len(boxes))
    return Objects(
        torch.tensor(boxes), torch.tensor(labels), Runs.of(torch.zeros(len(boxes), 8, 8).bool()), none, none.bool()
    )


def test_cells_around_the_centre_find_an_object_and_the_smaller_of_two():
    """4 x 4 cells on 8 x 8 pixels: a large object all over, and a small one on the cell of row 0, column 3."""
    classes, boxes = _wanted(objects([[0, 0, 8, 8], [6, 0, 8, 2]], [0, 1]), (4, 4), 1.0, (8, 8))
    assert classes.view(4, 4).tolist() == [[-1, -1, -1, 1], [-1, 0, 0, -1], [-1, 0, 0, -1], [-1, -1, -1, -1]]
    assert boxes[3].tolist() == [3, 0, 4, 1]
    assert boxes[5].tolist() == [0, 0, 4, 4]


def test_distances_are_from_the_cells_centres():
    assert _boxes(torch.full((1, 4, 4), 0.5), (2, 2))[0].tolist() == [
        [0, 0, 1, 1],
        [1, 0, 2, 1],
        [0, 1, 1, 2],
        [1, 1, 2, 2],
    ]


def test_scenes_without_an_object_are_refused(fabric):
    scenes = toy_scenes(1, crowd=0)
    with pytest.raises(ValueError, match="no image of rectangles, train, has an object to learn from"):
        frozen_probe(pooled(1.0), scenes, scenes, fabric)
