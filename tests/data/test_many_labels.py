"""Sets whose images have many labels: the two that are shipped, COCO's real annotations, and what refuses them."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.conftest import make_images
from tests.data.copies import FOLDER, encode, manifest, pixels
from workbook.cli import app
from workbook.data.generated import FAMILIES, FILLS, LAYOUTS, generate_mosaics
from workbook.data.manifests import data_root, load_manifest
from workbook.data.shrink import shrink_data
from workbook.data.sources import load_images
from workbook.data.verify import verify_data
from workbook.errors import CorruptDataError, ManifestError, MissingDataError

COCO = {
    "kind": "coco",
    "root": "set",
    "splits": {split: {"annotations": f"{split}.json", "images": split} for split in ("train", "test")},
}
# ids have gaps and no order; image 5 has no annotation, image 7 has one category twice
CATEGORIES = [{"id": 9, "name": "car"}, {"id": 1, "name": "cat"}, {"id": 4, "name": "dog"}]
ANNOTATIONS = [(3, 9), (3, 1), (7, 4), (7, 4), (2, 1)]


def of_coco(source=COCO, **changes):
    facts = {"task": "multilabel", "concept_split": None, "splits": {"train": 3, "test": 3}, "image_size": None}
    return manifest(source, **(facts | changes))


def write_coco(root, annotations=ANNOTATIONS, images=(7, 3, 5, 2)):
    for split in ("train", "test"):
        (root / "set" / split).mkdir(parents=True)
        for image in images:
            (root / "set" / split / f"{image}.png").write_bytes(encode(pixels(0, image)))
        told = {
            "images": [{"id": image, "file_name": f"{image}.png", "height": 8} for image in images],
            "annotations": [{"id": 1, "image_id": image, "category_id": of, "iscrowd": 1} for image, of in annotations],
            "categories": CATEGORIES,
        }
        (root / "set" / f"{split}.json").write_text(json.dumps(told))


def made(**changes):
    labels = np.random.default_rng(0).random((64, 4)) < 0.4
    return make_images(64, labels=labels, **changes)


def test_an_image_has_a_category_where_it_has_an_annotation_of_it(root):
    write_coco(root)
    images = load_images(of_coco(), "train")
    assert images.class_names == ("cat", "dog", "car"), "as the manifest orders them"
    assert images.many_labels and images.labels.dtype == bool
    assert images.labels.astype(int).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]], "images 2, 3 and 7"
    assert [images[i].getpixel((0, 0))[1] for i in range(3)] == [2, 3, 7]


def test_images_without_a_label_are_left_out_or_kept(root):
    write_coco(root)
    kept = load_images(of_coco(COCO | {"without_labels": True}, splits={"train": 4, "test": 4}), "train")
    assert kept.labels.any(1).tolist() == [True, True, False, True]
    with pytest.raises(ManifestError, match="3 images came, the manifest says 4"):
        load_images(of_coco(splits={"train": 4, "test": 3}), "train")


def test_labels_are_in_the_digest(root):
    write_coco(root)
    before = load_images(of_coco(), "train").digest
    shutil.rmtree(root / "set")
    write_coco(root, [*ANNOTATIONS, (2, 9)])
    assert load_images(of_coco(), "train").digest != before


@pytest.mark.parametrize(
    ("break_it", "error", "words"),
    [
        (lambda path: path.unlink(), MissingDataError, "not on this machine"),
        (lambda path: path.write_text("{"), CorruptDataError, "train.json: it is not in COCO's format"),
        (lambda path: path.write_text('{"images": []}'), CorruptDataError, "categories: Field required"),
        (lambda path: shutil.rmtree(path.parent / "train"), MissingDataError, "train/2.png and 2 more"),
        (lambda path: (path.parent / "train" / "3.png").unlink(), ManifestError, "1 of 3 images .* train/3.png"),
    ],
)
def test_a_broken_copy_says_what_is_wrong(root, break_it, error, words):
    write_coco(root)
    break_it(root / "set" / "train.json")
    with pytest.raises(error, match=words):
        load_images(of_coco(), "train")


def test_an_annotation_of_an_unknown_image_or_category_is_an_error(root):
    write_coco(root, [*ANNOTATIONS, (2, 8)])
    with pytest.raises(CorruptDataError, match="image 2 and category 8, which are not both in it"):
        load_images(of_coco(), "train")


@pytest.mark.skipif(not (data_root() / "coco_mini").is_dir(), reason="COCO's real images are not here")
def test_real_annotations_of_coco():
    splits = {
        "train": {"annotations": "annotations/instances_train2017.json", "images": "train2017"},
        "test": {"annotations": "annotations/instances_val2017.json", "images": "val2017"},
    }
    names = load_manifest("coco2014-multilabel").class_names
    shown = of_coco(
        {"kind": "coco", "root": "coco_mini", "splits": splits}, classes=names, splits={"train": 80, "test": 79}
    )
    train, test = (load_images(shown, split) for split in ("train", "test"))
    assert train.labels.shape == (80, 80) and train.labels.any(0).all()
    assert test.labels.any(1).all() and int((~test.labels.any(0)).sum()) == 2
    told = json.loads((data_root() / "coco_mini" / "annotations" / "instances_val2017.json").read_text())
    by_id = {category["id"]: category["name"] for category in told["categories"]}
    first = min(image["id"] for image in told["images"])
    seen = {by_id[one["category_id"]] for one in told["annotations"] if one["image_id"] == first}
    assert {names[k] for k in np.flatnonzero(test.labels[0])} == seen
    found = verify_data(shown)
    assert not found.problems
    assert any(
        "79 images in 80 classes, " in line and "labels an image, from the coco" in line for line in found.checked
    )
    assert any("2 of 80 classes have no image" in line for line in found.remarks)


def test_mosaics_show_what_their_labels_say():
    """A form's own pixels are `generate`'s, and the labels are those of its four quarters."""
    images, labels = generate_mosaics("test", 40)
    assert images.shape == (40, 32, 32, 3) and labels.shape == (40, 5)
    classes = np.random.default_rng(list(b"mosaic/test")).integers(len(FAMILIES["rectilinear"]), size=(40, 4))
    shown = [{FAMILIES["rectilinear"][one].rpartition("-")[0] for one in four} for four in classes]
    assert [{LAYOUTS[k] for k in np.flatnonzero(row)} for row in labels] == shown
    assert len(FILLS) * len(LAYOUTS) == len(FAMILIES["rectilinear"])


def test_the_first_mosaics_are_the_same_however_many_are_asked_for():
    few, of_few = generate_mosaics("train", 5)
    many, of_many = generate_mosaics("train", 30)
    np.testing.assert_array_equal(few, many[:5])
    np.testing.assert_array_equal(of_few, of_many[:5])
    assert not np.array_equal(few, generate_mosaics("test", 5)[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("val", 3, 32), "split must be 'train' or 'test', got 'val'"),
        (("train", 0, 32), "images must be at least 1, got 0"),
        (("train", 3, 33), "an even number of at least 32, got 33"),
        (("train", 3, 16), "an even number of at least 32, got 16"),
    ],
)
def test_mosaics_refuse_what_cannot_be(arguments, words):
    split, count, size = arguments
    with pytest.raises(ValueError, match=words):
        generate_mosaics(split, count, image_size=size)


def test_a_selection_keeps_the_rows_of_its_labels():
    images = made()
    chosen = images.select(np.array([5, 2]))
    np.testing.assert_array_equal(chosen.labels, images.labels[[5, 2]])


def test_so_many_a_class_are_as_many_drawn_over_all():
    images = made()
    assert len(images.per_class(3)) == 3 * 4 and images.per_class(3).digest == images.drawn(12).digest
    assert len(images.per_class(100)) == 64 and images.per_class(None) is images


def test_classes_that_share_images_cannot_be_parted():
    with pytest.raises(ManifestError, match="squares has many labels, and a side or a part of the classes takes one"):
        made().only_classes(["class1"])
    assert make_images().one_label("all") is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "classification"}, "the coco source does not serve the task classification"),
        (
            {"concept_split": {"eval_classes": ["car"], "rule": "r", "official": False}},
            "share no image: leave them out",
        ),
        ({"sources": [FOLDER]}, "the folder source does not serve the task multilabel"),
    ],
)
def test_a_manifest_that_mixes_the_tasks_is_wrong(changes, words):
    with pytest.raises(ValueError, match=words):
        of_coco(**changes)


def test_the_command_line_says_that_images_have_many_labels():
    runner = CliRunner()
    listed = runner.invoke(app, ["data", "list"]).output.splitlines()
    assert next(line for line in listed if line.startswith("coco2014-multilabel")).endswith("(multilabel)")
    shown = runner.invoke(app, ["data", "show", "coco2014-multilabel"]).output
    assert "any number an image" in shown and "82,081 train" in shown


def test_a_smaller_copy_is_not_made_of_it():
    with pytest.raises(ManifestError, match="has many labels, and the copy holds one"):
        next(shrink_data("coco2014-multilabel", 64))


def test_b_s_sizes_are_those_of_the_manifest():
    coco = load_manifest("coco2014-multilabel")
    assert coco.splits == coco.paper_sizes["B"] == {"train": 82_081, "test": 40_137}
    assert coco.class_count == 80 and coco.class_names[-1] == "toothbrush"
