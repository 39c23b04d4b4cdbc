"""Parquet files in the Hugging Face image schema: the hub's copies and others of the same layout.

Up to 2 GiB the encoded images are read into memory. A larger set is converted once to Arrow files beside it,
which are then memory-mapped: Parquet has no cheap access to single rows, and shuffled training needs it.
"""

import glob
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock
from PIL import Image
from pydantic import BaseModel, ValidationError

from workbook.data.readers import Content, files_digest, integer_labels, is_read_whole, open_image, seen_digest
from workbook.data.source_kinds import ParquetSource, composed
from workbook.errors import CorruptDataError, ManifestError, MissingDataError, StoreError
from workbook.files import said

_IN_MEMORY_BYTES = 2 * 2**30
_ARROW_FOLDER = ".workbook-arrow"


@dataclass(frozen=True)
class _EncodedRows:
    """`columns` has one entry a Parquet file: its images in memory, or the Arrow file that holds them."""

    files: tuple[str, ...]
    starts: np.ndarray  # (files + 1,): the first row of each file, and the end
    columns: tuple[pa.ChunkedArray | str, ...]

    def __call__(self, row: int) -> Image.Image:
        index = int(np.searchsorted(self.starts, row, side="right")) - 1
        column, row_in_file = _opened(self.columns[index]), row - int(self.starts[index])
        encoded = column[row_in_file].as_py()
        where = f"{self.files[index]}, row {row_in_file}"
        if encoded is None:
            raise CorruptDataError(f"{where} holds no bytes. Fetch a copy that embeds its images.")
        return open_image(BytesIO(encoded), where)


def read_parquet(source: ParquetSource, split: str, base: Path) -> Content:
    files = _files(base, source.splits[split])
    _check_columns(files, source)
    labels = [_read(file, source.label)[source.label] for file in files]
    indices, names = _named(pa.chunked_array([chunk for column in labels for chunk in column.chunks]), source, files)
    if sum(_unpacked(file, source.image) for file in files) <= _IN_MEMORY_BYTES:
        columns = tuple(pc.struct_field(_read(file, f"{source.image}.bytes")[source.image], "bytes") for file in files)
    else:
        columns = _arrow_files(files, source.image, base / _ARROW_FOLDER)
    starts = np.cumsum([0, *(len(column) for column in labels)])
    digest = files_digest(base, [file.relative_to(base).as_posix() for file in files], _footer)
    return Content(
        decode=_EncodedRows(tuple(str(file) for file in files), starts, columns),
        labels=indices,
        class_names=names,
        digest=seen_digest(digest, _encoded(columns) if is_read_whole(files) else None),
    )


def _files(base: Path, patterns: Sequence[str]) -> list[Path]:
    files: list[Path] = []
    for pattern in patterns:
        if not (found := sorted(glob.glob(pattern, root_dir=base, recursive=True))):
            raise MissingDataError(f"{base}/{pattern}")
        files += [base / name for name in found]
    return files


def _read(file: Path, column: str) -> pa.Table:
    with _reading(file), pq.ParquetFile(file) as opened:
        return opened.read(columns=[column])


@contextmanager
def _reading(file: Path, errors: tuple[type[Exception], ...] = (pa.ArrowException, OSError)) -> Iterator[None]:
    try:
        yield
    except errors as error:
        if isinstance(error, OSError) and (error.errno or not file.is_file()):
            cause, advice = said(error, file) if error.errno else ("it is no file", "move it away")
            raise CorruptDataError(f"{file} cannot be read ({cause}): {advice}") from error
        broken = f"{file} cannot be read as Parquet ({error}). Fetch it again from its source."
        raise CorruptDataError(broken) from error


def _check_columns(files: Sequence[Path], source: ParquetSource) -> None:
    """All files have the columns, and of the same types: a split may be put together of what does not belong."""
    first = _types(files[0], source)
    for file in files[1:]:
        if (types := _types(file, source)) != first:
            raise ManifestError(
                f"{file} has other columns than {files[0]}: {_described(types)}, not {_described(first)}. "
                "Name files of one data set in splits."
            )


def _described(types: Mapping[str, pa.DataType]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in types.items())


def _types(file: Path, source: ParquetSource) -> dict[str, pa.DataType]:
    with _reading(file):
        schema = pq.read_schema(file)
    for column in (source.image, source.label):
        if column not in schema.names:
            raise ManifestError(
                f"{file} has no column {column!r}; it has {', '.join(schema.names)}. "
                "Correct the source's image and label."
            )
    kind = schema.field(source.image).type
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise ManifestError(f"the column {source.image!r} of {file} must be a struct with bytes, got {kind}.")
    inside = kind.field("bytes").type
    if not (pa.types.is_binary(inside) or pa.types.is_large_binary(inside)):
        raise ManifestError(f"the bytes in {source.image!r} of {file} must be binary, got {inside}.")
    return {column: schema.field(column).type for column in (source.image, source.label)}


def _named(
    column: pa.ChunkedArray, source: ParquetSource, files: Sequence[Path]
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Labels as (N,) int64, and what they mean: strings are numbered in their sorted order."""
    where = f"the column {source.label!r} of {files[0]}"
    if column.null_count:
        raise ManifestError(f"{where} has {column.null_count} rows without a label. Take those rows out.")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = [composed(text) for text in column.to_numpy().astype(str)]
        names, labels = np.unique(texts, return_inverse=True)
        return labels.astype(np.int64), tuple(str(name) for name in names)
    labels = integer_labels(column.to_numpy(), where)
    if source.label_names == "manifest":
        return labels, None
    first, *others = (_stated_names(file, source.label) for file in files)
    for file, other in zip(files[1:], others, strict=True):
        if other != first:
            raise ManifestError(f"{file} names other classes than {files[0]}. Name files of one data set in splits.")
    return labels, first


def _stated_names(file: Path, label: str) -> tuple[str, ...] | None:
    """The names of the classes in the schema's own description; None where it has none."""
    described = (pq.read_schema(file).metadata or {}).get(b"huggingface")
    if described is None:
        return None
    try:
        feature = _Description.model_validate_json(described).info.features.get(label)
        return None if feature is None else _Feature.model_validate(feature).names
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in problem["loc"])
        raise ManifestError(
            f"{file} describes itself wrongly: {where}: {problem['msg']}. "
            "If the integers follow the manifest's classes, say label_names: manifest."
        ) from error


class _Feature(BaseModel):
    names: tuple[str, ...] | None = None


class _Info(BaseModel):
    features: dict[str, Any] = {}


class _Description(BaseModel):
    """What the `datasets` library writes into a schema, as far as it is read here."""

    info: _Info = _Info()


def _unpacked(file: Path, image: str) -> int:
    """Bytes that the images claim in memory, or that they are in the file if those are more."""
    with _reading(file):
        groups = pq.read_metadata(file)
    columns = (groups.row_group(i).column(j) for i in range(groups.num_row_groups) for j in range(groups.num_columns))
    claimed = sum(one.total_uncompressed_size for one in columns if one.path_in_schema == f"{image}.bytes")
    return max(claimed, file.stat().st_size)


def _footer(file: Path) -> bytes:
    """A Parquet file's own description of itself: schema, and place and statistics of every column chunk."""
    with file.open("rb") as opened:
        opened.seek(-8, os.SEEK_END)
        length = int.from_bytes(opened.read(4), "little")
        opened.seek(-8 - length, os.SEEK_END)
        return opened.read(length)


def _encoded(columns: Sequence[pa.ChunkedArray | str]) -> Iterator[bytes]:
    return (image.as_py() or b"" for column in columns for image in _opened(column))


def _opened(column: pa.ChunkedArray | str) -> pa.ChunkedArray:
    return _memory_mapped(column) if isinstance(column, str) else column


@cache  # once a process: workers map the same pages
def _memory_mapped(file: str) -> pa.ChunkedArray:
    return pa.ipc.open_file(pa.memory_map(file)).read_all()["bytes"]


def _arrow_files(files: Sequence[Path], image: str, folder: Path) -> tuple[str, ...]:
    """The Arrow files of these Parquet files, written where they are not yet there.

    Raises StoreError if they cannot be written.
    """
    targets = [folder / f"{files_digest(file.parent, [file.name], _footer)}-{image}.arrow" for file in files]
    missing = [(file, target) for file, target in zip(files, targets, strict=True) if not target.exists()]
    if not missing:
        return tuple(str(target) for target in targets)
    needed = sum(file.stat().st_size for file, _ in missing)
    try:
        folder.mkdir(exist_ok=True)
        if (free := shutil.disk_usage(folder).free) < needed:
            raise OSError(f"{free / 2**30:.1f} GiB are free, {needed / 2**30:.1f} GiB are needed")
        with FileLock(folder / "lock", fallback_to_soft=False):
            for file, target in missing:
                if not target.exists():  # another process may have written it while this one waited
                    _convert(file, image, target)
    except OSError as error:
        cause = said(error, folder)[0] if error.errno else error
        raise StoreError(
            f"{folder} cannot be written ({cause}). Sets of over 2 GiB are converted there once: "
            "make room and give write permission, or unpack the images into one folder a class."
        ) from error
    return tuple(str(target) for target in targets)


def _convert(file: Path, image: str, target: Path) -> None:
    unfinished = target.with_suffix(".tmp")
    schema = pa.schema([("bytes", pa.large_binary())])
    with (
        _reading(file, (pa.ArrowInvalid,)),  # what is wrong with the file that is written is another matter
        pa.OSFile(str(unfinished), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for batch in pq.ParquetFile(file).iter_batches(batch_size=256, columns=[f"{image}.bytes"]):
            encoded = pc.struct_field(batch.column(0), "bytes").cast(pa.large_binary())
            writer.write_batch(pa.record_batch([encoded], schema=schema))
    os.replace(unfinished, target)
