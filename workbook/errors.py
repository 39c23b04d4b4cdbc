"""The workbook's own states that a user can mend; every message ends with what to do next."""

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class WorkbookError(Exception):
    """Root of the errors below: catching it catches all that the workbook itself raises."""

    def __str__(self) -> str:
        return harmless(super().__str__())


class PathError(WorkbookError):
    """A path that was given is none on this machine."""


class ManifestError(WorkbookError):
    """A manifest is unknown, malformed, or disagrees with the data that it describes, or with what it is taken for."""


class MissingDataError(WorkbookError):
    """The data that a manifest names is not on this machine."""


class CorruptDataError(WorkbookError):
    """A file of a data set cannot be decoded or does not match its checksum."""


class ProfileError(WorkbookError):
    """A profile, or an override of one of its fields, is unknown or malformed."""


class StoreError(WorkbookError):
    """The store cannot be read or written: permissions, space, locks; or somebody else is at work in it."""


class NotStoredError(StoreError):
    """What was asked of the store is not in it; `unfinished` where an interrupted process left a part of it."""

    def __init__(self, message: str, *, unfinished: bool = False) -> None:
        super().__init__(message)
        self.unfinished = unfinished


class CorruptArtefactError(StoreError):
    """A stored file is not what was written: its name, and how to make it anew, are in the message."""


class CheckpointError(WorkbookError):
    """Weights from outside cannot be used: unreadable, of another architecture, not finite, not to be had."""


class MissingLibraryError(WorkbookError):
    """A library of an extra, which this needs, is not installed."""


class SharingError(WorkbookError):
    """A model cannot be given away: no form for it, no place, no right to write there."""


class EngineError(WorkbookError):
    """Jobs cannot be done where they were to be, or some of many failed; the message names them."""


class DivergedError(WorkbookError):
    """A training's loss is no longer finite."""


class ReportError(WorkbookError):
    """A report was asked for something it cannot do: no such notebook, an unknown parameter."""


class Interrupted(KeyboardInterrupt):
    """An interrupt that says what is not lost, in the place of a traceback."""

    def _render_traceback_(self) -> list[str]:  # what IPython shows of it
        return [str(self)]


@contextmanager
def going_on(what: str) -> Iterator[None]:
    """An interrupt inside says that `what` goes on when the same is asked for again."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        raise Interrupted(f"Interrupted: run this again, and {what}") from stop


def harmless(text: str) -> str:
    """The text with its control characters written out: from a file's name or a title they would steer a terminal."""
    return "".join(letter if letter in "\n\t" or not _steers(letter) else _written_out(letter) for letter in text)


def _steers(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs")  # surrogates stand for bytes of a name that is not UTF-8


def _written_out(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


_FEW = 12  # so many names a message lists
_NEAREST = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For a message, after a name that is unknown: the nearest of those that there are, or nothing if none is near."""
    near = [*map(repr, _nearest(name, known))]
    return f" (did you mean {' or '.join(filter(None, [', '.join(near[:-1]), near[-1]]))}?)" if near else ""


def known_names(name: str, known: Collection[str], where: str = "") -> str:
    """For a message, after a name that is unknown: the nearest, and all that there are, which `where` lists if many."""
    near = did_you_mean(name, known)
    if len(known) <= _FEW:
        return f"{near}; known: {', '.join(known) or 'none'}"
    near = near or f"; the nearest of {len(known)}: {', '.join(_nearest(name, known, cutoff=0))}"
    return near + (f"; {where} lists them all" if where else "")


def _nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    spelt = {other.casefold(): other for other in known}  # capitals make no other name
    return [spelt[near] for near in get_close_matches(name.casefold(), spelt, _NEAREST, cutoff)]


def first_line(error: BaseException) -> str:
    """Of what another library says, as much as a message of ours quotes."""
    return (str(error).splitlines() or [type(error).__name__])[0].strip()[:120]
