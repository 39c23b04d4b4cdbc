import math

import numpy as np
import pytest

from tests.metrics.brute_force import clusters
from workbook.metrics import gbc, parc


def test_gbc_by_hand():
    # one channel, means 0 and 4, variances 1 and 9
    x, y = np.array([[-1.0], [1.0], [1.0], [7.0]]), [0, 0, 1, 1]
    distance = 4**2 / 5 / 8 + math.log(5 / math.sqrt(1 * 9)) / 2
    assert gbc(x, y) == gbc(x, y, covariance="diagonal") == pytest.approx(-2 * math.exp(-distance))


def test_equal_classes_overlap_wholly():
    x, _ = clusters(sizes={0: 10, 1: 10})
    assert gbc(np.tile(x, (3, 1)), np.repeat([0, 1, 2], 20)) == pytest.approx(-3 * 2)


def test_gbc_refuses_what_it_does_not_know():
    x, y = clusters()
    with pytest.raises(ValueError, match="spherical or diagonal, got 'full'"):
        gbc(x, y, covariance="full")
    with pytest.raises(ValueError, match="of 0 components"):
        gbc(x, y, components=0)


def test_parc_by_hand():
    # standardised over the samples these are +-1, so that the correlations are 1 within the classes and -1 between
    x = np.array([[1.0, 0, 5], [1, 0, 5], [0, 1, 5], [0, 1, 5]])
    assert parc(x, [0, 0, 1, 1]) == pytest.approx(100)


def test_parc_of_labels_that_follow_nothing_is_about_0():
    x, y = clusters(sizes={0: 200, 1: 200})
    assert abs(parc(x, np.random.default_rng(0).permutation(y))) < 1 < parc(x, y)


def test_parc_takes_a_sample_of_the_seed():
    x, y = clusters(sizes={0: 200, 1: 200})
    assert parc(x, y, rows=100, seed=1) == parc(x, y, rows=100, seed=1) != parc(x, y, rows=100, seed=2)
    assert parc(x, y, rows=300) == pytest.approx(parc(x, y), abs=3)


def test_channels_count_alike_whatever_their_scale_and_offset():
    x, y = clusters()
    assert parc(x * np.linspace(0.1, 9, 6) + np.arange(6), y) == pytest.approx(parc(x, y))
