"""Who does jobs that do not wait for each other: this process, processes beside it, or the machines of a cluster.

A job is done by a function of what it works on, the lab and a bar: `function(job, lab, bar)`. What it makes is in the
lab's store when it is done, so that a job that is done twice is done once.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from tqdm import tqdm

from workbook.engines.local import Local
from workbook.errors import EngineError, did_you_mean

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Where jobs are done."""

    @property
    def apart(self) -> bool:
        """Whether other processes do them."""
        ...

    def map(
        self,
        function: Callable[[Any, Any, tqdm], Any],
        jobs: Iterable[Any],
        lab: Any,
        bar: tqdm,
        title: Callable[[Any], str],
    ) -> Iterator[tuple[Any, Any]]:
        """Each job with what the function made of it, in their order; the next job is asked for when one is done.

        The bar is told what the function tells its own. A job that fails does not stop the others: at the end
        EngineError names all that did, by their title; where there was no other job, its own error goes on.
        """
        ...


def engine_name() -> str:
    """What WORKBOOK_ENGINE says, "local" where it says nothing; EngineError where there is no such engine."""
    name = os.environ.get("WORKBOOK_ENGINE") or ENGINES[0]
    if name not in ENGINES:
        raise EngineError(f"WORKBOOK_ENGINE={name}{did_you_mean(name, ENGINES)}: set it to {' or '.join(ENGINES)}")
    return name


def choose_engine(*, at_a_time: int, cpus: int, gpus: float) -> Engine:
    """The engine that WORKBOOK_ENGINE names. at_a_time: of the local one; cpus, gpus: that a job has on Ray."""
    if engine_name() == "local":
        return Local(at_a_time)
    from workbook.engines.ray import Ray  # here, because few have it

    return Ray(cpus, gpus)
