"""The kinds of copies that a manifest may name: where each lies, and how its files say what an image shows.

Facts only, as in `manifests.py`; the readers are in `readers.py`, `parquet.py` and `lists.py`.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)

from workbook.errors import harmless
from workbook.fields import Count

_BRACES = re.compile(r"\{[^{}]+\}")
_WHOLE_FOLDER = re.compile(r"(?:[^{]*/)?\{[^}]+\}/")  # in the first braces of a pattern


class Facts(BaseModel):
    """A part of a manifest: frozen, and a field that nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: Any) -> Any:
        """What a manifest says is printed on terminals and pages."""
        if steering := [text for text in _texts_in(value) if harmless(text) != text]:
            raise ValueError(f"{harmless(steering[0])} holds control characters")
        return value


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts_in([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts_in(part)


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def composed(name: str) -> str:
    """A class's name in Unicode's composed form (NFC): some file systems take an é apart, and it is the same name."""
    return unicodedata.normalize("NFC", name)


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


# a class may be called 0; what else YAML takes for no text (1.50, true) could come back otherwise than it was written
ClassName = Annotated[str, BeforeValidator(_as_text), AfterValidator(composed)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]
Texts = Annotated[tuple[ClassName, ...], BeforeValidator(_several), Field(min_length=1)]
Columns = Annotated[tuple[str, ...], Field(min_length=1)]
Checksum = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")]


class _AtHand(Facts):
    """A copy that is drawn, or comes with a library."""

    @property
    def landmarks(self) -> dict[str, tuple[str, ...]]:
        """Split -> patterns below the root, of which one names a file where the copy is on this machine."""
        return {}


class _FileSource(Facts):
    """A copy on disk. `root` is relative to the data root; `checksums` are of files relative to `root`.

    `rename` maps this copy's class names to the manifest's; a name that this copy does not have is ignored,
    because several copies share one layout.
    """

    root: str
    checksums: dict[str, Checksum] = {}
    rename: dict[ClassName, ClassName] = {}


class GeneratedSource(_AtHand):
    """The embedded set: `splits` says how many images a class each split has.

    `inks`: rectilinear images are named by their ink, not by their form, see `generated.by_ink`.
    """

    kind: Literal["generated"]
    splits: dict[str, Annotated[Count, Field(le=100_000)]]
    image_size: Annotated[Count, Field(le=1024)] = 32
    inks: StrictBool = False


class MosaicSource(_AtHand):
    """Embedded images of four forms each; `splits` says how many images each split has."""

    kind: Literal["mosaic"]
    splits: dict[str, Annotated[Count, Field(le=100_000)]]
    image_size: Annotated[Count, Field(le=1024)] = 32


class SklearnSource(_AtHand):
    """A set that comes with scikit-learn; it has one split, `all`."""

    kind: Literal["sklearn"]
    dataset: Literal["digits"]

    @property
    def splits(self) -> dict[str, str]:
        return {"all": self.dataset}


class TorchvisionSource(_FileSource):
    """`torchvision.datasets.<dataset>(root, **splits[split])`, never downloaded by the workbook.

    `labels` is the attribute in which the class keeps its labels, or its pairs of file and label. `folder` is where it
    keeps its files below `root`.
    """

    kind: Literal["torchvision"]
    dataset: str
    folder: str = "*"
    splits: dict[str, dict[str, str | int | bool]]
    labels: str = "targets"

    @property
    def landmarks(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(self.splits, (self.folder,))


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

    @property
    def landmarks(self) -> dict[str, tuple[str, ...]]:
        return self.splits


def first_group(pattern: str, texts: Sequence[str]) -> list[str | None]:
    """What the pattern's one group is where it is first found in each text; None where it is not found.

    By RE2, whose time grows with the text alone: a manifest may come from anyone.
    """
    column = pa.array(texts, pa.string())
    found = pc.match_substring_regex(column, pattern).to_pylist()
    groups = pc.replace_substring_regex(column, rf"\A(?s:.*?)(?:{pattern})(?s:.*)\z", r"\1").to_pylist()
    return [group if there else None for group, there in zip(groups, found, strict=True)]


def _no_text() -> pa.Array:
    """One text that is missing, to try a pattern on: to make an array of a list, pyarrow loads pandas."""
    return pa.nulls(1, pa.string())


def _replaces(pattern: str, replacement: str) -> bool:
    try:
        pc.replace_substring_regex(_no_text(), pattern, replacement)
    except pa.ArrowInvalid:
        return False
    return True


class FileList(Facts):
    """Which images a split has, and of which class each is, from tables that came with them.

    `tables` names files below the source's root, each with its columns: a list of names, or `header` where its
    first line says them. The ending tells how columns are parted: commas in `.csv`, tabs in `.tsv`; a `.mat` file
    holds one variable a column; all others are parted at white space, and their last column takes the rest of
    the line. Several tables are joined on the columns that they share.
    `where` keeps the rows in which each column named there has the value, or one of the values.
    `label` is the class, columns in braces: `{Species}`, `{gender} {status}`; or a list of columns of which one is
    not zero, whose name is the class. `label_pattern` is a regular expression for it, of RE2's kind, the class its
    one group: `^(.+)/` takes the folder of a file.
    """

    tables: dict[str, Literal["header"] | Columns] = Field(min_length=1)
    where: dict[str, Texts] = {}
    label: str | Columns
    label_pattern: str | None = None

    @field_validator("label_pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                pc.match_substring_regex(_no_text(), pattern)
            except pa.ArrowInvalid as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
            if not _replaces(pattern, r"\1") or _replaces(pattern, r"\2"):
                raise ValueError(f"{pattern!r} must have one group, which is the class")
        return pattern


class FolderSource(_FileSource):
    """Image files; the part of a pattern in braces is the class: `train/{*}/images/*.JPEG`.

    For a split in `lists` the braces name columns of its tables instead, and the pattern makes a file of each row:
    `images/{file}`. The folder before the first brace may hold wildcards; the first that has the file is taken.
    """

    kind: Literal["folder"]
    splits: dict[str, Patterns]
    lists: dict[str, FileList] = {}

    @property
    def landmarks(self) -> dict[str, tuple[str, ...]]:
        return {split: tuple(_BRACES.sub("*", one) for one in patterns) for split, patterns in self.splits.items()}

    @model_validator(mode="after")
    def _class_is_known(self) -> "FolderSource":
        if unknown := set(self.lists) - set(self.splits):
            raise ValueError(f"lists are of {sorted(unknown)[0]!r}, for which splits gives no pattern")
        for split, patterns in self.splits.items():
            for pattern in patterns:
                if split in self.lists and not _BRACES.search(pattern):
                    raise ValueError(f"{pattern!r} must name the column that holds the files, as in 'images/{{file}}'")
                if split not in self.lists and not _WHOLE_FOLDER.match(pattern):
                    raise ValueError(
                        f"{pattern!r} does not say where the class is: put one whole folder in braces, as in "
                        f"'train/{{*}}/*.png', or give lists for {split!r}"
                    )
        return self


class ArrayFiles(Facts):
    """`file.npy`, or `file.npz:key`: uint8 images (N, H, W) or (N, H, W, 1 or 3), integer labels (N,)."""

    images: str
    labels: str


class ArraySource(_FileSource):
    """NumPy arrays; labels are places in the manifest's class names."""

    kind: Literal["array"]
    splits: dict[str, ArrayFiles]

    @property
    def landmarks(self) -> dict[str, tuple[str, ...]]:
        return {split: (files.images.partition(":")[0],) for split, files in self.splits.items()}


class CocoFiles(Facts):
    """A file of COCO's annotations, and the folder of the images that it names."""

    annotations: str
    images: str


class CocoSource(_FileSource):
    """COCO's annotations of objects: an image has the label of every category of which it has an annotation.

    Crowds are annotations, too. `without_labels` keeps the images that have none.
    """

    kind: Literal["coco"]
    splits: dict[str, CocoFiles]
    # not in the papers: B's sizes, 82,081 and 40,137, are those of the images of 2014 that have an annotation
    without_labels: StrictBool = False

    @property
    def landmarks(self) -> dict[str, tuple[str, ...]]:
        return {split: (files.annotations,) for split, files in self.splits.items()}


OneLabel = GeneratedSource | SklearnSource | TorchvisionSource | ParquetSource | FolderSource | ArraySource
ManyLabels = MosaicSource | CocoSource
Source = Annotated[
    OneLabel | ManyLabels,
    Field(discriminator="kind"),
]


class TorchvisionDownload(Facts):
    """`torchvision.datasets.<dataset>(<root>, download=True, **call)` for each call; `root` is below the data root."""

    kind: Literal["torchvision"]
    dataset: str
    root: str = "."
    calls: tuple[dict[str, str | bool], ...] = Field(({},), min_length=1)

    @property
    def told(self) -> str:
        return f"torchvision's {self.dataset}"


class HubDownload(Facts):
    """All files of a data set of the Hugging Face hub, into `root` below the data root."""

    kind: Literal["hub"]
    repository: str
    root: str

    @property
    def told(self) -> str:
        return f"{self.repository} of the Hugging Face hub"


Download = Annotated[TorchvisionDownload | HubDownload, Field(discriminator="kind")]
