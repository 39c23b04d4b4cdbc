"""Factors that vary within classes: read with the pictures that they were drawn for, and applied to any others."""

import pickle

import numpy as np
import pytest
from PIL import Image

from tests.conftest import make_images
from workbook.data import load_images
from workbook.data.factors import APPLIED_FACTORS, PERIODS, apply_factors, drawn_factors, transformed
from workbook.data.generated import FACTOR_NAMES

STILL = {"shift_x": 0.0, "shift_y": 0.0, "crop": 1.0, "rotation": 0.0, "hue_shift": 0.0, "blur": 0.001}
SIDE = 64


def dotted(*places: tuple[int, int], side: int = SIDE) -> Image.Image:
    """White dots of 3 by 3 pixels on black, around these places (right, down)."""
    pixels = np.zeros((side, side, 3), dtype=np.uint8)
    for x, y in places:
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
    return Image.fromarray(pixels)


def moments(image: Image.Image) -> tuple[float, float, float]:
    """The middle of what is bright, in pixels right and down, and its variance across."""
    bright = np.asarray(image)[..., 0].astype(float)
    down, across = np.indices(bright.shape)
    x, y = np.average(across, weights=bright), np.average(down, weights=bright)
    return x, y, np.average((across - x) ** 2, weights=bright)


@pytest.mark.parametrize("side", [None, "pre", "eval"])
def test_drawn_factors_belong_to_the_pictures_that_come(side):
    varied = drawn_factors(load_images("generated", "train", side=side).per_class(10, seed=3))
    images, factors = varied.images, varied.factors
    assert list(factors) == list(FACTOR_NAMES) and len(factors) == len(images)
    grey = np.stack([np.asarray(image, dtype=float).mean(axis=-1) for image in images])
    border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1).mean(axis=1)
    weight = (grey - border[:, None, None]) ** 2
    middle = (np.arange(grey.shape[1]) + 0.5) / grey.shape[1]
    across, down = (weight.sum(axis=axis) @ middle / weight.sum(axis=(1, 2)) for axis in (1, 2))
    assert np.corrcoef(across, factors["x"])[0, 1] > 0.8
    assert np.corrcoef(down, factors["y"])[0, 1] > 0.8


def test_drawn_factors_change_no_image_and_are_compared_within_classes():
    plain = load_images("generated", "test", side="eval")
    assert drawn_factors(plain).images is plain and drawn_factors(plain).groups is plain.labels


def test_what_knows_no_factors_is_told_so():
    with pytest.raises(ValueError, match="squares comes without factors: `apply_factors` gives it some"):
        drawn_factors(make_images(6))


def test_without_any_the_image_stays():
    image = make_images(1, size=32)[0]
    assert np.abs(np.asarray(transformed(image, STILL)).astype(int) - np.asarray(image)).max() <= 1


def test_a_shift_moves_to_the_right_and_down():
    x, y, _ = moments(transformed(dotted((32, 32)), STILL | {"shift_x": 8 / SIDE, "shift_y": -4 / SIDE}))
    assert (x, y) == pytest.approx((32 + 8, 32 - 4), abs=0.1)


def test_a_crop_enlarges_around_the_centre():
    """The centre lies between the pixels 31 and 32; a part of half the side is enlarged twice."""
    x, y, _ = moments(transformed(dotted((40, 36)), STILL | {"crop": 0.5}))
    assert (x, y) == pytest.approx((31.5 + 2 * 8.5, 31.5 + 2 * 4.5), abs=0.1)


def test_a_rotation_goes_clockwise():
    """What lies 16.5 pixels to the right and 0.5 down of the centre goes down."""
    x, y, _ = moments(transformed(dotted((48, 32)), STILL | {"rotation": np.pi / 6}))
    right, down = np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]]) @ (
        16.5,
        0.5,
    )
    assert (x, y) == pytest.approx((31.5 + right, 31.5 + down), abs=0.1)


def test_a_third_of_a_turn_makes_red_green_and_back():
    red = Image.new("RGB", (16, 16), (200, 50, 50))
    green = transformed(red, STILL | {"hue_shift": 1 / 3})
    assert np.asarray(green)[8, 8].tolist() == pytest.approx([50, 200, 50], abs=1)
    assert np.asarray(transformed(green, STILL | {"hue_shift": -1 / 3}))[8, 8].tolist() == pytest.approx(
        [200, 50, 50], abs=2
    )


def test_blur_is_a_standard_deviation():
    """Variances add: a bar of 3 pixels has 2 / 3."""
    bar = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    bar[:, 31:34] = 255
    *_, variance = moments(transformed(Image.fromarray(bar), STILL | {"blur": 2 / SIDE}))
    assert variance == pytest.approx(2 / 3 + 2**2, rel=0.02)


@pytest.mark.parametrize("size", [(32, 32), (40, 24)])
def test_no_border_shows(size):
    """Nothing comes in from outside, however far the image moves: white stays white."""
    white = Image.new("RGB", size, "white")
    for corner in np.random.default_rng(0).integers(2, size=(20, len(APPLIED_FACTORS))):
        drawn = {name: ends[end] for (name, ends), end in zip(APPLIED_FACTORS.items(), corner, strict=True)}
        moved = transformed(white, drawn)
        assert moved.size == (min(size), min(size)) and np.asarray(moved).min() >= 254


def test_an_image_and_a_seed_make_one_result():
    images = make_images(20)
    some = apply_factors(images.select(np.array([7, 3, 7])), views=2, seed=1)
    whole = apply_factors(images, views=2, seed=1)
    same = [14, 15, 6, 7, 14, 15]
    assert some.factors.to_numpy().tolist() == whole.factors.iloc[same].to_numpy().tolist()
    assert np.array_equal(some.images.tensor(16), whole.images.tensor(16)[same])
    other = apply_factors(images, views=2, seed=2)
    assert not other.factors.equals(whole.factors)
    assert len({found.digest for found in (images, whole.images, other.images, apply_factors(images).images)}) == 4


def test_views_of_an_image_follow_each_other():
    images = make_images(5)
    varied = apply_factors(images, views=3)
    assert varied.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert varied.images.labels.tolist() == images.labels[varied.groups].tolist()
    assert not varied.factors.duplicated().any()


def test_the_table_is_what_was_applied():
    images = make_images(3, size=32)
    varied = apply_factors(images, views=2)
    for index, row in varied.factors.iterrows():
        expected = transformed(images[varied.groups[index]], row.to_dict())
        assert np.array_equal(np.asarray(varied.images[index]), np.asarray(expected))


def test_applied_factors_fill_their_ranges_and_know_of_nothing():
    varied = apply_factors(make_images(250, classes=4))
    factors = varied.factors
    for name, (low, high) in APPLIED_FACTORS.items():
        assert low <= factors[name].min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < factors[name].max() <= high
    # 4.5 standard deviations of a correlation of independent values
    correlation = np.corrcoef(factors.assign(label=varied.images.labels).to_numpy().T)
    assert np.abs(correlation - np.eye(7)).max() < 4.5 * 2000**-0.5


def test_splits_share_no_draws():
    train, test = (apply_factors(make_images(4, split=split)).factors for split in ("train", "test"))
    assert not set(train["blur"]) & set(test["blur"])


def test_workers_can_be_given_them():
    applied = apply_factors(load_images("digits", "test").per_class(1)).images
    assert np.array_equal(np.asarray(pickle.loads(pickle.dumps(applied))[9]), np.asarray(applied[9]))


def test_periods_are_whole_turns():
    turns = {"hue": 1, "background_hue": 1, "light": 2 * np.pi, "hue_shift": 1}
    assert pytest.approx(turns) == PERIODS
