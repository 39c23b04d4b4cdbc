import math

import numpy as np
import pytest

from tests.metrics.brute_force import clusters
from workbook.metrics import alpha_req, effective_rank, lidar, nesum, participation_ratio, rankme

# about their mean, 0: variances 4, 1 and 1 in the ratio of the squared singular values 8, 2, 2
CROSS = np.array([[2.0, 0, 0], [-2, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])


def test_by_hand():
    shares = [2 / 4, 1 / 4, 1 / 4]  # of the singular values
    assert rankme(CROSS, eps=0) == pytest.approx(math.prod(p**-p for p in shares))
    shares = [4 / 6, 1 / 6, 1 / 6]  # of the eigenvalues
    assert effective_rank(CROSS) == pytest.approx(math.prod(p**-p for p in shares))
    assert participation_ratio(CROSS) == pytest.approx(6**2 / (16 + 1 + 1))
    assert nesum(CROSS) == pytest.approx(6 / 4)


def test_rankme_adds_eps_to_every_share():
    terms = [2 / 4 + 0.1, 1 / 4 + 0.1, 1 / 4 + 0.1, 0.1]
    assert rankme(np.pad(CROSS, ((0, 0), (0, 1))), eps=0.1) == pytest.approx(math.prod(p**-p for p in terms))


def test_a_power_law_gives_its_exponent():
    x = np.linalg.qr(np.random.default_rng(0).normal(size=(400, 81)) - 0.0)[0]
    x = np.linalg.qr(x - x.mean(0))[0][:, :80] * np.arange(1, 81) ** -0.65
    assert alpha_req(x) == pytest.approx(1.3, rel=1e-9)
    assert alpha_req(x, first=1, last=80, weighted=False) == pytest.approx(1.3, rel=1e-9)


def test_too_few_ranks_are_refused():
    with pytest.raises(ValueError, match="three eigenvalues above 0 from rank 3 to 50, got 1"):
        alpha_req(CROSS)
    with pytest.raises(ValueError, match="from rank 0 to 50"):
        alpha_req(CROSS, first=0)


def test_lidar_by_hand():
    # means 3, -3 on the first axis and 1, -1 on the second; within, variance 2 on every axis with 1 degree of freedom
    means = np.array([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]])
    steps = np.array([[1.0, 0, 0], [-1, 0, 0]])
    x = (means[:, None] + np.concatenate([steps, steps[:, [1, 0, 2]], steps[:, [1, 2, 0]]])).reshape(-1, 3)
    labels = np.repeat(np.arange(4), 6)
    # S_w is the same on every axis, so that the shares are those of 9 and 1
    assert lidar(x, labels, delta=0.5, eps=0) == pytest.approx(math.prod(p**-p for p in (9 / 10, 1 / 10)))
    with pytest.raises(ValueError, match="samples must be at least 2, got 1"):
        lidar(x, labels, samples=1)


def test_lidar_reads_the_first_samples_of_each_object():
    x, y = clusters(sizes={0: 12, 1: 9, 2: 14})
    kept = np.concatenate([np.flatnonzero(y == label)[:10] for label in range(3)])
    x[np.setdiff1d(np.arange(len(x)), kept)] = 1e9
    assert lidar(x, y, samples=10) == lidar(x[np.sort(kept)], y[np.sort(kept)], samples=10)
