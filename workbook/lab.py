"""Where work is done and kept: a device, a store and an engine in one hand."""

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch.distributed
from lightning_fabric import Fabric
from tqdm import tqdm

from workbook.devices import precision_of
from workbook.engines import Engine
from workbook.engines.local import Local
from workbook.errors import NotStoredError, StoreError
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
    # whose runs are meant: of so many devices that train each together; None = of those that are here
    devices: int | None = None
    planned: list[Any] | None = None  # takes the runs that would be trained, each a `pretraining.runs.Planned`

    def __post_init__(self) -> None:
        if self.engine.apart and self.fabric.world_size > 1:
            what = f"{self.fabric.world_size} processes train each run together, and others cannot train beside them"
            raise ValueError(f"{what}: set runs_at_a_time to 1 and WORKBOOK_ENGINE=local, or start without torchrun")

    @property
    def precision(self) -> str:
        """As keys say it."""
        return precision_of(self.fabric)

    @property
    def device_count(self) -> int:
        """How many devices train each run together."""
        return self.devices or self.fabric.world_size

    @property
    def trained_by(self) -> dict[str, Any]:
        """What the key of a training says of the devices.

        Several give other numbers than one: each normalises a batch by what it has of it, draws its own numbers, and
        the sums of gradients are added up in another order.
        """
        several = {"devices": self.device_count} if self.device_count > 1 else {}
        return {"precision": self.precision} | several

    def reading(self) -> "Lab":
        """The same place where nothing is made: what is not stored raises NotStoredError."""
        return replace(self, store=Store(self.store.root, read_only=True), planned=None)

    def planning(self, planned: list[Any]) -> "Lab":
        """The same devices where nothing is stored and nothing made; what would be trained is put on this list."""
        nothing = Store(self.store.root / "none", read_only=True)
        return replace(self, store=nothing, engine=Local(), planned=planned)

    def map(
        self, function: Callable[[Job, Any, tqdm], Made], jobs: Iterable[Job], bar: tqdm, title: Callable[[Job], str]
    ) -> Iterator[tuple[Job, Made]]:
        """Each job with `function(job, lab, bar)`, done where the engine does it; see `Engine.map`."""
        return self.engine.map(function, jobs, self, bar, title)

    def check_together(self, keys: Sequence[str]) -> None:
        """That all processes which train these keys together see one store and the same data.

        Raises StoreError in all of them, before anything is made.
        """
        if self.fabric.world_size == 1 or self.store.read_only:
            return
        with self.store.marked() if self.fabric.is_global_zero else nullcontext("") as own:
            mark = self.fabric.broadcast(own)
            own_view = (socket.gethostname(), str(self.store.root), (self.store.root / mark).exists(), list(keys))
            views: list[Any] = [None] * self.fabric.world_size
            torch.distributed.all_gather_object(views, own_view)
        (first_host, first_root, _, first_keys), *others = views
        for rank, (host, root, marked, own_keys) in enumerate(others, start=1):
            if not marked:
                raise StoreError(
                    f"processes that train together see different stores: that of rank {rank}, {root} on {host}, is "
                    f"not that of rank 0, {first_root} on {first_host}: set WORKBOOK_STORE to a folder that all share"
                )
            if own_keys != first_keys:
                raise StoreError(
                    f"processes that train together want different runs: rank {rank} on {host} does not see the data, "
                    f"or has not the code, of rank 0 on {first_host}: give all machines the same of both"
                )

    def check_devices(self, what: str) -> None:
        """Raises NotStoredError for what is missing in the store, where other than its devices are here to train it."""
        here = self.fabric.world_size
        if here != self.device_count:
            several = f"torchrun --nproc-per-node={self.device_count}" if self.device_count > 1 else "one process"
            raise NotStoredError(
                f"{what} of {self.device_count} devices is not in {self.store.root}, and here {here} would train it: "
                f"train it first with {several}, or leave `devices` out"
            )
