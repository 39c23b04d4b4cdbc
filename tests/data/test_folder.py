"""Image files in folders, and folders that are not whole."""

import pytest

from tests.data.copies import (
    CLASSES,
    FOLDER,
    SIZE,
    assert_whole,
    encode,
    manifest,
    pixels,
    write_folders,
)
from workbook.data import load_images
from workbook.errors import CorruptDataError, ManifestError


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


def test_an_empty_class_folder_is_named(root):
    write_folders(root)
    for file in (root / "set" / "train" / "dog").iterdir():
        file.unlink()
    with pytest.raises(ManifestError, match="tiny, train: the class folder .*set/train/dog holds no image"):
        load_images(manifest(FOLDER), "train")


def test_a_truncated_file_is_named_when_decoded(root):
    write_folders(root)
    broken = root / "set" / "train" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:48])
    images = load_images(manifest(FOLDER), "train")
    with pytest.raises(CorruptDataError, match="tiny, train: .*set/train/dog/1.png cannot be decoded"):
        images.tensor(SIZE)
