import os

import pytest

from workbook.files import CHECKOUT, write_atomically


def test_the_checkout_is_where_the_package_lies():
    assert (CHECKOUT / "workbook" / "files.py").is_file()


def test_what_was_there_is_replaced_at_once(tmp_path):
    path = tmp_path / "value.txt"
    write_atomically(path, b"one")
    before = path.open("rb")  # whoever reads goes on reading the old file
    write_atomically(path, b"two")
    assert (before.read(), path.read_bytes()) == (b"one", b"two")
    before.close()
    assert [found.name for found in tmp_path.iterdir()] == ["value.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "value.txt"
    write_atomically(path, b"one")

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"two")
    assert [found.read_bytes() for found in tmp_path.iterdir()] == [b"one"]
