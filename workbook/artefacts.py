"""Artefacts: what lies in the store under a key, whole, damaged or unfinished."""

import errno
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbook.errors import CorruptArtefactError, NotStoredError, StoreError
from workbook.files import file_digest, said, write_atomically
from workbook.keys import key_of, keys_in

RECORD = "artefact.json"
LIGHT = "light.json"  # beside it, where an artefact was brought without some of its files: which, and where they are
_TRUSTED = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)  # the others say nothing of what lies there


@dataclass(frozen=True)
class Artefact:
    """A complete stored thing: read its files through `file`, which verifies them.

    of: the keys of what it was made from, as far as its record tells. left_out: files that it has, but not here: it was
    brought without them from `origin`, a URL.
    """

    path: Path
    spec: dict[str, Any]
    provenance: dict[str, Any]
    checksums: dict[str, str]
    of: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    origin: str = ""

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def kind(self) -> str:
        return self.path.parent.name

    def file(self, name: str) -> Path:
        """The path of a file of this artefact, after its checksum was found right.

        Raises CorruptArtefactError where it is not, NotStoredError where the artefact was brought without this file.
        """
        path = self.path / name
        if name not in self.checksums:
            raise StoreError(f"artefact {self.key} has no file {name}; it has {', '.join(self.checksums)}")
        if name in self.left_out:
            raise NotStoredError(
                f"{self.kind} {self.key} came without {name}: bring it whole with "
                f"`workbook store pull {self.origin} --key {self.key}`"
            )
        try:
            whole = file_digest(path).hex() == self.checksums[name]
        except OSError as error:
            raise _unreadable(self.path, path, error) from error
        if not whole:
            raise damaged(self.path, f"{path} is not what was written (its checksum differs)")
        return path

    @property
    def files(self) -> list[str]:
        """The names of those that are here."""
        return [name for name in self.checksums if name not in self.left_out]

    def damaged_files(self) -> list[str]:
        """Those of its files that are not what was written."""
        found = []
        for name in self.files:
            try:
                self.file(name)
            except CorruptArtefactError:
                found.append(name)
        return found

    def problems(self) -> list[str]:
        """Of every file that is not what was written, how to mend it."""
        found = []
        for name in self.files:
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
    record, light = path / RECORD, path / LIGHT
    try:
        text = record.read_text(encoding="utf-8")
        without = light.read_text(encoding="utf-8") if light.exists() else "{}"
    except OSError as error:
        raise _unreadable(path, path if path.is_symlink() else record, error) from error
    except ValueError as error:
        raise damaged(path, f"{record} cannot be read ({error})") from error
    return parse_artefact(path, text, without)


def parse_artefact(path: Path, record: str, without: str = "{}") -> Artefact:
    """The artefact in this folder, of the texts of its record and of `LIGHT`; CorruptArtefactError for others."""
    try:
        artefact = _recorded(path, json.loads(record), json.loads(without))
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"{path / RECORD} cannot be read ({error})") from error
    if key_of(artefact.spec) != path.name:
        raise damaged(path, f"{path / RECORD} describes something else than its key says")
    return artefact


def leave_out(folder: Path, names: Sequence[str], origin: str) -> None:
    """Marks the artefact in this folder as one without these files, which are at `origin`; without names, as whole."""
    if names:
        write_atomically(folder / LIGHT, json.dumps({"left_out": list(names), "origin": origin}, indent=1))
    else:
        (folder / LIGHT).unlink(missing_ok=True)


def _recorded(path: Path, record: Any, without: Any) -> Artefact:
    names = ("spec", "provenance", "checksums")
    if not isinstance(record, dict) or not all(isinstance(record.get(name), dict) for name in names):
        raise ValueError("it is no record of a specification, a provenance and checksums")
    of = record.get("of", sorted(keys_in(record["spec"])))  # as of one that was stored before records said it
    left_out: Any = without.get("left_out", []) if isinstance(without, dict) else None
    if not all(isinstance(found, list) and all(isinstance(one, str) for one in found) for found in (of, left_out)):
        raise ValueError("what it was made from, or what it came without, is no list of names")
    fields = {name: record[name] for name in names} | {"of": tuple(of), "left_out": tuple(left_out)}
    found = Artefact(path, **fields, origin=str(without.get("origin", "")))
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
