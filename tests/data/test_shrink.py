"""A copy of smaller JPEGs: another data set, of the same classes and splits."""

from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.data.copies import CLASSES, FOLDER, manifest
from workbook.data import load_images, load_manifest, shrink, verify_data
from workbook.data.shrink import shrink_data
from workbook.errors import ManifestError, StoreError

JPEGS = FOLDER | {"splits": {"train": "train/{*}/*.jpg", "test": "test/{*}/*.jpg"}}


def photograph(number: int, width: int = 60, height: int = 40) -> bytes:
    """A JPEG that shades from left to right, the darker the smaller its number."""
    row = np.linspace(20 * number, 20 * number + 100, width)
    buffer = BytesIO()
    Image.fromarray(np.broadcast_to(row[None, :, None], (height, width, 3)).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def photographs(root):
    """Two images a class for training, one for testing; one stands on its side, one is small."""
    for split, count in (("train", 2), ("test", 1)):
        for label, name in enumerate(CLASSES):
            folder = root / "set" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.jpg").write_bytes(photograph(label + number))
    turned = Image.open(BytesIO(photograph(0)))
    turned.getexif()[ExifTags.Base.Orientation] = 6
    turned.save(root / "set" / "train" / "cat" / "0.jpg", exif=turned.getexif())
    (root / "set" / "train" / "cat" / "1.jpg").write_bytes(photograph(1, 12, 15))
    return manifest(JPEGS, image_size=None)


def test_the_copy_is_a_set_of_its_own(photographs, root):
    *files, path = shrink_data(photographs, 20)
    assert [file.name for file in files] == ["train-00000-of-00001.parquet", "test-00000-of-00001.parquet"]
    copy = load_manifest(path)
    assert copy.name == "tiny-20" and copy.concept_split == photographs.concept_split and copy.image_size is None
    assert "JPEG of quality 90" in copy.title and "workbook data shrink tiny --side 20" in copy.obtain
    for split in ("train", "test"):
        large, small = load_images(photographs, split), load_images(copy, split)
        assert f"{split} from the folder source in {root}/set, digest {large.digest}" in copy.obtain
        assert small.class_names == large.class_names and small.labels.tolist() == large.labels.tolist()
        assert small.digest != large.digest
    assert not verify_data(copy, every_image=True).problems
    assert load_images(copy, "train", side="eval").class_names == ("car",)


def test_images_get_smaller_as_they_are_seen_and_small_ones_stay(photographs):
    large = load_images(photographs, "train")
    *_, path = shrink_data(photographs, 20)
    small = load_images(load_manifest(path), "train")
    cats = [index for index, label in enumerate(small.labels) if small.class_names[label] == "cat"]
    assert sorted(small[index].size for index in cats) == [(12, 15), (20, 30)]  # the turned one is upright
    for index, image in enumerate(large):
        scale = min(1, 20 / min(image.size))
        expected = image.resize([round(length * scale) for length in image.size], Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(small[index], int) - np.asarray(expected, int)).max() < 12


def test_an_interrupted_call_goes_on(photographs, monkeypatch):
    monkeypatch.setattr(shrink, "_IMAGES_A_FILE", 4)
    writing = shrink_data(photographs, 20)
    first = next(writing)
    writing.close()
    written = first.stat().st_mtime_ns
    assert not (first.parent / "tiny-20.yaml").exists(), "what has a manifest is whole"
    *files, path = shrink_data(photographs, 20)
    assert files[0] == first and first.stat().st_mtime_ns == written
    assert len(files) == 3 and len(load_images(load_manifest(path), "train")) == 6


def test_a_killed_call_leaves_no_half_file(photographs, root, monkeypatch):
    def killed(table, file, **how):
        file.write(b"PAR1")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shrink.pq, "write_table", killed)
        list(shrink_data(photographs, 20))
    assert not list((root / "tiny-20").glob("*.parquet"))
    *_, path = shrink_data(photographs, 20)
    assert len(load_images(load_manifest(path), "train")) == 6


def test_what_is_there_of_other_images_is_not_overwritten(photographs, root):
    first, *_ = shrink_data(photographs, 20)
    before = first.read_bytes()
    (root / "set" / "train" / "cat" / "1.jpg").write_bytes(photograph(5))
    with pytest.raises(StoreError, match="tiny-20/train-.* is not of these images, or broken: move .*tiny-20 away"):
        list(shrink_data(photographs, 20))
    assert first.read_bytes() == before


def test_a_holdout_becomes_splits_and_a_count_names(photographs):
    holdout = {"of": "all", "test_per_class": 1, "seed": 0}
    whole = JPEGS | {"splits": {"all": "train/{*}/*.jpg"}}
    facts = {"holdout": holdout, "splits": {"train": 3, "test": 3}, "classes": 3, "concept_split": None}
    drawn = manifest(whole, image_size=None, **facts)
    *_, path = shrink_data(drawn, 20)
    copy = load_manifest(path)
    assert copy.holdout is None and copy.class_names == tuple(sorted(CLASSES))
    for split in ("train", "test"):
        assert load_images(copy, split).labels.tolist() == load_images(drawn, split).labels.tolist()


def test_names_that_are_no_file_names(photographs, root):
    *_, path = shrink_data(photographs.model_copy(update={"name": "../a set"}), 20)
    assert path == root / "..-a-set-20" / "..-a-set-20.yaml"
    assert len(load_images(load_manifest(path), "test")) == 3


def test_small_images_are_not_shrunk(photographs):
    small = photographs.model_copy(update={"image_size": 20})
    with pytest.raises(ManifestError, match="are 20 pixels wide, so none gets smaller"):
        list(shrink_data(small, 20))
