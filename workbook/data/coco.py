"""COCO's annotations of objects: which categories an image shows."""

import os
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from workbook.data.readers import Content, image_file, images_digest
from workbook.data.source_kinds import CocoSource
from workbook.errors import CorruptDataError, ManifestError, MissingDataError
from workbook.files import told


class _Image(BaseModel):
    id: int
    file_name: str


class _Annotation(BaseModel):
    image_id: int
    category_id: int


class _Category(BaseModel):
    id: int
    name: str


class _Instances(BaseModel):
    """What is read of a file of annotations."""

    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


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
    try:
        found = _Instances.model_validate_json(path.read_bytes())
    except ValidationError as error:
        cause = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, cause["loc"])) or "the file as a whole"
        what = f"{path} holds no annotations of COCO's ({where}: {cause['msg']})"
        raise CorruptDataError(f"{what}. Fetch it again.") from error
    images = sorted(found.images, key=lambda image: image.id)
    categories = sorted(found.categories, key=lambda category: category.id)
    rows = {image.id: row for row, image in enumerate(images)}
    columns = {category.id: column for column, category in enumerate(categories)}
    if len(rows) < len(images) or len(columns) < len(categories):
        raise CorruptDataError(f"{path} gives one id to two images or categories. Fetch it again.")
    labels = np.zeros((len(rows), len(columns)), dtype=bool)
    for one in found.annotations:
        if one.image_id not in rows or one.category_id not in columns:
            of = f"image {one.image_id} and category {one.category_id}"
            raise CorruptDataError(f"{path} has an annotation of {of}, of which it lacks one. Fetch it again.")
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
