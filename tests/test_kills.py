"""A campaign of kills: whatever was being made when the process died, what comes out is the same to the bit.

Slow, so by hand: pytest -m slow tests/test_kills.py
"""

import multiprocessing
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.test_study import TINY
from workbook.artefacts import Artefact
from workbook.devices import make_fabric
from workbook.lab import Lab
from workbook.pretraining import loop
from workbook.store import Store
from workbook.study import Study

KILLS = 10  # of each kind of work
_WORTH = 0.3  # seconds: less is over before it can be killed often
PROFILE = replace(
    TINY,
    recipe=replace(TINY.recipe, epochs=6, checkpoint_epochs=(0, 2, 4)),
    ablation=replace(TINY.ablation, epochs=4),
    probe_images_per_class=10,
    transfer=replace(TINY.transfer, images_per_class=10, finetune_epochs=3),
    injection=replace(TINY.injection, vit_methods=(), cycles=(1, 2, None), epochs=4),
)


def pretrain(study: Study) -> None:
    study.train("SL", "SL-MLP", "SimCLR")


def read_features(study: Study) -> None:
    for images in study.probe_parts():
        for layer in ("stage2", "stage5", "pooled"):
            list(study.features(study.train("SL", "SL-MLP"), images, layer))


def probe(study: Study) -> None:
    study.stagewise(study.train("SL", "SL-MLP"), every_epoch=True)


def lay_out_maps(study: Study) -> None:
    study.maps(study.train("SL", "SL-MLP"), study.probe_parts()[1])


def finetune(study: Study) -> None:
    study.transfer(study.train("SL", "SL-MLP"), study.tasks(["digits"]), "finetuned, 1,000 images")


def inject(study: Study) -> None:
    study.injections(study.train("SimCLR"))


WORK: list[Callable[[Study], None]] = [pretrain, read_features, probe, lay_out_maps, finetune, inject]


def _do(work: Callable[[Study], None], root: Path) -> None:
    torch.set_num_threads(1)
    loop.RESUME_SECONDS = 0.0  # whoever is killed after each second keeps what was done in each
    work(Study(PROFILE, Lab(Store(root), make_fabric("cpu"))))


def _start(work: Callable[[Study], None], root: Path) -> multiprocessing.Process:
    # forked: what was imported once is there, and every second of it is work
    process = multiprocessing.get_context("fork").Process(target=_do, args=(work, root))
    process.start()
    return process


def _contents(root: Path) -> dict[tuple[str, str], dict[str, object]]:
    """Of every artefact the checksum of every file; of a history what it says of other things than time."""
    return {
        (artefact.kind, artefact.key): artefact.checksums | _history(artefact) for artefact in Store(root).artefacts()
    }


def _history(artefact: Artefact) -> dict[str, object]:
    if loop.HISTORY not in artefact.checksums:
        return {}
    rows = pd.read_json(artefact.file(loop.HISTORY)).drop(columns=["seconds", "images_per_second"])
    return {loop.HISTORY: rows.to_json()}


@pytest.mark.slow
def test_sixty_kills_change_no_bit(tmp_path):
    killed = dict.fromkeys((work.__name__ for work in WORK), 0)
    draw = random.Random(0)
    (tmp_path / "killed").mkdir()
    for work in WORK:
        began = time.monotonic()
        whole = _start(work, tmp_path / "whole")
        whole.join()
        assert whole.exitcode == 0
        seconds = time.monotonic() - began
        assert seconds > _WORTH, f"{work.__name__} is too little work"
        shutil.rmtree(tmp_path / "before", ignore_errors=True)
        shutil.copytree(tmp_path / "killed", tmp_path / "before")
        while killed[work.__name__] < KILLS:
            process = _start(work, tmp_path / "killed")
            process.join(draw.uniform(0.05, 0.5) * seconds)
            process.kill()
            process.join()
            if process.exitcode == 0:  # done before it could be killed: all of this work is made anew
                shutil.rmtree(tmp_path / "killed")
                shutil.copytree(tmp_path / "before", tmp_path / "killed")
                continue
            assert process.exitcode == -signal.SIGKILL
            killed[work.__name__] += 1
        last = _start(work, tmp_path / "killed")
        last.join()
        assert last.exitcode == 0
        assert _contents(tmp_path / "killed") == _contents(tmp_path / "whole"), work.__name__
    print("kills:", killed)
    assert sum(killed.values()) >= 50
    assert not list((tmp_path / "killed" / "partial").glob("*/*"))
