"""Hold a copy of a data set against its manifest, further than loading does: checksums, decoding, sizes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbook.data.images import Images
from workbook.data.manifests import Manifest, data_root, load_manifest
from workbook.data.source_kinds import Source
from workbook.data.sources import class_sides, open_split, place
from workbook.errors import CorruptDataError, WorkbookError

_SAMPLE = 256  # images decoded of each split, unless all are asked for


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found in order, what was not, and where a paper states other sizes than the set has: sentences."""

    checked: tuple[str, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


def verify_data(manifest: Manifest | str, *, every_image: bool = False) -> Verification:
    """Load every split, decode 256 images of each (or every one), and compare checksums where there are any.

    Goes on after a problem, so that one look shows all. Raises ManifestError if the manifest cannot be read.
    """
    manifest = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    checked: list[str] = []
    problems: list[str] = []
    used: list[Source] = []
    for split in manifest.splits:
        try:
            images, source = open_split(manifest, split)
            if source not in used:
                used.append(source)
            checked.append(
                f"{split}: {len(images)} images in {len(images.class_names)} classes from {place(source)}, "
                f"digest {images.digest}"
            )
            _decode(images, manifest, every_image, checked, problems)
            if manifest.concept_split:
                sides = class_sides(manifest, images.class_names)
                sizes = ", ".join(f"{len(names)} {side}" for side, names in sides.items())
                checked.append(f"{split}: concept split of {sizes} classes")
        except WorkbookError as error:
            problems.append(str(error))
    for source in used:
        _checksums(manifest, source, checked, problems)
    as_stated, remarks = _beside_the_papers(manifest)
    return Verification(checked=(*checked, *as_stated), problems=tuple(problems), remarks=tuple(remarks))


def _decode(images: Images, manifest: Manifest, every: bool, checked: list[str], problems: list[str]) -> None:
    number = len(images) if every else min(_SAMPLE, len(images))
    size, wrong_sizes = manifest.image_size, []
    for index in np.linspace(0, len(images) - 1, number).round().astype(int):
        try:
            image = images[index]
        except CorruptDataError as error:
            problems.append(str(error))
            continue
        if size and image.size != (size, size):
            wrong_sizes.append("x".join(map(str, image.size)))
    if wrong_sizes:
        problems.append(
            f"{manifest.name}, {images.split}: {len(wrong_sizes)} of {number} decoded images are not "
            f"{size}x{size}, one is {wrong_sizes[0]}. Correct image_size, or leave it out where sizes vary."
        )
    checked.append(f"{images.split}: {number} images decoded")


def _beside_the_papers(manifest: Manifest) -> tuple[list[str], list[str]]:
    """The manifest's sizes that a paper states as they are, and those that it states otherwise."""
    same, other = [], []
    for paper, sizes in manifest.paper_sizes.items():
        for split, stated in sizes.items():
            if stated == manifest.splits[split]:
                same.append(f"{split}: {stated} images, as paper {paper} states")
            else:
                other.append(
                    f"{manifest.name}, {split}: paper {paper} states {stated} images, here are {manifest.splits[split]}"
                )
    return same, other


def _checksums(manifest: Manifest, source: Source, checked: list[str], problems: list[str]) -> None:
    for name, expected in getattr(source, "checksums", {}).items():
        path = data_root() / getattr(source, "root", ".") / name
        if not path.is_file():
            checked.append(f"{name}: not there, so its checksum is not compared")
            continue
        algorithm, _, digest = expected.partition(":")
        if (got := _hash(path, algorithm)) == digest:
            checked.append(f"{name}: {algorithm} as listed")
        else:
            problems.append(
                f"{manifest.name}: {path} has {algorithm} {got}, the manifest lists {digest}. "
                "Fetch the file again, or correct the source's checksums."
            )


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
