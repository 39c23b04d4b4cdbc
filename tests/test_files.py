import os

import numpy as np
import pytest

from workbook.errors import PathError
from workbook.files import (
    CHECKOUT,
    folder_of,
    named_file,
    user_path,
    without_home,
    write_array,
    write_atomically,
    written,
)


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


def test_what_is_written_lies_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write_array(tmp_path / "map.npy", np.arange(3))
    with written(tmp_path / "raw") as file:
        file.write(b"123")
    assert len(synced) == 2
    assert np.load(tmp_path / "map.npy").tolist() == [0, 1, 2] and (tmp_path / "raw").read_bytes() == b"123"


def test_a_path_of_a_user_is_one_place(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for given in ("~/x", "x", "./y/../x", "link/x", tmp_path / "x"):
        assert user_path(given) == tmp_path / "x"
    assert user_path("x", tmp_path / "y") == tmp_path / "y" / "x"
    (tmp_path / "loop").symlink_to("loop")
    assert user_path("loop") == tmp_path / "loop", "what is wrong with it is told by whoever opens it"
    for wrong in ("~nosuchuser/x", "a\0b"):
        with pytest.raises(PathError, match="is no path on this machine .*in full"):
            user_path(wrong)


def test_a_folder_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WORKBOOK_X", raising=False)
    assert folder_of("WORKBOOK_X", "x") == CHECKOUT / "x"
    monkeypatch.setenv("WORKBOOK_X", "~/here")
    assert folder_of("WORKBOOK_X", "x") == tmp_path / "here"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBOOK_X", "here")
    with pytest.raises(PathError, match=f"WORKBOOK_X=here depends on the folder .*: set it to {tmp_path}/here"):
        folder_of("WORKBOOK_X", "x")


def test_texts_that_name_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("weights.pt", "mine.yaml", "mine.py"):
        (tmp_path / name).touch()
    assert named_file("mine.yaml") == f"{tmp_path}/mine.yaml"
    assert named_file("~/mine.yaml:eval") == f"{tmp_path}/mine.yaml:eval"
    (tmp_path / "model").mkdir()
    assert named_file("model") == "model"
    (tmp_path / "model" / "config.json").touch()
    assert named_file("model") == f"{tmp_path}/model"
    assert named_file("weights.pt") == f"{tmp_path}/weights.pt"
    assert named_file("mine.py:network") == f"{tmp_path}/mine.py:network"
    for text in ("cifar100", "cifar100:eval", "gone.py:network", "resnet50.a1_in1k", "gone.yaml", "x" * 300, "a\0b"):
        assert named_file(text) == text


def test_what_is_shared_does_not_say_whose_home_it_is(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    values = {"a": ["/home/me/x.yaml", "in /home/me", 3], "b": {"c": "\x1b[32m/home/me/y.py\x1b[0m:3"}}
    assert without_home(values) == {"a": ["~/x.yaml", "in ~", 3], "b": {"c": "\x1b[32m~/y.py\x1b[0m:3"}}
    for text in ("/home/me2/x", "https://x.org/home/me/x", "a/home/me", "/home/me.old"):
        assert without_home(text) == text
    monkeypatch.setenv("HOME", "/")
    assert without_home("a / b") == "a / b"
