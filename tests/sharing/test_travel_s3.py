"""Transfers to a server that speaks S3, on loopback: killed, damaged, two at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.sharing.test_travel import ALL, contents, make
from workbook.errors import SharingError
from workbook.locks import ProcessLock
from workbook.sharing.travel import pull_store, push_store
from workbook.store import Store

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")
s3fs = pytest.importorskip("s3fs")

URL = "s3://bucket/shared/store"
COUNT, SIZE = 24, 400_000  # artefacts, and bytes of the checkpoint of each: a second's work


@pytest.fixture(scope="module")
def server():
    """Its client; everything that it is told goes where the environment says, as it does for a user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "anyone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        running = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        running.start()
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*running.get_host_and_port()))
        yield boto3.client("s3")
        running.stop()


@pytest.fixture
def bucket(server):
    """Its objects: name -> when it was written."""
    server.create_bucket(Bucket="bucket")

    def objects() -> dict[str, object]:
        return {one["Key"]: one["LastModified"] for one in server.list_objects_v2(Bucket="bucket").get("Contents", [])}

    yield objects
    for name in objects():
        server.delete_object(Bucket="bucket", Key=name)
    server.delete_bucket(Bucket="bucket")


@pytest.fixture
def full(tmp_path) -> Store:
    found = Store(tmp_path / "full")
    for seed in range(COUNT):
        make(found, {"seed": seed}, **{"history.json": b"[1]", "epoch1.safetensors": os.urandom(SIZE)})
    return found


def start(verb: str, store: Store) -> subprocess.Popen:
    command = [sys.executable, "-c", "from workbook.cli import app; app()", "store", verb, URL, "--json"]
    environment = os.environ | {"WORKBOOK_STORE": str(store.root)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


def killed(process: subprocess.Popen, under_way: Callable[[], bool]) -> None:
    while not under_way():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_a_push_that_is_killed_goes_on_and_sends_nothing_twice(full, bucket, tmp_path):
    killed(start("push", full), lambda: len(bucket()) >= 12)
    before = bucket()
    assert 12 <= len(before) < 3 * COUNT
    records = [name for name in before if "artefact.json" in name]
    part = Store(tmp_path / "part")
    if records:  # what is whole there can be had already
        pull_store(part, URL, ALL)
    assert len(part.artefacts()) == len(records)
    went_on = told(start("push", full))
    assert went_on["artefacts"] + went_on["there"] == COUNT and went_on["there"] == len(records)
    assert went_on["megabytes"] < COUNT * SIZE / 1e6
    after = bucket()
    assert len(after) == 3 * COUNT and {name: after[name] for name in before} == before
    assert told(start("push", full))["artefacts"] == 0
    assert bucket() == after
    pull_store(part, URL, ALL)
    assert contents(part) == contents(full)


def test_a_pull_that_is_killed_goes_on_and_what_was_whole_is_not_brought_again(full, bucket, tmp_path):
    push_store(full, URL, ALL)
    part = Store(tmp_path / "part")
    killed(start("pull", part), lambda: len(list(part.root.glob("runs/*"))) >= 4)
    whole = {found.key: found.path.stat().st_mtime_ns for found in part.artefacts()}
    assert 4 <= len(whole) < COUNT
    assert [entry.problem for entry in part.entries() if entry.problem] == [], "the rest is unfinished, none damaged"
    went_on = told(start("pull", part))
    assert (went_on["artefacts"], went_on["there"]) == (COUNT - len(whole), len(whole))
    assert contents(part) == contents(full)
    assert {key: part.by_key("runs", key).path.stat().st_mtime_ns for key in whole} == whole
    assert not list(part.root.glob("partial/received/*/*"))
    # who was killed between a rename and letting go leaves the lock's file, which anyone can take
    left = [ProcessLock(path) for path in part.root.glob("locks/*")]
    assert {lock.path.stem for lock in left} <= {f"runs-{key}" for key in whole}
    assert all(lock.take() for lock in left)
    for lock in left:
        lock.let_go()
    again = told(start("pull", part))
    assert (again["artefacts"], again["megabytes"], again["there"]) == (0, 0, COUNT)


def test_a_file_that_was_brought_before_a_kill_is_not_brought_again(full, bucket, tmp_path):
    push_store(full, URL, ALL)
    (artefact, *_), part = full.artefacts(), Store(tmp_path / "part")
    begun = part.root / "partial" / "received" / "runs" / artefact.key
    begun.mkdir(parents=True)
    name = "epoch1.safetensors"
    begun.joinpath(name).write_bytes(artefact.file(name).read_bytes())
    assert pull_store(part, URL, ALL).megabytes < (COUNT - 0.9) * SIZE / 1e6
    assert contents(part) == contents(full)


@pytest.mark.parametrize("name", ["epoch1.safetensors", "history.json", "artefact.json"])
def test_a_wrong_byte_on_the_way_is_refused_and_nothing_of_it_stored(server, bucket, tmp_path, name):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    artefact, whole = make(here, {"seed": 0}), make(here, {"seed": 1})
    push_store(here, URL, ALL)
    (damaged,) = [one for one in bucket() if artefact.key in one and name in one]
    content = bytearray(server.get_object(Bucket="bucket", Key=damaged)["Body"].read())
    content[len(content) // 2] ^= 1
    server.put_object(Bucket="bucket", Key=damaged, Body=bytes(content))
    refused = pull_store(there, URL, ALL)
    assert (refused.artefacts, len(refused.refused)) == (1, 1)
    assert f"{artefact.key}/{name}" in refused.refused[0] and "remove it there, and push it again" in refused.refused[0]
    assert set(contents(there)) == {("runs", whole.key)}
    server.delete_object(Bucket="bucket", Key=damaged)
    push_store(here, URL, ALL)
    pull_store(there, URL, ALL)
    assert contents(there) == contents(here)


def test_two_push_at_once_and_what_comes_back_is_whole(full, bucket, tmp_path):
    """The same artefacts, and others under the same keys, as two machines make them."""
    apart = Store(tmp_path / "apart")
    for seed in range(COUNT):
        make(apart, {"seed": seed}, **{"history.json": b"[2]", "epoch1.safetensors": os.urandom(SIZE)})
    for one in [start("push", store) for store in (full, full, apart)]:
        told(one)
    back = Store(tmp_path / "back")
    assert pull_store(back, URL, ALL).artefacts == COUNT
    made = {place: (files, contents(apart)[place]) for place, files in contents(full).items()}
    assert all(files in made[place] for place, files in contents(back).items()), "none of half and half"
    for store in (full, apart):
        assert push_store(store, URL, ALL).artefacts == 0


def test_what_the_service_refuses_says_what_to_do(server, bucket, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    make(store, {"seed": 0})
    with pytest.raises(SharingError, match="s3://nowhere/x cannot be written .*bucket does not exist.*make the bucket"):
        push_store(store, "s3://nowhere/x", ALL)
    with pytest.raises(SharingError, match="s3://nowhere/x holds nothing|s3://nowhere/x cannot be"):
        pull_store(store, "s3://nowhere/x", ALL)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()  # it remembers who we were
    with pytest.raises(SharingError, match="cannot be .*redentials.*aws configure"):
        push_store(store, "s3://bucket/elsewhere", ALL)
