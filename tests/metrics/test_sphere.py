import math

import numpy as np
import pytest

from tests.metrics import references
from tests.metrics.brute_force import clusters
from workbook.metrics import alignment, intra_class_variance, uniformity

RIGHT, UP, LEFT = [2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]


def test_uniformity_by_hand():
    # |u - v|^2 is 2 of right and up, 2 of up and left, 4 of right and left
    expected = math.log((math.exp(-2) + math.exp(-2) + math.exp(-4)) / 3)
    assert uniformity(np.array([RIGHT, UP, LEFT]), t=1) == pytest.approx(expected)


def test_alignment_by_hand():
    # one class with the pairs 2, 4, 2 and one with the pair 0
    features, labels = np.array([RIGHT, UP, LEFT, UP, UP]), [0, 0, 0, 1, 1]
    assert alignment(features, labels) == pytest.approx((2 + 4 + 2 + 0) / 4)


def test_alignment_is_the_intra_class_variance_of_different_pairs():
    x, y = clusters(sizes={0: 10, 1: 10, 2: 10})
    # V_intra: of half the squared distance, over all N_k^2 pairs
    assert alignment(x, y) == pytest.approx(2 * intra_class_variance(x, y) * 10 / 9)


def test_a_sample_of_the_pairs_is_drawn_from_the_seed():
    x, _ = clusters(sizes={0: 500, 1: 500})
    whole, part = uniformity(x), uniformity(x, rows=300, seed=1)
    assert part == uniformity(x, rows=300, seed=1) != uniformity(x, rows=300, seed=2)
    assert part == pytest.approx(whole, abs=0.1)


def test_single_zero_vectors_stop_nothing_and_all_of_them_do():
    x, y = clusters()
    x[[3, 17]] = 0
    assert uniformity(x) == pytest.approx(references.uniformity(x, y))
    assert alignment(x, y) == pytest.approx(references.alignment(x, y))
    for measure in (lambda: uniformity(0 * x), lambda: alignment(0 * x, y)):
        with pytest.raises(ValueError, match="every row of the features is the zero vector"):
            measure()
    with pytest.raises(ValueError, match="at least two samples, got 1"):
        uniformity(x[:1])
