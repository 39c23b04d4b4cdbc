import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.detection.made import COCO, coco_mini, needs_coco
from workbook.detection.coco import coco_scenes
from workbook.detection.scenes import tight_boxes
from workbook.errors import CorruptDataError, MissingDataError

CATEGORIES = [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}, {"id": 3, "name": "car"}]
IMAGES = [
    {"id": 9, "file_name": "b.png", "height": 6, "width": 8},
    {"id": 2, "file_name": "a.png", "height": 5, "width": 4},
]
SQUARE = {
    "id": 1,
    "image_id": 9,
    "category_id": 90,
    "bbox": [1, 2, 3, 4],
    "area": 12.5,
    "iscrowd": 0,
    "segmentation": [[1, 2, 4, 2, 4, 6, 1, 6]],
}
CROWD = {
    "id": 2,
    "image_id": 9,
    "category_id": 3,
    "bbox": [0, 0, 1, 6],
    "area": 6,
    "iscrowd": 1,
    "segmentation": {"size": [6, 8], "counts": [0, 6, 42]},
}


@pytest.fixture
def made(tmp_path):
    """Writes two images and a file with these annotations, and opens them."""

    def make(*annotations, **changes):
        for image in IMAGES:
            shape = (image["height"], image["width"], 3)
            Image.fromarray(np.full(shape, image["id"], dtype=np.uint8)).save(tmp_path / image["file_name"])
        content = {"images": IMAGES, "annotations": annotations, "categories": CATEGORIES} | changes
        (tmp_path / "file.json").write_text(json.dumps(content))
        return coco_scenes(tmp_path, tmp_path / "file.json")

    return make


def test_images_and_classes_come_in_the_order_of_their_numbers(made):
    scenes = made(SQUARE, CROWD)
    assert (scenes.ids, scenes.class_names) == ((2, 9), ("person", "car", "toothbrush"))
    assert [tuple(scenes.image(place).shape) for place in range(2)] == [(3, 5, 4), (3, 6, 8)]
    assert [int(scenes.image(place).max()) for place in range(2)] == [2, 9]
    assert len(scenes.objects(0)) == 0 and scenes.objects(0).masks.shape == (0, 5, 4)
    assert scenes.annotated().ids == (9,) and len(made(CROWD).annotated()) == 0


def test_objects_are_what_the_file_says(made):
    found = made(SQUARE, CROWD).objects(1)
    assert found.boxes.tolist() == [[1, 2, 4, 6], [0, 0, 1, 6]]
    assert found.labels.tolist() == [2, 1]
    assert found.areas.tolist() == [12.5, 6]
    assert found.crowds.tolist() == [False, True]
    square, crowd = torch.zeros(2, 6, 8, dtype=torch.bool)
    square[2:6, 1:4], crowd[:, 0] = True, True
    assert torch.equal(found.masks, torch.stack([square, crowd]))


@pytest.mark.parametrize(
    ("segmentation", "pixels"),
    [
        ([[0, 0, 2, 0, 2, 2, 0, 2], [4, 4, 6, 4, 6, 6, 4, 6]], 8),  # two parts
        ([[0, 0, 4, 0, 4, 4, 0, 4], [1, 1, 3, 1, 3, 3, 1, 3]], 16),  # one within the other is no hole
        ([[0, 0, 2, 0, 2, 2, 0, 2], [5, 5, 6, 6]], 4),  # a line has no area
        ([], 0),
        ([[-9, -9, 99, -9, 99, 99, -9, 99]], 48),  # beyond the image
        ({"size": [6, 8], "counts": [1, 2, 45]}, 2),
        ({"size": [6, 8], "counts": "12]1"}, 2),  # the same, compressed
    ],
)
def test_every_kind_of_segmentation_is_drawn(made, segmentation, pixels):
    assert int(made(SQUARE | {"segmentation": segmentation}).objects(1).masks.sum()) == pixels


def test_the_digest_is_of_annotations_and_of_the_images_names_and_sizes(made, tmp_path):
    first = made(SQUARE).digest
    assert made(SQUARE).digest == first
    assert made(SQUARE | {"area": 12}).digest != first
    made(SQUARE)
    with (tmp_path / "a.png").open("ab") as file:
        file.write(b"more")
    assert coco_scenes(tmp_path, tmp_path / "file.json").digest != first


BROKEN_FILES = [
    ({"images": []}, "it has 0 images with 0 different numbers"),
    ({"categories": [*CATEGORIES, CATEGORIES[0]]}, "it has 4 categories with 3 different numbers"),
    ({"categories": CATEGORIES[1:]}, "annotation 1 is of image 9 and category 90, which are not both in it"),
    ({"annotations": [SQUARE | {"image_id": 4}]}, "annotation 1 is of image 4 and category 90"),
    ({"annotations": None}, r"not in COCO's format \(annotations: Input should be a valid"),
    ({"annotations": [SQUARE, {"id": 2}]}, r"\(annotations\[1\] image_id: Field required\)"),
    ({"annotations": [SQUARE | {"bbox": [0, 0, -1, 1]}]}, r"\(annotations\[0\] bbox\[2\]: Input should be greater"),
    ({"annotations": [SQUARE | {"bbox": [0, 0, 1]}]}, r"\(annotations\[0\] bbox"),
    ({"annotations": [SQUARE | {"area": float("nan")}]}, r"\(annotations\[0\] area: Input should be"),
    ({"annotations": [SQUARE | {"segmentation": [[1, 2, 3]]}]}, "a polygon has an x and a y for every corner, got 3"),
    ({"images": [*IMAGES, {"id": 4, "file_name": "no.png", "height": 1, "width": 1}]}, "no.png cannot be read"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN_FILES)
def test_refuses_a_broken_file_and_names_it(made, changes, message):
    with pytest.raises(CorruptDataError, match=message) as told:
        made(SQUARE, **changes)
    assert ("file.json" in str(told.value)) or "no.png" in message


@pytest.mark.parametrize("text", ["", "{", '{"images": [', "[]", "\xff"])
def test_refuses_what_is_no_json(made, tmp_path, text):
    made(SQUARE)
    (tmp_path / "file.json").write_text(text, encoding="latin-1")
    with pytest.raises(CorruptDataError, match=r"file.json: it is not in COCO's format"):
        coco_scenes(tmp_path, tmp_path / "file.json")


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [8, 6], "counts": [1, 2, 45]},
        {"size": [6, 8], "counts": [1, 2]},
        {"size": [6, 8], "counts": [1, 200]},
        {"size": [6, 8], "counts": "abc"},
        {"size": [6, 8], "counts": ""},
        {"size": [6, 8], "counts": "é"},
    ],
)
def test_a_broken_mask_is_told_with_its_file_and_number(made, segmentation):
    scenes = made(SQUARE | {"segmentation": segmentation})
    with pytest.raises(CorruptDataError, match=r"file.json: the mask of annotation 1 is broken \(.*Download"):
        scenes.objects(1)


def test_broken_images_are_told_by_name(made, tmp_path):
    scenes = made(SQUARE)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(CorruptDataError, match=r"a.png: it has 9 x 9 pixels, not 5 x 4 as in .*file.json"):
        scenes.image(0)
    with pytest.raises(CorruptDataError, match="b.png cannot be decoded"):
        scenes.image(1)


def test_what_is_not_there_is_missing(made, tmp_path):
    made(SQUARE)
    with pytest.raises(MissingDataError, match="other is not on this machine"):
        coco_scenes(tmp_path / "other", tmp_path / "file.json")
    with pytest.raises(MissingDataError, match="other.json is not on this machine"):
        coco_scenes(tmp_path, tmp_path / "other.json")


@needs_coco
@pytest.mark.parametrize(("split", "count", "objects", "crowds"), [("train2017", 80, 739, 8), ("val2017", 79, 624, 5)])
def test_coco_mini_is_read_as_its_own_tools_read_it(split, count, objects, crowds):
    tools = pytest.importorskip("pycocotools.coco")
    scenes, theirs = coco_mini(split), tools.COCO(str(COCO / "annotations" / f"instances_{split}.json"))
    assert (len(scenes), len(scenes.class_names), scenes.split) == (count, 80, split)
    assert scenes.class_names == tuple(one["name"] for one in theirs.loadCats(sorted(theirs.getCatIds())))
    found = [scenes.objects(index) for index in range(count)]
    assert sum(map(len, found)) == objects and sum(int(one.crowds.sum()) for one in found) == crowds
    places = {number: place for place, number in enumerate(sorted(theirs.getCatIds()))}
    for number, one in list(zip(scenes.ids, found, strict=True))[:20]:
        own = theirs.loadAnns(theirs.getAnnIds(imgIds=number))
        assert one.labels.tolist() == [places[each["category_id"]] for each in own]
        assert all(np.array_equal(mask, theirs.annToMask(each)) for mask, each in zip(one.masks, own, strict=True))


@needs_coco
def test_coco_mini_s_boxes_lie_around_their_masks():
    scenes, apart = coco_mini("val2017"), []
    for index in range(0, len(scenes), 8):
        found = scenes.objects(index)
        assert scenes.image(index).shape[1:] == found.masks.shape[1:]
        seen = found.masks.any(dim=(1, 2))
        apart += (tight_boxes(found.masks[seen]) - found.boxes[seen]).abs().amax(dim=1).tolist()
    assert np.quantile(apart, 0.9) < 1, "some have slivers that no pixel's centre lies in"
