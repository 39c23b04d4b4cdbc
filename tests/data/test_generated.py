import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression

from workbook.data.generated import (
    CLASS_NAMES,
    FAMILIES,
    INKS,
    SIGNED_FACTORS,
    UNIFORM_FACTORS,
    _draw,
    by_ink,
    generate,
)

FACTORS = (*UNIFORM_FACTORS, *SIGNED_FACTORS)


@pytest.fixture(scope="module")
def train():
    return generate("train", 40)


def test_two_families_make_48_classes():
    assert {family: len(names) for family, names in FAMILIES.items()} == {"organic": 28, "rectilinear": 20}
    assert list(CLASS_NAMES) == [*FAMILIES["organic"], *FAMILIES["rectilinear"]]
    assert len(set(CLASS_NAMES)) == 48


def test_inks_are_the_form_s_hue_and_whether_its_marks_are_lighter(train):
    _, labels, factors = train
    inks, names = by_ink(labels, factors)
    assert names == (*FAMILIES["organic"], *INKS) and len(INKS) == 10
    organic = (factors["family"] == "organic").to_numpy()
    assert np.array_equal(inks[organic], labels[organic]), "pre-D stays as it is"
    _, hue, accent = np.array([names[ink].split("-") for ink in inks[~organic]]).T
    drawn = factors[~organic]
    assert np.array_equal(accent == "lighter", drawn["accent_contrast"] > 0)
    fifths = {"red": 0, "yellow": 1, "green": 2, "blue": 3, "purple": 4}
    assert [fifths[name] for name in hue] == (drawn["hue"] // 0.2).astype(int).tolist()
    forms = drawn["class_name"].groupby(inks[~organic]).nunique()
    assert (forms > 15).all(), "an ink says nothing of the form"


def test_pixels_labels_and_factors_belong_together(train):
    pixels, labels, factors = train
    assert (pixels.shape, pixels.dtype) == ((48 * 40, 32, 32, 3), np.uint8)
    assert (labels.dtype, labels.tolist()) == (np.int64, sorted([*range(48)] * 40))
    assert list(factors.columns) == ["family", "class_name", *FACTORS]
    assert factors.index.tolist() == list(range(48 * 40))
    assert factors["class_name"].tolist() == [CLASS_NAMES[label] for label in labels]
    assert all(name in FAMILIES[family] for family, name in factors[["family", "class_name"]].to_numpy())


@pytest.mark.parametrize("size", [33, 100])  # odd; and more than one batch a class
def test_fewer_images_are_the_first_of_more(size):
    many_pixels, _, many = generate("train", 15, image_size=size)
    few_pixels, labels, few = generate("train", 4, image_size=size)
    first = (many_pixels.reshape(48, 15, -1)[:, :4]).reshape(48 * 4, -1)
    assert np.array_equal(few_pixels.reshape(48 * 4, -1), first)
    for label in (0, 27, 47):
        assert few[labels == label].to_numpy().tolist() == many[label * 15 : label * 15 + 4].to_numpy().tolist()


def test_drawing_again_gives_the_same_bits(train):
    pixels, _, factors = generate("train", 40)
    assert np.array_equal(pixels, train[0])
    assert factors.equals(train[2])


def test_splits_and_classes_share_no_draws(train):
    _, _, test = generate("test", 40)
    drawn = np.concatenate([table[FACTORS[0]].to_numpy() for table in (train[2], test)])
    assert len(np.unique(drawn)) == 2 * 48 * 40


def test_another_size_is_the_same_picture(train):
    large, _, factors = generate("train", 2, image_size=64)
    small = train[0].reshape(48, 40, 32, 32, 3)[:, :2].reshape(-1, 32, 32, 3)
    averaged = large.reshape(-1, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    # What is left is the noise: 0.03 of 255, and half of that where four pixels were averaged.
    assert np.sqrt(np.mean((averaged - small) ** 2)) < 1.2 * 255 * 0.03 * np.sqrt(1 + 1 / 4)
    assert factors["hue"].tolist() == train[2].groupby("class_name", sort=False).head(2)["hue"].tolist()


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_fills_its_range(train, name):
    values = train[2][name].to_numpy()
    if name in SIGNED_FACTORS:
        assert 0.4 < np.mean(values > 0) < 0.6
        values = np.abs(values)
    low, high = (UNIFORM_FACTORS | SIGNED_FACTORS)[name]
    assert low <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high


def test_factors_are_independent_of_the_class_and_of_each_other(train):
    _, labels, factors = train
    values = factors[list(FACTORS)]
    standard = (values - values.mean()) / values.std()
    # A mean of 40 standard values has standard deviation 0.158; 4.5 of them is one in 150,000.
    assert standard.groupby(labels).mean().abs().to_numpy().max() < 4.5 * 40**-0.5
    correlation = np.corrcoef(values.to_numpy().T)
    assert np.abs(correlation - np.eye(len(FACTORS))).max() < 4.5 * len(values) ** -0.5


def test_position_and_contrast_are_what_the_picture_shows(train):
    pixels, _, factors = train
    grey = pixels.astype(float).mean(axis=-1)
    border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1).mean(axis=1)
    weight = np.abs(grey - border[:, None, None]) ** 2
    middle = (np.arange(32) + 0.5) / 32
    total = weight.sum(axis=(1, 2))
    across, down = (weight.sum(axis=1) @ middle) / total, (weight.sum(axis=2) @ middle) / total
    assert np.corrcoef(across, factors["x"])[0, 1] > 0.8
    assert np.corrcoef(down, factors["y"])[0, 1] > 0.8
    lighter = (weight * (grey - border[:, None, None])).sum(axis=(1, 2)) > 0
    assert np.mean(lighter == (factors["contrast"] > 0)) > 0.95


def test_light_brightens_its_own_side(train):
    pixels, _, factors = train
    edge = pixels.astype(float).mean(axis=-1)
    right_less_left = edge[:, :, -2:].mean(axis=(1, 2)) - edge[:, :, :2].mean(axis=(1, 2))
    bottom_less_top = edge[:, -2:].mean(axis=(1, 2)) - edge[:, :2].mean(axis=(1, 2))
    assert np.corrcoef(right_less_left, np.cos(factors["light"]))[0, 1] > 0.8
    assert np.corrcoef(bottom_less_top, np.sin(factors["light"]))[0, 1] > 0.8


def test_mean_colour_tells_neither_class_nor_family(train):
    pixels, labels, _ = generate("test", 40)
    colours = [part.reshape(len(part), -1, 3).mean(axis=1) / 255 for part in (train[0], pixels)]
    probe = LogisticRegression().fit(colours[0], train[1])
    assert probe.score(colours[1], labels) < 2 / 48
    probe = LogisticRegression(class_weight="balanced").fit(colours[0], train[1] < 28)
    assert 0.45 < probe.score(colours[1], labels < 28) < 0.55


def test_every_image_shows_a_form(train):
    pixels = train[0]
    # In the channel that varies most; light and noise alone never come to 18.
    assert pixels.astype(float).std(axis=(1, 2)).max(axis=1).min() > 18
    assert len(np.unique(pixels.reshape(len(pixels), -1), axis=0)) == len(pixels)


def test_drawings_of_two_classes_differ_more_than_the_noise():
    """Every class drawn with the same factors and its middle proportions, pair by pair."""
    same = dict.fromkeys(FACTORS, 0.0) | {
        "x": 0.5,
        "y": 0.5,
        "size": 0.75,
        "contrast": 0.4,
        "accent_contrast": -0.18,
    }
    values = {name: np.full((1, 1, 1), value, dtype=np.float32) for name, value in same.items()}
    middle = np.zeros((32, 1, 1, 1), dtype=np.float32)
    drawings = np.stack([_draw(name, values, middle, 64).ravel() for name in CLASS_NAMES])
    rms = pdist(drawings) / np.sqrt(drawings.shape[1])
    assert rms.min() > 0.03  # the noise has 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("validation", 1, 32), "split must be 'train' or 'test', got 'validation'"),
        (("train", 0, 32), "images_per_class must be at least 1, got 0"),
        (("train", 1, 15), "image_size must be at least 16 pixels, got 15"),
    ],
)
def test_refuses(arguments, message):
    split, count, size = arguments
    with pytest.raises(ValueError, match=message):
        generate(split, count, image_size=size)


def test_a_large_image_is_drawn():
    pixels, _, _ = generate("test", 1, image_size=224)
    assert pixels.shape == (48, 224, 224, 3)
