import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from workbook.errors import CorruptArtefactError, NotStoredError, StoreError
from workbook.files import write_array, write_atomically
from workbook.keys import key_of
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


FOREIGN_RECORDS = {
    "no JSON": '{"spec": ',
    "a list": "[1]",
    "null": "null",
    "a number": "3",
    "no object at all": "[" * 100_000,
    "no text": b"\xff\xfe",
    "no provenance": {"provenance": None},
    "no date": {"provenance": {"date": 3}},
    "checksums that are a list": {"checksums": []},
    "a checksum that is a number": {"checksums": {"value.txt": 1}},
    "a specification that is text": {"spec": "runs"},
    "another specification": {"spec": {"data": "xyz"}},
    "an origin that is a number": {"of": 3},
    "origins that are lists": {"of": [["a"]]},
}


@pytest.mark.parametrize("name", FOREIGN_RECORDS)
def test_a_damaged_record_is_named_and_stops_nothing_else(store, name):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    other = store.get_or_make("features", SPEC, write("two"))
    path, content = artefact.path / "artefact.json", FOREIGN_RECORDS[name]
    if isinstance(content, dict):
        content = json.dumps(json.loads(path.read_text()) | content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    for look_up in (lambda: store.find("runs", SPEC), lambda: store.by_key("runs", artefact.key)):
        with pytest.raises(CorruptArtefactError, match=rf"artefact.json .*store remove {artefact.key}"):
            look_up()
    assert [found.key for found in store.artefacts()] == [other.key]
    whole, damaged = store.entries()
    assert (whole.artefact, damaged.artefact, damaged.path) == (other, None, artefact.path)
    assert "artefact.json" in damaged.problem
    assert store.clear("features") == 1
    assert store.remove(artefact.key) == [artefact.path]


def test_a_result_without_its_file_is_damaged(store):
    store.remember("scores", SPEC, lambda: 1)
    path = store.find("scores", SPEC).path / "artefact.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"checksums": {}}))
    with pytest.raises(CorruptArtefactError, match="holds 0 files"):
        store.remember("scores", SPEC, pytest.fail)


def test_what_others_laid_into_unfinished_work_is_set_aside(store):
    with store.workdir("runs", SPEC) as folder:
        write("one")(folder)
        for name in (".value.txt.x1", "notes.txt", ".DS_Store", "artefact.json"):
            (folder / name).write_text(name)
        for name in ("sub", ".git"):
            (folder / name).mkdir()
        (folder / "link.txt").symlink_to("/nowhere")
    with pytest.warns(UserWarning, match=r"\.DS_Store, \.git, link\.txt, notes\.txt, sub lay in .* are in ") as caught:
        artefact = store.seal("runs", SPEC, ["value.txt"])
    assert set(artefact.checksums) == {"value.txt"}
    assert {path.name for path in artefact.path.iterdir()} == {"value.txt", "artefact.json"}
    (aside,) = (store.root / "set-aside").iterdir()
    assert str(aside) in str(caught[0].message)
    assert {path.name for path in aside.iterdir()} == {".DS_Store", ".git", "link.txt", "notes.txt", "sub"}
    assert (aside / "notes.txt").read_text() == "notes.txt"
    assert [entry.key for entry in store.entries()] == [artefact.key]


def test_what_a_process_makes_is_not_removed_under_its_hands(store):
    other = store.get_or_make("features", SPEC, write("two"))
    with store.lock("runs", SPEC), store.workdir("runs", SPEC) as folder, store.lock("features", SPEC):
        for attempt in (lambda: store.remove(key_of(SPEC)), lambda: store.clear("features")):
            with pytest.raises(StoreError, match=f"in the hands of process {os.getpid()} on .*: wait"):
                attempt()
        assert folder.exists() and other.path.exists()
    assert set(store.remove(key_of(SPEC))) == {folder, other.path}


def test_what_is_made_anew_may_be_dropped_but_not_under_the_hands_of_another(store):
    artefact = store.get_or_make("features", SPEC, write("one"))
    Store(store.root, read_only=True).drop("features", SPEC)
    with store.lock("features", SPEC):
        Store(store.root).drop("features", SPEC)
    assert store.find("features", SPEC) == artefact
    store.drop("features", SPEC)
    store.drop("features", SPEC)
    assert store.find("features", SPEC) is None and not list(store.root.glob("partial/*/*"))


def test_a_folder_that_is_removed_leaves_its_place_whole(store, monkeypatch):
    artefact = store.get_or_make("features", SPEC, write("one"))

    def killed(path):
        assert (path / "artefact.json").exists() and not artefact.path.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("workbook.store.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            store.remove(artefact.key)
    assert store.entries() == []
    store.drop("features", SPEC)  # what was left of it goes with the next
    assert not list(store.root.glob("partial/*/*"))


def test_arrays_are_whole_or_the_full_disk_is_told(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes the right to mount")
    try:
        small = Store(disk / "store")
        with pytest.raises(StoreError, match="no space left"):
            small.get_or_make("maps", SPEC, lambda folder: write_array(folder / "map.npy", np.zeros(100_000)))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


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
    with pytest.raises(StoreError, match="no permission.*WORKBOOK_STORE"):
        Store(tmp_path / "locked" / "store").get_or_make("runs", SPEC, write("one"))


def test_a_store_with_a_name_that_cannot_be(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for root, cause in ((tmp_path / "loop" / "store", "links lead in a circle"), (tmp_path / ("x" * 300), "too long")):
        assert Store(root).find("runs", SPEC) is None
        with pytest.raises(StoreError, match=f"cannot be written .*{cause}"):
            Store(root).get_or_make("runs", SPEC, write("one"))


def test_a_kind_that_is_a_file_is_told_before_the_work(store):
    store.root.mkdir()
    (store.root / "runs").write_text("")
    with pytest.raises(StoreError, match="runs: something else lies there"):
        store.get_or_make("runs", SPEC, pytest.fail)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_and_never_done_without(store, monkeypatch, number):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StoreError, match="cannot lock files.*local disk"):
        store.get_or_make("runs", SPEC, pytest.fail)


def test_a_read_only_file_system_under_remove(store, monkeypatch):
    artefact = store.get_or_make("runs", SPEC, write("one"))

    def refuse(path: Path, *_: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "value.txt")  # a name without its folder, as rmtree gives

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(StoreError, match="is read-only.*WORKBOOK_STORE"):
        store.remove(artefact.key)
    assert artefact.file("value.txt").read_text() == "one"


def test_a_linked_artefact_is_read_and_its_link_alone_removed(store, tmp_path):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    artefact.path.rename(tmp_path / "elsewhere")
    artefact.path.symlink_to(tmp_path / "elsewhere")
    assert store.find("runs", SPEC).file("value.txt").read_text() == "one"
    assert store.remove(artefact.key) == [artefact.path]
    assert store.find("runs", SPEC) is None
    assert (tmp_path / "elsewhere" / "value.txt").read_text() == "one"


@pytest.mark.parametrize(("target", "cause"), [("nowhere", "link to .*nowhere, which is not there"), (None, "circle")])
def test_a_link_that_leads_nowhere_is_damage_and_not_made_over(store, tmp_path, target, cause):
    place = store.root / "runs" / key_of(SPEC)
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / target if target else place)
    with pytest.raises(CorruptArtefactError, match=f"{cause}.*store remove {place.name}"):
        store.get_or_make("runs", SPEC, pytest.fail)
    assert store.remove(place.name) == [place]
    assert store.get_or_make("runs", SPEC, write("one")).file("value.txt").read_text() == "one"


def test_a_file_that_became_a_folder_or_may_not_be_read(store, monkeypatch):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    path = artefact.path / "value.txt"
    path.unlink()
    path.mkdir()
    with pytest.raises(CorruptArtefactError, match="it is a folder"):
        artefact.file("value.txt")

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("workbook.artefacts.file_digest", refuse)
    with pytest.raises(StoreError, match="no permission.*may be whole") as caught:
        artefact.file("value.txt")
    assert not isinstance(caught.value, CorruptArtefactError), "what cannot be read is not called damaged"


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


def brought(made, **changed: bytes):
    """Fills a folder with the files of an artefact, some of them changed on the way."""

    def fill(folder: Path) -> None:
        for path in made.path.iterdir():
            (folder / path.name).write_bytes(changed.get(path.stem, path.read_bytes()))

    return fill


def test_what_was_made_elsewhere_takes_its_place_whole_and_once(store, tmp_path):
    made = Store(tmp_path / "elsewhere").get_or_make("runs", SPEC, write("one"))
    with pytest.raises(ValueError), store.workdir("runs", SPEC):
        raise ValueError("begun here as well")
    received = store.receive("runs", made.key, brought(made))
    assert received == store.find("runs", SPEC)
    assert received.provenance == made.provenance
    assert received.file("value.txt").read_text() == "one"
    assert [entry.unfinished for entry in store.entries()] == [False]
    assert store.receive("runs", made.key, lambda folder: pytest.fail("it is here")) == received


@pytest.mark.parametrize("name", ["value", "artefact"])
def test_a_wrong_byte_on_the_way_is_refused_and_the_rest_kept(store, tmp_path, name):
    made = Store(tmp_path / "elsewhere").get_or_make("runs", SPEC, write("one"))
    with pytest.raises(CorruptArtefactError, match=f"{made.key}.* came damaged"):
        store.receive("runs", made.key, brought(made, **{name: b"{"}))
    assert store.find("runs", SPEC) is None

    def the_rest(folder: Path) -> None:
        (there,) = folder.iterdir()
        assert there.stem != name
        brought(made)(folder)

    assert store.receive("runs", made.key, the_rest).file("value.txt").read_text() == "one"


def test_a_record_that_names_files_elsewhere_is_refused(store, tmp_path):
    made = Store(tmp_path / "elsewhere").get_or_make("runs", SPEC, write("one"))
    record = json.loads((made.path / "artefact.json").read_text())
    record["checksums"] = {"../../value.txt": "00"}
    with pytest.raises(CorruptArtefactError, match="came damaged"):
        store.receive("runs", made.key, brought(made, artefact=json.dumps(record).encode()))


def test_nothing_is_brought_to_a_store_that_is_read_only(tmp_path):
    with pytest.raises(NotStoredError, match="read only"):
        Store(tmp_path, read_only=True).receive("runs", "0" * 20, write("one"))


@pytest.mark.parametrize("text", ["{", "[]", '{"left_out": 3}', '{"left_out": [1]}'])
def test_a_damaged_mark_of_what_an_artefact_came_without_is_named(store, text):
    artefact = store.get_or_make("runs", SPEC, write("one"))
    (artefact.path / "light.json").write_text(text)
    with pytest.raises(CorruptArtefactError, match=rf"store remove {artefact.key}"):
        store.find("runs", SPEC)


def test_what_was_begun_to_be_brought_is_listed_and_removed(store):
    def broken_off(folder: Path) -> None:
        (folder / "value.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.receive("runs", key_of(SPEC), broken_off)
    (entry,) = store.entries()
    assert (entry.kind, entry.key, entry.unfinished) == ("runs", key_of(SPEC), True)
    assert store.remove(entry.key) == [entry.path]
    assert store.entries() == []
