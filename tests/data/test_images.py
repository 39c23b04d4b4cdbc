"""Images: selections, their digests, and pixels."""

from dataclasses import replace
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.conftest import make_images
from workbook.data import load_images
from workbook.data.images import Images, content_digest, fit
from workbook.errors import CorruptDataError


def _decode(row: int) -> Image.Image:
    return Image.fromarray(np.full((4, 6), row, dtype=np.uint8))


@pytest.fixture
def images() -> Images:
    """Twelve grey images of three classes, 4 high and 6 wide; image i has the value i and the class i % 3."""
    return Images(
        name="tiny",
        split="train",
        decode=_decode,
        rows=np.arange(12),
        labels=np.arange(12) % 3,
        class_names=("a", "b", "c"),
        digest="0",
        factors=pd.DataFrame({"value": range(12)}),
    )


def _values(images: Images) -> list[int]:
    return [image.getpixel((0, 0))[0] for image in images]


def test_images_come_in_rgb(images):
    assert len(images) == 12 and images[5].mode == "RGB" and images[5].getpixel((3, 3)) == (5, 5, 5)


def test_select_keeps_pixels_labels_and_factors_together(images):
    chosen = images.select(np.array([7, 2])).select(np.array([1, 0, 0]))
    assert _values(chosen) == [2, 7, 7] and chosen.labels.tolist() == [2, 1, 1]
    assert chosen.factors["value"].tolist() == [2, 7, 7] and chosen.factors.index.tolist() == [0, 1, 2]


def test_select_takes_no_mask(images):
    with pytest.raises(ValueError, match=r"integers \(n,\), got bool \(12,\)"):
        images.select(images.labels == 1)
    assert len(images.select(np.array([]))) == 0


def test_only_classes_relabels_in_the_order_of_the_classes(images):
    chosen = images.only_classes(["c", "a"])
    assert chosen.class_names == ("a", "c")
    assert _values(chosen) == [0, 2, 3, 5, 6, 8, 9, 11] and chosen.labels.tolist() == [0, 1] * 4
    with pytest.raises(ValueError, match="tiny has no class 'd'"):
        images.only_classes(["a", "d"])


def test_some_classes_are_drawn_and_more_contain_fewer(images):
    two = images.some_classes(2, seed=1)
    assert len(two.class_names) == 2 and set(two.labels) == {0, 1} and set(two.class_names) < set(images.class_names)
    assert [images.class_names[images.labels[row]] for row in two.rows] == [two.class_names[y] for y in two.labels]
    assert images.some_classes(None) is images
    assert images.some_classes(99).class_names == images.class_names
    drawn = {images.some_classes(2, seed=seed).class_names for seed in range(9)}
    assert len(drawn) > 1, "by the seed, and not the first ones"
    for seed in range(9):
        fewer, more = (load_images("digits", "test").some_classes(count, seed).class_names for count in (3, 5))
        assert set(fewer) < set(more)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        images.some_classes(1)


def test_per_class_draws_as_many_of_each_and_more_contain_fewer(images):
    two, three = images.per_class(2, seed=1), images.per_class(3, seed=1)
    assert np.bincount(two.labels).tolist() == [2, 2, 2] and set(two.rows) < set(three.rows)
    assert images.per_class(None) is images and len(images.per_class(99)) == 12
    assert {images.per_class(2, seed=s).digest for s in range(3)} != {two.digest}
    with pytest.raises(ValueError, match="at least 1 image a class, got 0"):
        images.per_class(0)


def test_equal_selections_have_equal_digests_and_others_do_not(images):
    assert images.select(np.array([1, 2])).digest == images.select([1, 2]).digest
    different = [
        images.digest,
        images.select([1, 2]).digest,
        images.select([2, 1]).digest,
        images.only_classes(["a"]).digest,
        images.only_classes(["a", "b", "c"]).digest,
        images.select([0, 3]).only_classes(["a"]).digest,
        images.select([0, 3]).only_classes(["a", "b"]).digest,  # b has no image, but is a class
    ]
    assert len(set(different)) == len(different)


def test_a_digest_knows_where_its_parts_end():
    assert content_digest("ab", "c") != content_digest("a", "bc")
    assert content_digest("ab") == content_digest(b"ab")


def test_tensor_holds_each_image_in_its_place(images, monkeypatch):
    monkeypatch.setattr("workbook.data.images._IMAGES_A_TASK", 5)  # the last task is a short one
    pixels = images.tensor(4)
    assert pixels.dtype == torch.uint8 and pixels.shape == (12, 3, 4, 4) and pixels.is_contiguous()
    assert torch.equal(pixels, torch.arange(12).to(torch.uint8)[:, None, None, None].expand(12, 3, 4, 4))


def test_a_batch_is_decoded_by_several_threads(images):
    both = Barrier(2)

    def decode(row):
        if row in (0, 255):
            both.wait(timeout=10)  # one thread alone would wait for itself
        return Image.new("RGB", (8, 8))

    many = replace(images, decode=decode, rows=np.arange(256), labels=np.zeros(256, dtype=np.int64), factors=None)
    assert many.tensor(8).shape == (256, 3, 8, 8)


def test_tensor_keeps_rows_columns_and_channels():
    array = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    one = Images(
        name="one",
        split="train",
        decode=lambda row: Image.fromarray(array),
        rows=np.arange(1),
        labels=np.zeros(1, dtype=np.int64),
        class_names=("a",),
        digest="0",
    )
    assert np.array_equal(one.tensor(4)[0].permute(1, 2, 0).numpy(), array)


def test_small_images_are_decoded_once_and_the_latest_held(images, monkeypatch):
    decoded = []
    small = replace(images, decode=lambda row: decoded.append(row) or images.decode(row), image_size=8, digest="small")
    first = small.tensor(4)
    assert small.tensor(4) is first and len(decoded) == 12
    monkeypatch.setattr("workbook.data.images._HELD_BYTES", first.nbytes + 3 * 4 * 4)
    assert torch.equal(small.select(np.array([3])).tensor(4), first[3:4]) and small.tensor(4) is first
    small.select(np.array([1, 2])).tensor(4)  # there is no room for all three
    assert small.tensor(4) is not first and torch.equal(small.tensor(4), first)
    count = len(decoded)
    assert torch.equal(small.at(np.array([5, 2]), 4), first[[5, 2]]) and len(decoded) == count
    other = replace(small, digest="large", image_size=None)
    assert torch.equal(other.at(np.array([5, 2]), 4), first[[5, 2]]) and len(decoded) == count + 2
    assert not small.small(8) and other.tensor(4) is not other.tensor(4)


def test_of_small_images_no_broken_one_is_held(images):
    broken = replace(images, decode=lambda row: 1 / 0, image_size=8, digest="mended")
    with pytest.raises(ZeroDivisionError):
        broken.tensor(4)
    assert torch.equal(replace(broken, decode=images.decode).tensor(4), images.tensor(4))


def test_a_corrupt_image_is_reported_with_set_and_split(images):
    def broken(row: int) -> Image.Image:
        raise CorruptDataError("file.png cannot be decoded")

    spoilt = Images(**{**vars(images), "decode": broken})
    with pytest.raises(CorruptDataError, match="tiny, train: file.png cannot be decoded"):
        spoilt.tensor(4)


@pytest.mark.parametrize(("width", "height"), [(6, 4), (4, 6), (9, 9), (3, 5), (101, 7)])
def test_fit_gives_a_square_of_the_centre(width, height):
    ramp = np.broadcast_to(np.linspace(0, 255, width).round().astype(np.uint8), (height, width))
    fitted = fit(Image.fromarray(np.ascontiguousarray(ramp)), 4)
    assert fitted.size == (4, 4)
    columns = np.array(fitted)[0].astype(int)
    assert abs(columns.mean() - 127.5) <= 3  # the middle of the ramp: nothing is cut from one end only


def test_fit_leaves_an_image_of_the_right_size_alone():
    image = Image.new("L", (4, 4))
    assert fit(image, 4) is image


def test_images_drawn_over_all_classes():
    images = make_images(count=200, classes=4)
    drawn = images.drawn(50)
    assert len(drawn) == len(set(drawn.rows)) == 50 and list(drawn.rows) == sorted(drawn.rows)
    assert list(drawn.labels) == list(images.labels[drawn.rows])
    counts = np.bincount(drawn.labels)
    assert counts.sum() == 50 and len(set(counts)) > 1, "not so many a class"
    assert drawn.digest == images.drawn(50).digest != images.drawn(50, seed=1).digest
    assert images.drawn(None) is images and len(images.drawn(1000)) == 200
    with pytest.raises(ValueError, match="at least 1 image, got 0"):
        images.drawn(0)


def test_sixteen_bits_become_eight_and_what_has_no_range_is_refused(images):
    ramp = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=np.uint16)
    wide = Images(**{**vars(images), "decode": lambda row: Image.fromarray(ramp)})
    assert np.asarray(wide[0])[..., 0].tolist() == [[0, 0, 1], [128, 254, 255]]
    floats = Images(**{**vars(images), "decode": lambda row: Image.fromarray(ramp.astype(np.float32))})
    with pytest.raises(CorruptDataError, match="tiny, train, row 0: an image of floats has no range"):
        floats[0]
