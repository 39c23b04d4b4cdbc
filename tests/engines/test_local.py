import os

import pytest
from tqdm import tqdm

from tests.engines import slow
from workbook.engines import choose_engine, engine_name
from workbook.engines.local import Local
from workbook.engines.ray import Ray
from workbook.errors import EngineError, NotStoredError
from workbook.lab import Lab


@pytest.fixture
def bar():
    with tqdm(total=21, file=open(os.devnull, "w")) as bar:
        yield bar


@pytest.mark.parametrize("at_a_time", [1, 2])
def test_results_come_in_order_and_a_failure_stops_no_other(store, fabric, bar, at_a_time):
    found = []
    with pytest.raises(EngineError) as told:
        for pair in Lab(store, fabric, Local(at_a_time)).map(slow.doubled, range(7), bar, lambda n: f"job {n}"):
            found.append(pair)
    assert found == [(0, 0), (1, 2), (2, 4), (4, 8), (6, 12)]
    assert "2 of 7 failed:\n  job 3: ValueError: 3 is odd\n  job 5: ValueError: 5 is odd" in str(told.value)
    assert isinstance(told.value.__cause__, ValueError)
    assert bar.n == 0 + 1 + 2 + 4 + 6, "the bar is told what each job tells its own"
    assert len(store.artefacts()) == 5, "what was made is stored"


def test_a_job_alone_fails_by_its_own_error(lab, bar):
    with pytest.raises(ValueError, match="3 is odd"):
        list(lab.map(slow.doubled, [3], bar, str))


def test_a_job_is_asked_for_when_one_is_done(lab, bar):
    asked = []

    def jobs():
        for number in (1, 2):
            asked.append(number)
            yield number

    coming = lab.map(slow.doubled, jobs(), bar, str)
    assert next(coming) == (1, 2) and asked == [1] and bar.desc == "1"
    assert list(coming) == [(2, 4)] and asked == [1, 2]


def test_where_one_only_reads_what_is_missing_is_told_as_that(lab, bar):
    list(lab.map(slow.doubled, [1], bar, str))
    assert list(lab.reading().map(slow.doubled, [1], bar, str)) == [(1, 2)]
    with pytest.raises(NotStoredError):
        list(lab.reading().map(slow.doubled, [2, 4], bar, str))


def test_the_engine_is_named_by_a_variable(monkeypatch):
    how = {"at_a_time": 2, "cpus": 3, "gpus": 0.5}
    monkeypatch.delenv("WORKBOOK_ENGINE", raising=False)
    assert choose_engine(**how) == Local(2)
    monkeypatch.setenv("WORKBOOK_ENGINE", "ray")
    assert choose_engine(**how) == Ray(3, 0.5)
    monkeypatch.setenv("WORKBOOK_ENGINE", "rai")
    with pytest.raises(EngineError, match="did you mean 'ray'.*set it to local or ray"):
        engine_name()
