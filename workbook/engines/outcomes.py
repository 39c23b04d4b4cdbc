"""What became of jobs: their results, what they told their bars, and what went wrong."""

import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from tqdm import tqdm

from workbook.errors import EngineError
from workbook.progress import Counts, Tally


@dataclass(frozen=True)
class Outcome:
    """Of one job. error: None where it came to its end."""

    counts: Counts
    result: Any = None
    error: Exception | None = None

    def get(self) -> Any:
        """The result; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return self.result


def outcome_of(work: Callable[[tqdm], Any], tally: Tally) -> Outcome:
    """What becomes of the work, which is given the tally as its bar."""
    try:
        result = work(tally)
    except Exception as error:
        return Outcome(tally.counts, error=_portable(error))
    return Outcome(tally.counts, result)


def _portable(error: Exception) -> Exception:
    """The error as another process can have it, with where it was raised."""
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:  # its class takes other arguments, or is of a module that only this process has
        error = EngineError(f"{type(error).__name__}: {error}")
    error.add_note(traceback.format_exc())
    return error


class Failures:
    """What went wrong in some of many jobs, kept until the others are done.

    Of a lab that only reads nothing is kept, as what is missing is its answer; nor where several processes do each job
    together, as one would wait in vain for the others.
    """

    def __init__(self, lab: Any) -> None:
        self.at_once = lab.store.read_only or lab.fabric.world_size > 1
        self.found: dict[int, tuple[str, Exception]] = {}  # by the job's number

    @contextmanager
    def of(self, number: int, title: str) -> Iterator[None]:
        """What is raised inside is kept."""
        try:
            yield
        except Exception as error:
            if self.at_once:
                raise
            self.found[number] = (title, error)

    def tell(self, jobs: int) -> None:
        """Raise what was kept, of so many jobs; nothing where there is nothing."""
        if not self.found:
            return
        errors = [error for _, error in self.found.values()]
        if jobs == 1:
            raise errors[0]
        told = "\n".join(f"  {title}: {type(error).__name__}: {error}" for title, error in self.found.values())
        rest = "What the others made is stored: mend the cause and run this again"
        raise EngineError(f"{len(errors)} of {jobs} failed:\n{told}\n{rest}") from errors[0]


def packed(*parts: Any) -> bytes:
    """The parts as bytes; what lies elsewhere on another machine says by a method `elsewhere` how to have it there."""
    buffer = BytesIO()
    _Packer(buffer).dump(parts)
    return buffer.getvalue()


def unpacked(data: bytes) -> Any:
    """The parts as they are on this machine; raises what opening them does."""
    return pickle.loads(data)


class _Packer(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        found = getattr(type(thing), "elsewhere", None)
        return NotImplemented if found is None else found(thing)
