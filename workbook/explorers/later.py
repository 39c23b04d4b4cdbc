"""Work that waits until the controls rest, so that it never stands between a change and what is drawn."""

import asyncio
from collections.abc import Callable
from typing import Any


class Later:
    """Calls `work` in a thread once `seconds` have passed without another call, then `show` with what it gave.

    Only the last call is shown. Where no event loop runs, as in a script, both happen at once.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: asyncio.TimerHandle | None = None
        self._calls = 0

    def __call__(self, work: Callable[[], Any], show: Callable[[Any], None]) -> None:
        self._calls += 1
        if self._waiting:
            self._waiting.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            show(work())
            return
        self._waiting = loop.call_later(self.seconds, self._start, loop, self._calls, work, show)

    def _start(self, loop: asyncio.AbstractEventLoop, call: int, work: Callable, show: Callable) -> None:
        def finished(future: asyncio.Future) -> None:
            if call == self._calls:
                show(future.result())

        loop.run_in_executor(None, work).add_done_callback(finished)
