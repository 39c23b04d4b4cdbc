"""Artefacts: what lies in the store under a key, whole, damaged or unfinished."""

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbook.errors import CorruptArtefactError, StoreError
from workbook.files import file_digest, said
from workbook.keys import key_of

RECORD = "artefact.json"
_TRUSTED = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)  # the others say nothing of what lies there


@dataclass(frozen=True)
class Artefact:
    """A complete stored thing: read its files through `file`, which verifies them."""

    path: Path
    spec: dict[str, Any]
    provenance: dict[str, Any]
    checksums: dict[str, str]

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def kind(self) -> str:
        return self.path.parent.name

    def file(self, name: str) -> Path:
        """The path of a file of this artefact, after its checksum was found right."""
        path = self.path / name
        if name not in self.checksums:
            raise StoreError(f"artefact {self.key} has no file {name}; it has {', '.join(self.checksums)}")
        try:
            whole = file_digest(path).hex() == self.checksums[name]
        except OSError as error:
            raise _unreadable(self.path, path, error) from error
        if not whole:
            raise damaged(self.path, f"{path} is not what was written (its checksum differs)")
        return path

    def damaged_files(self) -> list[str]:
        """Those of its files that are not what was written."""
        found = []
        for name in self.checksums:
            try:
                self.file(name)
            except CorruptArtefactError:
                found.append(name)
        return found

    def problems(self) -> list[str]:
        """Of every file that is not what was written, how to mend it."""
        found = []
        for name in self.checksums:
            try:
                self.file(name)
            except StoreError as error:
                found.append(str(error))
        return found


@dataclass(frozen=True)
class Entry:
    """What lies in the store under a key. artefact: None where there is no whole one; `problem` says why."""

    path: Path
    artefact: Artefact | None = None
    problem: str = ""
    unfinished: bool = False

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def kind(self) -> str:
        return self.path.parent.name

    @property
    def megabytes(self) -> float:
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file()) / 1e6


def read_artefact(path: Path) -> Artefact:
    """The artefact in this folder.

    Raises CorruptArtefactError where its record is none, or one of something else; StoreError where the file system
    does not let it be read.
    """
    record = path / RECORD
    try:
        artefact = _recorded(path, json.loads(record.read_text(encoding="utf-8")))
    except OSError as error:
        raise _unreadable(path, path if path.is_symlink() else record, error) from error
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"{record} cannot be read ({error})") from error
    if key_of(artefact.spec) != path.name:
        raise damaged(path, f"{record} describes something else than its key says")
    return artefact


def _recorded(path: Path, record: Any) -> Artefact:
    names = ("spec", "provenance", "checksums")
    if not isinstance(record, dict) or not all(isinstance(record.get(name), dict) for name in names):
        raise ValueError("it is no record of a specification, a provenance and checksums")
    found = Artefact(path, **{name: record[name] for name in names})
    if not isinstance(found.provenance.get("date"), str):
        raise ValueError("its provenance has no date")
    if not all(isinstance(digest, str) for digest in found.checksums.values()):
        raise ValueError("a checksum of it is no text")
    if any(Path(name).name != name for name in found.checksums):
        raise ValueError("a file of it lies elsewhere")
    return found


def _unreadable(folder: Path, path: Path, error: OSError) -> StoreError:
    cause, advice = said(error, path)
    if error.errno in _TRUSTED:
        return damaged(folder, f"{path} is missing or is not what was written ({cause})")
    return StoreError(f"{path} cannot be read ({cause}): {advice}. What is stored may be whole")


def damaged(folder: Path, what: str) -> CorruptArtefactError:
    """What is wrong with an artefact, with its mend."""
    remedy = f"Remove the artefact with `workbook store remove {folder.name}` and run again to make it anew"
    return CorruptArtefactError(f"{what}. {remedy}")
