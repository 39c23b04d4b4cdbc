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

    @property
    def precision(self) -> str:
        """As keys say it."""
        return precision_of(self.fabric)

    def reading(self) -> "Lab":
        """The same place where nothing is made: what is not stored raises NotStoredError."""
        return replace(self, store=Store(self.store.root, read_only=True))
