"""COCO's annotations, or others in its format, as scenes."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import AfterValidator
from torch import Tensor

from workbook.data.coco import ADVICE, Annotation, Category, ImageFile, read_annotations
from workbook.data.images import content_digest
from workbook.data.pixels import rgb
from workbook.data.readers import about, file_sizes, open_image
from workbook.detection.runs import Runs, coco_library
from workbook.detection.scenes import Objects, Scenes
from workbook.errors import CorruptDataError, MissingDataError
from workbook.fields import Count, Finite, NotNegative, Whole
from workbook.files import told, user_path

_AREA = 6  # numbers, three corners: a polygon of fewer has no area


def _pairs(corners: list[float]) -> list[float]:
    if len(corners) % 2:
        raise ValueError(f"a polygon has an x and a y for every corner, got {len(corners)} numbers")
    return corners


@dataclass(frozen=True, slots=True)
class _Image(ImageFile):
    height: Count
    width: Count


@dataclass(frozen=True, slots=True)
class _Coded:
    size: tuple[Count, Count]
    counts: list[Whole] | str


@dataclass(frozen=True, slots=True)
class _Annotation(Annotation):
    bbox: tuple[Finite, Finite, NotNegative, NotNegative]  # left, top, width, height
    area: NotNegative
    segmentation: list[Annotated[list[Finite], AfterValidator(_pairs)]] | _Coded
    iscrowd: bool = False


@dataclass(frozen=True, slots=True)
class _Content:
    categories: list[Category]
    images: list[_Image]
    annotations: list[_Annotation]


@dataclass(frozen=True)
class _Annotated:
    """Images in the order of their numbers, with what their file says of them."""

    folder: Path
    file: Path
    images: list[_Image]
    annotations: dict[int, list[_Annotation]]  # an image's number -> its own
    places: dict[int, int]  # a category's number -> its place in the class names

    def image_at(self, index: int) -> Tensor:
        said, path = self.images[index], self.folder / self.images[index].file_name
        stored = open_image(path, str(path))
        with about(str(path)):
            image = rgb(stored)
            if image.size != (said.width, said.height):
                sizes = f"{image.height} x {image.width} pixels, not {said.height} x {said.width}"
                raise CorruptDataError(f"it has {sizes} as in {self.file}. {ADVICE}")
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    def objects_at(self, index: int) -> Objects:
        found, image = self.annotations.get(self.images[index].id, []), self.images[index]
        corners = torch.tensor([one.bbox for one in found], dtype=torch.float64).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        codes = tuple(self._code(one, image.height, image.width) for one in found)
        return Objects(
            boxes=corners.float(),
            labels=torch.tensor([self.places[one.category_id] for one in found], dtype=torch.int64),
            runs=Runs(codes, image.height, image.width),
            areas=torch.tensor([one.area for one in found], dtype=torch.float32),
            crowds=torch.tensor([one.iscrowd for one in found], dtype=torch.bool),
        )

    def _code(self, annotation: _Annotation, height: int, width: int) -> bytes:
        """The annotation's mask, run-length coded."""
        try:
            return _code(annotation.segmentation, height, width)
        except (ValueError, RuntimeError) as error:  # the library's
            where = f"{self.file}: the mask of annotation {annotation.id}"
            raise CorruptDataError(f"{where} is broken ({error}). {ADVICE}") from error

    def with_examples(self) -> tuple[bool, ...]:
        own = (self.annotations.get(image.id, []) for image in self.images)
        return tuple(any(not one.iscrowd for one in found) for found in own)


def coco_scenes(images: Path, annotations: Path, *, name: str = "coco") -> Scenes:
    """The images that a file in COCO's format names, of a folder, in the order of their numbers.

    Classes are the file's categories in the order of their numbers, which have gaps in COCO itself (80 up to 90). Boxes
    and areas are those that the file states; a polygon's mask is what COCO's own programs draw. Images are decoded when
    they are asked for, masks when they are read. The split is called as the folder is.

    Raises MissingDataError where folder or file is not on this machine; CorruptDataError, with path and cause, where
    the file is in another format or names what is not there, and later for a broken image or mask;
    MissingLibraryError, without faster-coco-eval, where objects are asked for.
    """
    folder, file = user_path(images), user_path(annotations)
    for path in (folder, file):
        if not path.exists():
            raise MissingDataError(f"{path} is not on this machine: correct it, or get COCO from cocodataset.org")
    with told(CorruptDataError, "read", file):
        encoded = file.read_bytes()
    with about(str(file)):
        content = read_annotations(encoded, _Content)
    categories = sorted(content.categories, key=lambda one: one.id)
    listed = sorted(content.images, key=lambda one: one.id)
    own = defaultdict(list)
    for annotation in content.annotations:
        own[annotation.image_id].append(annotation)
    found = _Annotated(folder, file, listed, dict(own), {one.id: place for place, one in enumerate(categories)})
    names = [image.file_name for image in listed]
    return Scenes(
        name=name,
        split=folder.name,
        class_names=tuple(one.name for one in categories),
        digest=content_digest(encoded, *names, *map(str, file_sizes([folder / one for one in names]))),
        ids=tuple(image.id for image in listed),
        image_at=found.image_at,
        objects_at=found.objects_at,
        with_examples=found.with_examples(),
        category_ids=tuple(one.id for one in categories),
    )


def _code(segmentation: list[list[float]] | _Coded, height: int, width: int) -> bytes:
    """The run-length code of polygons, of run lengths or of itself; ValueError or RuntimeError for what is broken."""
    mask = coco_library().mask
    if isinstance(segmentation, list):
        polygons = [corners for corners in segmentation if len(corners) >= _AREA]
        if polygons:
            return mask.merge(mask.frPyObjects(polygons, height, width))["counts"]
        segmentation = _Coded((height, width), [height * width])
    if segmentation.size != (height, width):
        raise ValueError(f"it is of {segmentation.size} pixels, and its image of {(height, width)}")
    counts = segmentation.counts
    if isinstance(counts, list):
        code = mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
    else:
        code = counts.encode()
    mask.decode({"size": [height, width], "counts": code})  # which alone holds the lengths against the size
    return code
