from types import SimpleNamespace

import pytest

from workbook.devices import make_fabric
from workbook.engines.local import Local
from workbook.errors import NotStoredError
from workbook.lab import Lab


def test_precision_is_as_keys_say_it(store):
    assert Lab(store, make_fabric("cpu", "float32")).precision == "32-true"
    assert Lab(store, make_fabric("cpu", "bfloat16")).precision == "bf16-mixed"


def test_where_one_only_reads_nothing_is_made(lab):
    lab.store.remember("scores", {"a": 1}, lambda: 3)
    reading = lab.reading()
    assert (reading.store.root, reading.fabric) == (lab.store.root, lab.fabric)
    assert reading.store.remember("scores", {"a": 1}, pytest.fail) == 3
    with pytest.raises(NotStoredError):
        reading.store.remember("scores", {"a": 2}, pytest.fail)
    assert not lab.store.read_only and lab.store.remember("scores", {"a": 2}, lambda: 4) == 4


def test_how_many_runs_train_at_a_time(store, fabric):
    assert Lab(store, fabric, Local(3)).reading().engine == Local(3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Local(0)
    shared = SimpleNamespace(world_size=2)
    assert Lab(store, shared).engine == Local(1)
    with pytest.raises(ValueError, match="2 processes train each run together.*set runs_at_a_time to 1"):
        Lab(store, shared, Local(2))
