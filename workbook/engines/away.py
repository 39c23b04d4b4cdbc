"""Stores of machines that do not see each other's folders: home's, and one that fetches from there and brings there.

A worker's store is a store as any other, and whoever works with it need not know: what it lacks comes from home when it
is looked for, what is sealed in it goes home at once, home's locks are taken before its own, and what an unfinished run
needs to go on is brought home every few minutes.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from workbook.artefacts import RECORD, Artefact
from workbook.errors import EngineError
from workbook.keys import is_key, key_of, plain
from workbook.progress import Counts
from workbook.store import PASSING, Store

KEPT_SECONDS = 180.0  # between two times that an unfinished run is brought home: how much work a lost node may cost
_TICK = 1.0  # seconds between two looks at a lock of home's
_CHUNK = 2**22  # bytes of a file that travel at a time: no machine holds an artefact in memory
_RESUMED = ("runs", "detectors")  # kinds whose unfinished work is of use to others


class Chunk(NamedTuple):
    """A part of a file."""

    offset: int
    data: bytes
    last: bool


class Home:
    """The store that jobs are done for, and what is known of them there; answers one call after the other.

    Jobs have numbers. Each attempt at one has a name of its own, and what an earlier attempt still says, from a machine
    that was given up too early, is refused.
    """

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.attempts: dict[int, str] = {}
        self.locks: dict[tuple[str, str], tuple[int, ExitStack]] = {}
        self.told: dict[int, Counts] = {}

    def begin(self, job: int, attempt: str) -> None:
        """A job is begun, perhaps once more."""
        self.end(job)
        self.attempts[job] = attempt

    def end(self, job: int) -> None:
        """Whatever became of it, it holds nothing any more."""
        self.attempts.pop(job, None)
        for name in [name for name, (holder, _) in self.locks.items() if holder == job]:
            self.locks.pop(name)[1].close()

    def count(self, job: int, attempt: str, counts: Counts) -> None:
        """How far a job is."""
        self._check(job, attempt)
        self.told[job] = counts

    def counts(self) -> dict[int, Counts]:
        """How far each job said it was."""
        return self.told

    def lock(self, job: int, attempt: str, kind: str, spec: Mapping[str, Any]) -> bool:
        """Whether the job holds the lock of this specification now."""
        self._check(job, attempt)
        if (name := (kind, key_of(spec))) in self.locks:
            return False
        with ExitStack() as stack:
            if held := stack.enter_context(self.store.lock(kind, spec, wait=False)):
                self.locks[name] = job, stack.pop_all()
            return held

    def unlock(self, job: int, attempt: str, kind: str, key: str) -> None:
        self._check(job, attempt)
        self.locks.pop((kind, key))[1].close()

    def files(self, kind: str, key: str, *, begun: bool = False) -> dict[str, int]:
        """The names of an artefact's files, its record among them, and their bytes; of one that is begun, so far."""
        if begun:
            return {name: size for name, (_, size) in _stamps(self.store.partial(kind, key)).items()}
        found = self.store.by_key(kind, key)
        return {} if found is None else {name: (found.path / name).stat().st_size for name in _files(found)}

    def read(self, kind: str, key: str, name: str, offset: int, *, begun: bool = False) -> bytes:
        """A chunk of one of them."""
        folder = self.store.partial(kind, key) if begun else self.store.root / kind / key
        with (folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(_CHUNK)

    def write(self, job: int, attempt: str, kind: str, key: str, name: str, chunk: Chunk, *, begun: bool) -> None:
        """A chunk of a file that a job brings."""
        self._check(job, attempt)
        folder = self.store.partial(kind, key, received=not begun)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / name, chunk)

    def receive(self, job: int, attempt: str, kind: str, key: str) -> None:
        """All files of the artefact were brought; see `Store.receive`."""
        self._check(job, attempt)
        self.store.receive(kind, key, lambda folder: None, held=(kind, key) in self.locks)

    def _check(self, job: int, attempt: str) -> None:
        if self.attempts.get(job) != attempt:
            raise EngineError("this job was begun again on another machine, or ended: what it says now is of no use")


class Away(Store):
    """A worker's store, for one attempt at a job. ask: calls a method of `Home`, by its name."""

    def __init__(self, root: Path, ask: Callable[..., Any], job: int, attempt: str) -> None:
        super().__init__(root)
        self._ask, self._tell = ask, lambda name, *given, **how: ask(name, job, attempt, *given, **how)
        self._locked: set[tuple[str, str]] = set()
        self._home: set[tuple[str, str]] = set()  # is known to have these
        self._kept: dict[Path, tuple[int, int]] = {}  # what was brought home of unfinished work

    def by_key(self, kind: str, key: str) -> Artefact | None:
        """As `Store.by_key`; what lies in one of the two stores lies in both then."""
        found = super().by_key(kind, key)
        if kind == PASSING or not is_key(key) or (kind, key) in self._home:
            return found
        files = self._ask("files", kind, key)
        if found is None and files:
            fill = partial(self._fetch, kind, key, files)
            found = self.receive(kind, key, fill, held=(kind, key) in self._locked)
        elif found is not None and not files:  # its maker was lost before it came home
            self._bring(found)
        if found is not None:
            self._home.add((kind, key))
        return found

    @contextmanager
    def lock(self, kind: str, spec: Mapping[str, Any], *, title: str = "", wait: bool = True) -> Iterator[bool]:
        """As `Store.lock`, of both stores."""
        if kind == PASSING:
            with super().lock(kind, spec, title=title, wait=wait) as held:
                yield held
            return
        name = (kind, key_of(spec))
        if not self._lock_home(kind, spec, wait=wait):
            yield False
            return
        try:
            with super().lock(kind, spec, title=title, wait=wait) as held:
                self._locked.add(name)
                yield held
        finally:
            self._locked.discard(name)
            self._tell("unlock", *name)

    def _lock_home(self, kind: str, spec: Mapping[str, Any], *, wait: bool) -> bool:
        while not (held := self._tell("lock", kind, plain(spec))) and wait:
            time.sleep(_TICK)
        return held

    @contextmanager
    def workdir(self, kind: str, spec: Mapping[str, Any]) -> Iterator[Path]:
        """As `Store.workdir`; what home has of the same work is there."""
        with super().workdir(kind, spec) as folder:
            if kind not in _RESUMED:
                yield folder
                return
            key = key_of(spec)
            if begun := self._ask("files", kind, key, begun=True):
                for path in folder.iterdir():  # of an attempt before others
                    path.unlink()
                self._fetch(kind, key, begun, folder, begun=True)
            with self._brought_home(kind, key, folder):
                yield folder

    def seal(self, kind: str, spec: Mapping[str, Any], files: Sequence[str] = ("*",)) -> Artefact:
        """As `Store.seal`, at home too."""
        sealed = super().seal(kind, spec, files)
        if kind != PASSING:
            self._bring(sealed)
            self._home.add((kind, sealed.key))
        return sealed

    def _fetch(self, kind: str, key: str, files: Mapping[str, int], folder: Path, *, begun: bool = False) -> None:
        for name, size in files.items():
            for offset in range(0, max(1, size), _CHUNK):
                data = self._ask("read", kind, key, name, offset, begun=begun)
                _write(folder / name, Chunk(offset, data, last=offset + _CHUNK >= size))

    def _bring(self, artefact: Artefact) -> None:
        name = (artefact.kind, artefact.key)
        with nullcontext() if name in self._locked else self.lock(artefact.kind, artefact.spec):
            if self._ask("files", *name):
                return
            for file in _files(artefact):
                with (artefact.path / file).open("rb") as opened:
                    self._bring_file(*name, file, opened, begun=False)
            self._tell("receive", *name)

    def _bring_file(self, kind: str, key: str, name: str, file: BinaryIO, *, begun: bool) -> None:
        size = os.fstat(file.fileno()).st_size
        for offset in range(0, max(1, size), _CHUNK):
            chunk = Chunk(offset, file.read(_CHUNK), last=offset + _CHUNK >= size)
            self._tell("write", kind, key, name, chunk, begun=begun)

    @contextmanager
    def _brought_home(self, kind: str, key: str, folder: Path) -> Iterator[None]:
        """While this is open, and once more where it ends early, what changed in the folder is brought home."""
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(KEPT_SECONDS):
                self._keep(kind, key, folder)

        with ThreadPoolExecutor(1) as pool:
            keeping = pool.submit(keep)
            try:
                yield
            except BaseException:
                ended.set()
                keeping.result()
                self._keep(kind, key, folder)
                raise
            finally:
                ended.set()
        keeping.result()

    def _keep(self, kind: str, key: str, folder: Path) -> None:
        """What changed since the last time, as it is at one moment: a state says which checkpoints there are."""
        with ExitStack() as stack:
            while True:
                stamps = _stamps(folder)
                with suppress(FileNotFoundError):
                    opened = {name: stack.enter_context((folder / name).open("rb")) for name in stamps}
                    if _stamps(folder) == stamps:
                        break
            # the oldest first, so that home, if this is cut off, has no state without its checkpoints
            for name in sorted(stamps, key=lambda name: stamps[name]):
                if self._kept.get(folder / name) != stamps[name]:
                    self._bring_file(kind, key, name, opened[name], begun=True)
                    self._kept[folder / name] = stamps[name]


def _files(artefact: Artefact) -> list[str]:
    return [*artefact.checksums, RECORD]


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Of each file that is no temporary one, when it was written, and its bytes."""
    found = {}
    with suppress(FileNotFoundError):  # nobody has begun
        for entry in os.scandir(folder):
            if not entry.name.startswith("."):
                stat = entry.stat()
                found[entry.name] = (stat.st_mtime_ns, stat.st_size)
    return found


def _write(path: Path, chunk: Chunk) -> None:
    """Under a temporary name, until the last chunk is there."""
    coming = path.with_name(f".{path.name}.coming")
    with coming.open("r+b" if chunk.offset else "wb") as file:
        file.seek(chunk.offset)
        file.write(chunk.data)
    if chunk.last:
        coming.replace(path)
