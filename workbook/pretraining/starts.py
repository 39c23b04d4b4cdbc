"""Where the first weights of a backbone come from: a run of the store, or a file from outside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbook.files import user_path
from workbook.keys import local
from workbook.models.checkpoints import from_checkpoint


@dataclass(frozen=True, kw_only=True)
class RunStart:
    """The backbone of a run of the store, after one of its epochs; see `Run.start`."""

    run: str  # its key
    epoch: int


@dataclass(frozen=True, kw_only=True)
class FileStart:
    """The backbone in a checkpoint file, whoever wrote it; see `file_start`."""

    digest: str  # of the backbone's weights, as `Pretrained` has it
    path: str = local(default="")
    part: str | None = local(default=None)
    prefix: str | None = local(default=None)


Start = RunStart | FileStart


def file_start(path: Path | str, backbone: str, *, image_size: int, **how: Any) -> FileStart:
    """The start from a file's weights of this backbone; part, prefix, small_stem and errors: see `from_checkpoint`."""
    model = from_checkpoint(user_path(path), backbone, image_size=image_size, **how)
    where = {name: how.get(name) for name in ("part", "prefix")}
    return FileStart(digest=model.digest, path=str(user_path(path)), **where)
