"""A store away from home; what Ray carries between the two is called here."""

import time
from pathlib import Path
from typing import Any

import pytest

from workbook.engines import away
from workbook.engines.away import Away, Home
from workbook.errors import CorruptArtefactError, EngineError
from workbook.files import write_atomically
from workbook.store import PASSING, Store

SPEC = {"what": "a run"}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.setattr(away, "_CHUNK", 7)
    return Home(tmp_path / "home")


def worker(home: Home, root: Path, *, job: int = 0, attempt: str = "a") -> Away:
    home.begin(job, attempt)
    return Away(root, lambda name, *given, **how: getattr(home, name)(*given, **how), job, attempt)


def fill(folder: Path) -> None:
    (folder / "long").write_bytes(bytes(range(100)))
    (folder / "empty").touch()


def test_what_is_made_away_is_at_home_and_what_is_at_home_is_read_away(home, tmp_path):
    made = worker(home, tmp_path / "one").get_or_make("features", SPEC, fill)
    at_home = home.store.get("features", SPEC)
    assert at_home.checksums == made.checksums and at_home.problems() == []
    assert at_home.provenance == made.provenance, "of where it was made"
    other = worker(home, tmp_path / "two", job=1)
    assert other.get_or_make("features", SPEC, pytest.fail).file("long").read_bytes() == bytes(range(100))
    assert Store(tmp_path / "two").find("features", SPEC) is not None
    assert other.find("features", {"what": "nothing"}) is None
    assert not home.locks and not any(path.is_file() for path in home.store.root.rglob("partial/**/*"))


def test_what_is_soon_dropped_stays_where_it_was_made(home, tmp_path):
    there = worker(home, tmp_path / "one")
    there.get_or_make(PASSING, SPEC, fill)
    assert home.store.artefacts() == []
    there.drop(PASSING, SPEC)
    assert there.artefacts() == []


def test_what_was_sealed_and_not_yet_brought_home_is_brought_when_it_is_looked_for(home, tmp_path):
    Store(tmp_path / "one").get_or_make("runs", SPEC, fill)
    there = worker(home, tmp_path / "one")
    assert there.find("runs", SPEC) is not None and home.store.get("runs", SPEC).problems() == []


def test_home_s_lock_is_that_of_everybody(home, tmp_path):
    one, two = (worker(home, tmp_path / name, job=job) for job, name in enumerate(["one", "two"]))
    driver = Store(home.store.root).lock("runs", SPEC, wait=False)
    with one.lock("runs", SPEC) as held, two.lock("runs", SPEC, wait=False) as other, driver as third:
        assert (held, other, third) == (True, False, False)
    with home.store.lock("runs", SPEC), one.lock("runs", SPEC, wait=False) as held:
        assert not held
    with one.lock("runs", SPEC, wait=False) as held:
        assert held


def test_a_job_that_is_begun_again_goes_on_from_what_came_home(home, tmp_path, monkeypatch):
    first = worker(home, tmp_path / "one")
    with pytest.raises(KeyboardInterrupt), first.lock("runs", SPEC), first.workdir("runs", SPEC) as folder:
        for name in ("epoch_1", "resume"):
            write_atomically(folder / name, name * 5)
        raise KeyboardInterrupt
    stale = Store(tmp_path / "two").partial("runs", folder.name)
    stale.mkdir(parents=True)
    (stale / "older").touch()
    assert home.lock(0, "a", "runs", SPEC)  # and its machine is heard of no more
    again = worker(home, tmp_path / "two", attempt="b")
    with again.lock("runs", SPEC, wait=False) as held, again.workdir("runs", SPEC) as folder:
        assert held, "nobody holds what a lost machine held"
        assert {path.name: path.read_text() for path in folder.iterdir()} == {
            "epoch_1": "epoch_1" * 5,
            "resume": "resume" * 5,
        }
        (folder / "resume").unlink()
        again.seal("runs", SPEC, ["epoch_1"])
    assert [*home.store.get("runs", SPEC).checksums] == ["epoch_1"]
    with pytest.raises(EngineError, match="begun again on another machine"):
        first.get_or_make("features", SPEC, fill)


def test_work_comes_home_while_it_goes_on_and_only_what_changed(home, tmp_path, monkeypatch):
    monkeypatch.setattr(away, "KEPT_SECONDS", 0.01)
    came: list[str] = []
    there = worker(home, tmp_path / "one")
    tell = there._tell

    def told(name: str, *given: Any, **how: Any) -> Any:
        answer = tell(name, *given, **how)
        if name == "write" and given[3].last:
            came.append(given[2])  # by now it is there
        return answer

    there._tell = told
    with there.lock("runs", SPEC), there.workdir("runs", SPEC) as folder:
        at_home = home.store.partial("runs", folder.name)
        write_atomically(folder / "epoch_1", "1")
        write_atomically(folder / "state", "1")
        while "state" not in came:
            time.sleep(0.01)
        write_atomically(folder / "epoch_2", "2")
        write_atomically(folder / "state", "2")
        while came.count("state") < 2:
            time.sleep(0.01)
        assert came == ["epoch_1", "state", "epoch_2", "state"] and (at_home / "state").read_text() == "2"


def test_a_wrong_byte_on_the_way_is_refused(home, tmp_path):
    there = worker(home, tmp_path / "one")
    write = home.write

    def broken(*given: Any, **how: Any) -> None:
        *where, name, chunk = given
        wrong = name == "long" and chunk.offset == 14
        write(*where, name, chunk._replace(data=b"x" * 7) if wrong else chunk, **how)

    home.write = broken
    with pytest.raises(CorruptArtefactError, match="long came damaged"):
        there.get_or_make("features", SPEC, fill)
    assert home.store.artefacts() == []
    home.write = write
    again = worker(home, tmp_path / "one", attempt="b")
    again.get_or_make("features", SPEC, pytest.fail)
    assert home.store.get("features", SPEC).problems() == []
