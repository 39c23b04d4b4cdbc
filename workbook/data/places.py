"""Where copies lie on this machine, and whether one seems to be there. Nothing of them is read."""

from collections.abc import Iterable
from glob import iglob
from pathlib import Path

from workbook.data.manifests import Manifest, data_root
from workbook.data.source_kinds import Source
from workbook.files import user_path


def folder_of(source: Source) -> Path:
    """Where a copy lies, or would lie, on this machine."""
    return user_path(getattr(source, "root", "."), data_root())


def seems_here(manifest: Manifest) -> bool:
    """Whether files that are called as those of one of its copies are on this machine; none of them is read."""
    return any(
        all(_matches(folder_of(source), patterns) for patterns in source.landmarks.values())
        for source in manifest.sources
    )


def _matches(base: Path, patterns: Iterable[str]) -> bool:
    return any(True for pattern in patterns for _ in iglob(pattern, root_dir=base, recursive=True))
