"""A store that travels: artefacts sent to a URL and brought from there, whole or without what is large."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from workbook.artefacts import RECORD, Artefact, Entry, leave_out
from workbook.errors import CorruptArtefactError, SharingError
from workbook.files import file_digest
from workbook.progress import progress_bar
from workbook.sharing.remote import Place, Remote
from workbook.store import PASSING, Store

_AT_A_TIME = 8  # artefacts: most are small, and each of their files waits for an answer
_LARGE = 32e6  # bytes of a file that stays behind where only what reports read is asked for


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which artefacts travel: those of these keys, with everything that was computed from them; of these kinds alone.

    Nothing given = all. starts: also the runs that a run of these keys was started from. light: without checkpoints,
    features and other large files, which a report that was made once hardly needs any more.
    """

    keys: Collection[str] = ()
    kinds: Collection[str] = ()
    starts: bool = False
    light: bool = False

    def among(self, of: Mapping[Place, Iterable[str]]) -> list[Place]:
        """Those of these artefacts; of: what each was made from."""
        keys = self._belonging(of) if self.keys else {key for _, key in of}
        kinds = self.kinds or {kind for kind, _ in of} - {PASSING} - ({"features"} if self.light else set())
        return sorted((kind, key) for kind, key in of if key in keys and kind in kinds)

    def _belonging(self, of: Mapping[Place, Iterable[str]]) -> set[str]:
        made_from, started = defaultdict(set), defaultdict(set)
        for (kind, key), origins in of.items():
            for origin in origins:
                made_from[origin].add(key)
                if kind == "runs" and ("runs", origin) in of:
                    started[key].add(origin)
        found = _reached(self.keys, made_from)
        return found | _reached(found, started) if self.starts else found

    def missing(self, places: Iterable[Place]) -> list[str]:
        """Those of the keys that nothing has."""
        return sorted(set(self.keys) - {key for _, key in places})

    def leaves(self, name: str, size: int) -> bool:
        """Whether a file stays behind."""
        return self.light and (name.endswith(".safetensors") or size > _LARGE)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a transfer did. there: artefacts that had no need of it. missing: keys that were asked for and are not to be
    had. refused: what was not as it was written, a sentence each."""

    url: str
    artefacts: int
    megabytes: float
    there: int
    missing: list[str]
    refused: list[str]


@dataclass(frozen=True)
class _Work:
    """An artefact that moves: its files with their digests, the record last, and their bytes together."""

    place: Place
    files: Mapping[str, str]
    size: int


def push_store(store: Store, url: str, which: Which) -> Moved:
    """Send artefacts of the store to a URL that fsspec knows, or a folder. What is there already is not sent again.

    Of an artefact that was made twice, apart from each other, the first that was sent stays.
    Raises SharingError where the URL cannot be written, MissingLibraryError where its library is not installed.
    """
    remote, entries = Remote(url), store.entries()
    here = _whole(entries)
    damaged = [one.problem for one in entries if one.problem and (one.key in which.keys or not which.keys)]
    chosen = which.among({place: artefact.of for place, artefact in here.items()})
    work = [needed for place in chosen if (needed := _unsent(here[place], remote, which)).files]

    def send(one: _Work) -> int:
        artefact, size = here[one.place], 0
        for name, digest in one.files.items():
            path = artefact.path / name if name == RECORD else artefact.file(name)
            size += remote.send(one.place, name, digest, path, bar)
        return size

    with progress_bar(f"push to {remote.url}", sum(one.size for one in work), unit="bytes") as bar:
        done = _each(send, work)
    missing = which.missing((entry.kind, entry.key) for entry in entries)
    return _moved(remote.url, [*damaged, *done], there=len(chosen) - len(work), missing=missing)


def _unsent(artefact: Artefact, remote: Remote, which: Which) -> _Work:
    """What of it is not there yet; nothing where another record of it is."""
    place, record = (artefact.kind, artefact.key), file_digest(artefact.path / RECORD).hex()
    if remote.record_of(place) and remote.size_of(place, RECORD, record) is None:
        return _Work(place, {}, 0)
    digests = {name: artefact.checksums[name] for name in artefact.files} | {RECORD: record}
    sizes = {name: _size(artefact.path / name) for name in digests}
    there = {name: remote.size_of(place, name, digest) for name, digest in digests.items()}
    names = [name for name in digests if there[name] != sizes[name] and not which.leaves(name, sizes[name])]
    return _Work(place, {name: digests[name] for name in names}, sum(sizes[name] for name in names))


def pull_store(store: Store, url: str, which: Which) -> Moved:
    """Bring artefacts into the store from a URL that `push_store` sent them to; each takes its place when it is whole.

    What is here already is not brought again; what is here without files that are asked for now is.
    Raises SharingError where the URL cannot be read or has none, MissingLibraryError where its library is missing.
    """
    remote, here = Remote(url), _whole(store.entries())
    if not remote.places():
        raise SharingError(f"{remote.url} holds nothing of a store: correct it, or `workbook store push` there first")
    of, unread = remote.records(remote.places()) if which.keys else (dict.fromkeys(remote.places()), [])
    chosen = which.among({place: record.of if record else () for place, record in of.items()})
    wanted = [place for place in chosen if place not in here or (here[place].left_out and not which.light)]
    records, unreadable = remote.records(wanted)
    without = {place: _left_out(record, remote, which) for place, record in records.items()}
    gains = [place for place in records if place not in here or set(here[place].left_out) - set(without[place])]
    work = [_unbrought(records[place], remote, without[place]) for place in gains]

    def bring(one: _Work) -> int:
        sizes = []

        def fill(folder: Path) -> None:
            for name, digest in one.files.items():
                if not (folder / name).exists() or file_digest(folder / name).hex() != digest:
                    sizes.append(remote.fetch(one.place, name, digest, folder / name, bar))
            leave_out(folder, without[one.place], remote.url)

        store.receive(*one.place, fill, light=which.light)
        return sum(sizes)

    with progress_bar(f"pull from {remote.url}", sum(one.size for one in work), unit="bytes") as bar:
        done = _each(bring, work)
    there = len(chosen) - len(work) - len(unreadable)
    return _moved(remote.url, [*unread, *unreadable, *done], there=there, missing=which.missing(remote.places()))


def _left_out(record: Artefact, remote: Remote, which: Which) -> list[str]:
    """Its files that are not there, or stay there."""
    sizes = {name: remote.size_of((record.kind, record.key), name, own) for name, own in record.checksums.items()}
    return [name for name, size in sizes.items() if size is None or which.leaves(name, size)]


def _unbrought(record: Artefact, remote: Remote, without: Collection[str]) -> _Work:
    place = (record.kind, record.key)
    digests = {name: digest for name, digest in record.checksums.items() if name not in without}
    digests |= {RECORD: str(remote.record_of(place))}
    return _Work(place, digests, sum(remote.size_of(place, name, digest) or 0 for name, digest in digests.items()))


def _whole(entries: Iterable[Entry]) -> dict[Place, Artefact]:
    return {(entry.kind, entry.key): entry.artefact for entry in entries if entry.artefact}


def _each(move: Callable[[_Work], int], work: Iterable[_Work]) -> list[int | str]:
    """The bytes of every artefact that moved, or what of it is damaged, which stops no other."""

    def tried(one: _Work) -> int | str:
        try:
            return move(one)
        except CorruptArtefactError as error:
            return str(error)

    return Parallel(_AT_A_TIME, backend="threading")(delayed(tried)(one) for one in work)


def _moved(url: str, done: Iterable[int | str], **told: Any) -> Moved:
    done = list(done)
    sizes, refused = [one for one in done if isinstance(one, int)], [one for one in done if isinstance(one, str)]
    return Moved(url=url, artefacts=len(sizes), megabytes=round(sum(sizes) / 1e6, 3), refused=refused, **told)


def _reached(keys: Iterable[str], onward: Mapping[str, Collection[str]]) -> set[str]:
    """These keys, and all that lies onward of them."""
    found: set[str] = set()
    left = set(keys)
    while left:
        key = left.pop()
        found.add(key)
        left |= set(onward.get(key, ())) - found
    return found


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0  # of one that is missing its artefact tells
