"""Where the first weights of a backbone come from: a run of the store, or a file from outside."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbook.models.checkpoints import from_checkpoint


def _local(**keywords: Any) -> Any:
    """A field that says where something lies on this machine, which changes nothing: no part of a key."""
    return field(compare=False, metadata={"local": True}, **keywords)


@dataclass(frozen=True, kw_only=True)
class RunStart:
    """The backbone of a run of the store, after one of its epochs; see `Run.start`."""

    run: str  # its key
    epoch: int


@dataclass(frozen=True, kw_only=True)
class FileStart:
    """The backbone in a checkpoint file, whoever wrote it; see `file_start`."""

    digest: str  # of the backbone's weights, as `Pretrained` has it
    path: str = _local()
    part: str | None = _local(default=None)
    prefix: str | None = _local(default=None)


Start = RunStart | FileStart


def file_start(
    path: Path | str,
    backbone: str,
    *,
    image_size: int,
    small_stem: bool = False,
    part: str | None = None,
    prefix: str | None = None,
) -> FileStart:
    """The start from a file's weights of this backbone; part, prefix and errors: see `from_checkpoint`."""
    model = from_checkpoint(
        Path(path), backbone, part=part, prefix=prefix, image_size=image_size, small_stem=small_stem
    )
    return FileStart(digest=model.digest, path=str(Path(path).absolute()), part=part, prefix=prefix)
