"""The frozen probe: one light head on stored maps of a frozen backbone, which ranks backbones in minutes.

Not in the papers: A trains the whole detector. A head for the centres of objects (Tian et al. 2019, Zhou et al. 2019)
reads the last four stages, computed once; it has a logit for each class and four distances at each cell, a focal loss
(Lin et al. 2017) and a generalised IoU loss (Rezatofighi et al. 2019). It sees no gradient of the backbone and no
other view of an image, so that an epoch takes seconds.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, generalized_box_iou_loss, sigmoid_focal_loss

from workbook.detection.scenes import Found, Objects, Scenes
from workbook.errors import DivergedError
from workbook.fields import Count, NotNegative, Positive, Whole, check_fields
from workbook.models.pretrained import Pretrained
from workbook.progress import progress_bar
from workbook.seeding import derive_seed, seeded

_STAGES = 4  # the last of a backbone
_BATCH = 64  # images a forward pass of the backbone
_MOST, _SURE, _OVERLAP = 100, 0.05, 0.5  # objects of an image, lowest score, IoU above which one of two goes


@dataclass(frozen=True, kw_only=True)
class DetectionProbeRecipe:
    """Every choice of one frozen probe; all of them are ours."""

    epochs: Count = 30
    batch_size: Count = 32
    lr: Positive = 2e-3  # of Adam, with one cosine down to 0
    weight_decay: NotNegative = 1e-4
    width: Count = 64  # channels of the head
    radius: Positive = 1.5  # cells around the centre of an object that are to find it, and lie in its box
    seed: Whole = 0

    def __post_init__(self) -> None:
        check_fields(self)


def frozen_probe(
    source: Pretrained,
    train: Scenes,
    test: Scenes,
    fabric: Fabric,
    recipe: DetectionProbeRecipe | None = None,
) -> list[Found]:
    """What the head finds on every image of `test`, boxes alone, after it has learned from `train`.

    Images are read as squares of `source.image_size`, and what is found is in the pixels of the image as it is. Crowds
    are no examples. The same seed gives the same result on the same machine.
    Raises ValueError where no training image has an object or float16 cannot hold a map, and DivergedError when the
    loss is no longer finite.
    """
    recipe, train = recipe or DetectionProbeRecipe(), train.annotated()
    if not len(train):
        raise ValueError(f"no image of {train.name}, {train.split}, has an object to learn from")
    head = _trained(_maps(source, train, fabric), train, fabric.device, recipe)
    return _found(head, _maps(source, test, fabric), test, fabric.device)


@torch.inference_mode()
def _maps(source: Pretrained, scenes: Scenes, fabric: Fabric) -> list[Tensor]:
    """What the head reads of the scenes: (N, C, h, w) of every stage, none finer than the last but one, in float16."""
    backbone, side = source.backbone.to(fabric.device).eval(), source.image_size
    parts: list[list[Tensor]] = []
    with progress_bar(f"maps of {scenes.name}, {scenes.split}", len(scenes)) as bar, fabric.autocast():
        for rows in torch.arange(len(scenes)).split(_BATCH):
            images = torch.stack([_square(scenes.image(int(row)), side) for row in rows]).to(fabric.device)
            stages = backbone.stages(images)[0][-_STAGES:]
            grid = (stages[-2].shape[2], stages[-2].shape[3])
            finer = [stage.shape[2] > grid[0] for stage in stages]
            pooled = [F.adaptive_avg_pool2d(s, grid) if more else s for s, more in zip(stages, finer, strict=True)]
            parts.append([stage.half().cpu() for stage in pooled])
            bar.update(len(rows))
    maps = [torch.cat(stage) for stage in zip(*parts, strict=True)]
    if not all(bool(stage.isfinite().all()) for stage in maps):
        raise ValueError(f"{source.name} has maps that float16 cannot hold: they end at 65,504")
    return maps


def _square(pixels: Tensor, side: int) -> Tensor:
    """The image (3, H, W) of uint8 in [0, 1], (3, side, side)."""
    image = pixels.float()[None] / 255
    return F.interpolate(image, (side, side), mode="bilinear", antialias=True)[0].clamp(0, 1)


class _Head(nn.Module):
    """Stages to a logit of each class and four distances, in cells, at every cell of the last stage but one."""

    def __init__(self, stages: list[Tensor], num_classes: int, width: int) -> None:
        super().__init__()
        self.grid = cast(tuple[int, int], tuple(stages[-2].shape[2:]))
        channels = [stage.shape[1] for stage in stages]
        # to mean 0 and variance 1 by the batch: backbones of any scale are read alike
        self.norms = nn.ModuleList(nn.BatchNorm2d(count, affine=False) for count in channels)
        self.narrow = nn.ModuleList(nn.Conv2d(count, width, 1, bias=False) for count in channels)
        self.between = nn.Sequential(
            *(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False)),
            *(nn.BatchNorm2d(width), nn.ReLU()),
        )
        self.classes, self.distances = nn.Conv2d(width, num_classes, 1), nn.Conv2d(width, 4, 1)
        # one in a hundred at first (Lin et al. 2017, 4.1)
        self.classes.bias = nn.Parameter(torch.full((num_classes,), -math.log(99)))

    def forward(self, stages: list[Tensor]) -> tuple[Tensor, Tensor]:
        """(N, cells, K) and (N, cells, 4)."""
        layers = zip(self.norms, self.narrow, stages, strict=True)
        joined = self.between(sum(F.interpolate(narrow(norm(stage)), self.grid) for norm, narrow, stage in layers))
        logits, distances = self.classes(joined), self.distances(joined)
        return logits.flatten(2).transpose(1, 2), distances.clamp(max=8).exp().flatten(2).transpose(1, 2)


def _trained(maps: list[Tensor], scenes: Scenes, device: torch.device, recipe: DetectionProbeRecipe) -> _Head:
    with seeded(recipe.seed, "probe"):
        head = _Head(maps, len(scenes.class_names), recipe.width).to(device)
    wanted = [_wanted(scenes.objects(row), head.grid, recipe.radius, _size(scenes, row)) for row in range(len(scenes))]
    classes, boxes = (torch.stack(part) for part in zip(*wanted, strict=True))
    optimizer = torch.optim.Adam(head.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * -(-len(scenes) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(derive_seed(recipe.seed, "order"))
    with progress_bar(f"frozen probe on {scenes.name}", recipe.epochs * len(scenes)) as bar:
        for _ in range(recipe.epochs):
            for rows in torch.randperm(len(scenes), generator=generator).split(recipe.batch_size):
                logits, distances = head([stage[rows].to(device).float() for stage in maps])
                found = _boxes(distances, head.grid)
                loss = _loss(logits, found, classes[rows].to(device), boxes[rows].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update(len(rows))
            if not bool(loss.isfinite()):
                raise DivergedError(f"the probe's loss is {float(loss)}: lower lr (now {recipe.lr})")
    return head.eval()


def _size(scenes: Scenes, row: int) -> tuple[int, int]:
    height, width = scenes.image(row).shape[1:]
    return height, width


def _centres(grid: tuple[int, int], device: torch.device) -> Tensor:
    """(cells, 2), x and y of every cell's centre in cells."""
    rows, columns = (torch.arange(count, device=device) + 0.5 for count in grid)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).flatten(0, 1)


def _wanted(objects: Objects, grid: tuple[int, int], radius: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The class of the object that each cell is to find, -1 where it is none, (cells,), and its box in cells."""
    scale = torch.tensor([grid[1] / size[1], grid[0] / size[0]]).repeat(2)
    boxes, labels = objects.boxes[~objects.crowds] * scale, objects.labels[~objects.crowds]
    centres = _centres(grid, boxes.device)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    away = (centres[:, None] - middle).abs().amax(dim=2)  # (cells, n)
    inside = ((centres[:, None] > boxes[:, :2]) & (centres[:, None] < boxes[:, 2:])).all(dim=2)
    # an object smaller than a cell has the cell that its centre is in
    finds = (away <= 0.5) | (inside & (away <= radius))
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    smallest = torch.where(finds, area, math.inf).argmin(dim=1)  # where several are to be found
    return torch.where(finds.any(dim=1), labels[smallest], -1), boxes[smallest]


def _boxes(distances: Tensor, grid: tuple[int, int]) -> Tensor:
    """(..., cells, 4), left, top, right and bottom in cells, of distances from the cells' centres."""
    centres = _centres(grid, distances.device)
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)


def _loss(logits: Tensor, found: Tensor, classes: Tensor, boxes: Tensor) -> Tensor:
    """Focal and generalised IoU loss, each a sum over the cells per cell that finds an object."""
    finds = classes >= 0
    count = finds.sum().clamp(min=1)
    hot = F.one_hot(classes.clamp(min=0), logits.shape[2]).float() * finds[..., None]
    focal = sigmoid_focal_loss(logits, hot, alpha=0.25, gamma=2.0, reduction="sum")
    apart = generalized_box_iou_loss(found[finds], boxes[finds], reduction="sum")
    return (focal + apart) / count


@torch.inference_mode()
def _found(head: _Head, maps: list[Tensor], scenes: Scenes, device: torch.device) -> list[Found]:
    found = []
    for rows in torch.arange(len(scenes)).split(_BATCH):
        logits, distances = head([stage[rows].to(device).float() for stage in maps])
        for row, scores, boxes in zip(rows.tolist(), logits.sigmoid(), _boxes(distances, head.grid), strict=True):
            found.append(_kept(scores.cpu(), boxes.cpu(), head.grid, _size(scenes, row)))
    return found


def _kept(scores: Tensor, boxes: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Found:
    """Of scores (cells, K) and boxes (cells, 4) in cells the surest, without those that another covers."""
    boxes = clip_boxes_to_image(boxes * torch.tensor([size[1] / grid[1], size[0] / grid[0]]).repeat(2), size)
    cells, labels = torch.nonzero(scores > _SURE, as_tuple=True)
    sure = scores[cells, labels]
    first = batched_nms(boxes[cells], sure, labels, _OVERLAP)[:_MOST]
    return Found(boxes[cells[first]], labels[first], sure[first], None)
