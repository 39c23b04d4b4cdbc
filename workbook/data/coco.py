"""COCO's annotations of objects: which categories an image shows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from workbook.data.readers import Content, about, image_file, images_digest
from workbook.data.source_kinds import CocoSource
from workbook.errors import CorruptDataError, ManifestError, MissingDataError
from workbook.files import told

ADVICE = "Download the file again, or correct it."


@dataclass(frozen=True, slots=True)
class Category:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    id: int
    file_name: str


@dataclass(frozen=True, slots=True)
class Annotation:
    id: int
    image_id: int
    category_id: int


class Annotations(Protocol):
    """What is read of a file in COCO's format: at least this."""

    @property
    def categories(self) -> Sequence[Category]: ...
    @property
    def images(self) -> Sequence[ImageFile]: ...
    @property
    def annotations(self) -> Sequence[Annotation]: ...


A = TypeVar("A", bound=Annotations)


@dataclass(frozen=True, slots=True)
class _Labels:
    categories: list[Category]
    images: list[ImageFile]
    annotations: list[Annotation]


def read_annotations(encoded: bytes, kind: type[A]) -> A:
    """What `kind`, a dataclass, takes of a file in COCO's format.

    Raises CorruptDataError where it is in another format, gives two images or categories one number, or has an
    annotation of an image or category that is not in it.
    """
    try:
        content = TypeAdapter(kind).validate_json(encoded)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = "".join(f"[{part}]" if isinstance(part, int) else f" {part}" for part in first["loc"]).strip()
        raise CorruptDataError(f"it is not in COCO's format ({where or 'JSON'}: {first['msg']}). {ADVICE}") from error
    images, categories = _numbers("images", content.images), _numbers("categories", content.categories)
    for one in content.annotations:
        if one.image_id not in images or one.category_id not in categories:
            of = f"of image {one.image_id} and category {one.category_id}"
            raise CorruptDataError(f"annotation {one.id} is {of}, which are not both in it. {ADVICE}")
    return content


def _numbers(name: str, given: Sequence[ImageFile | Category]) -> set[int]:
    if len(numbers := {one.id for one in given}) < max(len(given), 1):
        raise CorruptDataError(f"it has {len(given)} {name} with {len(numbers)} different numbers. {ADVICE}")
    return numbers


def read_coco(source: CocoSource, split: str, base: Path) -> Content:
    """Images in the order of their ids, labels (N, K) bool in the order of the categories' ids."""
    files = source.splits[split]
    path = base / files.annotations
    if not os.path.lexists(path):
        raise MissingDataError(str(path))
    with told(CorruptDataError, "read", path):
        state = path.stat()
        names, labels, class_names = _read(path, (state.st_mtime_ns, state.st_size))
    kept = np.flatnonzero(labels.any(axis=1) | source.without_labels)
    images = [f"{files.images}/{names[row]}" for row in kept]
    _check_images(base, images, path)
    return Content(
        decode=partial(image_file, base, images),
        labels=labels[kept],
        class_names=class_names,
        digest=images_digest(base, images),
    )


# 2014's training images have 336 MB of them, nearly all of it outlines
@lru_cache(maxsize=4)
def _read(path: Path, state: tuple[int, int]) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """The images' files, their labels (N, K) bool, and the K categories. state: of the file, which may change."""
    with about(str(path)):
        found = read_annotations(path.read_bytes(), _Labels)
    images = sorted(found.images, key=lambda image: image.id)
    categories = sorted(found.categories, key=lambda category: category.id)
    rows = {image.id: row for row, image in enumerate(images)}
    columns = {category.id: column for column, category in enumerate(categories)}
    labels = np.zeros((len(rows), len(columns)), dtype=bool)
    for one in found.annotations:
        labels[rows[one.image_id], columns[one.category_id]] = True
    return [image.file_name for image in images], labels, tuple(category.name for category in categories)


def _check_images(base: Path, images: list[str], path: Path) -> None:
    """Raises MissingDataError where none of the images is there, ManifestError where some are missing."""
    missing = [name for name in images if not os.path.isfile(base / name)]
    if missing and len(missing) == len(images):
        raise MissingDataError(f"{base / missing[0]} and {len(missing) - 1} more that {path.name} names")
    if missing:
        raise ManifestError(
            f"{len(missing)} of {len(images)} images that {path} names are not in {base}, {missing[0]} among them. "
            "Unpack the data anew."
        )
