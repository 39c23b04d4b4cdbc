"""What the terminal shows while notebooks run: of each the cell, and the latest line of its training."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

_TICK = 0.5
_LINE_EVERY = 30.0
_TAIL_BYTES = 4096
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x09\x0b\x0c\x0e-\x1f]")


class Status:
    """Where one notebook is. `log` is the file that its training code writes lines to; the cell's last one is shown."""

    def __init__(self, label: str, cells: int, log: Path) -> None:
        self._label = label
        self._cells = cells
        self._log = log
        self.at = 0  # no cell yet
        self._earlier = 0  # bytes of the log that are of earlier cells
        self.told = ""  # where lines are not rewritten: the last one, and when it was written
        self.told_at = time.monotonic()

    def cell(self, number: int) -> None:
        """The notebook has come to this cell, counted from 1."""
        self.at = number
        self._earlier = self._log.stat().st_size if self._log.exists() else 0

    def line(self) -> str:
        """The status line as text."""
        parts = [self._label, f"cell {self.at}/{self._cells}", last_line(self._log, self._earlier)]
        return "  ".join(part for part in parts if part)


class Progress:
    """A status line for each running notebook, in place on a terminal; elsewhere a line of each at most every 30 s."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._running: list[Status] = []
        self._drawn: list[str] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        with self._lock:
            self._draw([])

    @contextmanager
    def notebook(self, label: str, cells: int, log: Path) -> Iterator[Status]:
        """A notebook's line, for as long as it runs."""
        status = Status(label, cells, log)
        with self._lock:
            self._running.append(status)
            self._show()
        try:
            yield status
        finally:
            with self._lock:
                self._running.remove(status)
                self._show()

    def tell(self, text: str) -> None:
        """A line that stays, above those of the running notebooks."""
        with self._lock:
            self._draw([])
            self._write(f"{text}\n")
            self._show()

    def _watch(self) -> None:
        while not self._stopped.wait(_TICK):
            with self._lock:
                self._show()

    def _show(self) -> None:
        lines = [status.line() for status in self._running]
        if self._in_place:
            width = shutil.get_terminal_size().columns - 1
            self._draw([line[:width] for line in lines])
            return
        now = time.monotonic()
        for status, line in zip(self._running, lines, strict=True):
            if line != status.told and now - status.told_at >= _LINE_EVERY:
                self._write(f"{line}\n")
                status.told, status.told_at = line, now

    def _draw(self, lines: list[str]) -> None:
        """In place of what was drawn before; the cursor stays at the end of the last line."""
        if lines == self._drawn:
            return
        up = "\x1b[A\r\x1b[K" * (len(self._drawn) - 1)
        self._write("\r\x1b[K" + up + "\n".join(lines))
        self._drawn = lines

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a closed terminal: nobody reads this, and what runs is put in order all the same
            self._stream.write(text)
            self._stream.flush()


def last_line(path: Path, start: int = 0) -> str:
    """The last non-empty line from byte `start` on of a file that tqdm writes to (a carriage return ends its lines)."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(start, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:  # nothing has been written yet
        return ""
    lines = [line.strip() for line in re.split(r"[\r\n]", _CONTROL.sub("", text))]
    return next((line for line in reversed(lines) if line), "")
