"""The store: runs, features and probe results under keys that say what they are.

An artefact is a folder `<root>/<kind>/<key>/`. Its key is the digest of its *specification*: everything that
made it. `artefact.json` holds the specification, the provenance and the checksum of every file; the
specification is compared and the files are verified on load. An artefact is made in `<root>/partial/<kind>/<key>/`,
which outlives an interrupted process so that long work resumes, and is renamed to its place when it is complete.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from workbook.errors import CorruptArtefactError, NotStoredError, StoreError
from workbook.files import HOME, file_digest, write_atomically
from workbook.keys import is_key, key_of, plain
from workbook.progress import waiting
from workbook.provenance import provenance

_TICK = 1.0  # seconds between two looks at a lock that another process holds


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

    @property
    def megabytes(self) -> float:
        return sum(path.stat().st_size for path in self.path.iterdir()) / 1e6

    def file(self, name: str) -> Path:
        """The path of a file of this artefact, after its checksum was found right."""
        path = self.path / name
        if name not in self.checksums:
            raise StoreError(f"artefact {self.key} has no file {name}; it has {', '.join(self.checksums)}")
        if not path.exists() or file_digest(path).hex() != self.checksums[name]:
            raise _corrupt(self.path, f"{path} is missing or is not what was written (its checksum differs)")
        return path


class Store:
    """Artefacts below one folder: `root`, else WORKBOOK_STORE, else `store/` in `files.HOME`.

    read_only: nothing is made or written; whatever would make an artefact raises NotStoredError instead.
    """

    def __init__(self, root: Path | str | None = None, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self.root = Path(root or os.environ.get("WORKBOOK_STORE") or HOME / "store").absolute()

    def find(self, kind: str, spec: Mapping[str, Any]) -> Artefact | None:
        """The complete artefact of this specification, or None."""
        path = self.root / kind / key_of(spec)
        if not path.exists():
            return None
        artefact = _read(path)
        if artefact.spec != plain(spec):
            raise _corrupt(path, f"{path / 'artefact.json'} describes something else than its key says")
        return artefact

    def get(self, kind: str, spec: Mapping[str, Any]) -> Artefact:
        """The complete artefact of this specification; NotStoredError where there is none."""
        found = self.find(kind, spec)
        if found is None:
            raise self._missing(kind, spec)
        return found

    def get_or_make(self, kind: str, spec: Mapping[str, Any], make: Callable[[Path], None]) -> Artefact:
        """The artefact of this specification; where it is missing, `make(folder)` fills its folder first.

        Two processes that ask at the same time make it once: the second waits and gets it.
        """
        if found := self.find(kind, spec):
            return found
        with self.lock(kind, spec):
            if found := self.find(kind, spec):
                return found
            with self.workdir(kind, spec) as folder:
                make(folder)
            return self.seal(kind, spec)

    def remember(self, kind: str, spec: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """The small result of this specification, plain values: from the store, or computed now and kept."""

        def make(folder: Path) -> None:
            write_atomically(folder / "result.json", json.dumps(compute()))

        artefact = self.get_or_make(kind, spec, make)
        (name,) = artefact.checksums  # its only file
        return json.loads(artefact.file(name).read_text())

    def by_key(self, kind: str, key: str) -> Artefact | None:
        """The complete artefact under this key, as `workbook store list` shows it, or None."""
        path = self.root / kind / key
        return _read(path) if is_key(key) and path.exists() else None

    @contextmanager
    def lock(self, kind: str, spec: Mapping[str, Any], *, title: str = "", wait: bool = True) -> Iterator[bool]:
        """Held by one process at a time; the operating system releases it when that process dies.

        Yields whether it is held: without `wait`, False where another process has it. title: what is made under it,
        which a line of progress says for as long as we wait.
        """
        if self.read_only:
            yield True
            return
        with self._mended():
            folder = self.root / "locks"
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{kind}-{key_of(spec)}.lock")
            held = _acquire(lock, 0)
        try:
            if wait and not held:
                with waiting(f"waits for another process that makes {title or f'these {kind}'}") as line:
                    while not (held := _acquire(lock, _TICK)):
                        line.refresh()
            yield held
        finally:
            lock.release()

    @contextmanager
    def workdir(self, kind: str, spec: Mapping[str, Any]) -> Iterator[Path]:
        """The folder in which the artefact is made; what an interrupted process left there is still there."""
        if self.read_only:
            raise self._missing(kind, spec)
        with self._mended():
            folder = self._partial(kind, spec)
            folder.mkdir(parents=True, exist_ok=True)
            yield folder

    def seal(self, kind: str, spec: Mapping[str, Any]) -> Artefact:
        """Call the work folder complete: write its checksums and move it to its place."""
        with self._mended():
            folder = self._partial(kind, spec)
            # of a process that was stopped while writing, or between writing this record and moving the folder
            for torn in (*folder.glob(".*"), *folder.glob("artefact.json")):
                torn.unlink()
            checksums = {path.name: file_digest(path).hex() for path in sorted(folder.iterdir())}
            record = {"spec": plain(spec), "provenance": provenance(), "checksums": checksums}
            write_atomically(folder / "artefact.json", json.dumps(record, indent=1))
            place = self.root / kind / key_of(spec)
            place.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(place)
        return _read(place)

    def artefacts(self) -> list[Artefact]:
        """Every complete artefact, oldest first."""
        paths = (path.parent for path in self.root.glob("*/*/artefact.json") if path.parts[-3] != "partial")
        return sorted((_read(path) for path in paths), key=lambda artefact: artefact.provenance["date"])

    def remove(self, key: str) -> list[Path]:
        """Remove the artefact or the partial work of this key; the folders removed."""
        found = [*self.root.glob(f"*/{key}"), *self.root.glob(f"partial/*/{key}")] if is_key(key) else []
        if not found:
            raise StoreError(f"{self.root} holds nothing under {key!r}; `workbook store list` shows what it holds")
        self._remove(found)
        return found

    def clear(self, kind: str) -> int:
        """Remove every artefact of a kind that is computed from runs, and so is made anew when needed; how many."""
        stored = self.artefacts()
        kinds = sorted({artefact.kind for artefact in stored} - {"runs"})
        if kind not in kinds:
            reason = "runs are removed key by key" if kind == "runs" else f"it holds {', '.join(kinds) or 'nothing'}"
            raise StoreError(f"there is no kind {kind!r} to clear in {self.root}: {reason}")
        paths = [artefact.path for artefact in stored if artefact.kind == kind]
        self._remove(paths)
        return len(paths)

    def _remove(self, folders: list[Path]) -> None:
        with self._mended():
            for path in folders:
                shutil.rmtree(path)

    def _partial(self, kind: str, spec: Mapping[str, Any]) -> Path:
        return self.root / "partial" / kind / key_of(spec)

    def _missing(self, kind: str, spec: Mapping[str, Any]) -> NotStoredError:
        unfinished = self._partial(kind, spec).exists()
        what = f"{'only an unfinished part' if unfinished else 'none'} of the {kind} {key_of(spec)}"
        return NotStoredError(f"{self.root} has {what}: run what makes it first", unfinished=unfinished)

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """Turn what the operating system says about this folder into what the user can do about it."""
        try:
            yield
        except OSError as error:
            ours = str(error.filename or "").startswith(str(self.root))
            if ours and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
                raise StoreError(
                    f"the store {self.root} cannot be written ({error.strerror}): "
                    "give it write permission, or set WORKBOOK_STORE to a folder that has it"
                ) from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(
                    f"no space left for the store {self.root}: free some (`workbook store list` shows what is there, "
                    "`workbook store clear features` removes what is made anew when it is needed), "
                    "or set WORKBOOK_STORE to another disk. What was stored is untouched, and a run resumes "
                    "from where its state was kept last"
                ) from error
            raise


def _acquire(lock: FileLock, seconds: float) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _read(path: Path) -> Artefact:
    try:
        record = json.loads((path / "artefact.json").read_text())
        return Artefact(path, record["spec"], record["provenance"], record["checksums"])
    except (OSError, ValueError, KeyError) as error:
        raise _corrupt(path, f"{path / 'artefact.json'} cannot be read ({error})") from error


def _corrupt(path: Path, what: str) -> CorruptArtefactError:
    remedy = f"Remove the artefact with `workbook store remove {path.name}` and run again to make it anew"
    return CorruptArtefactError(f"{what}. {remedy}")
