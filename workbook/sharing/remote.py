"""Artefacts elsewhere: below a URL that fsspec knows, every file under a name that says what is in it.

`<url>/<kind>/<key>/<file>.<digest>`: who sends the same file twice sends it once, two who send at once are not in each
other's way, and an artefact is whole when its record is there, which goes last.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import fsspec
from tqdm import tqdm

from workbook.artefacts import RECORD, Artefact, parse_artefact
from workbook.errors import CorruptArtefactError, MissingLibraryError, SharingError, WorkbookError, first_line
from workbook.files import FULL, file_digest, user_path

Place = tuple[str, str]  # kind and key
# what fsspec calls it -> our extra that brings its library
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf"}
_OBJECT = re.compile(r"([a-z_]+)/([0-9a-f]{20})/([^/]+\.[0-9a-f]{32})")


class Remote:
    """The artefacts below a URL, or a folder. Credentials are found as the library of the service finds them.

    Raises MissingLibraryError where that is not installed, SharingError where the URL is none, or cannot be read.
    """

    def __init__(self, url: str) -> None:
        self.url = re.sub(r"://[^/@]*:[^/@]*@", "://", url) if "://" in url else str(user_path(url))  # no password
        with self._told("opened"):
            self._fs, self._root = fsspec.url_to_fs(url if "://" in url else self.url)
            self._is_folder = "file" in self._fs.protocol
            self._fs.invalidate_cache()
            self.objects = self._listed()

    def _listed(self) -> dict[Place, dict[str, int]]:
        """Of every artefact of which something is there: the names of its objects, and their sizes in bytes."""
        found: dict[Place, dict[str, int]] = {}
        try:
            listing = self._fs.find(self._root, detail=True)
        except FileNotFoundError:  # nothing was sent there yet
            return found
        if any(path.endswith(f"/{RECORD}") for path in listing):
            raise SharingError(f"{self.url} is a store, or has one in it: name a folder or a prefix of its own")
        for path, about in listing.items():
            if named := _OBJECT.fullmatch(path.removeprefix(self._root).lstrip("/")):
                kind, key, name = named.groups()
                found.setdefault((kind, key), {})[name] = about["size"]
        return found

    def size_of(self, place: Place, name: str, digest: str) -> int | None:
        """In bytes, None where it is not there; of a transfer that broke off it is another than the file's."""
        return self.objects.get(place, {}).get(f"{name}.{digest}")

    def record_of(self, place: Place) -> str | None:
        """The digest of its record; None where it is not whole there. Of several, made apart, one and always that."""
        found = [name.rpartition(".") for name in self.objects.get(place, {})]
        return min((digest for name, _, digest in found if name == RECORD), default=None)

    def places(self) -> list[Place]:
        """Where the artefacts are whole."""
        return sorted(place for place in self.objects if self.record_of(place))

    def records(self, places: Sequence[Place]) -> tuple[dict[Place, Artefact], list[str]]:
        """What the records of these say, in one go, and what is wrong with those that say nothing."""
        where = {place: self._path(place, RECORD, str(self.record_of(place))) for place in places}
        with self._told("read"):
            texts: Mapping[str, bytes] = self._fs.cat(list(where.values())) if where else {}
        found, problems = {}, []
        for place, path in where.items():
            try:
                found[place] = parse_artefact(Path(*place), texts[path].decode(errors="replace"))
            except CorruptArtefactError:
                problems.append(self._not_as_sent(path))
        return found, problems

    def _not_as_sent(self, path: str) -> str:
        there = path.removeprefix(self._root).lstrip("/")
        return f"{there} in {self.url} is not what was sent, and was not stored: remove it there, and push it again"

    def send(self, place: Place, name: str, digest: str, path: Path, bar: tqdm) -> int:
        """A file of an artefact; its bytes."""
        target, size = self._path(place, name, digest), path.stat().st_size
        with self._told("written"), _counted(bar, size) as callback:
            if self._is_folder:  # where a file that is begun has its name already
                self._fs.makedirs(os.path.dirname(target), exist_ok=True)
                begun = f"{target}.{os.getpid()}"
                self._fs.put_file(str(path), begun)
                os.replace(begun, target)
            else:
                self._fs.put_file(str(path), target, callback=callback)
        return size

    def fetch(self, place: Place, name: str, digest: str, path: Path, bar: tqdm) -> int:
        """A file of an artefact; its bytes. CorruptArtefactError, and no file, where it is not what was sent."""
        source, size = self._path(place, name, digest), self.objects[place][f"{name}.{digest}"]
        with self._told("read", into=path), _counted(bar, size) as callback:
            self._fs.get_file(source, str(path), callback=callback)
        if file_digest(path).hex() != digest:
            path.unlink()
            raise CorruptArtefactError(self._not_as_sent(source))
        return size

    def _path(self, place: Place, name: str, digest: str) -> str:
        return "/".join((self._root, *place, f"{name}.{digest}"))

    @contextmanager
    def _told(self, what: str, *, into: Path | None = None) -> Iterator[None]:
        """Whatever a service's library says in one sentence of ours; of the file that it writes the store tells."""
        try:
            yield
        except WorkbookError:
            raise
        except ImportError as error:
            extra = _EXTRAS.get(self.url.partition("://")[0])
            pip = f"'transferability-workbook[{extra}]'" if extra else "what it names"
            raise MissingLibraryError(f"{self.url} needs a library ({first_line(error)}): pip install {pip}") from error
        except Exception as error:  # no such place, no right, no network: each library has its own
            if into and isinstance(error, OSError) and (error.errno in FULL or error.filename == str(into)):
                raise
            raise SharingError(f"{self.url} cannot be {what} ({first_line(error)}): {_advice(error)}") from error


def _advice(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "correct the address, or make the bucket or repository first"
    if isinstance(error, PermissionError) or "credential" in str(error).lower():
        return "log in as the service's own tools do (`aws configure`, `gcloud auth login`, `hf auth login`)"
    return "check the address, the network and who you are logged in as, and start it again: it goes on where it was"


class _Counting(fsspec.Callback):
    """Tells a bar of the bytes of one file, from any thread."""

    def __init__(self, bar: tqdm) -> None:
        super().__init__()
        self.bar = bar

    def relative_update(self, inc: int = 1) -> None:
        super().relative_update(inc)
        with _COUNTING:
            self.bar.update(inc)


_COUNTING = Lock()


@contextmanager
def _counted(bar: tqdm, size: int) -> Iterator[_Counting]:
    """At its end the bar has been told of all bytes, whichever of them the library told of."""
    callback = _Counting(bar)
    yield callback
    callback.relative_update(size - callback.value)
