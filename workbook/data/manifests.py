"""Manifests: what a data set is, where its copies may lie, and how its classes split into two concepts.

A manifest is a YAML file in `data_manifests/`, or a user's own anywhere. It holds facts only; reading the
pixels is the work of `sources.py`.
"""

import difflib
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from workbook.errors import ManifestError

_CHECKOUT = Path(__file__).resolve().parents[2]
_MANIFESTS = _CHECKOUT / "data_manifests"

Patterns = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1),
]
Checksum = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _FileSource(_Model):
    """A copy on disk. `root` is relative to the data root; `checksums` are of files relative to `root`.

    `rename` maps this copy's class names to the manifest's; a name that this copy does not have is ignored,
    because several copies share one layout.
    """

    root: str
    checksums: dict[str, Checksum] = {}
    rename: dict[str, str] = {}


class GeneratedSource(_Model):
    """The embedded set: `splits` says how many images a class each split has."""

    kind: Literal["generated"]
    splits: dict[str, int]
    image_size: int = 32


class SklearnSource(_Model):
    """A set that comes with scikit-learn; it has one split, `all`."""

    kind: Literal["sklearn"]
    dataset: Literal["digits"]

    @property
    def splits(self) -> dict[str, str]:
        return {"all": self.dataset}


class TorchvisionSource(_FileSource):
    """`torchvision.datasets.<dataset>(root, **splits[split])`, never downloaded by the workbook.

    `labels` is the attribute in which the class keeps its labels.
    """

    kind: Literal["torchvision"]
    dataset: str
    splits: dict[str, dict[str, str | int | bool]]
    labels: str = "targets"


class ParquetSource(_FileSource):
    """The Hugging Face image schema: `image` is a struct of `bytes` and `path`.

    `label` is a string column, or integers. Integers are named by the schema's metadata, or with
    `label_names: manifest` by their place in the manifest's class names.
    """

    kind: Literal["parquet"]
    splits: dict[str, Patterns]
    image: str = "image"
    label: str = "label"
    label_names: Literal["metadata", "manifest"] = "metadata"


class FolderSource(_FileSource):
    """Image files; the part of a pattern in braces is the class: `train/{*}/images/*.JPEG`.

    A split whose pattern has no braces names a tab-separated file in `annotations`: file name, class.
    """

    kind: Literal["folder"]
    splits: dict[str, Patterns]
    annotations: dict[str, str] = {}

    @model_validator(mode="after")
    def _class_is_known(self) -> "FolderSource":
        for split, patterns in self.splits.items():
            for pattern in patterns:
                if split not in self.annotations and not _names_class(pattern):
                    raise ValueError(
                        f"{pattern!r} does not say where the class is: put one whole folder in braces, as in "
                        f"'train/{{*}}/*.png', or name a file of annotations for {split!r}"
                    )
        return self


class ArrayFiles(_Model):
    """`file.npy`, or `file.npz:key`: uint8 images (N, H, W) or (N, H, W, 1 or 3), integer labels (N,)."""

    images: str
    labels: str


class ArraySource(_FileSource):
    """NumPy arrays; labels are places in the manifest's class names."""

    kind: Literal["array"]
    splits: dict[str, ArrayFiles]


Source = Annotated[
    GeneratedSource | SklearnSource | TorchvisionSource | ParquetSource | FolderSource | ArraySource,
    Field(discriminator="kind"),
]


class Holdout(_Model):
    """Where no official split exists: `test_per_class` images of each class of the split `of`, by `seed`."""

    of: str
    test_per_class: int = Field(ge=1)
    seed: int = Field(ge=0)


class ConceptSplit(_Model):
    """Two class-exclusive sides: eval-D is `eval_classes`, pre-D every other class (Wang et al. 2022, 3.1).

    `eval_classes` are class names, or patterns over them (`Angelic/*`). `official` is true where the
    authors of the data or of the paper published this very list.
    """

    eval_classes: tuple[str, ...] = Field(min_length=1)
    rule: str
    official: bool

    def sides(self, class_names: Sequence[str]) -> dict[str, list[str]]:
        """`{"pre": [...], "eval": [...]}`, both in the order of `class_names`.

        Raises ManifestError if an entry names no class, or if one side is left without a class.
        """
        known = set(class_names)
        eval_names: set[str] = set()
        for entry in self.eval_classes:
            matched = {entry} & known or {name for name in class_names if fnmatchcase(name, entry)}
            if not matched:
                near = difflib.get_close_matches(entry, class_names, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ManifestError(
                    f"the concept split's entry {entry!r} matches none of the {len(known)} classes.{hint} "
                    "Correct concept_split.eval_classes."
                )
            eval_names |= matched
        if eval_names == known:
            raise ManifestError(
                f"the concept split puts all {len(known)} classes on the eval side. "
                "Leave some for the pre side in concept_split.eval_classes."
            )
        return {
            "pre": [name for name in class_names if name not in eval_names],
            "eval": [name for name in class_names if name in eval_names],
        }


class Manifest(_Model):
    """One data set.

    `image_size` is set where every image is a square of that many pixels; None means varied or large.
    `classes` is a count, a list of names, or names with a readable name for each. `splits` counts the images.
    `sources` are copies of this one set in order of preference: the first that is on disk is used.
    `obtain` is the command or page that gets the data; `{data_root}` in it stands for `data_root()`.
    """

    name: str
    title: str
    task: Literal["classification"]
    image_size: int | None = None
    classes: int | tuple[str, ...] | dict[str, str]
    splits: dict[str, int]
    holdout: Holdout | None = None
    sources: tuple[Source, ...] = Field(min_length=1)
    licence: str
    citation: str
    url: str
    obtain: str
    concept_split: ConceptSplit | None = None

    @property
    def class_count(self) -> int:
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """In the order of the labels; None where the manifest states only how many there are."""
        return None if isinstance(self.classes, int) else tuple(self.classes)

    @property
    def readable_names(self) -> dict[str, str]:
        """Class name -> name to show, for those classes that have one."""
        return self.classes if isinstance(self.classes, dict) else {}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Manifest":
        if missing := {"train", "test"} - set(self.splits):
            raise ValueError(f"splits must count both train and test; {', '.join(sorted(missing))} is missing")
        if self.class_count < 2 or len(set(self.class_names or ())) < len(self.class_names or ()):
            raise ValueError("classes must be at least two, each named once")
        if self.holdout and set(self.splits) != {"train", "test"}:
            raise ValueError("a holdout makes the splits train and test, and no other")
        if self.holdout and self.splits["test"] != self.holdout.test_per_class * self.class_count:
            raise ValueError(
                f"the holdout keeps {self.holdout.test_per_class} images of each of {self.class_count} "
                f"classes for test, but splits.test is {self.splits['test']}"
            )
        needed = {self.holdout.of} if self.holdout else set(self.splits)
        for source in self.sources:
            if absent := needed - set(source.splits):
                raise ValueError(f"the {source.kind} source does not say where {sorted(absent)[0]!r} is")
        if self.concept_split and self.class_names:
            self.concept_split.sides(self.class_names)
        return self


def data_root() -> Path:
    """The folder in which manifests look for data: WORKBOOK_DATA, else `data/` in the checkout."""
    return Path(os.environ.get("WORKBOOK_DATA") or _CHECKOUT / "data").expanduser().resolve()


def list_manifests() -> list[str]:
    """The names of the manifests in `data_manifests/`."""
    return sorted(path.stem for path in _MANIFESTS.glob("*.yaml"))


def load_manifest(name_or_path: str | Path) -> Manifest:
    """A manifest by its name in `data_manifests/`, or by the path of a `.yaml` file.

    Raises ManifestError if there is none, or if the file is not a valid manifest.
    """
    text = str(name_or_path)
    path = Path(text) if text.endswith((".yaml", ".yml")) else _MANIFESTS / f"{text}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(text, list_manifests(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ManifestError(
            f"there is no manifest {text!r}.{hint} There are: {', '.join(list_manifests())}; "
            "for a data set of your own, give the path of its .yaml file."
        )
    try:
        return Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not valid YAML: {error}. Correct the file.") from error
    except ValidationError as error:
        problems = _readable(error)
        raise ManifestError(f"{path} is not a valid manifest:\n{problems}\nCorrect the file.") from error
    except ManifestError as error:
        raise ManifestError(f"{path}: {error}") from error


def _names_class(pattern: str) -> bool:
    before, brace, rest = pattern.partition("{")
    inside, closing, after = rest.partition("}")
    whole_folder = before.endswith("/") or not before
    return bool(brace and inside and closing and whole_folder and after.startswith("/"))


def _readable(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"]) or "the file as a whole"
        got = "" if problem["type"] == "missing" or not problem["loc"] else f" (got {problem['input']!r:.80})"
        lines.append(f"  {where}: {problem['msg']}{got}")
    return "\n".join(lines)
