import errno
import json
import multiprocessing
import os
import subprocess
from pathlib import Path

import pytest

from workbook.errors import CorruptArtefactError, NotStoredError, StoreError
from workbook.files import write_atomically
from workbook.store import Store

SPEC = {"recipe": {"epochs": 3, "milestones": (1, 2)}, "data": "abc"}


def write(text: str):
    return lambda folder: write_atomically(folder / "value.txt", text.encode())


def test_what_was_made_is_found_and_not_made_again(store):
    assert store.find("runs", SPEC) is None
    made = store.get_or_make("runs", SPEC, write("one"))
    again = store.get_or_make("runs", SPEC, write("two"))
    assert again == made
    assert again.file("value.txt").read_text() == "one"


def test_the_record_says_what_made_it(store):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    record = json.loads((artefact.path / "artefact.json").read_text())
    assert record["spec"] == {"recipe": {"epochs": 3, "milestones": [1, 2]}, "data": "abc"}
    assert {"date", "code", "libraries", "hardware"} <= set(record["provenance"])


def test_a_changed_file_is_named_with_its_mend(store):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    (artefact.path / "value.txt").write_text("two")
    with pytest.raises(CorruptArtefactError, match=rf"value.txt .*store remove {artefact.key}"):
        store.find("runs", SPEC).file("value.txt")


def test_a_missing_file_is_named(store):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    (artefact.path / "value.txt").unlink()
    with pytest.raises(CorruptArtefactError, match="value.txt is missing"):
        artefact.file("value.txt")


def test_a_torn_record_is_named(store):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    (artefact.path / "artefact.json").write_text('{"spec": ')
    with pytest.raises(CorruptArtefactError, match="artefact.json cannot be read"):
        store.find("runs", SPEC)


def test_a_record_of_something_else_is_refused(store):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    record = json.loads((artefact.path / "artefact.json").read_text())
    record["spec"]["data"] = "xyz"
    (artefact.path / "artefact.json").write_text(json.dumps(record))
    with pytest.raises(CorruptArtefactError, match="something else"):
        store.find("runs", SPEC)


def test_what_failed_is_not_found_and_its_work_is_kept(store):
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        store.get_or_make("runs", SPEC, fail)
    assert store.find("runs", SPEC) is None
    artefact = store.get_or_make("runs", SPEC, write("one"))
    assert artefact.file("half.txt").read_text() == "half"


def test_torn_temporary_files_do_not_become_part_of_it(store):
    def make(folder: Path) -> None:
        (folder / ".value.txt.x1").write_text("torn")
        write("one")(folder)

    assert set(store.get_or_make("runs", SPEC, make).checksums) == {"value.txt"}


def _append_and_wait(root: Path, log: Path) -> None:
    def make(folder: Path) -> None:
        with log.open("a") as file:
            file.write("made\n")
        write("one")(folder)

    Store(root).get_or_make("runs", SPEC, make)


def test_two_processes_make_it_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    processes = [context.Process(target=_append_and_wait, args=(tmp_path / "store", log)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text() == "made\n"


def test_list_and_remove(store):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    other = store.get_or_make("features", SPEC | {"data": "d"}, write("two"))
    assert {found.key for found in store.artefacts()} == {artefact.key, other.key}
    assert store.remove(artefact.key) == [artefact.path]
    assert store.find("runs", SPEC) is None
    assert store.find("features", SPEC | {"data": "d"}) == other


def test_a_kind_is_cleared_and_no_other(store):
    run = store.get_or_make("runs", SPEC, write("one"))
    for spec in (SPEC, SPEC | {"data": "b"}):  # the first has the run's key
        store.get_or_make("features", spec, write("features"))
    assert store.clear("features") == 2
    assert [found.key for found in store.artefacts()] == [run.key]


@pytest.mark.parametrize(
    ("kind", "reason"), [("runs", "key by key"), ("feature", "it holds features"), ("..", "holds")]
)
def test_what_is_no_kind_to_clear_is_refused(store, kind, reason):
    store.get_or_make("runs", SPEC, write("one"))
    store.get_or_make("features", SPEC, write("two"))
    with pytest.raises(StoreError, match=reason):
        store.clear(kind)
    assert len(store.artefacts()) == 2


@pytest.mark.parametrize("key", ["", "0123", "..", "*", "runs", "0" * 20])
def test_removing_what_is_not_there_is_refused(store, key):
    store.get_or_make("runs", SPEC, write("one"))
    with pytest.raises(StoreError, match="holds nothing"):
        store.remove(key)
    assert len(store.artefacts()) == 1


def test_a_store_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written .*WORKBOOK_STORE"):
        Store(tmp_path / "file" / "store").get_or_make("runs", SPEC, write("one"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_without_permission(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="Permission denied.*WORKBOOK_STORE"):
        Store(tmp_path / "locked" / "store").get_or_make("runs", SPEC, write("one"))


def test_errors_of_other_places_are_not_the_store_s(store):
    def make(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/image.png")

    with pytest.raises(PermissionError):
        store.get_or_make("runs", SPEC, make)


def test_a_full_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes the right to mount")
    try:
        small = Store(disk / "store")
        kept = small.get_or_make("runs", SPEC, write("one"))
        with pytest.raises(StoreError, match="no space left.*untouched"):
            small.get_or_make("runs", SPEC | {"data": "big"}, write("x" * 400_000))
        assert kept.file("value.txt").read_text() == "one"
        assert [found.key for found in small.artefacts()] == [kept.key]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_read_only_store_gives_what_is_there_and_makes_nothing(store):
    spec, other = {"a": 1}, {"a": 2}
    stored = store.get_or_make("things", spec, lambda folder: (folder / "x").write_text("x"))
    with store.workdir("things", other):
        pass
    before = sorted(store.root.rglob("*"))
    reading = Store(store.root, read_only=True)
    assert reading.get_or_make("things", spec, pytest.fail).key == stored.key
    with pytest.raises(NotStoredError, match="only an unfinished part of the things") as caught:
        reading.get_or_make("things", other, pytest.fail)
    assert caught.value.unfinished
    with pytest.raises(NotStoredError, match="none of the things .*run what makes it first") as caught:
        reading.get_or_make("things", {"a": 3}, pytest.fail)
    assert not caught.value.unfinished
    assert sorted(store.root.rglob("*")) == before


def counted(values: list):
    """Gives the values one by one."""
    return lambda: values.pop(0)


def test_a_small_result_is_computed_once(store):
    values = [{"accuracy": 1.5, "classes": ["a", "b"]}, "another"]
    assert [store.remember("scores", SPEC, counted(values)) for _ in range(2)] == [
        {"accuracy": 1.5, "classes": ["a", "b"]}
    ] * 2
    assert values == ["another"]
    assert store.remember("scores", SPEC | {"data": "d"}, counted(values)) == "another"
    assert Store(store.root, read_only=True).remember("scores", SPEC, pytest.fail)["accuracy"] == 1.5
    with pytest.raises(NotStoredError, match="none of the scores"):
        Store(store.root, read_only=True).remember("scores", {"a": 1}, pytest.fail)


def test_a_result_that_was_changed_or_cannot_be_computed(store):
    with pytest.raises(ZeroDivisionError):
        store.remember("scores", SPEC, lambda: 1 / 0)
    assert store.remember("scores", SPEC, lambda: [1]) == [1], "nothing was kept of the one that failed"
    path = store.find("scores", SPEC).path / "result.json"
    path.write_text("[2]")
    with pytest.raises(CorruptArtefactError, match=r"result.json .*store remove"):
        store.remember("scores", SPEC, pytest.fail)


@pytest.mark.parametrize("name", ["cka.json", "probe.json"])
def test_results_of_before_lie_in_files_of_other_names(store, name):
    store.get_or_make("cka", SPEC, lambda folder: write_atomically(folder / name, b"[[1.0, 0.5]]"))
    assert store.remember("cka", SPEC, pytest.fail) == [[1.0, 0.5]]


def test_an_artefact_by_its_key(store):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    assert store.by_key("runs", artefact.key) == artefact
    for kind, key in (("features", artefact.key), ("runs", "0" * 20), ("runs", ""), ("runs", "../runs")):
        assert store.by_key(kind, key) is None
