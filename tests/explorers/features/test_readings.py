import math

import numpy as np
import pytest

from workbook.explorers.features.readings import readings
from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy, mixture_levels

SIDES = np.array(["pre", "pre", "pre", "eval", "eval"])
LABELS = np.arange(50) % 5
FEATURES = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32) + LABELS[:, None]


def by_name(rows, labels=LABELS, sides=SIDES, features=FEATURES):
    return {reading.name: reading for reading in readings(features, labels, sides, np.asarray(rows))}


def test_they_are_the_metrics_on_the_selected_rows():
    rows = np.array([*range(30), 33, 38])
    found, part, own = by_name(rows[::-1]), FEATURES[rows], LABELS[rows]
    pre = own < 3
    assert found["φ"].value == discriminative_ratio(part, own)
    assert found["φ of pre-D"].value == discriminative_ratio(part[pre], own[pre])
    assert found["φ of eval-D"].value == discriminative_ratio(part[~pre], own[~pre])
    assert found["Π"].value == feature_mixture(part, own, SIDES == "eval", k=2)
    assert found["R"].value == feature_redundancy(part)


def test_the_levels_and_the_chance_are_said():
    found = by_name(range(50))
    levels = mixture_levels(SIDES == "eval", 2)
    assert found["Π"].note == f"k = 2; separated {levels.separated:.2f}, chance {levels.chance:.2f}"
    assert found["R"].note == f"50 images: {math.sqrt(2 / (math.pi * 49)):.2f} by chance"


def test_what_chance_gives_is_what_independent_channels_have():
    noise = np.random.default_rng(1).normal(size=(40, 300))
    off_diagonal = (feature_redundancy(noise) * 300 - 1) / 299
    assert off_diagonal == pytest.approx(math.sqrt(2 / (math.pi * 39)), rel=0.02)


def test_classes_of_one_image_are_left_out_of_phi_and_said():
    rows = [0, 5, 10, 1, 6, 2]  # three of class 0, two of class 1, one of class 2
    found = by_name(rows)
    assert found["φ"].value == discriminative_ratio(FEATURES[rows[:5]], LABELS[rows[:5]])
    assert found["φ"].note == "without 1 class of one image"
    assert found["φ of eval-D"].value is None


@pytest.mark.parametrize(
    ("rows", "sides", "name", "note"),
    [
        ([], SIDES, "φ", "no image is selected"),
        ([0, 5, 1], SIDES, "φ", "needs two classes of two images, here is 1"),
        ([0, 1, 2], SIDES, "Π", "no class of eval-D is selected"),
        ([3, 4], SIDES, "Π", "no class of pre-D is selected"),
        ([0, 3], SIDES, "Π", "needs three classes, here are 2"),
        ([0, 1, 2, 3], np.array(["all"] * 5), "Π", "the data set has no concept split"),
        ([0], SIDES, "R", "needs two images, here is 1"),
    ],
)
def test_what_is_not_defined_says_why(rows, sides, name, note):
    reading = by_name(rows, sides=sides)[name]
    assert (reading.value, reading.note) == (None, note)


def test_points_without_width_and_means_without_direction_say_why():
    still = np.repeat(np.arange(5.0)[:, None], 6, axis=1)[LABELS]
    assert by_name(range(50), features=still)["φ"].note == "the images of every class have the same features"
    assert "a zero vector has no cosine" in by_name(range(50), features=still)["Π"].note


def test_without_a_concept_split_there_is_one_phi():
    assert list(by_name(range(50), sides=np.array(["all"] * 5))) == ["φ", "Π", "R"]
