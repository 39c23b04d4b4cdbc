import math

import numpy as np
import pytest

from tests.metrics.brute_force import clusters
from workbook.metrics import h_score, logme, transrate


def test_h_score_by_hand():
    # about 0: variance of the means 4, of all 4 + 1
    x, y = np.array([[3.0], [1.0], [-1.0], [-3.0]]), [0, 0, 1, 1]
    assert h_score(x, y) == pytest.approx(4 / 5)


def test_h_score_is_unchanged_by_every_invertible_map():
    x, y = clusters()
    mixed = x @ np.random.default_rng(3).normal(size=(6, 6))
    assert h_score(mixed, y) == pytest.approx(h_score(x, y))
    assert h_score(mixed, y, shrinkage="ledoit-wolf") != pytest.approx(h_score(x, y, shrinkage="ledoit-wolf"))
    with pytest.raises(ValueError, match='None or "ledoit-wolf", got "?.?oas'):
        h_score(x, y, shrinkage="oas")


def test_transrate_by_hand():
    # one channel, +-1 in both classes about 2 and -2: mean squares 5 of all; of each class about the mean of all, 5 too
    x, y = np.array([[3.0], [1.0], [-1.0], [-3.0]]), [0, 0, 1, 1]
    assert transrate(x, y) == pytest.approx(0, abs=1e-12)
    # two channels, one a class: mean squares 1/2 of each of all; 1 of one channel within a class
    x = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert transrate(x, y, eps=0.1) == pytest.approx(math.log(1 + 5) - math.log(1 + 10) / 2)
    with pytest.raises(ValueError, match="eps must be above 0, got 0"):
        transrate(x, y, eps=0)


def test_transrate_weighs_classes_by_size():
    x = np.array([[1.0, 0], [-1, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    whole = math.log(1 + 10 * 4 / 6) / 2 + math.log(1 + 10 * 2 / 6) / 2
    assert transrate(x, [0, 0, 0, 0, 1, 1], eps=0.1) == pytest.approx(whole - math.log(1 + 10) / 2)


def test_better_labels_have_more_evidence():
    x, y = clusters(sizes={0: 100, 1: 100, 2: 100})
    mixed = np.random.default_rng(0).permutation(y)
    assert logme(x, y) > logme(x, mixed) + 0.3


def test_logme_is_nearly_unchanged_by_scale():
    x, y = clusters(sizes={0: 100, 1: 100, 2: 100})
    assert logme(x / 100, y) == pytest.approx(logme(x, y), rel=1e-6)
    assert logme(100 * x, y) == pytest.approx(logme(x, y), abs=5e-3)
