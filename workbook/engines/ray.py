"""Jobs on the machines of a Ray cluster, with a folder that all share or without one.

RAY_ADDRESS names the cluster, and this machine is one of it; without it a cluster of this machine alone is started. A
worker uses the store that jobs are done for where it sees its folder, and else has one of its own, see `engines.away`.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from tqdm import tqdm

from workbook.devices import make_fabric, precision_name
from workbook.engines.away import Away, Home
from workbook.engines.local import Local
from workbook.engines.outcomes import Failures, Outcome, outcome_of, packed, unpacked
from workbook.errors import EngineError, MissingLibraryError, NotStoredError
from workbook.progress import Counts, Tally, follow
from workbook.provenance import versions_here
from workbook.store import Store

_TICK = 0.5  # seconds between two looks at how far the jobs are
_RESTARTS = 5  # of a job whose machines were lost
_GRACE = 30.0  # seconds that jobs have to bring home what they began, where they are stopped
_NO_MORE = object()
# before Ray is imported, for what it says in spite of log_to_driver=False: whom it counts, what it will do one day to
# the devices of a job without any, and which machine was lost
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}


@dataclass(frozen=True)
class Ray:
    """See `Engine`. cpus: that a job has, and as many threads; gpus: that it has, or a part of one; 0 = the CPU.

    Jobs that were begun are given up where the work ends early, and are resumed. One whose machine is lost is begun
    again on another.
    """

    cpus: int = 1
    gpus: float = 0.0

    @property
    def apart(self) -> bool:
        return True

    def map(
        self,
        function: Callable[[Any, Any, tqdm], Any],
        jobs: Iterable[Any],
        lab: Any,
        bar: tqdm,
        title: Callable[[Any], str],
    ) -> Iterator[tuple[Any, Any]]:
        failures, coming, crew = Failures(lab), iter(jobs), _Crew(self, function, lab, bar)
        asked: list[Any] = []
        told = 0
        try:
            while True:
                while crew.free() and (job := next(coming, _NO_MORE)) is not _NO_MORE:
                    crew.take(len(asked), job)
                    asked.append(job)
                if told == len(asked):
                    break
                crew.look()
                while told in crew.done:
                    with failures.of(told, title(asked[told])):
                        yield asked[told], crew.done.pop(told).get()
                    told += 1
        finally:
            crew.leave()
        failures.tell(len(asked))


@dataclass(frozen=True)
class _Terms:
    """What every job is told. lab: without its store and its device, which each machine has of its own."""

    host: str
    versions: dict[str, str]
    root: Path
    mark: str  # of a file there, by which a machine knows that it sees this very folder
    lab: Any
    device: str
    precision: str
    threads: int


class _Crew:
    """The jobs of one `map` that are on their way. done: by number, those that came to an end and were not yet told."""

    def __init__(self, engine: Ray, function: Callable[[Any, Any, tqdm], Any], lab: Any, bar: tqdm) -> None:
        self.engine, self.function, self.lab, self.bar = engine, function, lab, bar
        self.done: dict[int, Outcome] = {}
        self.flying: dict[Any, int] = {}
        self.counts: dict[int, Counts] = {}
        self.marked = ExitStack()
        self.home: Any = None  # until a job has to be sent: what is stored is read without a cluster

    def free(self) -> bool:
        """Whether a machine has room for another job."""
        return self.home is None or len(self.flying) < self._room()

    def take(self, number: int, job: Any) -> None:
        """Send a job, unless all that it makes is in the store."""
        reading = replace(self.lab.reading(), engine=Local())
        found = outcome_of(lambda bar: self.function(job, reading, bar), Tally())
        if not isinstance(found.error, NotStoredError):
            self._end(number, found)
            return
        if self.home is None:
            self._gather()
        ref = self.work.remote(number, self.packed, packed(job), self.home, self.terms)
        self.flying[ref] = number

    def look(self) -> None:
        """Wait a moment for jobs to end, and tell the bar how far they are."""
        if not self.flying:
            return
        ended, _ = self.ray.wait([*self.flying], timeout=_TICK)
        for number, counts in self.ray.get(self.home.counts.remote()).items():
            if number in self.flying.values():
                self._follow(number, counts)
        for ref in ended:
            number = self.flying.pop(ref)
            self._end(number, self._outcome(ref, number))
            self.home.end.remote(number)

    def leave(self) -> None:
        """Nothing of ours is at work any more."""
        with self.marked:
            if self.home is None:
                return
            for force in (False, True):
                for ref in self.flying:
                    self.ray.cancel(ref, force=force)
                if self.flying:
                    self.ray.wait([*self.flying], num_returns=len(self.flying), timeout=_GRACE)
            self.ray.kill(self.home)

    def _gather(self) -> None:
        self.ray = ray = _connected()
        self._room()
        fabric, root = self.lab.fabric, self.lab.store.root
        self.terms = _Terms(
            host=socket.gethostname(),
            versions=versions_here(),
            root=root,
            mark=self.marked.enter_context(self.lab.store.marked()),
            lab=replace(self.lab, store=None, fabric=None, engine=Local()),
            device="cuda" if self.engine.gpus else "cpu",
            precision=precision_name(fabric),
            threads=self.engine.cpus,
        )
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self.home = ray.remote(Home).options(num_cpus=0, scheduling_strategy=here).remote(root)
        had = {"num_cpus": self.engine.cpus, "num_gpus": self.engine.gpus, "max_retries": _RESTARTS}
        self.work = ray.remote(_work).options(**had, scheduling_strategy="SPREAD")
        self.packed = ray.put(packed(self.function))  # with the images of all jobs: once, and not with each

    def _room(self) -> int:
        """How many jobs the cluster has room for; EngineError where it is none."""
        had = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        wanted = {name: count for name, count in (("CPU", self.engine.cpus), ("GPU", self.engine.gpus)) if count}
        room = sum(int(min(has.get(name, 0) / count for name, count in wanted.items())) for has in had)
        if not room:
            there = "; ".join(f"{has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs" for has in had)
            raise EngineError(
                f"a job takes {self.engine.cpus} CPUs and {self.engine.gpus:g} GPUs, and the machines of the cluster "
                f"have {there}: set cpus_a_job or gpus_a_job to what one of them has"
            )
        return room

    def _outcome(self, ref: Any, number: int) -> Outcome:
        try:
            return self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            told = " ".join(str(error).strip().splitlines()[-1:])
            return Outcome(self.counts.get(number, Counts()), error=EngineError(f"{type(error).__name__}: {told}"))

    def _end(self, number: int, outcome: Outcome) -> None:
        self._follow(number, outcome.counts)
        self.done[number] = outcome

    def _follow(self, number: int, counts: Counts) -> None:
        follow(self.bar, self.counts.get(number, Counts()), counts)
        self.counts[number] = counts


def _connected() -> ModuleType:
    """Ray, connected to its cluster, without a word of its own in a notebook."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        told = "WORKBOOK_ENGINE=ray needs Ray: pip install 'transferability-workbook[ray]'"
        raise MissingLibraryError(told) from error
    address = os.environ.get("RAY_ADDRESS")
    if address and address.startswith("ray://"):
        raise EngineError(f"RAY_ADDRESS={address}: the store is here, so start a node here, `ray start --address=...`")
    if not ray.is_initialized():
        alone: dict[str, Any] = {} if address else {"include_dashboard": False}
        try:
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **alone)
        except Exception as error:  # Ray raises no kind of its own where it does not start in time
            where = f"the Ray cluster at RAY_ADDRESS={address} does not answer" if address else "Ray does not start"
            raise EngineError(f"{where} ({error}): start it with `ray start`, or set WORKBOOK_ENGINE=local") from error
    return ray


def _work(number: int, function: bytes, job: bytes, home: Any, terms: _Terms) -> Outcome:
    """One attempt at a job, on whatever machine."""
    import ray

    def ask(name: str, *given: Any, **how: Any) -> Any:
        return ray.get(getattr(home, name).remote(*given, **how))

    def work(bar: tqdm) -> Any:
        _check(terms)
        _take_share(terms.threads)
        fabric = make_fabric(terms.device, terms.precision)
        lab = replace(terms.lab, store=_store(terms, ask, number, attempt), fabric=fabric)
        (todo,), (what,) = unpacked(function), unpacked(job)
        return todo(what, lab, bar)

    attempt, tally = uuid4().hex, Tally()
    os.environ["WORKBOOK_PROGRESS"] = os.devnull  # bars within the job are nobody's
    ask("begin", number, attempt)
    with _told(lambda: home.count.remote(number, attempt, tally.counts)):
        return outcome_of(work, tally)


def _check(terms: _Terms) -> None:
    """EngineError where numbers of this machine are not those of home."""
    own = versions_here()
    if any(own[name] != terms.versions[name] for name in ("files", "torch")):
        here, there = (", ".join(map(" ".join, found.items())) for found in (own, terms.versions))
        raise EngineError(
            f"{socket.gethostname()} has {here}, and {terms.host} has {there}: "
            "take the same checkout and the same libraries on all machines"
        )


def _take_share(threads: int) -> None:
    """So many threads compute, and so many processes decode: their number changes the last bits of a sum."""
    import torch

    torch.set_num_threads(threads)
    os.environ["LOKY_MAX_CPU_COUNT"] = str(threads)


def _store(terms: _Terms, ask: Callable[..., Any], number: int, attempt: str) -> Store:
    """Home's own where this machine sees its folder, under WORKBOOK_STORE or the name it has there."""
    own = Store().root
    places = [own] if os.environ.get("WORKBOOK_STORE") else [own, terms.root]
    shared = next((place for place in places if (place / terms.mark).exists()), None)
    return Away(own, ask, number, attempt) if shared is None else Store(shared)


@contextmanager
def _told(tell: Callable[[], Any]) -> Iterator[None]:
    """While this is open, it is told again and again."""
    ended = threading.Event()

    def telling() -> None:
        while not ended.wait(_TICK):
            tell()

    thread = threading.Thread(target=telling, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
