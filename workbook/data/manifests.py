"""Manifests: what a data set is, where its copies may lie, and how its classes split into two concepts.

A manifest is a YAML file in `data_manifests/`, or a user's own anywhere. It holds facts only; reading the
pixels is the work of `sources.py`.
"""

import os
import reprlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StrictBool, StrictInt, ValidationError, model_validator

from workbook.data.pixels import FULL_DEPTH
from workbook.data.source_kinds import ClassName, Download, Facts, ManyLabels, Source
from workbook.errors import ManifestError, did_you_mean, known_names
from workbook.fields import Count, Share, Whole
from workbook.files import folder_of, shipped, told, user_path
from workbook.plain_yaml import Document, read_yaml

_MANIFESTS = shipped("data_manifests")


class Holdout(Facts):
    """Where no official split exists: images of each class of the split `of` are the test split, drawn by `seed`.

    `test_per_class` takes as many of each class; `test_fraction`, for classes of unequal size, the same part of
    each.
    """

    of: str
    test_per_class: Count | None = None
    test_fraction: Share | None = None
    seed: Whole

    @model_validator(mode="after")
    def _says_how_many(self) -> "Holdout":
        if (self.test_per_class is None) == (self.test_fraction is None):
            raise ValueError("a holdout takes either test_per_class or test_fraction")
        return self

    @property
    def rule(self) -> str:
        """In words."""
        part = f"{self.test_per_class} a class" if self.test_per_class else f"{self.test_fraction:g} of every class"
        return f"{part} for test, seed {self.seed}"

    def test_total(self, class_count: int, images: int) -> int:
        """How many images are held out of so many."""
        if self.test_fraction is None:
            return (self.test_per_class or 0) * class_count
        return round(self.test_fraction * images)

    def test_sizes(self, class_sizes: Sequence[int]) -> list[int]:
        """How many images of each class are held out; their sum is `test_total`.

        A fraction is rounded down, and what is left goes to the classes that lost most, the first ones first: so
        the size of the test split follows from that of the set alone, and a manifest can be held against itself.
        """
        if self.test_fraction is None:
            return [self.test_per_class or 0] * len(class_sizes)
        wanted = self.test_fraction * np.asarray(class_sizes, dtype=np.float64)
        sizes = np.floor(wanted).astype(np.int64)
        left = self.test_total(len(class_sizes), sum(class_sizes)) - int(sizes.sum())
        sizes[np.argsort(sizes - wanted, kind="stable")[:left]] += 1
        return [int(size) for size in sizes]


class ConceptSplit(Facts):
    """Two class-exclusive sides: eval-D is `eval_classes` and what is in `distances`, pre-D every other class (Wang et
    al. 2022, 3.1).

    `eval_classes` are class names, or patterns over them (`Angelic/*`). `distances` are parts of eval-D by how far they
    lie from pre-D, the nearest first; each can be loaded as a side of its own. `official` is true where the authors of
    the data or of the paper published this very list.
    """

    eval_classes: tuple[ClassName, ...] = Field(min_length=1)
    distances: dict[ClassName, tuple[ClassName, ...]] = Field(default_factory=dict)
    rule: str
    official: StrictBool

    @model_validator(mode="after")
    def _has_a_name_a_side(self) -> "ConceptSplit":
        if taken := {"pre", "eval"} & set(self.distances):
            raise ValueError(f"distances cannot be called {sorted(taken)[0]!r}, which is a side")
        return self

    def sides(self, class_names: Sequence[str]) -> dict[str, list[str]]:
        """`{"pre": [...], "eval": [...]}`, both in the order of `class_names`.

        Raises ManifestError if an entry names no class, or if one side is left without a class.
        """
        parts = [self.eval_classes, *self.distances.values()]
        eval_names = set[str]().union(*(self._named(entries, class_names) for entries in parts))
        if eval_names == set(class_names):
            raise ManifestError(
                f"the concept split puts all {len(eval_names)} classes on the eval side. "
                "Leave some for the pre side in concept_split."
            )
        pre = [name for name in class_names if name not in eval_names]
        return {"pre": pre, "eval": [name for name in class_names if name in eval_names]}

    def parts(self, class_names: Sequence[str]) -> dict[str, list[str]]:
        """`sides`, and beside them each of `distances` by its name. Raises ManifestError as `sides` does."""
        named = {name: self._named(entries, class_names) for name, entries in self.distances.items()}
        inner = {name: [one for one in class_names if one in chosen] for name, chosen in named.items()}
        return self.sides(class_names) | inner

    def _named(self, entries: Sequence[str], class_names: Sequence[str]) -> set[str]:
        known, found = set(class_names), set[str]()
        for entry in entries:
            matched = {entry} & known or {name for name in class_names if fnmatchcase(name, entry)}
            if not matched:
                raise ManifestError(
                    f"the concept split's entry {entry!r} matches none of the {len(known)} "
                    f"classes{did_you_mean(entry, class_names)}. Correct concept_split."
                )
            found |= matched
        return found


_MOST_CLASSES = 10_000_000  # each gets a name

# a count, names, or names with a readable name for each
Classes = Annotated[StrictInt, Field(le=_MOST_CLASSES)] | tuple[ClassName, ...] | dict[ClassName, str]


class Manifest(Facts):
    """One data set.

    `task` is what its labels are for: `classification` where an image has one, `multilabel` where it has any number of
    them, none included. The latter has no holdout and no concept split, which are of classes that share no image.
    `image_size` is set where every image is a square of that many pixels; None means varied or large.
    `bits` is how many of a pixel of 16 bits hold data: 12 for a scanner's or a microscope's, which would be nearly
    black otherwise.
    `classes` is a count, a list of names, or names with a readable name for each. `splits` counts the images.
    `paper_sizes` says how many a paper states, by its letter, where it states them: `{B: {train: 8041}}`.
    `sources` are copies of this one set in order of preference: the first that is on disk is used.
    `downloads` are the ways in which a program gets the data, in order of preference (see `get_data`). `obtain` is
    what a person does instead or afterwards; `{data_root}` in it stands for `data_root()`.
    """

    name: str
    title: str
    task: Literal["classification", "multilabel"]
    image_size: Count | None = None
    bits: int = Field(default=FULL_DEPTH, ge=8, le=FULL_DEPTH)
    classes: Classes
    splits: dict[str, Count]
    paper_sizes: dict[Literal["A", "B"], dict[str, Count]] = Field(default_factory=dict)
    holdout: Holdout | None = None
    sources: tuple[Source, ...] = Field(min_length=1)
    licence: str
    citation: str
    url: str
    downloads: tuple[Download, ...] = ()
    obtain: str = ""
    concept_split: ConceptSplit | None = None

    @property
    def class_count(self) -> int:
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """In the order of the labels; None where the manifest states only how many there are."""
        return None if isinstance(self.classes, int) else tuple(self.classes)

    @property
    def advice(self) -> str:
        """How to get the data, in words."""
        by_hand = self.obtain.replace("{data_root}", str(data_root()))
        if not self.downloads:
            return by_hand
        ways = " or ".join(download.told for download in self.downloads)
        return f"workbook data get {self.name} ({ways})" + (f". By hand: {by_hand}" if by_hand else "")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Manifest":
        if not self.downloads and not self.obtain:
            raise ValueError("obtain must say how to get the data, where downloads names no way for a program")
        if missing := {"train", "test"} - set(self.splits):
            raise ValueError(f"splits must count both train and test; {', '.join(sorted(missing))} is missing")
        if self.class_count < 2 or len(set(self.class_names or ())) < len(self.class_names or ()):
            raise ValueError("classes must be at least two, each named once")
        many = self.task == "multilabel"
        for source in self.sources:
            if isinstance(source, ManyLabels) != many:
                raise ValueError(f"the {source.kind} source does not serve the task {self.task}: it has other labels")
        if many and (self.holdout or self.concept_split):
            raise ValueError("a holdout and a concept split are of classes that share no image: leave them out")
        if self.holdout:
            if set(self.splits) != {"train", "test"}:
                raise ValueError("a holdout makes the splits train and test, and no other")
            expected = self.holdout.test_total(self.class_count, sum(self.splits.values()))
            if self.splits["test"] != expected:
                raise ValueError(
                    f"the holdout keeps {self.holdout.rule}: {expected} of {sum(self.splits.values())} images in "
                    f"{self.class_count} classes, but splits.test is {self.splits['test']}"
                )
        for paper, sizes in self.paper_sizes.items():
            if unknown := set(sizes) - set(self.splits):
                raise ValueError(f"paper_sizes.{paper} is about {sorted(unknown)[0]!r}, which is no split")
        needed = {self.holdout.of} if self.holdout else set(self.splits)
        for source in self.sources:
            if absent := needed - set(source.splits):
                raise ValueError(f"the {source.kind} source does not say where {sorted(absent)[0]!r} is")
        if self.concept_split and self.class_names:
            self.concept_split.parts(self.class_names)
        return self


def data_root() -> Path:
    """The folder in which manifests look for data: WORKBOOK_DATA (see `folder_of`), else `data/` in `files.HOME`."""
    return folder_of("WORKBOOK_DATA", "data")


def list_manifests() -> list[str]:
    """The names of the manifests in `data_manifests/`."""
    return sorted(path.stem for path in _MANIFESTS.glob("*.yaml"))


def load_manifest(name_or_path: str | Path) -> Manifest:
    """A manifest by its name in `data_manifests/`, or by the path of a `.yaml` file.

    Raises ManifestError if there is none, or if the file is not a valid manifest.
    """
    text = str(name_or_path)
    own = text.endswith((".yaml", ".yml"))
    path = user_path(text) if own else _MANIFESTS / f"{text}.yaml"
    if not (os.path.lexists(path) if own else os.path.isfile(path)):
        known = list_manifests()
        raise ManifestError(
            f"there is no manifest {text!r}{known_names(text, known, '`workbook data list`')}; "
            "for a data set of your own, give the path of its .yaml file."
        )
    try:
        with told(ManifestError, "read", path):
            content = path.read_text(encoding="utf-8")
        document = read_yaml(content, str(path))
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is no text ({error}). Save it as UTF-8.") from error
    except ValueError as error:
        raise ManifestError(f"{error}. Correct the file.") from error
    try:
        return Manifest.model_validate(document.value)
    except ValidationError as error:
        found = _readable(error, document)
        raise ManifestError(f"{path} is not a valid manifest:\n{found}\nCorrect the file.") from error
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from error


def _readable(error: ValidationError, document: Document) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"]) or "the file as a whole"
        line = document.line(problem["loc"])
        at = f"line {line}, " if line else ""
        came = reprlib.repr(problem["input"])  # not all of what aliases repeat
        got = "" if problem["type"] == "missing" or not problem["loc"] else f" (got {came:.80})"
        quote = "; text that YAML takes for something else stands in quotes" * (problem["type"] == "string_type")
        lines.append(f"  {at}{where}: {problem['msg']}{got}{quote}")
    return "\n".join(lines)
