"""Where work is done and kept: a device and a store in one hand."""

from dataclasses import dataclass, replace

from lightning_fabric import Fabric

from workbook.devices import precision_of
from workbook.store import Store


@dataclass(frozen=True)
class Lab:
    """What every function that trains, extracts or probes is given besides what it works on."""

    store: Store
    fabric: Fabric
    jobs: int = 1  # runs that train on the device at a time, see `pretraining.runs.train_each`
    keep_features: bool = False  # those that were extracted for probes, when the probes are stored

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"jobs must be at least 1, got {self.jobs}")
        if self.jobs > 1 and self.fabric.world_size > 1:
            what = f"{self.fabric.world_size} processes train each run together, and {self.jobs} runs cannot take turns"
            raise ValueError(f"{what}: set runs_at_a_time to 1, or start without torchrun")

    @property
    def precision(self) -> str:
        """As keys say it."""
        return precision_of(self.fabric)

    def reading(self) -> "Lab":
        """The same place where nothing is made: what is not stored raises NotStoredError."""
        return replace(self, store=Store(self.store.root, read_only=True))
