"""NumPy's files, held against what they claim before any of it is read."""

import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from workbook.errors import CorruptDataError, ManifestError, MissingDataError
from workbook.files import told

# An array that is packed smaller than this by so many times is hardly data: black images are packed a thousandfold,
# drawings of one colour fifty times
_PACKED = 200
_ALWAYS_READ = 64 * 2**20  # bytes that are read however they are packed
_BROKEN: tuple[type[Exception], ...] = (ValueError, OSError, EOFError, OverflowError, MemoryError, RuntimeError)
_BROKEN += (tokenize.TokenError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class OpenArray:
    """What the header of an array says, and the array itself where it is asked for."""

    file: IO[bytes]
    where: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self) -> np.ndarray:
        """All of it, in memory."""
        with _reading(self.where):
            self.file.seek(0)
            return np.lib.format.read_array(self.file, allow_pickle=False)


@contextmanager
def open_array(base: Path, place: str) -> Iterator[OpenArray]:
    """The array `file.npy`, or `file.npz:key`, below a folder; its bytes are as many as its header claims.

    Raises MissingDataError, ManifestError for a key that the file does not have, and CorruptDataError.
    """
    name, _, key = place.partition(":")
    path = base / name
    if not os.path.lexists(path):
        raise MissingDataError(str(path))
    with told(CorruptDataError, "read", path), path.open("rb"):  # what cannot be opened is no broken array
        pass
    with _reading(str(path)), path.open("rb") as file:
        packed = file.read(2) == b"PK"
        file.seek(0)
        if not packed:
            yield _headed(file, str(path), path.stat().st_size)
            return
        with zipfile.ZipFile(file) as archive:
            members = {one.filename.removesuffix(".npy"): one for one in archive.infolist()}
            if key not in members:
                raise ManifestError(f"{path} holds {list(members)}, not {key!r}. Write it as 'file.npz:key'.")
            member = members[key]
            if member.file_size > max(_ALWAYS_READ, _PACKED * member.compress_size):
                raise ValueError(
                    f"{key} unpacks from {member.compress_size:,} to {member.file_size:,} bytes, which no images do; "
                    "if they are meant, save them unpacked as .npy"
                )
            with archive.open(member) as inside:
                yield _headed(inside, f"{path}, {key}", member.file_size)


def _headed(file: IO[bytes], where: str, size: int) -> OpenArray:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the format is not known")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    claimed, there = prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or claimed > there:
        raise ValueError(f"its header claims {shape} of {dtype}, {claimed:,} bytes, but {there:,} are there")
    return OpenArray(file, where, shape, dtype)


@contextmanager
def _reading(where: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise CorruptDataError(f"{where} is no readable NumPy array ({error}). Fetch it again.") from error
