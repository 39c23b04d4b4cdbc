"""Every kind of source on tiny files, and every way in which data and manifest can disagree."""

import hashlib
import io
import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torchvision.datasets
from PIL import Image
from sklearn.datasets import load_digits

from workbook.data import load_images, parquet, readers
from workbook.data.manifests import Manifest
from workbook.errors import CorruptDataError, ManifestError, MissingDataError, StoreError

CLASSES = ("cat", "dog", "car")
SIZE = 8


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    return tmp_path


def pixels(label: int, number: int) -> np.ndarray:
    """(8, 8, 3): an image that tells its class and its number."""
    image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = 10 * label, number
    return image


def told(image: Image.Image) -> tuple[int, int]:
    """(label, number) of an image that `pixels` made."""
    red, green, _ = image.getpixel((0, 0))
    return red // 10, green


def encode(array: np.ndarray, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form)
    return buffer.getvalue()


def manifest(*sources: dict, **changes) -> Manifest:
    facts = {
        "name": "tiny",
        "title": "Tiny",
        "task": "classification",
        "image_size": SIZE,
        "classes": CLASSES,
        "splits": {"train": 6, "test": 3},
        "sources": sources,
        "licence": "none",
        "citation": "none",
        "url": "none",
        "obtain": "make it in {data_root}",
        "concept_split": {"eval_classes": ["car"], "rule": "machines", "official": False},
    }
    return Manifest.model_validate(facts | changes)


FOLDER = {"kind": "folder", "root": "set", "splits": {"train": "train/{*}/*.png", "test": "test/{*}/*.png"}}
PARQUET = {"kind": "parquet", "root": "set", "splits": {"train": "train-*.parquet", "test": "test-*.parquet"}}
ARRAY = {
    "kind": "array",
    "root": "set",
    "splits": {
        "train": {"images": "train.npz:x", "labels": "train.npz:y"},
        "test": {"images": "test_x.npy", "labels": "test_y.npy"},
    },
}
TORCHVISION = {"kind": "torchvision", "root": "set/train", "dataset": "ImageFolder"}
TORCHVISION |= {"splits": {"train": {}, "test": {}}}


def write_folders(root, per_class=(("train", 2), ("test", 1))):
    for split, count in per_class:
        for label, name in enumerate(CLASSES):
            folder = root / "set" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.png").write_bytes(encode(pixels(label, number)))


def write_parquet(file, rows, *, label="label", names=CLASSES, row_group_size=2):
    """`rows` are (label, bytes); names go into the schema's metadata as the hub writes them."""
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": data, "path": None} for _, data in rows],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            label: pa.array([value for value, _ in rows]),
        }
    )
    if names is not None:
        features = {"image": {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=row_group_size)


def rows(count, order=(0, 1, 2)):
    return [(label, encode(pixels(label, number))) for number in range(count) for label in order]


def write_arrays(root):
    (root / "set").mkdir()
    grid = [(label, number) for number in range(2) for label in range(3)]
    images, labels = np.stack([pixels(*cell) for cell in grid]), np.array([cell[0] for cell in grid])
    np.savez(root / "set" / "train.npz", x=images, y=labels[:, None])
    np.save(root / "set" / "test_x.npy", images[:3])
    np.save(root / "set" / "test_y.npy", labels[:3].astype(np.uint8))


def assert_whole(images, count):
    assert len(images) == 3 * count and images.image_size == SIZE and images.class_names == CLASSES
    seen = [told(image) for image in images]
    assert sorted(seen) == [(label, number) for label in range(3) for number in range(count)]
    assert [label for label, _ in seen] == images.labels.tolist()


# --- each kind of source


@pytest.mark.parametrize("source", [FOLDER, PARQUET, ARRAY], ids=lambda source: source["kind"])
def test_each_kind_gives_the_images_with_the_manifests_labels(root, source):
    if source is FOLDER:
        write_folders(root)
    elif source is ARRAY:
        write_arrays(root)
    else:
        write_parquet(root / "set" / "train-0.parquet", rows(1))
        write_parquet(root / "set" / "train-1.parquet", [(label, encode(pixels(label, 1))) for label in range(3)])
        write_parquet(root / "set" / "test-0.parquet", rows(1))
    for split, count in (("train", 2), ("test", 1)):
        images = load_images(manifest(source), split)
        assert_whole(images, count)
        assert_whole(pickle.loads(pickle.dumps(images)), count)  # as workers of a DataLoader receive it
        assert load_images(manifest(source), split).digest == images.digest


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


def test_folder_class_can_span_two_levels_and_two_patterns(root):
    for alphabet, character in (("Greek", "1"), ("Greek", "2"), ("Latin", "1")):
        folder = root / "set" / ("a" if alphabet == "Greek" else "b") / alphabet / character
        folder.mkdir(parents=True)
        for number in range(3):
            (folder / f"{number}.png").write_bytes(encode(pixels(0, number)))
        (folder / "Thumbs.db").write_bytes(b"no image")
    source = FOLDER | {"splits": {"all": ["a/{*/*}/*", "b/{*/*}/*"]}}
    split = {"eval_classes": ["Latin/*"], "rule": "", "official": True}
    both = manifest(source, classes=3, holdout={"of": "all", "test_per_class": 1, "seed": 0}, concept_split=split)
    assert load_images(both, "train").class_names == ("Greek/1", "Greek/2", "Latin/1")
    assert load_images(both, "train", side="eval").class_names == ("Latin/1",)


def test_folder_reads_classes_from_a_file_of_annotations(root):
    folder = root / "set" / "val" / "images"
    folder.mkdir(parents=True)
    for label in range(3):
        (folder / f"val_{label}.png").write_bytes(encode(pixels(label, 0)))
    lines = [f"val_{label}.png\t{CLASSES[label]}\t0\t0\t62\t62\n" for label in (2, 0, 1)]
    table = folder.parent / "val_annotations.txt"
    table.write_text("".join(lines))
    lists = {"test": {"tables": {"val/val_annotations.txt": ["file", "class", *"xywh"]}, "label": "{class}"}}
    source = FOLDER | {"splits": {"train": "train/{*}/*.png", "test": "val/images/{file}"}, "lists": lists}
    assert_whole(load_images(manifest(source), "test"), 1)
    table.write_text("".join(lines[:2]))
    with pytest.raises(ManifestError, match="tiny, test, from the folder source .*: 2 classes came"):
        load_images(manifest(source), "test")


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


# --- copies, sides, holdout, digest


def test_the_first_copy_that_is_there_is_used(root):
    write_folders(root)
    assert_whole(load_images(manifest(PARQUET, FOLDER), "train"), 2)


def test_sides_are_class_exclusive_and_relabelled(root):
    write_folders(root)
    pre, evaluation = (load_images(manifest(FOLDER), "train", side=side) for side in ("pre", "eval"))
    assert pre.class_names == ("cat", "dog") and evaluation.class_names == ("car",)
    assert [told(image)[0] for image in pre] == pre.labels.tolist()
    assert {told(image)[0] for image in evaluation} == {2} and set(evaluation.labels) == {0}


def test_the_same_images_are_held_out_of_every_copy(root):
    write_folders(root, [("all", 9)])
    write_parquet(root / "set" / "all.parquet", rows(9, order=(2, 0, 1)))
    held_out = []
    for source in (
        FOLDER | {"splits": {"all": "all/{*}/*.png"}},
        PARQUET | {"splits": {"all": "all.parquet"}},
    ):
        holdout = {"of": "all", "test_per_class": 4, "seed": 0}
        both = manifest(source, splits={"train": 15, "test": 12}, holdout=holdout)
        test, train = ([told(image) for image in load_images(both, split)] for split in ("test", "train"))
        assert not set(test) & set(train) and len(set(test) | set(train)) == 27
        held_out.append(sorted(test))
    assert held_out[0] == held_out[1]


def test_a_fraction_is_held_out_of_classes_of_unequal_size(root):
    for label, (name, count) in enumerate(zip(CLASSES, (7, 4, 9), strict=True)):
        (root / "set" / name).mkdir(parents=True)
        for number in range(count):
            (root / "set" / name / f"{number}.png").write_bytes(encode(pixels(label, number)))
    source = FOLDER | {"splits": {"all": "{*}/*.png"}}
    holdout = {"of": "all", "test_fraction": 0.3, "seed": 0}
    part = manifest(source, splits={"train": 14, "test": 6}, holdout=holdout)
    train, test = load_images(part, "train"), load_images(part, "test")
    # 2.1, 1.2 and 2.7 of 7, 4 and 9: rounded down five, and the sixth goes to the class that lost 0.7
    assert np.bincount(test.labels).tolist() == [2, 1, 3] and np.bincount(train.labels).tolist() == [5, 3, 6]
    assert not {told(i) for i in train} & {told(i) for i in test}


def test_a_fraction_too_small_for_a_class(root):
    write_folders(root, [("all", 2)])
    holdout = {"of": "all", "test_fraction": 0.3, "seed": 0}
    small = manifest(FOLDER | {"splits": {"all": "all/{*}/*.png"}}, splits={"train": 4, "test": 2}, holdout=holdout)
    with pytest.raises(ManifestError, match=r"class 2 has 2 images, too few to hold out 0 .*0.3 of every class"):
        load_images(small, "test")


def test_another_seed_holds_out_other_images(root):
    write_folders(root, [("all", 9)])
    source = FOLDER | {"splits": {"all": "all/{*}/*.png"}}
    digests = set()
    for seed in range(3):
        holdout = {"of": "all", "test_per_class": 4, "seed": seed}
        digests.add(load_images(manifest(source, splits={"train": 15, "test": 12}, holdout=holdout), "test").digest)
    assert len(digests) == 3


@pytest.mark.parametrize("whole_bytes", [2**31, 0])
def test_the_digest_follows_the_content(root, monkeypatch, whole_bytes):
    monkeypatch.setattr(readers, "_WHOLE_BYTES", whole_bytes)
    write_folders(root)
    before = load_images(manifest(FOLDER), "train").digest
    assert load_images(manifest(FOLDER), "train").digest == before
    (root / "set" / "train" / "dog" / "0.png").write_bytes(encode(np.full((9, 9, 3), 7, dtype=np.uint8)))
    assert load_images(manifest(FOLDER), "train").digest != before


def test_the_digest_follows_the_labels(root):
    write_folders(root)
    before = load_images(manifest(FOLDER), "train").digest
    (root / "set" / "train" / "dog").rename(root / "set" / "train" / "x")
    (root / "set" / "train" / "cat").rename(root / "set" / "train" / "dog")
    (root / "set" / "train" / "x").rename(root / "set" / "train" / "cat")
    assert load_images(manifest(FOLDER), "train").digest != before


# --- what can be wrong


def test_missing_data_names_manifest_places_and_way_out(root):
    with pytest.raises(MissingDataError) as raised:
        load_images(manifest(FOLDER, PARQUET, ARRAY, TORCHVISION), "train")
    message = str(raised.value)
    assert "tiny, train" in message and f"make it in {root}" in message and "WORKBOOK_DATA" in message
    for place in ("set/train/{*}/*.png", "set/train-*.parquet", "set/train.npz", "ImageFolder"):
        assert place in message


@pytest.mark.parametrize(
    ("split", "side", "message"),
    [
        ("val", None, "no split 'val'. It has: train, test"),
        ("tset", None, "Did you mean 'test'"),
        ("test", "evaluation", "no side 'evaluation'. The sides are 'pre' and 'eval'"),
    ],
)
def test_unknown_split_or_side(split, side, message):
    with pytest.raises(ManifestError, match=message):
        load_images(manifest(FOLDER), split, side=side)


def test_a_side_needs_a_concept_split():
    with pytest.raises(ManifestError, match="digits has no concept split"):
        load_images("digits", "train", side="pre")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": 7, "test": 3}}, "6 images came, the manifest says 7"),
        ({"classes": 4, "concept_split": None}, "3 classes came, the manifest says 4"),
        (
            {"classes": ("cat", "dog", "car", "bus")},
            "3 classes came, the manifest says 4. Only in the manifest: bus",
        ),
        (
            {"classes": ("cat", "hound", "car")},
            "class names differ. Only in the copy: dog; only in the manifest: hound",
        ),
    ],
)
def test_a_manifest_that_disagrees_with_the_data(root, changes, message):
    write_folders(root)
    with pytest.raises(ManifestError, match=message) as raised:
        load_images(manifest(FOLDER, **changes), "train")
    assert "tiny, train, from the folder source in" in str(raised.value)


def test_an_empty_class_folder_is_named(root):
    write_folders(root)
    for file in (root / "set" / "train" / "dog").iterdir():
        file.unlink()
    with pytest.raises(ManifestError, match="tiny, train: the class folder .*set/train/dog holds no image"):
        load_images(manifest(FOLDER), "train")


def test_a_class_without_images_in_an_otherwise_whole_split(root):
    write_parquet(root / "set" / "train-0.parquet", rows(3, order=(0, 2)))
    with pytest.raises(ManifestError, match="1 of 3 classes have no image, 'dog'"):
        load_images(manifest(PARQUET), "train")


def test_too_few_images_to_hold_out(root):
    write_folders(root, [("all", 2)])
    holdout = {"of": "all", "test_per_class": 2, "seed": 0}
    small = manifest(FOLDER | {"splits": {"all": "all/{*}/*.png"}}, splits={"train": 1, "test": 6}, holdout=holdout)
    with pytest.raises(ManifestError, match="2 images, too few to hold out 2"):
        load_images(small, "test")


def test_a_truncated_file_is_named_when_decoded(root):
    write_folders(root)
    broken = root / "set" / "train" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:48])
    images = load_images(manifest(FOLDER), "train")
    with pytest.raises(CorruptDataError, match="tiny, train: .*set/train/dog/1.png cannot be decoded"):
        images.tensor(SIZE)


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
    ("images", "labels", "message"),
    [
        (np.zeros((6, 8, 8, 3)), np.zeros(6, int), "must be uint8 .* got float64"),
        (np.zeros((6, 3, 8, 8), np.uint8), np.zeros(6, int), r"got uint8 \(6, 3, 8, 8\)"),
        (np.zeros((6, 8, 8), np.uint8), np.zeros(5, int), "6 images but 5 labels"),
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
