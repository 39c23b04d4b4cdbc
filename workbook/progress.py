"""Progress of long work: a bar in the notebook or the terminal, or lines in the file of an unattended report."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm
from tqdm.auto import tqdm as tqdm_auto

# An unattended report shows one line, so that each says all: what, how far, how fast, how long yet.
_LINE = "{desc}: {percentage:.0f}%, {rate_noinv_fmt}, {remaining} left{postfix}"
_WAITING = "{desc}: {elapsed}"

_DELAY = 1.0  # seconds before a bar is drawn: most of what is done in less would only flicker


class Hiding(tqdm):
    """A notebook's bar is hidden when it is done: of a closed widget its page keeps "model not found".

    So is one that an error ended, which tells more: the store's "not stored" leaves many behind.
    """

    def display(self, *args: Any, **how: Any) -> None:
        if not (how.get("close") or how.get("bar_style") == "danger"):
            super().display(*args, **how)
        elif self.displayed:
            self.container.layout.display = "none"
        else:
            self.container.close()


class _Bar(Hiding, tqdm_auto):
    pass


_open: dict[int, tqdm] = {}  # bars within bars, the outermost first; by id, as bars of the same line compare equal


@contextmanager
def progress_bar(title: str, total: int, *, unit: str = "images", shown: bool = True) -> Iterator[tqdm]:
    """A bar over `total` units of work; shows the rate and the time left.

    WORKBOOK_PROGRESS names a file that takes the lines instead: an executed report keeps no half-drawn bars. There
    the line of a bar within another one begins with the outer one's.
    """
    with _bar(title, _LINE, total=total, unit=f" {unit}", unit_scale=True, disable=not shown) as bar:
        yield bar


@contextmanager
def waiting(title: str) -> Iterator[tqdm]:
    """A line that says for how long we have been waiting; it moves on with `refresh`."""
    with _bar(title, _WAITING, bar_format=_WAITING) as bar:
        yield bar


def expect(bar: tqdm, units: int) -> None:
    """So many more units to do, or, below 0, fewer."""
    bar.total += units
    if hasattr(bar, "container"):  # a notebook's bar is as wide as it was told at first
        bar.container.children[1].max = bar.total


def count_earlier(bar: tqdm, units: int) -> None:
    """Units that were done before the bar was opened: they count as done, but say nothing of the rate."""
    if bar.disable:
        return
    bar.initial += units
    bar.n += units
    bar.last_print_n += units


class Counts(NamedTuple):
    """Of a bar: units that are done, those of them that were done before it, and by how many more it came to expect."""

    done: int = 0
    earlier: int = 0
    more: int = 0


class Tally(tqdm):
    """A bar that shows nothing: what it is told is told to another one, in another process, by `follow`."""

    def __init__(self) -> None:
        super().__init__(total=0, file=StringIO())

    @property
    def counts(self) -> Counts:
        return Counts(self.n, self.initial, self.total)

    def display(self, *args: Any, **kwargs: Any) -> None:
        pass


def follow(bar: tqdm, before: Counts, now: Counts) -> None:
    """Tell the bar what a tally was told between these counts; what is done again elsewhere is taken back first."""
    expect(bar, now.more - before.more)
    count_earlier(bar, now.earlier - before.earlier)
    bar.update((now.done - now.earlier) - (before.done - before.earlier))


@contextmanager
def _bar(title: str, line: str, **choices: Any) -> Iterator[tqdm]:
    target = os.environ.get("WORKBOOK_PROGRESS")
    with ExitStack() as stack:
        if target is None:
            bar = stack.enter_context(_Bar(desc=title, leave=False, delay=_DELAY, **choices))
        else:
            file = stack.enter_context(Path(target).open("a"))
            title = f"{_summary([*_open.values()][-1])} › {title}" if _open else title
            choices |= {"bar_format": line, "file": file, "mininterval": 1.0, "position": 0}
            bar = stack.enter_context(tqdm(desc=title, delay=_DELAY, **choices))
        if not bar.disable:
            _open[id(bar)] = bar
            stack.callback(_open.pop, id(bar))
        yield bar
    if _open:
        [*_open.values()][-1].refresh()


def _summary(bar: tqdm) -> str:
    """What a bar is about, how far it is, and, where that is known, how long it will take."""
    state = bar.format_dict
    done, total, elapsed = state["n"] - state["initial"], state["total"], state["elapsed"]
    text = f"{bar.desc} {100 * state['n'] / total:.0f}%" if total else bar.desc
    if done <= 0 or not total:
        return text
    return f"{text}, {tqdm.format_interval(elapsed / done * (total - state['n']))} left"
