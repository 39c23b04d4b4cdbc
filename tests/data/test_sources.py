"""From manifests to images: which copy, which side, what is held out, and how data and manifest can disagree."""

import pickle

import numpy as np
import pytest

from tests.data.copies import (
    ARRAY,
    CLASSES,
    FOLDER,
    PARQUET,
    TORCHVISION,
    assert_whole,
    encode,
    manifest,
    pixels,
    rows,
    told,
    write_arrays,
    write_folders,
    write_parquet,
)
from workbook.data import load_images
from workbook.errors import ManifestError, MissingDataError


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


def test_the_digest_follows_the_labels(root):
    write_folders(root)
    before = load_images(manifest(FOLDER), "train").digest
    (root / "set" / "train" / "dog").rename(root / "set" / "train" / "x")
    (root / "set" / "train" / "cat").rename(root / "set" / "train" / "dog")
    (root / "set" / "train" / "x").rename(root / "set" / "train" / "cat")
    assert load_images(manifest(FOLDER), "train").digest != before


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
        ("tset", None, "did you mean 'test'"),
        ("test", "evaluation", "no side 'evaluation'. The sides are 'pre' and 'eval'"),
    ],
)
def test_unknown_split_or_side(split, side, message):
    with pytest.raises(ManifestError, match=message):
        load_images(manifest(FOLDER), split, side=side)


def test_an_eval_d_of_a_distance_is_loaded_as_a_side():
    near = load_images("generated-distances", "test", side="near")
    assert len(near.class_names) == 8 and len(near) == 8 * 40 and near.labels.max() == 7
    with pytest.raises(ManifestError, match="no side 'nearer'. The sides are 'pre' and 'eval' and 'near'"):
        load_images("generated-distances", "test", side="nearer")


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


def test_too_few_images_to_hold_out(root):
    write_folders(root, [("all", 2)])
    holdout = {"of": "all", "test_per_class": 2, "seed": 0}
    small = manifest(FOLDER | {"splits": {"all": "all/{*}/*.png"}}, splits={"train": 1, "test": 6}, holdout=holdout)
    with pytest.raises(ManifestError, match="2 images, too few to hold out 2"):
        load_images(small, "test")
