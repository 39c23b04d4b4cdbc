"""A manifest from a folder alone: it loads and verifies, and what looks odd is told."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.data.copies import encode, pixels, write_folders
from workbook.cli import app
from workbook.data import load_images, load_manifest, verify_data
from workbook.data.new import new_manifest
from workbook.errors import ManifestError


def write(folder, count=10, classes=("cat", "dog"), size=20, first=0):
    """Noise: `count` images a class, no two alike."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = np.random.default_rng([first, label, number]).integers(0, 255, (size, size, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name / f"{number}.png")


def test_folders_of_splits_become_splits(root):
    for number, split in enumerate(("Training", "valid", "test")):
        write(root / "my set" / split, first=number)
    path, odd = new_manifest(root / "my set")
    assert path == root / "my set" / "my-set.yaml" and odd == []
    manifest = load_manifest(path)
    assert manifest.splits == {"train": 20, "val": 20, "test": 20} and manifest.class_names == ("cat", "dog")
    assert manifest.image_size == 20 and manifest.sources[0].root == "my set" and manifest.holdout is None
    assert verify_data(manifest, every_image=True).problems == []


def test_class_folders_alone_hold_a_fifth_out(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere / "set")
    write(elsewhere / "set" / "cat" / "more", classes=("deep",), count=5, size=24, first=1)
    path, _ = new_manifest(elsewhere / "set", name="mine")
    manifest = load_manifest(path)
    assert manifest.splits == {"train": 20, "test": 5} and manifest.image_size is None
    assert manifest.sources[0].root == str(elsewhere / "set"), "it lies outside the data root"
    assert len(load_images(manifest, "test")) == 5 and verify_data(manifest, every_image=True).problems == []


@pytest.mark.parametrize(("there", "counted"), [(("train", "val"), {"train": 20, "test": 20}), (("train",), None)])
def test_val_is_the_test_where_there_is_none(root, there, counted):
    for number, split in enumerate(there):
        write(root / "set" / split, first=number)
    manifest = load_manifest(new_manifest(root / "set")[0])
    assert manifest.splits == (counted or {"train": 16, "test": 4})
    assert verify_data(manifest).problems == []


def test_what_looks_odd_is_told(root):
    base = root / "set"
    write(base / "train", classes=("cat", "Dog", "dog"))
    write(base / "test", classes=("cat", "Dog", "dog"), count=9, first=1)
    copy = (base / "train" / "cat" / "0.png").read_bytes()
    (base / "train" / "cat" / "twin.png").write_bytes((base / "train" / "cat" / "1.png").read_bytes())
    (base / "train" / "dog" / "same.png").write_bytes(copy)
    (base / "test" / "dog" / "leak.png").write_bytes((base / "train" / "dog" / "2.png").read_bytes())
    (base / "train" / "cat" / "broken.png").write_bytes(copy[:60])
    Image.new("RGB", (15, 9000)).save(base / "train" / "cat" / "long.png")
    _, odd = new_manifest(base)
    assert odd == [
        "test: 2 of 3 classes have fewer than 10 images: Dog, cat",
        "class names that differ in capitals alone: Dog, dog",
        "images in two classes: 1 (train/cat/0.png = train/dog/same.png)",
        "images in two splits: 1 (train/dog/2.png = test/dog/leak.png)",
        "images twice in one class: 1 (train/cat/1.png = train/cat/twin.png)",
        "images that cannot be decoded: 1 (train/cat/broken.png)",
        "images narrower than 16 pixels: 1 (train/cat/long.png)",
        "images longer than 8192 pixels: 1 (train/cat/long.png)",
    ]


def test_what_is_no_set_is_refused(root):
    with pytest.raises(ManifestError, match="it is not there"):
        new_manifest(root / "gone")
    (root / "set").mkdir()
    with pytest.raises(ManifestError, match="has no folder a class"):
        new_manifest(root / "set")
    write(root / "set", classes=("cat",))
    with pytest.raises(ManifestError, match="holds 1 class, cat"):
        new_manifest(root / "set")
    (root / "set" / "dog").mkdir()
    with pytest.raises(ManifestError, match="dog holds no image"):
        new_manifest(root / "set")
    write(root / "two" / "train")
    write(root / "two" / "test", classes=("cat",))
    with pytest.raises(ManifestError, match="test has no dog"):
        new_manifest(root / "two")


def test_the_command_writes_and_overwrites_nothing(root):
    write_folders(root)
    (root / "set" / "train" / "cat" / "9.png").write_bytes(encode(pixels(0, 1)))
    words = ["data", "new", str(root / "set"), "--name", "tiny"]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    assert "note   images twice in one class: 1" in made.output and "tiny.yaml" in made.output
    assert CliRunner().invoke(app, ["data", "verify", str(root / "set" / "tiny.yaml"), "--all"]).exit_code == 0
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 1 and "is there already" in again.output
