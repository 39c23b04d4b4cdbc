"""What the terminal shows while notebooks run: the cell, and the latest line of a training."""

import re
import shutil
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

_TICK = 0.5
_LINE_EVERY = 30.0
_TAIL_BYTES = 4096
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x09\x0b\x0c\x0e-\x1f]")


class Progress:
    """One status line, rewritten in place on a terminal; elsewhere a line at most every 30 s.

    `log` is the file that training code writes its tqdm lines to; the last one is shown.
    """

    def __init__(self, stream: TextIO, label: str, cells: int, log: Path) -> None:
        self._stream = stream
        self._label = label
        self._cells = cells
        self._log = log
        self._cell = 0
        self._in_place = stream.isatty()
        self._shown = ""
        self._last_line = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Progress":
        self._show()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        if self._in_place:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def cell(self, number: int) -> None:
        """The notebook has come to this cell, counted from 1."""
        self._cell = number

    def line(self) -> str:
        """The status line as text."""
        parts = [self._label, f"cell {self._cell}/{self._cells}", last_line(self._log)]
        return "  ".join(part for part in parts if part)

    def _watch(self) -> None:
        while not self._stopped.wait(_TICK):
            self._show()

    def _show(self) -> None:
        line = self.line()
        if line == self._shown:
            return
        if self._in_place:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{line[:width]}")
        elif time.monotonic() - self._last_line >= _LINE_EVERY:
            self._stream.write(f"{line}\n")
            self._last_line = time.monotonic()
        else:
            return
        self._shown = line
        self._stream.flush()


def last_line(path: Path) -> str:
    """The last non-empty line of a file that tqdm writes to (it ends lines with a carriage return)."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:  # nothing has been written yet
        return ""
    lines = [line.strip() for line in re.split(r"[\r\n]", _CONTROL.sub("", text))]
    return next((line for line in reversed(lines) if line), "")
