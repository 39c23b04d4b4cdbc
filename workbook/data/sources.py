"""From a manifest to images: the first copy that is on this machine, held against what the manifest says."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from workbook.data import readers
from workbook.data.coco import read_coco
from workbook.data.images import Images, content_digest
from workbook.data.manifests import Holdout, Manifest, load_manifest
from workbook.data.parquet import read_parquet
from workbook.data.pixels import FULL_DEPTH
from workbook.data.places import folder_of
from workbook.data.readers import Content, about
from workbook.data.source_kinds import Source, composed
from workbook.errors import CorruptDataError, ManifestError, MissingDataError, did_you_mean

_READERS: dict[str, Callable[[Any, str, Path], Content]] = {
    "generated": readers.read_generated,
    "mosaic": readers.read_mosaics,
    "sklearn": readers.read_sklearn,
    "torchvision": readers.read_torchvision,
    "parquet": read_parquet,
    "folder": readers.read_folder,
    "array": readers.read_array,
    "coco": read_coco,
}


_DESCRIBED: ContextVar[bool] = ContextVar("described", default=False)


@contextmanager
def described() -> Iterator[None]:
    """Inside, a set that is not on this machine is what its manifest says: so many images, of classes of one size.

    Their pixels are MissingDataError.
    """
    token = _DESCRIBED.set(True)
    try:
        yield
    finally:
        _DESCRIBED.reset(token)


def load_images(manifest: Manifest | str, split: str, *, side: str | None = None) -> Images:
    """One split of a data set; with `side` only that side's classes, relabelled from 0.

    side: "pre", "eval", or one of the concept split's `distances`.
    Labels are indices into the manifest's class names, whichever copy they come from; where it states only a
    count, into the copy's own. Of a set whose images have many labels they are (N, K) bool. `Images.digest` is of the
    encoded files' bytes, labels and class names; for sets above 2 GiB or 20,000 files, names and sizes (and Parquet
    footers) stand for the bytes.

    Raises MissingDataError if no copy is on this machine, ManifestError if the manifest is unknown or
    disagrees with the copy, CorruptDataError if a file cannot be read. Images are decoded, and found corrupt,
    when asked for.
    """
    manifest = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    if split not in manifest.splits:
        unknown = f"{manifest.name} has no split {split!r}{did_you_mean(split, manifest.splits)}"
        raise ManifestError(f"{unknown}. It has: {', '.join(manifest.splits)}.")
    if side is not None:
        check_side(manifest, side)
    try:
        images, _ = open_split(manifest, split)
    except MissingDataError as error:
        if not _DESCRIBED.get():
            raise
        images = _as_described(manifest, split, str(error))
    if side is None:
        return images
    return images.only_classes(_concept_split(manifest, images.class_names)[side])


def open_split(manifest: Manifest, split: str) -> tuple[Images, Source]:
    """All images of a split, and the copy that they come from. Raises as `load_images` does."""
    source, content = _first_present(manifest, split)
    with about(f"{manifest.name}, {split}, from {place(source)}"):
        names, labels = _in_the_manifests_words(content, manifest, source)
        rows = np.arange(len(labels), dtype=np.int64)
        if manifest.holdout:
            rows = _held_out(labels, manifest, manifest.holdout)[split]
        empty = np.flatnonzero(_images_a_class(labels[rows], len(names)) == 0)
        # of many labels a rare one may be in no image of a split: what is measured there leaves it out
        if labels.ndim == 1 and len(empty):
            raise ManifestError(
                f"{len(empty)} of {len(names)} classes have no image, {names[empty[0]]!r} among them. "
                "Check that the copy is whole, or correct classes."
            )
        if len(rows) != manifest.splits[split]:
            raise ManifestError(
                f"{len(rows)} images came, the manifest says {manifest.splits[split]}. "
                f"Check that the copy is whole, or correct splits.{split}."
            )
    depth = [] if manifest.bits == FULL_DEPTH else [f"{manifest.bits} bits"]
    digest = content_digest(content.digest, rows.tobytes(), labels[rows].tobytes(), *names, *depth)
    images = Images(
        name=manifest.name,
        split=split,
        decode=_Decoder(content.decode, manifest, split, digest),
        rows=rows,
        labels=labels[rows],
        class_names=names,
        digest=digest,
        factors=None if content.factors is None else content.factors.iloc[rows].reset_index(drop=True),
        image_size=manifest.image_size,
        bits=manifest.bits,
    )
    return images, source


@dataclass(frozen=True)
class _Decoder:
    """`Images.decode` of a split; on another machine that of the copy there, see `engines.outcomes.packed`."""

    decode: Callable[[int], Image.Image]
    manifest: Manifest
    split: str
    digest: str

    def __call__(self, row: int) -> Image.Image:
        return self.decode(row)

    def elsewhere(self) -> tuple[Callable[..., "_Decoder"], tuple[object, ...]]:
        return _decoder_here, (self.manifest.model_dump_json(), self.split, self.digest, socket.gethostname())


@lru_cache(4)  # the jobs of a sweep are over few sets of images, and their digest takes time
def _decoder_here(manifest: str, split: str, digest: str, host: str) -> "_Decoder":
    """The decoder of the same split on this machine; CorruptDataError where its images are others than on `host`."""
    images, source = open_split(Manifest.model_validate_json(manifest), split)
    if images.digest != digest:
        here = f"{images.name}, {split}, from {place(source)} on {socket.gethostname()} is not what {host} has"
        raise CorruptDataError(
            f"{here} (digest {images.digest}, there {digest}): copy it from there, or set WORKBOOK_DATA to such a copy"
        )
    return cast(_Decoder, images.decode)


def _as_described(manifest: Manifest, split: str, why: str) -> Images:
    names = manifest.class_names or tuple(map(str, range(manifest.class_count)))
    rows = np.arange(manifest.splits[split], dtype=np.int64)
    labels = rows % len(names)

    def decode(row: int) -> Image.Image:
        raise MissingDataError(why)

    return Images(
        name=manifest.name,
        split=split,
        decode=decode,
        rows=rows,
        labels=np.eye(len(names), dtype=bool)[labels] if manifest.task == "multilabel" else labels,
        class_names=names,
        digest=content_digest(manifest.name, split, "not here"),
        image_size=manifest.image_size,
        bits=manifest.bits,
    )


def _images_a_class(labels: np.ndarray, classes: int) -> np.ndarray:
    return labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def check_set(name: str) -> str:
    """The name, if it is a manifest's name or path, or one side of its concept split as in "cifar100:eval".

    Raises ManifestError.
    """
    dataset, colon, side = name.partition(":")
    manifest = load_manifest(dataset)
    if colon:
        check_side(manifest, side)
    return name


def check_data_set(name: str) -> str:
    """The name, if it is a manifest's name or path, else ManifestError."""
    load_manifest(name)
    return name


def check_side(manifest: Manifest, side: str) -> None:
    """Raises ManifestError where the manifest has no such side, nor a part of eval-D of this name."""
    split = manifest.concept_split
    known = ("pre", "eval", *(split.distances if split else ()))
    if side not in known:
        sides = " and ".join(map(repr, known))
        raise ManifestError(f"{manifest.name} has no side {side!r}. The sides are {sides}.")
    if split is None:
        raise _no_sides(manifest)


def _no_sides(manifest: Manifest) -> ManifestError:
    return ManifestError(
        f"{manifest.name} has no concept split, so it has no sides. "
        "Load it without a side, or add concept_split to its manifest."
    )


def class_sides(manifest: Manifest, class_names: tuple[str, ...]) -> dict[str, list[str]]:
    """The concept split's two sides; ManifestError if the manifest has none or it does not fit."""
    found = _concept_split(manifest, class_names)
    return {side: found[side] for side in ("pre", "eval")}


def _concept_split(manifest: Manifest, class_names: tuple[str, ...]) -> dict[str, list[str]]:
    if manifest.concept_split is None:
        raise _no_sides(manifest)
    with about(manifest.name):
        return manifest.concept_split.parts(class_names)


def place(source: Source) -> str:
    """A copy in words, with its folder on this machine."""
    return f"the {source.kind} source" + (f" in {folder_of(source)}" if hasattr(source, "root") else "")


def _first_present(manifest: Manifest, split: str) -> tuple[Source, Content]:
    of = manifest.holdout.of if manifest.holdout else split
    looked = []
    for source in manifest.sources:
        try:
            with about(f"{manifest.name}, {split}"):
                return source, _READERS[source.kind](source, of, folder_of(source))
        except MissingDataError as error:
            looked.append(f"  {source.kind}: {error}")
    raise MissingDataError(
        f"{manifest.name}, {split}: the data is not on this machine. Looked for\n"
        + "\n".join(looked)
        + f"\nTo get it: {manifest.advice}\n"
        "If you have it elsewhere, set WORKBOOK_DATA to the folder that holds it."
    )


def _in_the_manifests_words(content: Content, manifest: Manifest, source: Source) -> tuple[tuple[str, ...], np.ndarray]:
    """The manifest's class names, in its order, and the content's labels as indices into them, or as columns."""
    expected = manifest.class_names
    names = content.class_names or expected or tuple(str(i) for i in range(manifest.class_count))
    rename = getattr(source, "rename", {})
    names = tuple(rename.get(name, name) for name in map(composed, names))
    if len(names) != manifest.class_count:
        raise ManifestError(
            f"{len(names)} classes came, the manifest says {manifest.class_count}. "
            f"{_difference(names, expected)}Check that the copy is whole, or correct classes."
        )
    if expected and set(names) != set(expected):
        raise ManifestError(
            f"the class names differ. {_difference(names, expected)}"
            "Correct classes in the manifest, or map this copy's names with rename."
        )
    many = content.labels.ndim == 2
    if not many and len(content.labels) and not 0 <= content.labels.min() <= content.labels.max() < len(names):
        raise ManifestError(
            f"labels go from {content.labels.min()} to {content.labels.max()}, but there are {len(names)} "
            "classes, from 0. Correct classes, or the label that the source names."
        )
    if expected is None or names == expected:
        return names, content.labels
    if many:
        return expected, content.labels[:, [names.index(name) for name in expected]]
    position = {name: i for i, name in enumerate(expected)}
    return expected, np.array([position[name] for name in names], dtype=np.int64)[content.labels]


def _difference(names: tuple[str, ...], expected: tuple[str, ...] | None) -> str:
    if expected is None:
        return ""
    unknown, absent = sorted(set(names) - set(expected)), sorted(set(expected) - set(names))
    parts = [f"only in the copy: {', '.join(unknown[:5])}"] if unknown else []
    parts += [f"only in the manifest: {', '.join(absent[:5])}"] if absent else []
    return f"{'; '.join(parts).capitalize()}. " if parts else ""


def _held_out(labels: np.ndarray, manifest: Manifest, holdout: Holdout) -> dict[str, np.ndarray]:
    """Rows of train and test. The same for every copy that holds a class's images in the same order."""
    draw = np.random.default_rng(holdout.seed)
    class_sizes = np.bincount(labels, minlength=manifest.class_count)
    test = []
    for label, size in enumerate(holdout.test_sizes(class_sizes.tolist())):
        of_class = np.flatnonzero(labels == label)
        if not 0 < size < len(of_class):
            raise ManifestError(
                f"class {label} has {len(of_class)} images, too few to hold out {size} and train on the rest "
                f"({holdout.rule}). Correct the holdout, or check that the copy is whole."
            )
        test.append(draw.permutation(of_class)[:size])
    held_out = np.sort(np.concatenate(test))
    return {"train": np.setdiff1d(np.arange(len(labels)), held_out), "test": held_out}
