"""One process at a time, whatever ends the others; a lock's file goes with it, and says meanwhile whose it is."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from workbook import locks
from workbook.locks import ProcessLock
from workbook.store import Store

SPEC = {"a": 1}


def _count(path: Path, counter: Path, rounds: int) -> None:
    for _ in range(rounds):
        lock = ProcessLock(path)
        assert lock.take("a count")
        counted = int(counter.read_text())
        time.sleep(0.0005)  # long enough that another would read the same
        counter.write_text(str(counted + 1))
        lock.let_go()


def test_processes_that_race_for_a_lock_hold_it_one_after_another_and_leave_no_file(tmp_path):
    path, counter = tmp_path / "locks" / "x.lock", tmp_path / "count"
    counter.write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_count, args=(path, counter, 50)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert counter.read_text() == "200"
    assert list(path.parent.iterdir()) == []


def test_a_lock_of_a_file_that_was_removed_and_made_anew_is_none(tmp_path, monkeypatch):
    """Between its opening and its locking the file went, and another process made a new one."""
    path, taken = tmp_path / "x.lock", fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and calls.append(descriptor) is None and len(calls) == 1:
            path.rename(tmp_path / ".nfs")  # as a shared folder removes a file that is open: it has a name still
            path.touch()
        taken(descriptor, operation)

    calls: list[int] = []
    monkeypatch.setattr(fcntl, "flock", flock)
    lock = ProcessLock(path)
    assert not lock.take()
    assert lock.take() and len(calls) == 2
    lock.let_go()
    assert not path.exists()


def test_a_file_that_another_machine_removed_is_asked_for_again(tmp_path, monkeypatch):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert not ProcessLock(tmp_path / "x.lock").take()


def test_a_lock_that_was_taken_over_by_hand_is_not_removed_by_its_old_holder(tmp_path):
    old, new = ProcessLock(tmp_path / "x.lock"), ProcessLock(tmp_path / "x.lock")
    assert old.take() and not new.take()
    old.path.unlink()
    assert new.take()
    old.let_go()
    assert new.path.exists() and not ProcessLock(old.path).take()
    new.let_go()


def test_a_store_keeps_no_lock_files(store):
    store.remember("scores", SPEC, lambda: 1)
    with pytest.raises(ZeroDivisionError):
        store.remember("scores", {"a": 2}, lambda: 1 / 0)
    store.clear("scores")
    assert list((store.root / "locks").iterdir()) == []


def _hold(root: Path, ready: Path) -> None:
    with Store(root).lock("runs", SPEC):
        ready.touch()
        signal.pause()


@pytest.fixture
def held(store, tmp_path):
    """The lock of a run in the hands of another process."""
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(store.root, tmp_path / "ready"))
    process.start()
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    yield process
    process.kill()
    process.join()


def test_what_a_killed_process_held_is_taken_over_and_its_file_goes_then(store, held):
    (path,) = (store.root / "locks").iterdir()
    held.kill()
    held.join()
    assert path.exists() and f"process {held.pid} on" in ProcessLock(path).holder()
    with store.lock("runs", SPEC):
        assert f"process {os.getpid()} on" in ProcessLock(path).holder()
    assert not path.exists()


def test_who_waits_sees_who_holds_it_for_how_long_and_later_what_to_do(store, held, monkeypatch):
    (path,) = (store.root / "locks").iterdir()
    about = json.loads(path.read_text())
    assert about["host"] == socket.gethostname()
    path.write_text(json.dumps(about | {"since": time.time() - 7300}))
    os.utime(path, (0, time.time() - 7300))
    work = store.root / "partial" / "runs" / path.stem.removeprefix("runs-")
    lines: list[str] = []

    def acquired(lock: ProcessLock, seconds: float) -> bool:
        lines.append(lock._told("SL, seed 0"))
        if len(lines) == 1:  # it has written since
            work.mkdir(parents=True)
            (work / "resume.pt").touch()
        if len(lines) == 2:  # and long no more
            for seen in (work, work / "resume.pt"):
                os.utime(seen, (0, time.time() - 2000))
        return len(lines) == 4

    monkeypatch.setattr(locks.ProcessLock, "_acquired", acquired)
    with store.lock("runs", SPEC, title="SL, seed 0"):
        pass
    who = f"waits for another process that makes SL, seed 0 (process {held.pid} on {about['host']}, for 2:01:40)"
    assert lines[0].startswith(who) and "Nothing was seen of it for 2:01:40" in lines[0]
    assert lines[1] == who
    assert "Nothing was seen of it for 33:20: look whether it runs" in lines[2] and f"remove {path}" in lines[2]
