"""A Ray cluster of two machines, here two raylets on loopback, which see no folder of each other nor of home."""

import os
import re
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
from tqdm import tqdm

from tests.engines import slow
from tests.pretraining.small import DIGITS, PROJECTOR
from tests.threads import one_thread
from workbook.data import load_images
from workbook.engines.away import Away
from workbook.engines.local import Local
from workbook.engines.ray import QUIET, Ray, _check, _connected, _store, _Terms
from workbook.errors import EngineError
from workbook.evaluation.extraction import POOLED
from workbook.evaluation.stagewise import stagewise_evaluation
from workbook.lab import Lab
from workbook.pretraining import loop, runs
from workbook.pretraining.runs import train_all
from workbook.probes.linear import ProbeRecipe
from workbook.provenance import versions_here
from workbook.store import PASSING, Store

ROOT = Path(__file__).parents[2]
SWEEP = [replace(DIGITS, projector=PROJECTOR, seed=seed) for seed in range(6)]


class TwoMachines:
    """A cluster; the driver is on the first machine. folder: of the stores, `home`, and of the machines."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder, self.epochs = folder, folder / "epochs"
        self.cluster = Cluster()
        try:
            self._add("first", include_dashboard=False)
            self.other = self._add("other")
        except Exception:
            self.cluster.shutdown()
            raise

    def _add(self, name: str, **how: object):
        shared = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", slow.EPOCH: str(self.epochs)}
        own = shared | {"WORKBOOK_STORE": str(self.folder / name)}
        bare = {"include_log_monitor": False, "no_monitor": True, "object_store_memory": 80 * 2**20}
        return self.cluster.add_node(num_cpus=1, env_vars=own, **bare, **how)

    def lose_the_other(self) -> None:
        """Its raylet and all that works there are killed."""
        (raylet,) = self.other.all_processes["raylet"]
        machine = psutil.Process(raylet.process.pid)
        for process in [machine, *machine.children(recursive=True)]:
            process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    alone = {"RAY_AUTH_MODE": "disabled", "RAY_agent_register_timeout_ms": "120000", "PYTHONPATH": str(ROOT)}
    for name, value in (QUIET | alone).items():
        patch.setenv(name, value)
    import ray

    for tries in range(3):  # Ray gives up after half a minute, which a busy machine may take
        try:
            made = TwoMachines(tmp_path_factory.mktemp("machines"))
            break
        except Exception:
            if tries == 2:
                raise
    patch.setenv("RAY_ADDRESS", made.cluster.address)
    yield made
    ray.shutdown()
    made.cluster.shutdown()
    patch.undo()


@pytest.fixture
def away(machines, fabric) -> Lab:
    return Lab(Store(machines.folder / "home"), fabric, Ray())


def quiet() -> tqdm:
    return tqdm(disable=True, total=0)


def test_results_come_in_order_and_a_failure_stops_no_other(away, capfd):
    bar, found = tqdm(total=21, file=open(os.devnull, "w")), []  # noqa: SIM115
    with pytest.raises(EngineError) as told:
        for pair in away.map(slow.doubled, range(7), bar, str):
            found.append(pair)
    assert found == [(0, 0), (1, 2), (2, 4), (4, 8), (6, 12)]
    assert "2 of 7 failed" in str(told.value) and "5: ValueError: 5 is odd" in str(told.value)
    assert bar.n == 0 + 1 + 2 + 4 + 6
    assert capfd.readouterr() == ("", ""), "Ray says nothing in a notebook"


def test_what_is_stored_is_read_at_home_and_by_every_worker(away, machines):
    list(away.map(slow.nothing, range(4), quiet(), str))
    assert {one.spec["number"] for one in away.store.artefacts() if one.kind == "empty"} == {0, 1, 2, 3}
    made = {name: len([*machines.folder.glob(f"{name}/empty/*")]) for name in ("first", "other")}
    assert made["first"] + made["other"] == 4 and min(made.values()) > 0, "both worked, each in a store of its own"
    nobody = replace(away, engine=Ray(cpus=1000))  # which no machine has
    assert len(list(nobody.map(slow.nothing, range(4), quiet(), str))) == 4
    with pytest.raises(EngineError, match="a job takes 1000 CPUs.*have 1 CPUs.*set cpus_a_job"):
        list(nobody.map(slow.nothing, [4], quiet(), str))


def test_probes_of_runs_that_are_at_home(away, tmp_path):
    short = [replace(recipe, epochs=1, checkpoint_epochs=()) for recipe in SWEEP[:2]]
    parts = tuple(load_images("digits", split).per_class(10) for split in ("train", "test"))
    tables = []
    with one_thread():
        for lab in (Lab(Store(tmp_path), away.fabric), away):
            found = train_all(short, replace(lab, engine=Local()))
            tables.append(stagewise_evaluation(found, parts, POOLED, ProbeRecipe(c_values=(0.1,)), lab))
    pd.testing.assert_frame_equal(*tables)
    assert not [one for one in away.store.artefacts() if one.kind == PASSING], "features that are dropped do not travel"


def terms(root: Path, **changes: object) -> _Terms:
    own = {"host": "home", "versions": versions_here(), "root": root, "mark": ".home-1", "lab": None}
    return _Terms(**own | {"device": "cpu", "precision": "float32", "threads": 1} | changes)


def test_a_machine_with_other_code_refuses(tmp_path):
    _check(terms(tmp_path))
    _check(terms(tmp_path, versions=versions_here() | {"commit": "that of a saved notebook"}))
    with pytest.raises(EngineError, match="has commit .* and home has .*torch 1.0: take the same checkout"):
        _check(terms(tmp_path, versions=versions_here() | {"torch": "1.0"}))
    with pytest.raises(EngineError, match="files 123"):
        _check(terms(tmp_path, versions=versions_here() | {"files": "123"}))


def test_a_machine_that_sees_home_s_folder_works_in_it(tmp_path, monkeypatch):
    home, own = tmp_path / "home", tmp_path / "own"
    home.mkdir()
    (home / ".home-1").touch()
    monkeypatch.delenv("WORKBOOK_STORE", raising=False)
    found = _store(terms(home), print, 0, "a")
    assert (type(found), found.root) == (Store, home), "by the name that it has there"
    monkeypatch.setenv("WORKBOOK_STORE", str(own))
    found = _store(terms(home), print, 0, "a")
    assert (type(found), found.root) == (Away, own)
    own.symlink_to(home)
    assert type(_store(terms(home), print, 0, "a")) is Store, "under another name"


def test_ray_s_client_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://elsewhere:10001")
    with pytest.raises(EngineError, match="ray start --address"):
        _connected()


def test_a_sweep_of_which_a_machine_is_lost_ends_as_one_here_does(away, machines, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WORKBOOK_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setattr(runs, "_trained", slow.trained_slowly)
    lost: list[str] = []

    def lose() -> None:
        """In the middle of a run of the other machine, of which home has a state."""
        while not lost:
            begun = {path.name for path in machines.folder.glob("other/partial/runs/*")}
            lost.extend(begun & {path.parent.name for path in machines.folder.glob("home/partial/runs/*/resume.pt")})
            time.sleep(0.05)
        machines.lose_the_other()

    losing = threading.Thread(target=lose)
    losing.start()
    found = train_all(SWEEP, away)
    losing.join()
    assert [run.recipe.seed for run in found] == [0, 1, 2, 3, 4, 5]
    assert not list(away.store.root.glob("partial/runs/*"))
    assert re.search(r"6 runs: [1-9]\d?%", (tmp_path / "progress").read_text()), "images are told as they are trained"
    assert capfd.readouterr() == ("", "")

    with one_thread():
        alone = train_all(SWEEP, Lab(Store(tmp_path), away.fabric))
    for run, own in zip(found, alone, strict=True):
        assert run.artefact.problems() == []
        for name in (name for name in loop.files_of(run.recipe) if name != loop.HISTORY):
            assert run.artefact.checksums[name] == own.artefact.checksums[name]

    (seed,) = {str(run.recipe.seed) for run in found if run.key == lost[0]}
    lines = [line.split() for line in machines.epochs.read_text().splitlines()]
    there, here = ([int(e) for s, e, place in lines if (s, place) == (seed, name)] for name in ("other", "first"))
    assert there and here, "begun there, and ended here"
    assert here[0] > 1 and here == list(range(here[0], SWEEP[0].epochs + 1)), "what home had was not trained again"
