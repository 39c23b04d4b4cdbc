"""A download comes whole, or not at all; stubs stand for torchvision and the hub."""

import hashlib

import huggingface_hub
import pytest
import yaml
from torchvision.datasets import VisionDataset
from typer.testing import CliRunner

from tests.data.copies import CLASSES, FOLDER, encode, manifest, pixels, write_folders
from workbook.cli import app
from workbook.data import getting, list_manifests, load_images, load_manifest
from workbook.data.getting import get_data
from workbook.data.readers import torchvision_class
from workbook.errors import ManifestError, MissingDataError

HUB = {"kind": "hub", "repository": "us/tiny", "root": "."}
TORCHVISION = {"kind": "torchvision", "dataset": "Tiny", "calls": [{"split": "train"}, {"split": "test"}]}


class Tiny(VisionDataset):
    """Brings one split a call, as some of torchvision's do."""

    def __init__(self, root, split, download):
        assert download
        count = {"train": 2, "test": 1}[split]
        for label, name in enumerate(CLASSES):
            folder = root / "set" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.png").write_bytes(encode(pixels(label, number)))


@pytest.fixture
def servers(monkeypatch):
    """torchvision and the hub, each of which gives the set; the test takes one away or replaces it."""
    monkeypatch.setattr("torchvision.datasets.Tiny", Tiny, raising=False)

    def snapshot_download(repository, *, repo_type, local_dir):
        assert (repository, repo_type) == ("us/tiny", "dataset")
        (local_dir / ".cache").mkdir()
        write_folders(local_dir)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)


def everything_in(root) -> list[str]:
    return sorted(path.name for path in root.iterdir())


@pytest.mark.parametrize("download", [HUB, TORCHVISION], ids=["hub", "torchvision"])
def test_the_set_comes_and_is_there(root, servers, download):
    (root / "set").mkdir()
    (root / "set" / "mine.txt").write_text("kept")
    tiny = manifest(FOLDER, downloads=[download])
    assert "came from" in get_data(tiny)
    assert len(load_images(tiny, "train")) == 6 and everything_in(root) == ["set"]
    assert everything_in(root / "set") == ["mine.txt", "test", "train"]
    assert get_data(tiny) == "tiny is on this machine already"


def test_a_way_that_fails_leaves_nothing_and_the_next_is_taken(root, servers, monkeypatch):
    def half(download, base):
        write_folders(base, per_class=(("train", 2),))
        raise ConnectionError("the line\nis cut")

    monkeypatch.setitem(getting._WAYS, "hub", half)
    with pytest.raises(MissingDataError, match=r"us/tiny of the Hugging Face hub: the line is cut\nTry .*make it in /"):
        get_data(manifest(FOLDER, downloads=[HUB]))
    assert everything_in(root) == []
    assert "torchvision's Tiny" in get_data(manifest(FOLDER, downloads=[HUB, TORCHVISION]))
    assert everything_in(root) == ["set"]


def test_an_interrupted_download_leaves_nothing(root, servers, monkeypatch):
    def interrupted(download, base):
        write_folders(base)
        raise KeyboardInterrupt

    monkeypatch.setitem(getting._WAYS, "hub", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get_data(manifest(FOLDER, downloads=[HUB]))
    assert everything_in(root) == []


def test_a_file_of_another_checksum_is_not_kept(root, servers):
    file, content = "train/cat/0.png", encode(pixels(0, 0))
    right, wrong = (f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (content, b"another"))
    with pytest.raises(MissingDataError, match="0.png has sha256"):
        get_data(manifest(FOLDER | {"checksums": {file: wrong}}, downloads=[HUB]))
    assert everything_in(root) == []
    get_data(manifest(FOLDER | {"checksums": {file: right}}, downloads=[HUB]))


def test_what_no_program_gets_says_what_to_do_by_hand(root):
    with pytest.raises(MissingDataError, match=rf"tiny is to be had by hand alone: make it in {root}"):
        get_data(manifest(FOLDER))


def test_a_manifest_that_says_neither_is_refused():
    with pytest.raises(ValueError, match="obtain must say how"):
        manifest(FOLDER, obtain="")


def test_a_class_that_torchvision_has_not_is_the_manifests_mistake(root):
    with pytest.raises(ManifestError, match="has no 'Tinny'"):
        get_data(manifest(FOLDER, downloads=[TORCHVISION | {"dataset": "Tinny"}]))


@pytest.mark.parametrize("name", list_manifests())
def test_what_a_shipped_manifest_names_can_be_called(name):
    """torchvision has the class, and its root is where a source looks."""
    shipped = load_manifest(name)
    for download in shipped.downloads:
        if download.kind == "torchvision":
            assert torchvision_class(download.dataset)
        assert "{" not in download.root and not download.root.startswith("/")


def test_missing_data_names_the_command(root):
    with pytest.raises(
        MissingDataError, match=r"To get it: workbook data get tiny \(us/tiny of .*\)\. By hand: make it in /"
    ):
        load_images(manifest(FOLDER, downloads=[HUB]), "train")


def test_the_command_gets_and_verifies(root, servers):
    path = root / "tiny.yaml"
    path.write_text(yaml.safe_dump(manifest(FOLDER, downloads=[HUB]).model_dump(mode="json")))
    got = CliRunner().invoke(app, ["data", "get", str(path)])
    assert got.exit_code == 0, got.output
    assert "tiny came from us/tiny" in got.output and "ok     train: 6 images in 3 classes" in got.output
