"""Lists of images: the tables beside a data set that say which files a split has, and of which class each is."""

import csv
import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workbook.data.source_kinds import FileList, first_group
from workbook.errors import CorruptDataError, ManifestError, MissingDataError
from workbook.files import told

_COLUMN = re.compile(r"\{([^{}]+)\}")


def listed_files(base: Path, patterns: Sequence[str], listed: FileList) -> list[tuple[str, str]]:
    """(file relative to `base`, class) of every image that the tables list, sorted by file.

    Raises MissingDataError if a table or every image is missing, ManifestError if the tables do not fit what the
    manifest says of them, or name images that are not there.
    """
    rows = _joined(base, listed)
    for column, values in listed.where.items():
        rows = rows[_column(rows, column).isin(values)]
    if rows.empty:
        conditions = " and ".join(f"{column} is {' or '.join(values)}" for column, values in listed.where.items())
        raise ManifestError(
            f"{_several(listed.tables)} in {base} list no image{f' where {conditions}' if conditions else ''}. "
            "Correct the source's lists."
        )
    return sorted(zip(_files(base, patterns, rows), _classes(rows, listed), strict=True))


def _joined(base: Path, listed: FileList) -> pd.DataFrame:
    """All columns as strings."""
    tables = {}
    for name, columns in listed.tables.items():
        if not os.path.lexists(path := base / name):
            raise MissingDataError(str(path))
        tables[path] = (_mat_table if path.suffix.lower() == ".mat" else _text_table)(path, columns)
    (_, rows), *others = tables.items()
    for path, table in others:
        shared = [column for column in rows.columns if column in table.columns]
        if not shared:
            raise ManifestError(
                f"{path} has the columns {_several(table.columns)}, none of which the tables before it have "
                f"({_several(rows.columns)}). Give the same name to the column that joins them."
            )
        if rows.duplicated(shared).any() and table.duplicated(shared).any():
            raise ManifestError(
                f"{path} and the tables before it both have rows alike in {_several(shared)}, which cannot be told "
                "apart. Join them by a column that is unique in one of the two."
            )
        rows = rows.merge(table, on=shared)
    return rows


def _text_table(path: Path, columns: str | tuple[str, ...]) -> pd.DataFrame:
    try:
        with told(CorruptDataError, "read", path):
            lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise CorruptDataError(f"{path} is no text ({error}). Fetch it again from its source.") from error
    if separator := {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower()):
        try:
            rows = list(csv.reader(lines, delimiter=separator))
        except csv.Error as error:
            raise CorruptDataError(f"{path} is no table ({error}). Fetch it again from its source.") from error
    else:
        width = len(lines[0].split()) if columns == "header" and lines else len(columns)
        rows = [line.split(maxsplit=width - 1) for line in lines]
        rows = [[field.strip() for field in row] for row in rows]
    names = list(columns)
    if columns == "header":
        names, rows = (rows[0], rows[1:]) if rows else ([], [])
    if twice := {name for name in names if names.count(name) > 1}:
        raise ManifestError(f"{path} has more than one column {min(twice)!r}. Name its columns, each once.")
    for number, row in enumerate(rows, start=len(lines) - len(rows) + 1):
        if len(row) != len(names):
            raise ManifestError(
                f"line {number} of {path} has {len(row)} columns, not {len(names)} ({_several(names)}): {row}. "
                "Correct the columns of the table, or fetch the file again."
            )
    return pd.DataFrame(rows, columns=pd.Index(names), dtype=str)


def _mat_table(path: Path, columns: str | tuple[str, ...]) -> pd.DataFrame:
    from scipy.io import loadmat  # takes half a second, which the other lists need not pay
    from scipy.io.matlab import MatReadError

    if columns == "header":
        raise ManifestError(f"{path} has no first line. List the variables that are its columns.")
    try:
        with told(CorruptDataError, "read", path), path.open("rb") as file:
            variables = loadmat(file, squeeze_me=True)
    except (MatReadError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        raise CorruptDataError(f"{path} cannot be read as a .mat file ({error}). Fetch it again.") from error
    known = [name for name in variables if not name.startswith("__")]
    if missing := [name for name in columns if name not in known]:
        raise ManifestError(f"{path} has no variable {missing[0]!r}; it has {_several(known)}. Correct its columns.")
    values = {name: np.ravel(variables[name]) for name in columns}
    if len({len(column) for column in values.values()}) > 1:
        lengths = [f"{name} {len(column)}" for name, column in values.items()]
        raise ManifestError(f"the variables of {path} differ in length: {_several(lengths)}. Correct its columns.")
    return pd.DataFrame({name: [str(value) for value in column] for name, column in values.items()}, dtype=str)


def _classes(rows: pd.DataFrame, listed: FileList) -> list[str]:
    classes = _filled(listed.label, rows) if isinstance(listed.label, str) else _one_hot(rows, listed)
    if listed.label_pattern is None:
        return classes
    found = first_group(listed.label_pattern, classes)
    if None in found:
        raise ManifestError(
            f"label_pattern {listed.label_pattern!r} finds no class in {classes[found.index(None)]!r}, which stands "
            f"in {_several(listed.tables)}. Correct label or label_pattern."
        )
    return [name for name in found if name is not None]


def _one_hot(rows: pd.DataFrame, listed: FileList) -> list[str]:
    where, names = _several(listed.tables), _several(listed.label)
    columns = pd.concat([_column(rows, column) for column in listed.label], axis=1)
    try:
        hot = columns.astype(float) != 0
    except ValueError as error:
        raise ManifestError(f"{where}: {names} must be numbers ({error}).") from error
    if (wrong := hot.sum(axis=1) != 1).any():
        raise ManifestError(
            f"{where}: {int(wrong.sum())} rows have not one class among {names} but none "
            f"or several, the first is {rows[wrong].iloc[0].tolist()}. Correct label, or keep them out with where."
        )
    return [str(name) for name in hot.idxmax(axis=1)]


def _files(base: Path, patterns: Sequence[str], rows: pd.DataFrame) -> list[str]:
    """The file of each row: in the first of the folders that has it."""
    candidates = []
    for pattern in patterns:
        folder, slash, _ = pattern.partition("{")[0].rpartition("/")
        file = pattern[len(folder + slash) :]
        folders = sorted(glob.glob(folder, root_dir=base)) if glob.has_magic(folder) else [folder]
        candidates += [(name + slash, _filled(file, rows)) for name in folders]
    files: list[str] = []
    missing: list[str] = []
    for row in range(len(rows)):
        places = [f"{folder}{names[row].lstrip('/')}" for folder, names in candidates]
        present = next((place for place in places if os.path.isfile(base / place)), None)
        (missing if present is None else files).append(present or (places or [patterns[0]])[0])
    if not files:
        raise MissingDataError(f"{base / missing[0]} and {len(missing) - 1} more that are listed")
    if missing:
        raise ManifestError(
            f"{len(missing)} of {len(rows)} listed images are not in {base}, {missing[0]} among them. "
            "Unpack the data anew, or correct the pattern of the split."
        )
    if len(twice := pd.Series(files)[pd.Series(files).duplicated()]):
        raise ManifestError(f"{twice.iloc[0]} is listed more than once in {base}. Correct the source's lists.")
    return files


def _filled(template: str, rows: pd.DataFrame) -> list[str]:
    """The template of every row, its columns in braces replaced by their values."""
    parts = _COLUMN.split(template)  # text, column, text, ..., text
    columns = [[part] * len(rows) if i % 2 == 0 else _column(rows, part).tolist() for i, part in enumerate(parts)]
    return ["".join(values) for values in zip(*columns, strict=True)]


def _column(rows: pd.DataFrame, name: str) -> "pd.Series[str]":
    if name not in rows.columns:
        raise ManifestError(
            f"the lists have no column {name!r}; they have {_several(rows.columns)}. Correct the source's lists."
        )
    return rows[name]


def _several(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)
