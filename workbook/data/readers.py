"""One reader a kind of source: what a copy on disk holds of one split, not yet held against the manifest.

A reader raises MissingDataError, with the place where it looked, if its copy is not on this machine.
`workbook.data.parquet` holds the one of Parquet files, `workbook.data.coco` the one of COCO's annotations,
`workbook.data.lists` what tells a folder's classes beside it.
"""

import errno
import glob
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import PIL
from PIL import Image, UnidentifiedImageError

from workbook.data import generated
from workbook.data.arrays import open_array
from workbook.data.images import content_digest
from workbook.data.lists import listed_files
from workbook.data.pixels import BROKEN, RULE, follows_rule
from workbook.data.source_kinds import (
    ArraySource,
    FolderSource,
    GeneratedSource,
    MosaicSource,
    SklearnSource,
    TorchvisionSource,
    composed,
)
from workbook.errors import CorruptDataError, ManifestError, MissingDataError, StoreError
from workbook.files import file_digest, said, told

_T = TypeVar("_T")

# Up to here the digest is of every byte; beyond, reading all of it at each load would not be cheap.
_WHOLE_BYTES = 2 * 2**30
_WHOLE_FILES = 20_000
# Where torchvision's classes keep their files, alone or with a label.
_TORCHVISION_FILES = ("samples", "_samples", "_image_files", "_images")
_IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".png", ".bmp", ".gif", ".webp", ".avif"),
    *(".ppm", ".pgm", ".tif", ".tiff"),
)


@dataclass(frozen=True, kw_only=True)
class Content:
    """One split as its copy holds it, in the copy's own order.

    `labels` (N,) int64 are indices into `class_names`, None where the copy knows only numbers; or (N, K) bool, see
    `Images`.
    `decode(row)` can be pickled, so that it reaches the workers of a DataLoader.
    """

    decode: Callable[[int], Image.Image]
    labels: np.ndarray
    class_names: tuple[str, ...] | None
    digest: str
    factors: pd.DataFrame | None = None


@dataclass(frozen=True)
class PixelRows:
    """Images from uint8 pixels in memory: (N, H, W) grey or (N, H, W, 3) RGB."""

    pixels: np.ndarray

    def __call__(self, row: int) -> Image.Image:
        return Image.fromarray(self.pixels[row])


_generate = lru_cache(maxsize=4)(generated.generate)  # one notebook asks for both sides of both splits


def read_generated(source: GeneratedSource, split: str, base: Path) -> Content:
    pixels, labels, factors = _generate(split, source.splits[split], image_size=source.image_size)
    class_names = generated.CLASS_NAMES
    if source.inks:
        labels, class_names = generated.by_ink(labels, factors)
    return Content(
        decode=PixelRows(pixels),
        labels=labels,
        class_names=class_names,
        digest=content_digest(pixels.tobytes()),
        factors=factors.copy(),
    )


_generate_mosaics = lru_cache(maxsize=4)(generated.generate_mosaics)


def read_mosaics(source: MosaicSource, split: str, base: Path) -> Content:
    pixels, labels = _generate_mosaics(split, source.splits[split], image_size=source.image_size)
    return Content(
        decode=PixelRows(pixels),
        labels=labels,
        class_names=generated.LAYOUTS,
        digest=content_digest(pixels.tobytes()),
    )


def read_sklearn(source: SklearnSource, split: str, base: Path) -> Content:
    from sklearn.datasets import load_digits  # takes a second, which the other kinds need not pay

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)  # they come as 0 ... 16
    return Content(
        decode=PixelRows(pixels),
        labels=digits.target.astype(np.int64),
        class_names=tuple(str(name) for name in digits.target_names),
        digest=content_digest(pixels.tobytes()),
    )


def _opened(file: str) -> Image.Image:
    return open_image(file, file)


def _torchvision_image(dataset: Any, where: str, row: int) -> Image.Image:
    with decoding(f"{where}, row {row}"):
        return dataset[row][0]


def torchvision_class(name: str) -> Any:
    """torchvision's data set of this name; ManifestError where it has none."""
    import torchvision.datasets  # takes a second, which the other kinds need not pay

    constructor = getattr(torchvision.datasets, name, None)
    if not (isinstance(constructor, type) and issubclass(constructor, torchvision.datasets.VisionDataset)):
        raise ManifestError(f"torchvision.datasets has no {name!r}. Correct dataset in the manifest.")
    return constructor


def read_torchvision(source: TorchvisionSource, split: str, base: Path) -> Content:
    constructor = torchvision_class(source.dataset)
    arguments: dict[str, Any] = dict(source.splits[split])
    if "download" in inspect.signature(constructor).parameters:
        arguments["download"] = False
    if "loader" in inspect.signature(constructor).parameters:
        arguments["loader"] = _opened  # its own makes RGB by another rule
    where = f"torchvision's {source.dataset} in {base}"
    try:
        dataset = constructor(base, **arguments)
    except (RuntimeError, OSError) as error:
        raise MissingDataError(f"{where} (it says: {error})") from error
    except (TypeError, ValueError) as error:
        raise ManifestError(f"{where} does not take {arguments}: {error}. Correct its splits.") from error
    if not hasattr(dataset, source.labels):
        raise ManifestError(f"{where} has no attribute {source.labels!r}. Correct the source's labels.")
    names, labels = getattr(dataset, "classes", None), getattr(dataset, source.labels)
    if len(labels) and isinstance(labels[0], tuple):  # (file, label), as in StanfordCars
        labels = [label for _, label in labels]
    return Content(
        decode=partial(_torchvision_image, dataset, where),
        labels=integer_labels(labels, where),
        class_names=None if names is None else tuple(str(name) for name in names),
        digest=_torchvision_digest(dataset, base),
    )


def _torchvision_digest(dataset: Any, base: Path) -> str:
    """Of the pixels where the class holds them, else of the files that it lists, else of its description."""
    if hasattr(dataset, "data"):
        return content_digest(np.ascontiguousarray(dataset.data).tobytes())
    for attribute in _TORCHVISION_FILES:
        if hasattr(dataset, attribute):
            listed = (entry[0] if isinstance(entry, tuple) else entry for entry in getattr(dataset, attribute))
            return images_digest(base, [Path(file).relative_to(base).as_posix() for file in listed])
    return seen_digest(content_digest(repr(dataset).replace(str(base), "")), None)


def image_file(base: Path, files: Sequence[str], row: int) -> Image.Image:
    return open_image(base / files[row], str(base / files[row]))


def read_folder(source: FolderSource, split: str, base: Path) -> Content:
    patterns = source.splits[split]
    if split in source.lists:
        found = listed_files(base, patterns, source.lists[split])
    else:
        found = [file for pattern in patterns for file in class_files(base, pattern)]
    files, classes = zip(*found, strict=True)
    names, labels = np.unique(np.array([composed(name) for name in classes]), return_inverse=True)
    return Content(
        decode=partial(image_file, base, files),
        labels=labels.astype(np.int64),
        class_names=tuple(str(name) for name in names),
        digest=images_digest(base, files),
    )


def class_files(base: Path, pattern: str) -> list[tuple[str, str]]:
    """The image files below `base` that the pattern of a folder source names, each with its class, in order.

    Raises MissingDataError where there is no folder of a class, ManifestError where one holds no image.
    """
    before, _, rest = pattern.partition("{")
    inside, _, after = rest.partition("}")
    folders = sorted(glob.glob(before + inside + "/", root_dir=base), key=composed)
    if not folders:
        raise MissingDataError(f"{base}/{pattern}")
    found = []
    for folder in folders:
        folder = folder.replace("\\", "/").rstrip("/")
        matching = glob.iglob(glob.escape(folder) + after, root_dir=base, recursive=True)
        images = (file.replace("\\", "/") for file in matching if file.lower().endswith(_IMAGE_SUFFIXES))
        files = sorted(images, key=composed)
        if not files:
            raise ManifestError(
                f"the class folder {base / folder} holds no image ({pattern}). "
                "Unpack the data anew, or remove the folder if it is no class."
            )
        class_name = "/".join(folder.split("/")[-inside.count("/") - 1 :])
        found += [(file, class_name) for file in files]
    return found


def read_array(source: ArraySource, split: str, base: Path) -> Content:
    """Held in memory."""
    files = source.splits[split]
    where = f"{base / files.images}"
    with open_array(base, files.images) as images, open_array(base, files.labels) as numbers:
        shape, dtype = images.shape, images.dtype
        if dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
            raise ManifestError(
                f"{where} must be uint8 (N, H, W) or (N, H, W, 1 or 3), got {dtype} {shape}. "
                "Store the images as bytes from 0 to 255, channels last."
            )
        if numbers.shape[:1] != shape[:1]:
            raise ManifestError(f"{where} holds {shape[0]} images but labels {numbers.shape}. Correct the source.")
        labels, pixels = integer_labels(numbers.read(), f"{base / files.labels}"), images.read()
    pixels = pixels[..., 0] if shape[3:] == (1,) else pixels
    return Content(decode=PixelRows(pixels), labels=labels, class_names=None, digest=content_digest(pixels.tobytes()))


def integer_labels(values: Any, where: str) -> np.ndarray:
    """(N,) int64, or ManifestError that says what came."""
    labels = np.asarray(values)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ManifestError(f"{where}: labels must be integers (N,), got {labels.dtype} {labels.shape}.")
    return labels.astype(np.int64)


@contextmanager
def about(what: str) -> Iterator[None]:
    """What is raised inside says first what it is about; data that is not on this machine stays MissingDataError."""
    try:
        yield
    except (ManifestError, CorruptDataError, StoreError) as error:
        raise type(error)(f"{what}: {error}") from error


@contextmanager
def decoding(where: str) -> Iterator[None]:
    """Turns whatever a decoder raises into CorruptDataError that names `where`."""
    try:
        yield
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno:  # the file system's, not the decoder's
            cause, advice = said(error, error.filename or where)
            raise CorruptDataError(f"{where} cannot be read ({cause}): {advice}") from error
        raise CorruptDataError(f"{where} cannot be decoded as an image ({error}). {_advice(error)}") from error


def _advice(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        kinds = f"of a kind that Pillow {PIL.__version__} does not read here"
        return f"It is empty, no image, or {kinds}: fetch it again, convert it to PNG, or take it out."
    if isinstance(error, Image.DecompressionBombError):
        return "It is whole but too large for Pillow: make it smaller, or take it out."
    return "Fetch the file again from its source."


def open_image(file: str | Path | BytesIO, where: str) -> Image.Image:
    """The image with its pixels loaded, so that a truncated file shows itself here."""
    with decoding(where), Image.open(file) as image:
        image.load()
        return image


def images_digest(base: Path, names: Sequence[str]) -> str:
    """`files_digest` of image files, and whether any of them is turned or transparent, see `seen_digest`."""
    digest, paths = files_digest(base, names), [base / name for name in names]
    return seen_digest(digest, (path.read_bytes() for path in paths) if is_read_whole(paths) else None)


def seen_digest(digest: str, encoded: Iterable[bytes] | None) -> str:
    """The digest of a set, with the rule by which its turned and transparent images are drawn; unchanged without any.

    encoded: its image files. None for those of a set that is not looked through; such a set may hold some.
    """
    return content_digest(digest, RULE) if encoded is None or any(map(follows_rule, encoded)) else digest


def files_digest(base: Path, names: Sequence[str], tails: Callable[[Path], bytes] | None = None) -> str:
    """Digest of files in this order, by names relative to `base`.

    Of every byte for up to 2 GiB in 20,000 files; beyond, of names, sizes and what `tails` reads of each (the
    footers of Parquet files). Raises CorruptDataError for a file that cannot be read.
    """
    paths = [base / name for name in names]
    if is_read_whole(paths):
        return content_digest(*(_read(file_digest, path) for path in paths))
    ends = [_read(tails, path) if tails else b"" for path in paths]
    described = zip(names, map(str, file_sizes(paths)), ends, strict=True)
    return content_digest(*(part for file in described for part in file))


def is_read_whole(paths: Sequence[Path]) -> bool:
    """Whether these are few and small enough for a digest of every byte."""
    return sum(file_sizes(paths)) <= _WHOLE_BYTES and len(paths) <= _WHOLE_FILES


def file_sizes(paths: Sequence[Path]) -> list[int]:
    """In bytes; CorruptDataError that tells of all that are no files."""
    sizes, wrong = [], []
    for path in paths:
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            sizes.append(path.stat().st_size)
        except OSError as error:
            wrong.append((path, *said(error, path)))
    if wrong:
        (path, cause, advice), *others = wrong
        more = f"; nor can {len(others)} more, {others[0][0]} ({others[0][1]}) among them" if others else ""
        raise CorruptDataError(f"{path} cannot be read ({cause}): {advice}{more}")
    return sizes


def _read(read: Callable[[Path], _T], path: Path) -> _T:
    with told(CorruptDataError, "read", path):
        return read(path)
