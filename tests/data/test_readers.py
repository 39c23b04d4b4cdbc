"""Arrays, torchvision's classes and the sets that come with the package; and the digest of files."""

import hashlib
import pickle

import numpy as np
import pytest
import torchvision.datasets
from sklearn.datasets import load_digits

from tests.data.copies import (
    ARRAY,
    CLASSES,
    FOLDER,
    TORCHVISION,
    assert_whole,
    encode,
    manifest,
    pixels,
    told,
    write_folders,
)
from workbook.data import load_images, readers
from workbook.errors import CorruptDataError, ManifestError


def test_torchvision_is_read_without_a_download(root):
    write_folders(root, [("train", 2)])
    assert_whole(load_images(manifest(TORCHVISION), "train"), 2)


def test_torchvision_cifar100_has_the_manifests_names_and_agrees_with_its_parquet_copy(root, monkeypatch):
    base = torchvision.datasets.CIFAR100.base_folder
    (root / "set" / base).mkdir(parents=True)
    images = np.stack([pixels(label, number) for number in range(2) for label in range(3)])
    images = images.repeat(4, axis=1).repeat(4, axis=2)  # CIFAR's 32 x 32
    data = {"data": images.transpose(0, 3, 1, 2).reshape(6, -1), "fine_labels": [0, 1, 2] * 2}
    for name, content in (("train", data), ("meta", {"fine_label_names": list(CLASSES)})):
        file = root / "set" / base / name
        file.write_bytes(pickle.dumps(content))
        md5 = hashlib.md5(file.read_bytes()).hexdigest()
        if name == "train":
            monkeypatch.setattr(torchvision.datasets.CIFAR100, "train_list", [["train", md5]])
            monkeypatch.setattr(torchvision.datasets.CIFAR100, "test_list", [])
        else:
            meta = torchvision.datasets.CIFAR100.meta | {"md5": md5}
            monkeypatch.setattr(torchvision.datasets.CIFAR100, "meta", meta)
    source = {"kind": "torchvision", "root": "set", "dataset": "CIFAR100"}
    source |= {"splits": {"train": {"train": True}, "test": {"train": False}}}
    loaded = load_images(manifest(source, image_size=32), "train")
    assert loaded.class_names == CLASSES and [told(i)[0] for i in loaded] == loaded.labels.tolist()
    assert load_images(manifest(source, image_size=32), "train").digest == loaded.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "Cifar1000"}, "no 'Cifar1000'"),
        ({"splits": {"train": {"fold": 1}, "test": {}}}, "does not take .*fold"),
        ({"labels": "_labels"}, "no attribute '_labels'"),
    ],
)
def test_torchvision_source_that_does_not_fit_the_class(root, changes, message):
    write_folders(root, [("train", 2)])
    with pytest.raises(ManifestError, match=message):
        load_images(manifest(TORCHVISION | changes), "train")


def test_digits_are_scaled_to_bytes_and_held_out_by_class():
    train, test = load_images("digits", "train"), load_images("digits", "test")
    assert np.bincount(test.labels).tolist() == [36] * 10
    assert set(train.rows) | set(test.rows) == set(range(1797)) and not set(train.rows) & set(test.rows)
    first = load_digits().images[train.rows[0]]
    assert np.array_equal(np.array(train[0])[..., 0], np.round(first / 16 * 255))


def test_the_generated_set_returns_its_factors_with_each_side():
    images = load_images("generated", "test", side="eval")
    assert len(images) == 20 * 40 and len(images.factors) == len(images)
    assert set(images.factors["family"]) == {"rectilinear"}
    assert [images.class_names[label] for label in images.labels] == list(images.factors["class_name"])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((6, 8, 8, 3)), np.zeros(6, int), "must be uint8 .* got float64"),
        (np.zeros((6, 3, 8, 8), np.uint8), np.zeros(6, int), r"got uint8 \(6, 3, 8, 8\)"),
        (np.zeros((6, 8, 8), np.uint8), np.zeros(5, int), r"6 images but labels \(5,\)"),
        (np.zeros((6, 8, 8), np.uint8), np.zeros(6), "labels must be integers"),
    ],
)
def test_arrays_that_do_not_fit(root, images, labels, message):
    (root / "set").mkdir()
    np.savez(root / "set" / "train.npz", x=images, y=labels)
    with pytest.raises(ManifestError, match=message):
        load_images(manifest(ARRAY), "train")


def test_an_array_file_without_the_key_or_cut_short(root):
    (root / "set").mkdir()
    file = root / "set" / "train.npz"
    np.savez(file, images=np.zeros((6, 8, 8), np.uint8))
    with pytest.raises(ManifestError, match=r"holds \['images'\], not 'x'"):
        load_images(manifest(ARRAY), "train")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CorruptDataError, match="train.npz is no readable NumPy array"):
        load_images(manifest(ARRAY), "train")


@pytest.mark.parametrize("whole_bytes", [2**31, 0])
def test_the_digest_follows_the_content(root, monkeypatch, whole_bytes):
    monkeypatch.setattr(readers, "_WHOLE_BYTES", whole_bytes)
    write_folders(root)
    before = load_images(manifest(FOLDER), "train").digest
    assert load_images(manifest(FOLDER), "train").digest == before
    (root / "set" / "train" / "dog" / "0.png").write_bytes(encode(np.full((9, 9, 3), 7, dtype=np.uint8)))
    assert load_images(manifest(FOLDER), "train").digest != before
