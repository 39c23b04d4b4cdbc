"""What a file of whoever's weights holds by name; no code in it is run."""

import argparse
import pickle
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from workbook.errors import CheckpointError, first_line

SHOWN = 5  # names in a message
# Of a nested file: weights lie two to four levels deep, and one made to be searched for ever is refused.
_DEEPEST, _MOST = 16, 50_000

# What a checkpoint's training arguments and its log are made of, and what only holds values: argparse's namespace, and
# NumPy's scalars, under their names in NumPy 1 and 2.
_SCALAR = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    argparse.Namespace,
    *[(_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")],
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["All"] if code not in "OV"},
]

# How files begin that people take for checkpoints.
_NO_WEIGHTS = {
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself: fetch that with `git lfs pull`",
    b"<": "a page of HTML or XML, such as a server sends in place of a file: download the file itself",
    b"{": "JSON: if it is the index of a model in several files, join these in one (safetensors) and name that",
    b"\x89HDF": "an HDF5 file, as Keras writes them: convert it to safetensors",
    b"\x1f\x8b": "packed by gzip: unpack it and name what comes out",
}


def read_weights(path: Path) -> dict[str, dict[str, Tensor]]:
    """Every mapping of names to tensors in the file, by the way to it: {"": ..., "state_dict": ..., "a.b.c": ...}.

    The file is safetensors, or what torch.save wrote, which is told by its form and not by its name.
    Raises CheckpointError for a file that is neither, is damaged, has no tensors by name, or asks for code to be run.
    """
    return _by_way(_content(path), path)


def some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _content(path: Path) -> Any:
    try:
        if path.is_dir():
            inside = sorted(entry.name for entry in path.iterdir() if entry.suffix in (".safetensors", ".bin", ".pth"))
            raise CheckpointError(f"{path} is a folder: name the file in it that holds the weights ({some(inside)})")
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path} is no regular file: name a checkpoint file")
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({error.strerror}): name a checkpoint file") from error
    if not start:
        raise CheckpointError(f"{path} is empty: copy or download it again")
    # safetensors: the length of a header in eight bytes, then the header, which is JSON
    if start[8:9] == b"{" and not start.startswith(b"{"):
        return _read(load_file, path, "not a whole safetensors file")
    if start.startswith(b"PK"):
        _check_archive(path)
    elif not start.startswith(b"\x80"):  # a pickle, torch's format before 1.6
        for beginning, what in _NO_WEIGHTS.items():
            if start.lstrip().startswith(beginning):
                raise CheckpointError(f"{path} is {what}")
    return _read(_unpickled, path, "neither a whole safetensors file nor a whole one of torch.save")


def _check_archive(path: Path) -> None:
    """Refuses what torch.save did not write, and a spoilt entry, which torch does not look for."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
            spoilt = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError, OSError):
        return  # cut or damaged: torch says how
    if "constants.pkl" in names:
        raise CheckpointError(
            f"{path} is a TorchScript archive, a program with its weights, and code from a file is not run. If you "
            "trust it, save its weights alone: torch.save(torch.jit.load(path).state_dict(), other)"
        )
    if spoilt:
        raise CheckpointError(f"{path} is damaged: {spoilt} has another checksum than it was saved with; copy it again")
    if "data.pkl" not in names:
        raise CheckpointError(f"{path} is an archive that torch.save did not write ({some(sorted(names))}): unpack it")


def _unpickled(path: Path) -> Any:
    with torch.serialization.safe_globals(_HARMLESS):
        return torch.load(path, map_location="cpu", weights_only=True)


def _read(reader: Callable[[Path], Any], path: Path, otherwise: str) -> Any:
    """What the reader gives; all that a damaged or a hostile file makes it raise is one of ours."""
    try:
        return reader(path)
    except Exception as error:  # whatever bytes lead to: KeyError, struct.error, AttributeError, RecursionError ...
        refused = isinstance(error, pickle.UnpicklingError) and re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            raise CheckpointError(
                f"{path} is no checkpoint, or holds more than tensors (it asks for {refused[1]}), and code from a file "
                "is not run. Save its weights alone: torch.save(model.state_dict(), path)"
            ) from error
        raise CheckpointError(f"{path} is {otherwise} ({first_line(error)}): copy or download it again") from error


def _by_way(content: Any, path: Path) -> dict[str, dict[str, Tensor]]:
    if not isinstance(content, Mapping | list | tuple):
        raise CheckpointError(f"{path} holds a {type(content).__name__} and no weights by name")
    found: dict[str, dict[str, Tensor]] = {}
    left: deque[tuple[tuple[str, ...], Any]] = deque([((), content)])
    for _ in range(_MOST):
        if not left:
            break
        way, value = left.popleft()
        named = value.items() if isinstance(value, Mapping) else enumerate(value)
        entries = [(str(name), entry) for name, entry in named]
        if isinstance(value, Mapping) and (tensors := {name: e for name, e in entries if isinstance(e, Tensor)}):
            found[".".join(way)] = tensors
        if len(way) < _DEEPEST:
            left += [((*way, name), e) for name, e in entries if isinstance(e, Mapping | list | tuple)]
    if left:
        raise CheckpointError(f"{path} holds more than {_MOST:,} entries within each other: save its weights alone")
    if not found:
        names = [str(name) for name in content] if isinstance(content, Mapping) else [f"a {type(content).__name__}"]
        raise CheckpointError(f"{path} has no weights by name: its entries are {some(names)}")
    return found
