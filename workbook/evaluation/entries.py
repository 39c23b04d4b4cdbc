"""Models to be scored: named one by one, or listed in a file of the user's."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MinLen

from workbook.errors import CheckpointError, known_names
from workbook.evaluation.scoring import open_model
from workbook.fields import Finite, check_fields
from workbook.files import told
from workbook.models.pretrained import Pretrained, check_accuracy
from workbook.plain_yaml import read_yaml
from workbook.store import Store

_LISTS = (".csv", ".yaml", ".yml")
_OF_A_ROW = ("name", "group", "accuracy")  # what a table says of a model; all else says how it is opened


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model that is to be scored, what is known of it, and how it is opened (see `open_model`).

    name: what tables call it; None = its own. group: its relatives, such as other epochs or seeds of one recipe; None =
    it has none. accuracy: upstream top-1 in percent, for the CIS, of trained weights alone.
    """

    model: Annotated[str, MinLen(1)]
    name: str | None = None
    group: str | None = None
    accuracy: Finite | None = None
    architecture: str | None = None
    part: str | None = None
    prefix: str | None = None
    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    small_stem: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        check_fields(self, CheckpointError)
        if self.accuracy is not None and not 1 < self.accuracy <= 100:
            raise CheckpointError(f"accuracy is top-1 in percent, above 1 and at most 100, got {self.accuracy}")

    def open(self, store: Store) -> Pretrained:
        """The backbone; raises what `open_model` does, and CheckpointError for an accuracy of untrained weights."""
        how = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _OF_A_ROW}
        opened = open_model(how.pop("model"), store, **how)
        check_accuracy(opened, self.accuracy)
        return opened


def entries_of(models: Sequence[str], **how: Any) -> list[Entry]:
    """One entry a model, or all those of a list: a file that ends in .csv, .yaml or .yml.

    how: fields that hold for each model; where a list has a column of the same name, its row decides.
    Raises CheckpointError for a list that cannot be read, with its line.
    """
    how = _tuples(how)
    listed = {model: Path(model).expanduser() for model in models if Path(model).suffix.lower() in _LISTS}
    parts = (read_list(listed[model], **how) if model in listed else [Entry(model=model, **how)] for model in models)
    return [entry for part in parts for entry in part]


def read_list(path: Path, **how: Any) -> list[Entry]:
    """The entries of a list: a CSV table with a header, or a YAML list of mappings; names are those of `Entry`.

    A model's file is looked for beside the list. In a CSV an empty cell is as if it were not there, and mean and std
    are three numbers with spaces between them.
    """
    with told(CheckpointError, "read", path):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path} is no text ({error})") from error
    rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _yaml_rows(text, path)
    if not rows:
        raise CheckpointError(f"{path} lists no model: give it rows with a column `model`")
    return [_entry(row, place, path, how) for place, row in rows]


def _entry(row: Mapping[str, Any], place: str, path: Path, how: Mapping[str, Any]) -> Entry:
    known = [item.name for item in fields(Entry)]
    for name in row:
        if name not in known:
            raise CheckpointError(f"{place}: no column {name!r}{known_names(str(name), known)}")
    if not isinstance(row.get("model"), str):
        raise CheckpointError(f"{place}: `model` is missing: a run's key, a file or a name")
    given: dict[str, Any] = {**how, **row, "model": _beside(row["model"], path.parent)}
    if row.get("architecture"):
        given["architecture"] = _beside(row["architecture"], path.parent)
    try:
        return Entry(**_tuples(given))
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}") from error


def _beside(name: str, folder: Path) -> str:
    """The file, folder of a model or file of a function ("net.py:function") of this name in the folder; else the name
    as it is."""
    file, _, function = name.partition(":") if ".py:" in name else (name, "", "")
    path = folder / Path(file).expanduser()
    if path.is_file() or (path / "config.json").is_file():
        return f"{path}:{function}" if function else str(path)
    return name


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """With every list, as parameters and YAML have them, as a tuple."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _yaml_rows(text: str, path: Path) -> list[tuple[str, Any]]:
    try:
        document = read_yaml(text, str(path))
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(document.value, list) or not all(isinstance(row, dict) for row in document.value):
        raise CheckpointError(f"{path} must be a list of models, each `- model: NAME` and what else is known of it")
    return [(f"{path}, line {document.line([number])}", row) for number, row in enumerate(document.value)]


def _csv_rows(text: str, path: Path) -> list[tuple[str, Any]]:
    reader = csv.DictReader(text.splitlines())
    rows = []
    for row in reader:
        place = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            raise CheckpointError(f"{place} has another number of columns than the header: {reader.fieldnames}")
        cells = {name.strip(): cell.strip() for name, cell in row.items()}
        rows.append((place, {name: _value(name, cell, place) for name, cell in cells.items() if cell}))
    return rows


def _value(name: str, cell: str, place: str) -> Any:
    try:
        return _READERS.get(name, str)(cell)
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{place}: {name} is {cell!r}") from error


def _numbers(cell: str) -> tuple[float, ...]:
    return tuple(float(number) for number in cell.split())


def _whole(cell: str) -> int:
    """32, and 32.0 as pandas writes a column of whole numbers with gaps."""
    return int(cell.removesuffix(".0"))


def _yes(cell: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[cell.lower()]


_READERS: dict[str, Callable[[str], Any]] = {"accuracy": float, "image_size": _whole, "mean": _numbers, "std": _numbers}
_READERS |= {"small_stem": _yes, "fresh": _yes}
