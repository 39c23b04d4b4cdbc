import pytest

from workbook.devices import make_fabric
from workbook.errors import NotStoredError
from workbook.lab import Lab


def test_precision_is_as_keys_say_it(store):
    assert Lab(store, make_fabric("cpu")).precision == "32-true"
    assert Lab(store, make_fabric("cpu", "bfloat16")).precision == "bf16-mixed"


def test_where_one_only_reads_nothing_is_made(lab):
    lab.store.remember("scores", {"a": 1}, lambda: 3)
    reading = lab.reading()
    assert (reading.store.root, reading.fabric) == (lab.store.root, lab.fabric)
    assert reading.store.remember("scores", {"a": 1}, pytest.fail) == 3
    with pytest.raises(NotStoredError):
        reading.store.remember("scores", {"a": 2}, pytest.fail)
    assert not lab.store.read_only and lab.store.remember("scores", {"a": 2}, lambda: 4) == 4
