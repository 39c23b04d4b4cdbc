"""Jobs on this machine: one after the other in this process, or several at a time, each in a process of its own."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from workbook.engines.outcomes import Failures, Outcome, outcome_of, packed, unpacked
from workbook.progress import Counts, Tally, follow


@dataclass(frozen=True)
class Local:
    """See `Engine`. Processes that share a GPU take turns on it, and truly use it together under NVIDIA's MPS.

    Whatever ends the work early ends the processes; what they began is resumed.
    """

    at_a_time: int = 1

    def __post_init__(self) -> None:
        if self.at_a_time < 1:
            raise ValueError(f"jobs at a time must be at least 1, got {self.at_a_time}")

    @property
    def apart(self) -> bool:
        return self.at_a_time > 1

    def map(
        self,
        function: Callable[[Any, Any, tqdm], Any],
        jobs: Iterable[Any],
        lab: Any,
        bar: tqdm,
        title: Callable[[Any], str],
    ) -> Iterator[tuple[Any, Any]]:
        failures, number = Failures(lab), -1
        done = self._apart(function, jobs, lab, bar) if self.apart else self._here(function, jobs, lab, bar, title)
        for number, (job, made) in enumerate(done):
            with failures.of(number, title(job)):
                yield job, made()
        failures.tell(number + 1)

    def _here(
        self,
        function: Callable[[Any, Any, tqdm], Any],
        jobs: Iterable[Any],
        lab: Any,
        bar: tqdm,
        title: Callable[[Any], str],
    ) -> Iterator[tuple[Any, Callable[[], Any]]]:
        for job in jobs:
            bar.set_description_str(title(job), refresh=False)
            yield job, partial(function, job, lab, bar)

    def _apart(
        self, function: Callable[[Any, Any, tqdm], Any], jobs: Iterable[Any], lab: Any, bar: tqdm
    ) -> Iterator[tuple[Any, Callable[[], Any]]]:
        given: list[Any] = []

        def tasks() -> Iterator[Any]:
            for job in jobs:
                given.append(job)
                yield delayed(_done)(packed(function, job), replace(lab, engine=Local()))

        work = Parallel(self.at_a_time, batch_size=1, pre_dispatch=self.at_a_time, return_as="generator")
        try:
            for number, outcome in enumerate(work(tasks())):
                follow(bar, Counts(), outcome.counts)
                yield given[number], outcome.get
        finally:  # idle processes would keep their part of the GPU's memory
            get_reusable_executor().shutdown(kill_workers=True)


def _done(data: bytes, lab: Any) -> Outcome:
    os.environ["WORKBOOK_PROGRESS"] = os.devnull  # bars within the job are nobody's

    def work(bar: tqdm) -> Any:
        function, job = unpacked(data)
        return function(job, lab, bar)

    return outcome_of(work, Tally())
