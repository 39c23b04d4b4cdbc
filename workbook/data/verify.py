"""Hold a copy of a data set against its manifest, further than loading does: checksums, decoding, sizes."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workbook.data.images import Images
from workbook.data.manifests import Manifest, load_manifest
from workbook.data.pixels import bits_used
from workbook.data.places import folder_of
from workbook.data.source_kinds import Source
from workbook.data.sources import class_sides, open_split, place
from workbook.errors import CorruptDataError, WorkbookError
from workbook.files import told

_SAMPLE = 256  # images decoded of each split, unless all are asked for


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found in order, what was not, and where a paper states other sizes than the set has: sentences."""

    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def verify_data(manifest: Manifest | str, *, every_image: bool = False) -> Verification:
    """Load every split, decode 256 images of each (or every one), and compare checksums where there are any.

    Goes on after a problem, whatever it is, so that one look shows all. Raises ManifestError if the manifest cannot be
    read.
    """
    manifest = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    found = Verification()
    used: list[Source] = []
    opened: set[str] = set()
    for split in manifest.splits:
        try:
            images, source = open_split(manifest, split)
            opened.add(split)
            if source not in used:
                used.append(source)
            content = f"{len(images)} images in {len(images.class_names)} classes"
            labels = _many_labels(images, found) if images.many_labels else ""
            found.checked.append(f"{split}: {content}{labels} from {place(source)}, digest {images.digest}")
            _decode(images, manifest, len(images) if every_image else min(_SAMPLE, len(images)), found)
            if manifest.concept_split:
                sides = class_sides(manifest, images.class_names)
                sizes = ", ".join(f"{len(names)} {side}" for side, names in sides.items())
                found.checked.append(f"{split}: concept split of {sizes} classes")
        except Exception as error:  # a library may raise anything over a copy that is broken
            found.problems.append(_in_words(error, f"{manifest.name}, {split}"))
    for source in used:
        for name, expected in getattr(source, "checksums", {}).items():
            try:
                _checksum(manifest, folder_of(source) / name, name, expected, found)
            except WorkbookError as error:
                found.problems.append(str(error))
    for paper, stated_of in manifest.paper_sizes.items():
        for split, stated in stated_of.items():
            if split not in opened:
                continue
            if stated == (own := manifest.splits[split]):
                found.checked.append(f"{split}: {stated} images, as paper {paper} states")
            else:
                found.remarks.append(f"{manifest.name}, {split}: paper {paper} states {stated} images, here are {own}")
    return found


def _many_labels(images: Images, found: Verification) -> str:
    """How many there are, in words; classes without an image are remarked."""
    if len(absent := np.flatnonzero(images.labels.sum(axis=0) == 0)):
        names = images.class_names
        classes = f"{len(absent)} of {len(names)} classes have no image, {names[absent[0]]!r} among them"
        found.remarks.append(f"{images.name}, {images.split}: {classes}; the mean over classes leaves them out")
    return f", {images.labels.sum() / len(images):.2f} labels an image,"


def _in_words(error: Exception, where: str) -> str:
    if isinstance(error, WorkbookError):
        return str(error)
    return f"{where} cannot be read ({type(error).__name__}: {error}). Fetch the copy again, or correct the manifest."


def _decode(images: Images, manifest: Manifest, number: int, found: Verification) -> None:
    size, wrong_sizes, depth = manifest.image_size, [], 0
    for index in np.linspace(0, len(images) - 1, number).round().astype(int):
        try:
            stored = images.as_stored(index)
            depth = max(depth, bits_used(stored))
            image = images.in_rgb(stored, index)
        except Exception as error:  # the same: the other images are decoded all the same
            found.problems.append(_in_words(error, f"{manifest.name}, {images.split}, image {index}"))
            continue
        if size and image.size != (size, size):
            wrong_sizes.append("x".join(map(str, image.size)))
    if 0 < depth < images.bits:
        found.remarks.append(
            f"{manifest.name}, {images.split}: the largest of {number} images' pixels needs {depth} of {images.bits} "
            f"bits, so all are dark. If it is a camera's range, state it in the manifest, as in bits: {max(8, depth)}."
        )
    if wrong_sizes:
        found.problems.append(
            f"{manifest.name}, {images.split}: {len(wrong_sizes)} of {number} decoded images are not "
            f"{size}x{size}, one is {wrong_sizes[0]}. Correct image_size, or leave it out where sizes vary."
        )
    found.checked.append(f"{images.split}: {number} images decoded")


def _checksum(manifest: Manifest, path: Path, name: str, expected: str, found: Verification) -> None:
    if not os.path.lexists(path):
        found.checked.append(f"{name}: not there, so its checksum is not compared")
        return
    if problem := differing(path, expected):
        found.problems.append(f"{manifest.name}: {problem}")
    else:
        found.checked.append(f"{name}: {expected.partition(':')[0]} as listed")


def differing(path: Path, expected: str) -> str:
    """How a file's checksum differs from that of its manifest, "md5:..." or "sha256:..."; "" where it does not."""
    algorithm, _, digest = expected.partition(":")
    with told(CorruptDataError, "read", path), path.open("rb") as file:
        got = hashlib.file_digest(file, algorithm).hexdigest()
    lists = f"the manifest lists {digest}. Fetch the file again, or correct the source's checksums."
    return "" if got == digest else f"{path} has {algorithm} {got}, {lists}"
