"""Locks between processes, of one machine or several that share a folder.

A lock is that of the operating system on a file, and ends with the process that holds it. The file says who that is,
and goes when the lock is let go. Whoever had opened it before locks what lies there no more, sees so, and asks again.
"""

import errno
import json
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from workbook.progress import waiting

_TICK = 1.0  # seconds between two looks at a lock that another process holds
_SILENT = 1800.0  # seconds: an epoch may last long; after them it is told what to do about a holder that shows nothing


class ProcessLock:
    """The lock that the file at `path` stands for. signs: where the holder's work shows, files and folders."""

    def __init__(self, path: Path, signs: Iterable[Path] = ()) -> None:
        self.path, self._signs = path, (path, *signs)
        # fallback_to_soft: a lock made of a file that exists would outlive a process that is killed
        self._lock = FileLock(path, fallback_to_soft=False, on_acquired=self._sign)
        self._descriptor: int | None = None

    def take(self, awaited: str | None = None) -> bool:
        """Whether it is held now. awaited: what another holder makes, whom a line names for as long as we wait."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        taken = self._acquired(0)
        if awaited and not taken:
            with waiting(self._told(awaited)) as line:
                while not (taken := self._acquired(_TICK)):
                    line.set_description_str(self._told(awaited))
        return taken

    def let_go(self) -> None:
        """Not held by us any more, if it was."""
        if self._descriptor is not None:
            with suppress(OSError):  # who comes next takes it over as it lies there
                if self._is_there(self._descriptor):
                    self.path.unlink()
        self._descriptor = None
        self._lock.release()

    def holder(self) -> str:
        """Who holds it, as a message says it."""
        return self._read()[0]

    def _acquired(self, seconds: float) -> bool:
        try:
            self._lock.acquire(timeout=seconds)
        except Timeout:
            return False
        except OSError as error:
            if error.errno != errno.ESTALE:  # a shared folder's word for a file that was removed meanwhile
                raise
            return False
        return True

    def _sign(self, descriptor: int) -> None:
        if not self._is_there(descriptor):
            raise Timeout(str(self.path))
        self._descriptor = descriptor
        with suppress(OSError):  # it only names us
            os.ftruncate(descriptor, 0)
            about = {"process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            os.pwrite(descriptor, json.dumps(about).encode(), 0)

    def _is_there(self, descriptor: int) -> bool:
        try:
            with self.path.open("rb") as file:  # opened, as a shared folder may remember what a name stood for
                return os.path.sameopenfile(descriptor, file.fileno())
        except FileNotFoundError:
            return False

    def _read(self) -> tuple[str, float | None]:
        """Who holds it, and since when, in seconds since the epoch; None where that is not told."""
        try:
            about = json.loads(self.path.read_text())
            return f"process {about['process']} on {about['host']}", float(about["since"])
        except (OSError, ValueError, KeyError, TypeError):  # it has ended meanwhile, or has not signed yet
            return "another process", None

    def _told(self, awaited: str) -> str:
        who, since = self._read()
        told = f"waits for another process that makes {awaited}"
        if since is None:
            return told
        told += f" ({who}, for {_interval(since)})"
        seen = max([since, *_times(self._signs)])
        if time.time() - seen < _SILENT:
            return told
        return (
            f"{told}. Nothing was seen of it for {_interval(seen)}: look whether it runs, and end it if it hangs; if "
            f"its machine is gone, remove {self.path}"
        )


def _interval(since: float) -> str:
    return tqdm.format_interval(max(0, time.time() - since))


def _times(paths: Iterable[Path]) -> list[float]:
    """When these, and what lies in those that are folders, were written last."""
    found = []
    for path in paths:
        with suppress(OSError):
            found += [entry.stat().st_mtime for entry in (path, *(path.iterdir() if path.is_dir() else ()))]
    return found
