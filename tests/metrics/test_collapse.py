import numpy as np
import pytest
import torch

from tests.metrics.brute_force import clusters
from workbook.metrics import cdnv, class_mean_accuracy, directional_cdnv, discriminative_ratio, nc1, nc2, nc3, nc4

# class 0 about (0, 0) and class 1 about (4, 0), each one step to either side on both axes
STEPS = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2]])
PLUS, LABELS = np.concatenate([STEPS, STEPS + [4, 0]]), np.repeat([0, 1], 4)


def test_by_hand():
    # within: variance (1 + 1) / 4 along the line of the means, (4 + 4) / 4 across; the means lie 2 from their centre
    assert nc1(PLUS, LABELS) == pytest.approx((2 / 4) / 2**2 / 2)
    assert cdnv(PLUS, LABELS) == pytest.approx((2.5 + 2.5) / (2 * 16))
    assert directional_cdnv(PLUS, LABELS) == pytest.approx((2 / 4) / 16)
    # nearer than 2 to its own mean along the line: all but none
    assert class_mean_accuracy(PLUS, LABELS) == 1


def test_a_simplex_is_one():
    corners = np.eye(5) * 3 + 7
    assert nc2(np.repeat(corners, 3, axis=0), np.repeat(np.arange(5), 3)) == pytest.approx(
        {"equinorm": 0, "cos": 0, "ETF error": 0}, abs=1e-12
    )


def test_cdnv_of_two_classes_is_one_over_phi():
    x, y = clusters(sizes={0: 10, 1: 12})
    assert cdnv(x, y) == pytest.approx(1 / discriminative_ratio(x, y))


def test_a_head_that_is_the_means_is_dual_and_the_opposite_is_not():
    x, y = clusters(sizes={0: 10, 1: 12, 2: 9})
    means = np.stack([x[y == label].mean(0) for label in range(3)])
    assert nc3(x, y, weight=5 * (means - means.mean(0))) == pytest.approx(0, abs=1e-20)
    assert nc3(x, y, weight=torch.from_numpy(means.mean(0) - means)) == pytest.approx(4)
    with pytest.raises(ValueError, match="a head of zeros"):
        nc3(x, y, weight=np.zeros((3, 6)))


def test_nc4_is_the_share_of_equal_decisions():
    x, y = clusters(sizes={0: 10, 1: 12, 2: 9})
    means = np.stack([x[y == label].mean(0) for label in range(3)])
    bias = -(means**2).sum(1) / 2
    nearest = (x @ means.T + bias).argmax(1)
    assert nc4(x, y, weight=means, bias=torch.from_numpy(bias)) == 1
    assert nc4(x, y, weight=means) == pytest.approx(((x @ means.T).argmax(1) == nearest).mean())
    assert nc4(x, y, weight=0 * means, bias=np.array([0.0, 1, 0])) == pytest.approx((nearest == 1).mean())


def test_another_head_is_refused():
    x, y = clusters(sizes={0: 10, 1: 12, 2: 9})
    with pytest.raises(ValueError, match=r"weight must have shape \(3, 6\), one row a class, got \(4, 6\)"):
        nc3(x, y, weight=np.zeros((4, 6)))
    with pytest.raises(ValueError, match=r"bias must have shape \(3,\), got \(4,\)"):
        nc4(x, y, weight=np.zeros((3, 6)), bias=np.zeros(4))
    with pytest.raises(ValueError, match="weight must be finite, got nan in row 0"):
        nc4(x, y, weight=np.full((3, 6), np.nan))


def test_classes_with_one_mean_are_refused():
    x, _ = clusters(sizes={0: 10})
    twice, labels = np.concatenate([x, x]), np.repeat([0, 1], len(x))
    for measure in (cdnv, directional_cdnv):
        with pytest.raises(ValueError, match="two classes have the same mean"):
            measure(twice, labels)
    with pytest.raises(ValueError, match="all class means are the same"):
        nc1(twice, labels)
    with pytest.raises(ValueError, match="a class whose mean is that of all"):
        nc2(twice, labels)
