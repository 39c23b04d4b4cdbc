"""Processes that want the same runs, and a notebook's cell that is stopped: what the store holds, bit for bit."""

import multiprocessing
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch
from jupyter_client.manager import start_new_kernel

from tests.pretraining.small import DIGITS, PROJECTOR
from tests.threads import one_thread
from workbook.devices import make_fabric
from workbook.engines.local import Local
from workbook.lab import Lab
from workbook.pretraining import runs
from workbook.pretraining.runs import Run, train, train_all
from workbook.store import Store

SHORT = replace(DIGITS, epochs=2, projector=PROJECTOR)
SWEEP = [replace(SHORT, seed=seed) for seed in range(4)]


def same(run: Run, other: Run) -> bool:
    weights, others = run.model().state_dict(), other.model().state_dict()
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _train_sweep(root: Path, told: Path, together: Barrier) -> None:
    torch.set_num_threads(1)
    together.wait()
    found = train_all(SWEEP, Lab(Store(root), make_fabric("cpu", "float32")))
    told.write_text("".join("s" if run.stored else "t" for run in found))


def test_runs_that_train_at_a_time_are_those_that_train_in_turn(tmp_path, fabric):
    sweep = [SWEEP[1], SWEEP[0]]
    with one_thread():
        alone = train_all(sweep, Lab(Store(tmp_path / "alone"), fabric))
    together = Lab(Store(tmp_path / "together"), fabric, Local(2))
    runs_of_both = train_all(sweep, together)
    assert [run.recipe for run in runs_of_both] == sweep and not any(run.stored for run in runs_of_both)
    assert all(map(same, runs_of_both, alone))
    again = train_all(sweep, together)
    assert [run.key for run in again] == [run.key for run in runs_of_both] and all(run.stored for run in again)


def test_two_processes_share_a_sweep(tmp_path, fabric):
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    told = [tmp_path / "a", tmp_path / "b"]
    processes = [context.Process(target=_train_sweep, args=(tmp_path / "shared", path, together)) for path in told]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    one, two = (path.read_text() for path in told)
    assert "t" in one and "t" in two, "both worked"
    assert all({a, b} == {"s", "t"} for a, b in zip(one, two, strict=True)), "each run was trained once"
    with one_thread():
        alone = train_all(SWEEP, Lab(Store(tmp_path / "alone"), fabric))
    shared = train_all(SWEEP, Lab(Store(tmp_path / "shared"), fabric))
    assert [run.recipe.seed for run in shared] == [0, 1, 2, 3]
    assert all(same(run, other) for run, other in zip(alone, shared, strict=True))


def test_a_run_that_another_process_trains_is_left_for_the_end(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_PROGRESS", str(tmp_path / "log"))
    busy, free = (plan.spec for plan in runs._plan(SWEEP[:2], lab))
    locked = threading.Event()

    def hold() -> None:
        with lab.store.lock("runs", busy):
            locked.set()
            wait_for(lambda: lab.store.find("runs", free))
            wait_for(lambda: "waits for another process that makes SL-MLP" in (tmp_path / "log").read_text())

    other = threading.Thread(target=hold)
    other.start()
    locked.wait()
    found = train_all(SWEEP[:2], lab)
    other.join()
    assert [run.recipe.seed for run in found] == [0, 1]
    assert [run.stored for run in found] == [False, False], "the other one stopped without a result"
    lines = (tmp_path / "log").read_text()
    order = ("run 2 of 2: SL-MLP on digits, seed 1: 0%", "waits for another process", "seed 0: 50%")
    told = [lines.index(said) for said in order]
    assert told == sorted(told), "what another one makes is not expected here, until it turns out that nobody does"


STOPPED_CELL = """
import time
from tests.pretraining.test_sharing import SHORT
from workbook.devices import make_fabric
from workbook.lab import Lab
from workbook.pretraining import loop
from workbook.pretraining.runs import train
from workbook.store import Store
import torch

torch.set_num_threads(1)
loop.RESUME_SECONDS = 0.0
step = loop.Training.step
def slow_step(training, views, labels, moment):
    if moment.step >= 9:  # in the second epoch
        open("amid", "w").close()
        time.sleep(0.2)
    return step(training, views, labels, moment)
loop.Training.step = slow_step
"""


def test_a_stopped_cell_goes_on_where_it_was(tmp_path, fabric, monkeypatch):
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        assert client.execute_interactive(STOPPED_CELL, timeout=120)["content"]["status"] == "ok"
        asked = client.execute("train(SHORT, Lab(Store('store'), make_fabric('cpu', 'float32')))")
        wait_for((tmp_path / "amid").exists)
        manager.interrupt_kernel()
        answer = reply_to(client, asked)
        assert (answer["status"], answer["ename"]) == ("error", "Interrupted")
        (told,) = answer["traceback"]  # one line, and no traceback
        assert re.fullmatch("Interrupted: run this again, and the run under way goes on from its last epoch.*", told)

        store = Store(tmp_path / "store")
        assert store.artefacts() == []
        (partial,) = store.root.glob("partial/runs/*")
        assert {path.name for path in partial.iterdir()} == {"epoch_0000.safetensors", "resume.pt"}
        with store.lock("runs", runs._plan([SHORT], Lab(store, fabric))[0].spec, wait=False) as held:
            assert held, "the kernel, which still runs, has let go of it"

        lab = "Lab(Store('store'), make_fabric('cpu', 'float32'))"
        again = f"loop.Training.step = step; print(len(train(SHORT, {lab}).history))"
        assert client.execute_interactive(again, timeout=120)["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    with one_thread():
        whole = train(SHORT, Lab(Store(tmp_path / "whole"), fabric))
    resumed = train(SHORT, Lab(store, fabric))
    assert resumed.stored and not whole.stored
    assert same(resumed, whole)
    assert resumed.history["loss"].tolist() == whole.history["loss"].tolist()


def reply_to(client, asked: str) -> dict:
    while True:
        answer = client.get_shell_msg(timeout=60)
        if answer["parent_header"].get("msg_id") == asked:
            return answer["content"]
