"""A manifest for a folder of images of one's own, and what looks odd in it."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import cpu_count

from workbook.data.manifests import Holdout, Manifest, data_root
from workbook.data.readers import class_files, open_image
from workbook.errors import CorruptDataError, ManifestError, MissingDataError
from workbook.files import file_digest, told, user_path, write_atomically
from workbook.plain_yaml import write_yaml

# what people call the folder of a split -> what manifests do
_SPLITS = {name: "train" for name in ("train", "training")}
_SPLITS |= {name: "val" for name in ("val", "valid", "validation")} | {name: "test" for name in ("test", "testing")}
_INSIDE = "{*}/**/*"  # a folder a class, with images at any depth
# not in the papers: a fifth of every class is a test set where nobody made one
_HELD_OUT = Holdout(of="all", test_fraction=0.2, seed=0)
_FEW = 10  # images of a class, below which a probe sees hardly any
_TINY, _HUGE = 16, 8192  # pixels of the shorter and the longer side
_SHOWN = 3  # names in a sentence
_TO_FILL_IN = "to be filled in"


@dataclass(frozen=True)
class _File:
    """An image file, by its path within the folder. size: None where it cannot be decoded."""

    name: str
    split: str
    label: str
    digest: bytes
    size: tuple[int, int] | None


def new_manifest(folder: Path, name: str | None = None) -> tuple[Path, list[str]]:
    """Write FOLDER/NAME.yaml for a folder of class folders, or of train, val and test with these; the file, and what
    looks odd, one sentence each.

    name: None = the folder's own. Without a folder for test, val is that; without one of them, a fifth of every class
    is held out. Every image is decoded. Licence, citation and page are left to be filled in.
    Raises ManifestError where the folder holds no such folders, a class has no image, splits have other classes, or
    the file is there already.
    """
    folder = user_path(folder)
    name = re.sub(r"[^\w.-]+", "-", name or folder.name)
    path = folder / f"{name}.yaml"
    with told(ManifestError, "read", folder):
        if path.exists():
            raise ManifestError(f"{path} is there already: correct it, or remove it and ask again")
        patterns = _patterns(folder)
        files = [file for split, pattern in patterns.items() for file in _files(folder, split, pattern)]
    _check_classes(files, patterns, folder)
    manifest = _described(folder, name, patterns, files)
    with told(ManifestError, "written", path):
        write_atomically(path, write_yaml(manifest.model_dump(mode="json", exclude_defaults=True)))
    return path, list(_oddities(files))


def _patterns(folder: Path) -> dict[str, str]:
    """Split -> where its images are; "all" where there are no folders of splits."""
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {_SPLITS[name.lower()]: f"{name}/{_INSIDE}" for name in folders if name.lower() in _SPLITS}
    if "train" not in found:
        return {"all": _INSIDE}
    if "val" in found and "test" not in found:
        found["test"] = found.pop("val")
    if "test" not in found:
        return {"all": found["train"]}
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def _files(folder: Path, split: str, pattern: str) -> list[_File]:
    try:
        listed = class_files(folder, pattern)
    except MissingDataError as error:
        raise ManifestError(f"{folder} has no folder a class: put the images of each class into one") from error
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(lambda one: _read(folder, split, *one), listed))


def _read(folder: Path, split: str, name: str, label: str) -> _File:
    with told(ManifestError, "read", folder / name):
        digest = file_digest(folder / name)
    try:
        size = open_image(folder / name, name).size
    except CorruptDataError:
        size = None
    return _File(name, split, label, digest, size)


def _check_classes(files: Sequence[_File], patterns: dict[str, str], folder: Path) -> None:
    classes = {split: {file.label for file in files if file.split == split} for split in patterns}
    known = set().union(*classes.values())
    for split, found in classes.items():
        if absent := sorted(known - found):
            raise ManifestError(f"{folder}: {split} has no {_some(absent)}: give every split images of every class")
    if len(known) < 2:
        raise ManifestError(f"{folder} holds {len(known)} class, {_some(sorted(known))}: there must be at least two")


def _described(folder: Path, name: str, patterns: dict[str, str], files: Sequence[_File]) -> Manifest:
    classes = sorted({file.label for file in files})
    counts: dict[str, int] = Counter(file.split for file in files)
    holdout = _HELD_OUT if "all" in counts else None
    if holdout:
        test = holdout.test_total(len(classes), len(files))
        counts = {"train": len(files) - test, "test": test}
    sizes = {file.size for file in files}
    square = next(iter(sizes)) if len(sizes) == 1 else None
    below = folder.is_relative_to(data_root())
    facts: dict[str, Any] = {
        "name": name,
        "title": name,
        "task": "classification",
        "image_size": square[0] if square and square[0] == square[1] else None,
        "classes": classes,
        "splits": dict(counts),
        "holdout": holdout and holdout.model_dump(exclude_defaults=True),
        "sources": [
            {
                "kind": "folder",
                "root": folder.relative_to(data_root()).as_posix() if below else str(folder),
                "splits": patterns,
            }
        ],
        **dict.fromkeys(("licence", "citation", "url"), _TO_FILL_IN),
        "obtain": f"it was described where it lay, in {folder.name}",
    }
    return Manifest.model_validate(facts)


def _oddities(files: Sequence[_File]) -> Iterator[str]:
    for split, counts in _counts(files).items():
        if few := [label for label, count in counts.items() if count < _FEW]:
            yield f"{split}: {len(few)} of {len(counts)} classes have fewer than {_FEW} images: {_some(few)}"
    labels = {file.label for file in files}
    folded = Counter(label.casefold() for label in labels)
    if alike := sorted(label for label in labels if folded[label.casefold()] > 1):
        yield f"class names that differ in capitals alone: {_some(alike)}"
    yield from _twins(files)
    sized = [(file.name, file.size) for file in files if file.size]
    yield from _told("that cannot be decoded", [file.name for file in files if not file.size])
    yield from _told(f"narrower than {_TINY} pixels", [name for name, size in sized if min(size) < _TINY])
    yield from _told(f"longer than {_HUGE} pixels", [name for name, size in sized if max(size) > _HUGE])


def _counts(files: Sequence[_File]) -> dict[str, Counter[str]]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for file in files:
        counts[file.split][file.label] += 1
    return dict(counts)


def _twins(files: Sequence[_File]) -> Iterator[str]:
    """Files of the very same bytes."""
    same: defaultdict[bytes, list[_File]] = defaultdict(list)
    for file in files:
        same[file.digest].append(file)
    found: dict[str, list[str]] = {"in two classes": [], "in two splits": [], "twice in one class": []}
    for group in (group for group in same.values() if len(group) > 1):
        pair = " = ".join(file.name for file in group[:2])
        apart = {"in two classes": len({file.label for file in group}) > 1}
        apart["in two splits"] = len({file.split for file in group}) > 1
        apart["twice in one class"] = not any(apart.values())
        for where in (where for where, is_so in apart.items() if is_so):
            found[where].append(pair)
    for where, pairs in found.items():
        yield from _told(where, pairs)


def _told(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"images {what}: {len(names)} ({_some(names)})"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
