"""A budget of time, and what it leaves out."""

import time


class Budget:
    """So many seconds from now on; whoever begins something asks first, and what does not fit is told at the end."""

    def __init__(self, seconds: float) -> None:
        self.started, self.seconds = time.monotonic(), seconds
        self.left_out: list[str] = []

    @property
    def spent(self) -> float:
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        return self.seconds - self.spent

    def allows(self, what: str, seconds: float = 0.0) -> bool:
        """Whether something that takes so many seconds fits in yet; else it is left out."""
        if self.left > seconds:
            return True
        self.left_out.append(what)
        return False
