"""Detection sets by name."""

import json

import pytest
import yaml

from workbook.data import load_images
from workbook.detection.sources import load_scenes
from workbook.errors import ManifestError, MissingDataError

FACTS = {"title": "own", "task": "multilabel", "classes": ["red", "blue"], "splits": {"train": 2, "test": 1}}
FACTS |= {"licence": "none", "citation": "none", "url": "none", "obtain": "draw it in {data_root}/own"}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A manifest of one's own in COCO's format, whose data is there but for the test split's annotations."""
    from PIL import Image

    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    (tmp_path / "own" / "train").mkdir(parents=True)
    images = [{"id": 4 - i, "file_name": f"{i}.png", "height": 8, "width": 6} for i in range(2)]
    for image in images:
        Image.new("RGB", (6, 8)).save(tmp_path / "own" / "train" / image["file_name"])
    box = {"id": 1, "image_id": 3, "category_id": 9, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0}
    box["segmentation"] = [[1, 1, 3, 1, 3, 3, 1, 3]]
    content = {
        "images": images,
        "annotations": [box],
        "categories": [{"id": 9, "name": "blue"}, {"id": 2, "name": "red"}],
    }
    (tmp_path / "own" / "train.json").write_text(json.dumps(content))
    splits = {name: {"annotations": f"{name}.json", "images": name} for name in ("train", "test")}
    source = {"kind": "coco", "root": "own", "splits": splits, "without_labels": True}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"name": "own", **FACTS, "sources": [source]}))
    return str(path)


def test_a_manifest_gives_scenes_and_many_labels_of_the_same_images(own):
    scenes, images = load_scenes(own, "train"), load_images(own, "train")
    assert (scenes.name, scenes.split, scenes.class_names) == ("own", "train", ("red", "blue"))
    assert [scenes.objects(i).labels.tolist() for i in range(2)] == [[1], []]
    assert images.class_names == scenes.class_names
    assert images.labels.tolist() == [[False, True], [False, False]]


def test_the_first_images_are_taken_or_all(own):
    assert (len(load_scenes(own, "train", 1)), len(load_scenes(own, "train", 7))) == (1, 2)
    assert len(load_scenes("generated", "test", 3)) == 3


def test_what_there_is_not(own):
    with pytest.raises(MissingDataError, match="own is not on this machine: draw it in"):
        load_scenes(own, "test")
    with pytest.raises(ManifestError, match="cifar10 has no source of the kind coco with a split 'train'"):
        load_scenes("cifar10", "train")
    with pytest.raises(ManifestError, match="no source of the kind coco with a split 'val'"):
        load_scenes(own, "val")
    with pytest.raises(ValueError, match="say how many"):
        load_scenes("generated", "train")
