"""What is kept of an unfinished training: one file, a checksum and then what torch.save wrote."""

import hashlib
import io
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from workbook.errors import CorruptArtefactError
from workbook.files import write_atomically

_CHECKSUM_SIZE = 16


class Writer:
    """Writes one file again and again while others go on; at the end the last is written. Raises what writing does."""

    def __init__(self, path: Path) -> None:
        self.path, self.thread = path, ThreadPoolExecutor(1)
        self.last: Future[None] | None = None

    def __enter__(self) -> "Writer":
        return self

    def write(self, state: Mapping[str, Any]) -> None:
        buffer = io.BytesIO()  # a copy: the training goes on while it is written
        torch.save(dict(state), buffer)
        data = buffer.getbuffer()
        self.wait()
        self.last = self.thread.submit(lambda: write_atomically(self.path, _checksum(data) + data))

    def wait(self) -> None:
        if self.last is not None:
            self.last.result()

    def __exit__(self, *raised: object) -> None:
        self.thread.shutdown()
        self.wait()


def read_state(path: Path, fabric: Fabric) -> dict[str, Any] | None:
    """What was written last; None where there is nothing. Raises CorruptArtefactError for anything else.

    The first process reads it for all that train together: they go on from one state, whatever each sees of the folder.
    """
    stored = fabric.broadcast(path.read_bytes() if fabric.is_global_zero and path.exists() else None)
    if stored is None:
        return None
    if _checksum(stored[_CHECKSUM_SIZE:]) != stored[:_CHECKSUM_SIZE]:
        what = f"{path} is not what was written (its checksum differs)"
        raise CorruptArtefactError(f"{what}: remove it, and the run starts again from its beginning")
    return torch.load(io.BytesIO(stored[_CHECKSUM_SIZE:]), map_location=fabric.device, weights_only=True)


def _checksum(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM_SIZE).digest()
