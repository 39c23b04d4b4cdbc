"""Images with the objects on them, and what a detector finds there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from workbook.data.images import content_digest
from workbook.detection.runs import Runs


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects on one image.

    boxes: (n, 4) float32, left, top, right and bottom edge in pixels. labels: (n,) int64, places in the class names.
    runs: the masks, run-length coded. areas: (n,) float32, pixels of what was annotated.
    crowds: (n,) bool; a crowd is many objects of a class in one mask, no example for training, and what lies on it is
    neither right nor wrong in evaluation.
    """

    boxes: Tensor
    labels: Tensor
    runs: Runs
    areas: Tensor
    crowds: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def masks(self) -> Tensor:
        """(n, H, W) bool."""
        return self.runs.decoded()


@dataclass(frozen=True, eq=False)
class Found:
    """What a detector finds on one image.

    boxes: (m, 4) float, left, top, right and bottom edge in pixels. labels: (m,) int, places in the class names.
    scores: (m,) float, higher = surer. runs: the masks, run-length coded; None of a detector that gives boxes alone.
    Raises ValueError for other shapes, labels that are no integers, boxes or scores that are
    not finite, and boxes whose right or bottom edge comes first.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    runs: Runs | None

    def __post_init__(self) -> None:
        count = len(self)
        for name, tail in (("scores", ()), ("labels", ()), ("boxes", (4,))):
            if (shape := tuple(getattr(self, name).shape)) != (count, *tail):
                raise ValueError(f"{name} must have shape {(count, *tail)} for {count} scores, got {shape}")
        if self.runs is not None and self.runs.shape[0] != count:
            raise ValueError(f"masks must have shape ({count}, H, W) for {count} scores, got {self.runs.shape}")
        if self.labels.is_floating_point():
            raise ValueError(f"labels must be integers, got {self.labels.dtype}")
        for name in ("boxes", "scores"):
            if wrong := int((~getattr(self, name).isfinite()).sum()):
                raise ValueError(f"{name} must be finite, got {wrong} values that are not")
        if wrong := int((self.boxes[:, 2:] < self.boxes[:, :2]).any(dim=1).sum()):
            raise ValueError(f"boxes must be left, top, right, bottom, got {wrong} whose right or bottom comes first")

    def __len__(self) -> int:
        return self.scores.shape[0] if self.scores.ndim else 0

    @cached_property
    def masks(self) -> Tensor | None:
        """(m, H, W) bool; None where there are none."""
        return None if self.runs is None else self.runs.decoded()


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """One split of a detection set, or a selection of it.

    `ids` (N) are the images' own numbers; `image_at(index)` gives an image's pixels (3, H, W) uint8 and
    `objects_at(index)` its Objects, when asked for. `digest` names the content: two selections with the same digest
    hold the same images and objects. `with_examples`, where a set knows it, tells of each image whether any of its
    objects is no crowd. `category_ids` are the classes' own numbers, in the order of the class names, where a set has
    others than their places, as COCO does.
    """

    name: str
    split: str
    class_names: tuple[str, ...]
    digest: str
    ids: tuple[int, ...]
    image_at: Callable[[int], Tensor]
    objects_at: Callable[[int], Objects]
    with_examples: tuple[bool, ...] | None = None
    category_ids: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Scenes({self.name}, {self.split}: {len(self):,} images, {len(self.class_names):,} classes of objects)"

    def image(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; CorruptDataError, with the file, where it cannot be decoded."""
        return self.image_at(index)

    def objects(self, index: int) -> Objects:
        """What is on that image; CorruptDataError, with the file, where a mask is broken."""
        return self.objects_at(index)

    def select(self, indices: Sequence[int]) -> "Scenes":
        """These images, in this order. Raises IndexError for one that there is not."""
        places = tuple(range(len(self))[index] for index in indices)
        return replace(
            self,
            digest=content_digest(self.digest, "select", repr(places)),
            ids=tuple(self.ids[place] for place in places),
            image_at=partial(_at, self.image_at, places),
            objects_at=partial(_at, self.objects_at, places),
            with_examples=self.with_examples and tuple(self.with_examples[place] for place in places),
        )

    def annotated(self) -> "Scenes":
        """Those with an object that is no crowd: the others teach a detector nothing, and training leaves them out."""
        found = self.with_examples or [bool((~self.objects(index).crowds).any()) for index in range(len(self))]
        return self.select([index for index, has in enumerate(found) if has])


def _at(get: Callable[[int], Any], places: tuple[int, ...], index: int) -> Any:
    """Of a selection: what the source gives for the image in this place. A function, so that it can be pickled."""
    return get(places[index])


def tight_boxes(masks: Tensor) -> Tensor:
    """The smallest boxes (n, 4) float32 around masks (n, H, W) bool, none of them empty."""
    edges = []
    for seen in (masks.any(dim=1), masks.any(dim=2)):  # columns, then rows
        first, last = seen.int().argmax(dim=1), seen.shape[1] - seen.flip(1).int().argmax(dim=1)
        edges += [first, last]
    left, right, top, bottom = edges
    return torch.stack([left, top, right, bottom], dim=1).float()
