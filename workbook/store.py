"""The store: runs, features and probe results under keys that say what they are.

An artefact is a folder `<root>/<kind>/<key>/`. Its key is the digest of its *specification*: everything that
made it. `artefact.json` holds the specification, the provenance and the checksum of every file; the
specification is compared and the files are verified on load. An artefact is made in `<root>/partial/<kind>/<key>/`,
which outlives an interrupted process so that long work resumes, and is renamed to its place when it is complete. One
that was brought from elsewhere may be without large files, which `light.json` then names.
"""

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from workbook.artefacts import RECORD, Artefact, Entry, damaged, read_artefact
from workbook.errors import CorruptArtefactError, NotStoredError, StoreError, did_you_mean
from workbook.files import FULL, file_digest, folder_of, said, user_path, write_atomically
from workbook.keys import is_key, key_of, keys_in, plain
from workbook.locks import ProcessLock
from workbook.provenance import provenance

_LOCKS, _PARTIAL, _ASIDE = "locks", "partial", "set-aside"  # the folders beside those of the kinds
_RECEIVED = "received"  # within the partial ones: what is brought, beside what may be made here meanwhile
PASSING = "probed"  # the kind of what is made to be read once and then dropped: it stays where it was made


class Store:
    """Artefacts below one folder: `root`, else WORKBOOK_STORE (see `folder_of`), else `store/` in `files.HOME`.

    read_only: nothing is made or written; whatever would make an artefact raises NotStoredError instead.
    """

    def __init__(self, root: Path | str | None = None, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self.root = user_path(root) if root else folder_of("WORKBOOK_STORE", "store")

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r}{', read_only=True' if self.read_only else ''})"

    def find(self, kind: str, spec: Mapping[str, Any]) -> Artefact | None:
        """The complete artefact of this specification, or None."""
        return self.by_key(kind, key_of(spec))

    def get(self, kind: str, spec: Mapping[str, Any]) -> Artefact:
        """The complete artefact of this specification; NotStoredError where there is none."""
        found = self.find(kind, spec)
        if found is None:
            raise self._missing(kind, spec)
        return found

    def get_or_make(
        self, kind: str, spec: Mapping[str, Any], make: Callable[[Path], None], files: Sequence[str] = ("*",)
    ) -> Artefact:
        """The artefact of this specification; where it is missing, `make(folder)` fills its folder first.

        files: what it writes there, see `seal`.
        Two processes that ask at the same time make it once: the second waits and gets it.
        """
        if found := self.find(kind, spec):
            return found
        with self.lock(kind, spec):
            if found := self.find(kind, spec):
                return found
            with self.workdir(kind, spec) as folder:
                make(folder)
            return self.seal(kind, spec, files)

    def remember(self, kind: str, spec: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """The small result of this specification, plain values: from the store, or computed now and kept."""

        def make(folder: Path) -> None:
            write_atomically(folder / "result.json", json.dumps(compute()))

        artefact = self.get_or_make(kind, spec, make, ["result.json"])
        if len(artefact.checksums) != 1:
            raise damaged(
                artefact.path, f"{artefact.path} holds {len(artefact.checksums)} files, where a result is one"
            )
        (name,) = artefact.checksums
        return json.loads(artefact.file(name).read_text())

    def by_key(self, kind: str, key: str) -> Artefact | None:
        """The complete artefact under this key, as `workbook store list` shows it, or None."""
        path = self.root / kind / key
        return read_artefact(path) if is_key(key) and os.path.lexists(path) else None

    def partial(self, kind: str, key: str, *, received: bool = False) -> Path:
        """Where the artefact of this key is made, or is brought to; no folder is there before somebody began."""
        return self.root / _PARTIAL / (_RECEIVED if received else "") / kind / key

    @contextmanager
    def lock(self, kind: str, spec: Mapping[str, Any], *, title: str = "", wait: bool = True) -> Iterator[bool]:
        """Held by one process at a time; the operating system releases it when that process dies.

        Yields whether it is held: without `wait`, False where another process has it. title: what is made under it,
        which a line of progress says for as long as we wait.
        """
        if self.read_only:
            yield True
            return
        what = (title or f"these {kind}") if wait else None
        with self._held(kind, key_of(spec), awaited=what) as held:
            yield held

    @contextmanager
    def marked(self) -> Iterator[str]:
        """The name of a file in `root` that no other store has, for as long as this lasts."""
        with self._mended():
            self.root.mkdir(parents=True, exist_ok=True)
            handle, path = tempfile.mkstemp(prefix=".seen-", dir=self.root)
            os.close(handle)
        try:
            yield Path(path).name
        finally:
            Path(path).unlink(missing_ok=True)

    @contextmanager
    def workdir(self, kind: str, spec: Mapping[str, Any]) -> Iterator[Path]:
        """The folder in which the artefact is made; what an interrupted process left there is still there."""
        if self.read_only:
            raise self._missing(kind, spec)
        with self._mended():
            folder = self.partial(kind, key_of(spec))
            for needed in (folder, self.root / kind):  # that the second cannot be made is told before the work is done
                needed.mkdir(parents=True, exist_ok=True)
        with self._mended(others=True):
            yield folder

    def seal(self, kind: str, spec: Mapping[str, Any], files: Sequence[str] = ("*",)) -> Artefact:
        """Call the work folder complete: write its checksums and move it to its place.

        files: names, or patterns of names, of what belongs to it. Anything else that came to lie there, and whatever is
        no plain file or hidden, is set aside, and a warning says where.
        """
        with self._mended():
            folder = self.partial(kind, key_of(spec))
            self._set_aside(folder, files)
            checksums = {path.name: file_digest(path).hex() for path in sorted(folder.iterdir())}
            record = {"spec": plain(spec), "provenance": provenance(), "checksums": checksums}
            record |= {"of": sorted(keys_in(spec))}
            write_atomically(folder / RECORD, json.dumps(record, indent=1))
            place = self.root / kind / key_of(spec)
            folder.rename(place)
        return read_artefact(place)

    def receive(
        self, kind: str, key: str, fill: Callable[[Path], None], *, light: bool = False, held: bool = False
    ) -> Artefact:
        """The artefact of this key, which was made elsewhere: `fill(folder)` brings its files, its record among them.

        What an interrupted transfer brought is in the folder still. Nothing takes its place before every file is found
        to be what was written there; CorruptArtefactError where one is not, which is then removed.
        light: one that is here without some of its files will do; else it is brought again, and takes its place.
        held: the caller has its lock.
        """
        if self.read_only:
            raise NotStoredError(f"{self.root} is read only: the {kind} {key} cannot be brought there")
        with nullcontext() if held else self._held(kind, key, awaited=f"these {kind}"):
            found = Store.by_key(self, kind, key)  # what is here: another store may look further
            if found and (light or not found.left_out):
                return found
            folder, place = self.partial(kind, key, received=True), self.root / kind / key
            with self._mended():
                for needed in (folder, place.parent):
                    needed.mkdir(parents=True, exist_ok=True)
            with self._mended(others=True):
                fill(folder)
            with self._mended():
                _check_received(folder)
                if found:
                    self._erase(place)
                folder.rename(place)
                shutil.rmtree(self.partial(kind, key), ignore_errors=True)  # begun here, and needed no more
            return read_artefact(place)

    def entries(self) -> list[Entry]:
        """All that lies in the store under a key: artefacts, oldest first, then what is damaged, then unfinished."""
        whole: list[Entry] = []
        others: list[Entry] = []
        for path in self._within(self.root):
            try:
                whole.append(Entry(path, read_artefact(path)))
            except StoreError as error:
                others.append(Entry(path, problem=str(error)))
        whole.sort(key=lambda entry: entry.artefact.provenance["date"] if entry.artefact else "")
        return [*whole, *others, *(Entry(path, unfinished=True) for path in self._unfinished())]

    def artefacts(self) -> list[Artefact]:
        """Every complete artefact, oldest first; what is damaged is left out."""
        return [entry.artefact for entry in self.entries() if entry.artefact]

    def keys(self, kind: str | None = None) -> list[str]:
        """The keys of what lies in the store, of one kind or of all; nothing is read."""
        return [path.name for path in self._within(self.root) if kind in (None, path.parent.name)]

    def remove(self, key: str) -> list[Path]:
        """Remove the artefact or the partial work of this key; the folders removed. Of a link, what it leads to stays.

        Raises StoreError where there is nothing, or while a process makes it.
        """
        found = [path for path in [*self._within(self.root), *self._unfinished()] if path.name == key]
        if not found:
            near = did_you_mean(key, self.keys())
            raise StoreError(f"{self.root} holds nothing under {key!r}{near}; `workbook store list` shows all")
        for path in found:
            self._remove(path)
        return found

    def drop(self, kind: str, spec: Mapping[str, Any]) -> None:
        """Remove the artefact of this specification, which is made anew where it is asked for again.

        It stays while another process is at work on it, and in a store that is read only.
        """
        path = self.root / kind / key_of(spec)
        if self.read_only or not (os.path.lexists(path) or _leaving(path, self.root).exists()):
            return
        with self.lock(kind, spec, wait=False) as held:
            if held:
                self._erase(path)

    def clear(self, kind: str) -> int:
        """Remove every artefact of a kind that is computed from runs, and so is made anew when needed; how many.

        Damaged ones are artefacts, too. Raises StoreError where there is no such kind, or while a process makes one.
        """
        stored = self._within(self.root)
        kinds = sorted({path.parent.name for path in stored} - {"runs"})
        if kind not in kinds:
            reason = "runs are removed key by key" if kind == "runs" else f"it holds {', '.join(kinds) or 'nothing'}"
            raise StoreError(f"there is no kind {kind!r} to clear in {self.root}: {reason}")
        paths = [path for path in stored if path.parent.name == kind]
        for path in paths:
            self._remove(path)
        return len(paths)

    def _unfinished(self) -> list[Path]:
        """What is being made or brought, or was when its process ended."""
        return self._within(self.root / _PARTIAL) + self._within(self.root / _PARTIAL / _RECEIVED)

    def _within(self, root: Path) -> list[Path]:
        """What is called by a key in the folders of the kinds."""
        with self._mended():
            if not root.exists():
                return []
            kinds = [path for path in sorted(root.iterdir()) if path.is_dir()]
            if root == self.root:
                kinds = [path for path in kinds if path.name not in (_LOCKS, _PARTIAL, _ASIDE)]
            return [path for folder in kinds for path in sorted(folder.iterdir()) if is_key(path.name)]

    def _remove(self, path: Path) -> None:
        place = path.parent.name, path.name
        with self._held(*place) as held:
            if not held:
                who = self._lock(*place).holder()
                raise StoreError(f"{path} is in the hands of {who}: wait for its end, or end it, and remove it then")
            self._erase(path)

    def _erase(self, path: Path) -> None:
        """Under its lock. A folder leaves its place at once, so that nobody meets half of it."""
        with self._mended():
            if path.is_symlink() or path.is_file():
                path.unlink()
                return
            leaving = _leaving(path, self.root)
            if leaving.exists():  # of a process that was stopped here
                shutil.rmtree(leaving)
            if path.exists():
                leaving.parent.mkdir(parents=True, exist_ok=True)
                path.rename(leaving)
                shutil.rmtree(leaving)

    def _set_aside(self, folder: Path, files: Sequence[str]) -> None:
        """Leave in the folder what belongs to the artefact, and nothing else."""
        # of a process that was stopped while writing, or between writing the record and moving the folder
        torn = [RECORD, *(f".{name}.*" for name in (*files, RECORD))]
        others = []
        for path in folder.iterdir():
            is_file = path.is_file() and not path.is_symlink()
            if is_file and _is_one_of(path, torn):
                path.unlink()
            elif not is_file or path.name.startswith(".") or not _is_one_of(path, files):
                others.append(path)
        if others:
            (self.root / _ASIDE).mkdir(exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=f"{folder.parent.name}-{folder.name}-", dir=self.root / _ASIDE))
            for path in others:
                path.rename(aside / path.name)
            names = ", ".join(sorted(path.name for path in others))
            warnings.warn(f"{names} lay in {folder} and are none of its files: they are in {aside} now", stacklevel=3)

    @contextmanager
    def _held(self, kind: str, key: str, *, awaited: str | None = None) -> Iterator[bool]:
        """Under the lock of this artefact; whether it is held. awaited: what others make under it: it is waited for."""
        lock = self._lock(kind, key)
        try:
            with self._mended():
                held = lock.take(awaited)
            yield held
        finally:
            lock.let_go()

    def _lock(self, kind: str, key: str) -> ProcessLock:
        made = self.partial(kind, key), self.partial(kind, key, received=True)
        return ProcessLock(self.root / _LOCKS / f"{kind}-{key}.lock", made)

    def _missing(self, kind: str, spec: Mapping[str, Any]) -> NotStoredError:
        unfinished = self.partial(kind, key_of(spec)).exists()
        what = f"{'only an unfinished part' if unfinished else 'none'} of the {kind} {key_of(spec)}"
        return NotStoredError(f"{self.root} has {what}: run what makes it first", unfinished=unfinished)

    @contextmanager
    def _mended(self, *, others: bool = False) -> Iterator[None]:
        """Turn what the operating system says of this folder into what the user can do about it.

        others: inside, other places are read as well, and what is said of those goes on.
        """
        try:
            yield
        except OSError as error:
            named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else Path()
            if error.errno in FULL:
                raise StoreError(
                    f"no space left for the store {self.root}: free some (`workbook store list` shows what is there, "
                    "`workbook store clear features` removes what is made anew when it is needed), "
                    "or set WORKBOOK_STORE to another disk. What was stored is untouched, and a run resumes "
                    "from where its state was kept last"
                ) from error
            if others and not named.is_relative_to(self.root):
                raise
            cause, advice = said(error, named)
            where = f"{named}: " if named.is_absolute() and named != self.root else ""
            raise StoreError(
                f"the store {self.root} cannot be written ({where}{cause}): {advice}, "
                "or set WORKBOOK_STORE to a folder that can be"
            ) from error


def _is_one_of(path: Path, names: Sequence[str]) -> bool:
    return any(fnmatchcase(path.name, name) for name in names)


def _check_received(folder: Path) -> None:
    """CorruptArtefactError, and away with what is wrong, where files that were brought are not what was written."""
    try:
        artefact = read_artefact(folder)
    except CorruptArtefactError as error:
        (folder / RECORD).unlink(missing_ok=True)
        raise CorruptArtefactError(f"the record of {folder.name} came damaged: bring it once more") from error
    wrong = artefact.damaged_files()
    for name in wrong:
        (folder / name).unlink(missing_ok=True)
    if wrong:
        names = ", ".join(wrong)
        raise CorruptArtefactError(f"of {folder.parent.name} {folder.name}, {names} came damaged: bring it once more")


def _leaving(path: Path, root: Path) -> Path:
    """Where a folder under a key goes while it is removed; no key, so that nothing takes it for an artefact."""
    return root / _PARTIAL / path.parent.name / f"{path.name}.removed"
