"""Where work is done and kept: a device, a store and an engine in one hand."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from lightning_fabric import Fabric
from tqdm import tqdm

from workbook.devices import precision_of
from workbook.engines import Engine
from workbook.engines.local import Local
from workbook.store import Store

Job = TypeVar("Job")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Lab:
    """What every function that trains, extracts or probes is given besides what it works on."""

    store: Store
    fabric: Fabric
    engine: Engine = field(default_factory=Local)  # who does jobs that do not wait for each other
    keep_features: bool = False  # those that were extracted for probes, when the probes are stored

    def __post_init__(self) -> None:
        if self.engine.apart and self.fabric.world_size > 1:
            what = f"{self.fabric.world_size} processes train each run together, and others cannot train beside them"
            raise ValueError(f"{what}: set runs_at_a_time to 1 and WORKBOOK_ENGINE=local, or start without torchrun")

    @property
    def precision(self) -> str:
        """As keys say it."""
        return precision_of(self.fabric)

    def reading(self) -> "Lab":
        """The same place where nothing is made: what is not stored raises NotStoredError."""
        return replace(self, store=Store(self.store.root, read_only=True))

    def map(
        self, function: Callable[[Job, Any, tqdm], Made], jobs: Iterable[Job], bar: tqdm, title: Callable[[Job], str]
    ) -> Iterator[tuple[Job, Made]]:
        """Each job with `function(job, lab, bar)`, done where the engine does it; see `Engine.map`."""
        return self.engine.map(function, jobs, self, bar, title)
