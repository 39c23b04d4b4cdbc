"""Images with the objects on them, and what a detector finds there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from workbook.data.images import content_digest


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects on one image.

    boxes: (n, 4) float32, left, top, right and bottom edge in pixels. labels: (n,) int64, places in the class names.
    masks: (n, H, W) bool. areas: (n,) float32, pixels of what was annotated. crowds: (n,) bool; a crowd is many objects
    of a class in one mask, no example for training, and neither right nor wrong in evaluation.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    areas: Tensor
    crowds: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Found:
    """What a detector finds on one image.

    boxes: (m, 4) float, left, top, right and bottom edge in pixels. labels: (m,) int, places in the class names.
    scores: (m,) float, higher = surer. masks: (m, H, W) bool; None of a detector that gives boxes alone.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: Tensor | None


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images, their objects, and the names of what these are; `ids` are the source's numbers of the images."""

    name: str
    split: str
    class_names: tuple[str, ...]
    digest: str
    ids: tuple[int, ...]
    image_at: Callable[[int], Tensor]
    objects_at: Callable[[int], Objects]

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, index: int) -> Tensor:
        """(3, H, W) uint8."""
        return self.image_at(index)

    def objects(self, index: int) -> Objects:
        return self.objects_at(index)

    def select(self, indices: Sequence[int]) -> "Scenes":
        """These scenes, in this order."""
        chosen = [int(index) for index in indices]
        return replace(
            self,
            ids=tuple(self.ids[index] for index in chosen),
            digest=content_digest(self.digest, "select", ",".join(map(str, chosen))),
            image_at=lambda index: self.image(chosen[index]),
            objects_at=lambda index: self.objects(chosen[index]),
        )

    def annotated(self) -> "Scenes":
        """Those with at least one object that is no crowd."""
        return self.select([i for i in range(len(self)) if not self.objects(i).crowds.all()])
