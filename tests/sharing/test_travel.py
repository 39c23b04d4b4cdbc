"""What is pushed comes back as it was: whole, or light, and then nothing is trained where it is looked at."""

import errno
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.test_study import TINY
from workbook.cli import app
from workbook.errors import MissingLibraryError, NotStoredError, SharingError, StoreError
from workbook.evaluation.extraction import head_accuracy
from workbook.files import write_atomically
from workbook.keys import keys_in
from workbook.lab import Lab
from workbook.report.survey import NOTEBOOKS
from workbook.sharing import travel
from workbook.sharing.travel import Which, pull_store, push_store
from workbook.store import Store
from workbook.study import Study
from workbook.sweep.notebooks import sweep_of

ALL = Which()
LIGHT = Which(light=True)


def make(store: Store, spec: dict, kind: str = "runs", **files: bytes):
    """An artefact of these files; of a run a history and a checkpoint, as they are in every one."""
    files = files or {"history.json": b"[1]", "epoch1.safetensors": json.dumps(spec).encode() * 50}

    def fill(folder: Path) -> None:
        for name, content in files.items():
            write_atomically(folder / name, content)

    return store.get_or_make(kind, spec, fill)


def contents(store: Store) -> dict[tuple[str, str], dict[str, str]]:
    assert not [problem for artefact in store.artefacts() for problem in artefact.problems()]
    return {
        (found.kind, found.key): {name: found.checksums[name] for name in found.files} for found in store.artefacts()
    }


@pytest.fixture(params=["folder", "memory"])
def url(request, tmp_path) -> str:
    return str(tmp_path / "remote") if request.param == "folder" else f"memory://{tmp_path}"


@pytest.fixture
def other(tmp_path) -> Store:
    return Store(tmp_path / "other")


def test_a_store_comes_back_as_it_was_and_a_second_transfer_moves_nothing(store, other, url):
    run = make(store, {"seed": 0})
    make(store, {"run": run.key}, "accuracies")
    for there, moved in ((0, 2), (2, 0)):
        pushed = push_store(store, url, ALL)
        assert (pushed.artefacts, pushed.there, pushed.refused) == (moved, there, [])
    for there, moved in ((0, 2), (2, 0)):
        pulled = pull_store(other, url, ALL)
        assert (pulled.artefacts, pulled.there, pulled.refused) == (moved, there, [])
    assert pulled.megabytes == 0 < pushed.megabytes + sum(entry.megabytes for entry in other.entries())
    assert contents(other) == contents(store)
    assert [found.provenance for found in other.artefacts()] == [found.provenance for found in store.artefacts()]


def test_a_key_brings_all_that_was_computed_from_it_and_its_start_where_asked(store, url, tmp_path):
    start = make(store, {"seed": 0})
    run = make(store, {"recipe": {"start": {"run": start.key, "epoch": 1}}})
    score = make(store, {"run": run.key}, "accuracies")
    of_score = make(store, {"of": [score.key]}, "maps")
    make(store, {"seed": 1})
    push_store(store, url, ALL)

    def brought(**which) -> set[str]:
        found = Store(tmp_path / str(which))
        pull_store(found, url, Which(**which))
        return {artefact.key for artefact in found.artefacts()}

    assert brought(keys=[run.key]) == {run.key, score.key, of_score.key}
    assert brought(keys=[run.key], starts=True) == {start.key, run.key, score.key, of_score.key}
    assert brought(keys=[start.key], kinds=["maps"]) == {of_score.key}
    assert brought(kinds=["accuracies"]) == {score.key}
    found = pull_store(Store(tmp_path / "none"), url, Which(keys=["0" * 20, score.key]))
    assert (found.missing, found.artefacts) == (["0" * 20], 2)


def test_features_that_wait_to_be_removed_do_not_travel(store, url):
    make(store, {"a": 1}, "probed")
    assert push_store(store, url, ALL).artefacts == 0
    assert push_store(store, url, Which(kinds=["probed"])).artefacts == 1


def test_light_leaves_out_what_is_large_and_a_later_pull_brings_it(store, other, url, monkeypatch):
    monkeypatch.setattr(travel, "_LARGE", 100)
    run = make(store, {"seed": 0})
    make(store, {"run": run.key}, "maps", **{"map.npy": b"1" * 101, "labels.npy": b"1"})
    features = make(store, {"run": run.key}, "features", **{"labels.npy": b"1"})
    push_store(store, url, ALL)
    assert pull_store(other, url, LIGHT).artefacts == 2
    assert pull_store(other, url, LIGHT).there == 2
    light = other.by_key("runs", run.key)
    assert light.file("history.json").read_bytes() == b"[1]"
    with pytest.raises(NotStoredError, match=f"came without epoch1.*workbook store pull {url} --key {run.key}"):
        light.file("epoch1.safetensors")
    assert light.problems() == light.damaged_files() == []
    assert {entry.artefact.left_out for entry in other.entries()} == {("epoch1.safetensors",), ("map.npy",)}
    assert other.by_key("features", features.key) is None
    assert pull_store(other, url, Which(keys=[run.key])).artefacts == 3
    assert contents(other) == contents(store) and other.by_key("runs", run.key).left_out == ()
    assert not list((other.root / "partial").glob("*/*/*"))


def test_a_light_store_is_pushed_as_it_is_and_completed_by_a_whole_one(store, other, url, tmp_path):
    run = make(store, {"seed": 0})
    push_store(store, url, LIGHT)
    pull_store(other, url, ALL)
    assert other.by_key("runs", run.key).left_out == ("epoch1.safetensors",)
    assert pull_store(other, url, ALL).there == 1, "there is no more to be had"
    assert push_store(other, url, ALL).artefacts == 0
    assert push_store(store, url, ALL).artefacts == 1
    pull_store(other, url, ALL)
    assert contents(other) == contents(store)


def test_a_file_that_was_lost_of_a_light_artefact_is_damage(store, other, url):
    make(store, {"seed": 0})
    push_store(store, url, ALL)
    pull_store(other, url, LIGHT)
    (light,) = other.artefacts()
    (light.path / "history.json").unlink()
    assert light.damaged_files() == ["history.json"]


def test_what_is_damaged_here_is_not_sent_and_stops_nothing_else(store, url):
    artefact, whole = make(store, {"seed": 0}), make(store, {"seed": 1})
    (artefact.path / "history.json").write_bytes(b"[2]")
    torn = make(store, {"seed": 2})
    (torn.path / "artefact.json").write_text("{")
    pushed = push_store(store, url, ALL)
    assert pushed.artefacts == 1
    for told, wrong in zip(pushed.refused, (torn, artefact), strict=True):
        assert f"store remove {wrong.key}" in told
    assert push_store(store, url, Which(keys=[whole.key])).refused == []


def test_what_was_made_twice_stays_as_it_was_sent_first(store, other, url, tmp_path):
    first = make(store, {"seed": 0})
    make(other, {"seed": 0}, **{"history.json": b"[2]"})
    push_store(store, url, ALL)
    assert (push_store(other, url, ALL).artefacts, push_store(other, url, ALL).there) == (0, 1)
    third = Store(tmp_path / "third")
    pull_store(third, url, ALL)
    assert contents(third) == {("runs", first.key): first.checksums}


def test_a_copy_that_broke_off_does_not_count(store, other, tmp_path):
    """In a folder a file has its name before it is whole, and is copied under another."""
    url = str(tmp_path / "remote")
    make(store, {"seed": 0})
    push_store(store, url, ALL)
    (checkpoint,) = Path(url).glob("*/*/epoch1*")
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:10])
    assert "epoch1.safetensors" in pull_store(other, url, ALL).refused[0]
    assert other.artefacts() == []
    assert push_store(store, url, ALL).artefacts == 1
    assert checkpoint.read_bytes() == whole
    pull_store(other, url, ALL)
    assert contents(other) == contents(store)


def test_urls_that_cannot_be_read_say_what_to_do(store, tmp_path, monkeypatch):
    with pytest.raises(SharingError, match="nowhere holds nothing of a store: correct it"):
        pull_store(store, str(tmp_path / "nowhere"), ALL)
    with pytest.raises(SharingError, match="nosuch://x cannot be opened .*nosuch.*check the address"):
        push_store(store, "nosuch://x", ALL)
    make(store, {"seed": 0})
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'transferability-workbook\[gcs\]'"):
        push_store(store, "gs://bucket/x", ALL)
    with pytest.raises(SharingError, match="is a store, or has one in it: name a folder"):
        push_store(store, str(store.root), ALL)
    (tmp_path / "file").write_text("")
    with pytest.raises(SharingError, match="cannot be written .*check the address"):
        push_store(store, str(tmp_path / "file"), ALL)
    with pytest.raises(SharingError) as caught:
        push_store(store, "nosuch://me:secret@x/y", ALL)
    assert "secret" not in str(caught.value)


def test_a_disk_that_is_full_is_told_as_the_store_tells_it_and_stops_the_rest(store, other, tmp_path, monkeypatch):
    for seed in range(3):
        make(store, {"seed": seed})
    push_store(store, str(tmp_path / "remote"), ALL)

    def full(*_, **__) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.get_file", full)
    with pytest.raises(StoreError, match=f"no space left for the store {other.root}"):
        pull_store(other, str(tmp_path / "remote"), ALL)


def test_the_commands_say_what_they_did(store, other, tmp_path, monkeypatch):
    url, run = str(tmp_path / "remote"), make(store, {"seed": 0})

    def command(*words: str, of: Store):
        monkeypatch.setenv("WORKBOOK_STORE", str(of.root))
        return CliRunner().invoke(app, ["store", *words])

    assert "pushed 1 artefacts (0.0 MB) to " in command("push", url, of=store).output
    told = json.loads(command("pull", url, "--light", "--json", of=other).output)
    assert (told["artefacts"], told["there"], told["refused"]) == (1, 0, [])
    assert "(without epoch1.safetensors)" in command("list", of=other).output
    assert command("verify", of=other).exit_code == 0
    refused = command("pull", url, "--key", "0" * 20, of=other)
    assert refused.exit_code == 1 and "nothing under the key 00000" in refused.output
    assert "pulled 1 artefacts" in command("pull", url, "--key", run.key, of=other).output
    assert command("pull", "nosuch://x", of=other).exit_code == 1


def test_what_a_notebook_trains_travels_by_its_name(store, tmp_path, monkeypatch):
    """And what was computed from it; an empty plan is no call for everything."""
    monkeypatch.setenv("WORKBOOK_STORE", str(store.root))
    notebook = str(NOTEBOOKS / "03_intra_class_variation.ipynb")
    planned = sweep_of([Path(notebook)], "smoke", {}).runs
    first, *_ = [make(store, run.spec, weights=b"w") for run in planned.values()]
    make(store, {"run": first.key}, "accuracies")
    make(store, {"seed": "another"})
    words = ["store", "push", str(tmp_path / "remote"), "--profile", "smoke", "--json"]
    told = CliRunner().invoke(app, [*words, "--notebook", notebook])
    assert json.loads(told.output)["artefacts"] == len(planned) + 1
    nothing = CliRunner().invoke(app, [*words, "--notebook", str(NOTEBOOKS / "16_what_the_tables_say.ipynb")])
    assert nothing.exit_code == 1 and "train nothing" in nothing.output


def measured(study: Study) -> list[pd.DataFrame]:
    """As notebook 01 measures."""
    runs = study.train("SL", "SL-MLP")
    heads = [head_accuracy(run, study.held_out(), study.lab) for run in runs]
    scores = study.transfer(runs, study.tasks([f"{study.dataset}:eval"]), "linear", "k-NN")
    histories = pd.concat(run.history for run in runs)
    return [study.stagewise(runs, every_epoch=True), scores, histories, pd.DataFrame({"head": heads})]


def test_train_where_the_gpus_are_and_look_where_you_are(store, other, fabric, tmp_path, monkeypatch):
    study, url = Study(replace(TINY, seeds=1), Lab(store, fabric)), str(tmp_path / "remote")
    there = measured(study)
    push_store(store, url, ALL)
    pull_store(other, url, LIGHT)
    for work in (
        "pretraining.runs.pretrain",
        "evaluation.extraction._write_layers",
        "evaluation.stagewise.linear_probe",
    ):
        monkeypatch.setattr(f"workbook.{work}", lambda *_, **__: pytest.fail("it is made anew"))
    looking = replace(study, lab=replace(study.lab, store=other))
    for ours, theirs in zip(measured(looking), there, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
    run, own = looking.train("SL")[0], study.train("SL")[0]
    assert keys_in(own.backbone().spec) == {run.key}, (
        "whose weights they are is told of what is computed from them, too"
    )
    with pytest.raises(NotStoredError, match=f"pull {url} --key {run.key}"):
        run.backbone()
    kinds = {found.kind for found in store.artefacts()}
    assert {found.kind for found in other.artefacts()} == kinds - {"features"} != kinds
    only = Store(tmp_path / "only")
    pull_store(only, url, Which(keys=[run.key]))
    # of stages that were probed and are gone, of features, heads and scores: all name the run that they are of
    assert {found.kind for found in only.artefacts()} == {"runs", "probes", "features", "accuracies", "scores"}
