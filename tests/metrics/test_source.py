import math

import numpy as np
import pytest
import torch
from scipy.special import softmax

from tests.metrics.brute_force import SIZES, clusters
from tests.metrics.references import REFERENCES
from workbook.metrics import blocks, leep, nce, nleep

CERTAIN = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])


def test_by_hand():
    labels = [0, 1, 1, 1]
    # source 0 has one of each label, source 1 only label 1
    expected = (math.log(1 / 2) + math.log(1 / 2) + 0 + 0) / 4
    assert nce(CERTAIN, labels) == pytest.approx(expected)
    assert leep(CERTAIN, labels) == pytest.approx(expected)  # the two agree where the head is certain
    half = np.full((4, 2), 0.5)
    assert leep(half, labels) == pytest.approx((math.log(1 / 4) + 3 * math.log(3 / 4)) / 4)
    assert leep(CERTAIN, [0, 0, 1, 1]) == nce(CERTAIN, [0, 0, 1, 1]) == 0


@pytest.mark.parametrize(("name", "measure"), [("LEEP", leep), ("NCE", nce)])
@pytest.mark.parametrize("block_size", [1, 40, 2**19])
def test_the_reference(name, measure, block_size, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
    x, y = clusters(dim=9)
    theta = softmax(3 * x, axis=1)
    assert measure(theta, y) == pytest.approx(REFERENCES[name](theta, y), rel=1e-9)
    assert measure(torch.from_numpy(theta), y) == pytest.approx(measure(theta, y), rel=1e-12)


@pytest.mark.parametrize("measure", [leep, nce])
def test_names_and_order_of_the_classes_do_not_matter(measure):
    x, y = clusters(dim=9)
    theta = softmax(3 * x, axis=1)
    renamed = np.array([5, -3, 2, 90])[np.unique(y, return_inverse=True)[1]]
    assert measure(theta[::-1, ::-1].copy(), renamed[::-1]) == pytest.approx(measure(theta, y))


@pytest.mark.parametrize("measure", [leep, nce])
def test_what_is_no_probability_is_refused(measure):
    x, y = clusters(dim=9)
    theta = softmax(x, axis=1)
    for bad in (np.where(np.arange(26)[:, None] == 17, -theta, theta), theta * (1 + (np.arange(26) == 17))[:, None]):
        with pytest.raises(ValueError, match="at least 0 and add up to 1, got other ones in row 17"):
            measure(bad, y)
    assert math.isfinite(measure(theta.astype(np.float16), y))
    with pytest.raises(ValueError, match="at least two classes"):
        measure(theta, np.zeros(26, dtype=int))
    theta[3, 1] = np.nan
    with pytest.raises(ValueError, match="probabilities must be finite, got nan in row 3"):
        measure(theta, y)


def test_nleep_is_seeded_and_takes_a_sample():
    x, y = clusters(sizes={label: 40 * count for label, count in SIZES.items()})
    assert nleep(x, y) == nleep(x, y)
    assert nleep(x, y, rows=500, components=5, seed=1) == nleep(x, y, rows=500, components=5, seed=1)
    with pytest.raises(ValueError, match="20 components need 200 samples, got 150"):
        nleep(x, y, rows=150)
