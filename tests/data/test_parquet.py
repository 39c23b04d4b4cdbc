"""Parquet files of the hub's schema, whole and broken."""

import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.copies import (
    CLASSES,
    PARQUET,
    assert_whole,
    encode,
    manifest,
    pixels,
    rows,
    told,
    write_parquet,
)
from workbook.data import load_images, parquet
from workbook.errors import CorruptDataError, ManifestError, StoreError


def test_parquet_names_strings_in_sorted_order_where_only_a_count_is_known(root):
    for split, count in (("train", 2), ("test", 1)):
        named = [(CLASSES[label], data) for label, data in rows(count)]
        write_parquet(root / "set" / f"{split}-0.parquet", named, names=None)
    images = load_images(manifest(PARQUET, classes=3), "train")
    assert images.class_names == ("car", "cat", "dog")
    assert [images.class_names[label] for label in images.labels] == [CLASSES[told(i)[0]] for i in images]


def test_parquet_metadata_in_another_order_is_brought_into_the_manifests(root):
    backwards = [(2 - label, data) for label, data in rows(2)]
    write_parquet(root / "set" / "train-0.parquet", backwards, names=("car", "hound", "cat"))
    assert_whole(load_images(manifest(PARQUET | {"rename": {"hound": "dog", "mog": "cat"}}), "train"), 2)


def test_parquet_labels_can_count_the_manifests_names(root):
    write_parquet(root / "set" / "train-0.parquet", rows(2), names=("tench, Tinca tinca", "b", "c"))
    assert_whole(load_images(manifest(PARQUET | {"label_names": "manifest"}), "train"), 2)


def test_large_parquet_is_converted_once_and_memory_mapped(root, monkeypatch):
    write_parquet(root / "set" / "train-0.parquet", rows(1))
    write_parquet(root / "set" / "train-1.parquet", [(label, encode(pixels(label, 1))) for label in range(3)])
    small = load_images(manifest(PARQUET), "train")
    monkeypatch.setattr(parquet, "_IN_MEMORY_BYTES", 0)
    large = load_images(manifest(PARQUET), "train")
    assert_whole(large, 2)
    assert_whole(pickle.loads(pickle.dumps(large)), 2)
    assert len(pickle.dumps(large.decode)) < 2000  # file names, no images
    assert large.digest == small.digest
    arrow = {file: file.stat().st_mtime_ns for file in (root / "set" / ".workbook-arrow").glob("*.arrow")}
    load_images(manifest(PARQUET), "train")
    assert len(arrow) == 2 and all(file.stat().st_mtime_ns == time for file, time in arrow.items())


def test_large_parquet_without_room_says_what_to_do(root, monkeypatch):
    write_parquet(root / "set" / "train-0.parquet", rows(2))
    monkeypatch.setattr(parquet, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(parquet.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1}))
    with pytest.raises(StoreError, match="tiny, train: .*cannot be written .*make room"):
        load_images(manifest(PARQUET), "train")


def test_a_class_without_images_in_an_otherwise_whole_split(root):
    write_parquet(root / "set" / "train-0.parquet", rows(3, order=(0, 2)))
    with pytest.raises(ManifestError, match="1 of 3 classes have no image, 'dog'"):
        load_images(manifest(PARQUET), "train")


@pytest.mark.parametrize(
    "encoded",
    [encode(pixels(1, 0))[:48], encode(pixels(1, 0), "JPEG")[:-20], b"not an image", b"", None],
    ids=["cut PNG", "cut JPEG", "text", "empty", "null"],
)
def test_a_broken_parquet_row_is_named_when_decoded(root, encoded):
    write_parquet(root / "set" / "train-0.parquet", rows(1))
    write_parquet(
        root / "set" / "train-1.parquet", [(0, encode(pixels(0, 1))), (1, encoded), (2, encode(pixels(2, 1)))]
    )
    images = load_images(manifest(PARQUET), "train")
    with pytest.raises(CorruptDataError, match="tiny, train: .*train-1.parquet, row 1"):
        images[4]


def test_a_truncated_parquet_file_is_named(root):
    file = root / "set" / "train-0.parquet"
    write_parquet(file, rows(2))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CorruptDataError, match="train-0.parquet cannot be read as Parquet"):
        load_images(manifest(PARQUET), "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "img"}, "no column 'img'; it has image, label"),
        ({"image": "label"}, "'label' of .* must be a struct with bytes, got int64"),
        ({"label": "image"}, "labels must be integers"),
    ],
)
def test_parquet_columns_that_do_not_fit(root, changes, message):
    write_parquet(root / "set" / "train-0.parquet", rows(2))
    with pytest.raises(ManifestError, match=message):
        load_images(manifest(PARQUET | changes), "train")


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_beyond_the_classes(root, label):
    write_parquet(root / "set" / "train-0.parquet", [*rows(2)[:-1], (label, encode(pixels(0, 0)))])
    with pytest.raises(ManifestError, match=f"labels go from .*{label}"):
        load_images(manifest(PARQUET), "train")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"label": pa.array(["cat", "dog", "car"])}, r"train-1.parquet has other columns than .*: .*label string, not"),
        ({"image": pa.array(["a", "b", "c"])}, "the column 'image' of .*train-1.parquet must be a struct with bytes"),
    ],
)
def test_files_of_other_columns_are_not_one_split(root, second, message):
    file = root / "set" / "train-0.parquet"
    write_parquet(file, rows(1))
    table = pq.read_table(file)
    for name, column in second.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, root / "set" / "train-1.parquet")
    with pytest.raises(ManifestError, match=message):
        load_images(manifest(PARQUET), "train")


def test_files_that_name_other_classes_are_not_one_split(root):
    write_parquet(root / "set" / "train-0.parquet", rows(1))
    write_parquet(root / "set" / "train-1.parquet", rows(1), names=tuple(reversed(CLASSES)))
    with pytest.raises(ManifestError, match="train-1.parquet names other classes than .*train-0.parquet"):
        load_images(manifest(PARQUET), "train")


@pytest.mark.parametrize(
    "described",
    ["{", "[]", "null", '{"info": 3}', '{"info": {"features": []}}', '{"info": {"features": {"label": 3}}}']
    + ['{"info": {"features": {"label": {"names": 3}}}}', '{"info": {"features": {"label": {"names": [1, 2, 3]}}}}'],
)
def test_a_malformed_description_is_named(root, described):
    file = root / "set" / "train-0.parquet"
    write_parquet(file, rows(2))
    pq.write_table(pq.read_table(file).replace_schema_metadata({"huggingface": described}), file)
    with pytest.raises(ManifestError, match="train-0.parquet describes itself wrongly: .*label_names: manifest"):
        load_images(manifest(PARQUET), "train")
    assert_whole(load_images(manifest(PARQUET | {"label_names": "manifest"}), "train"), 2)


def test_what_unpacks_to_much_is_not_held_in_memory(root, monkeypatch):
    write_parquet(root / "set" / "train-0.parquet", [(label, bytes(100_000)) for label in range(3)])
    file = root / "set" / "train-0.parquet"
    pq.write_table(pq.read_table(file), file, compression="zstd", use_dictionary=False)
    assert file.stat().st_size < 10_000
    monkeypatch.setattr(parquet, "_IN_MEMORY_BYTES", 200_000)
    load_images(manifest(PARQUET, splits={"train": 3, "test": 3}), "train")
    assert list((root / "set" / ".workbook-arrow").glob("*.arrow"))
