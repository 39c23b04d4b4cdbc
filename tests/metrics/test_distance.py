import numpy as np
import pytest
from scipy.linalg import sqrtm

from tests.metrics.brute_force import KINDS, as_kind
from workbook.metrics import feature_moments, frechet_distance


def two(rows: int = 60, dim: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, dim)), rng.normal(size=(rows + 5, dim)) @ rng.normal(size=(dim, dim)) + 1


def as_printed(one: np.ndarray, other: np.ndarray) -> float:
    covariances = [np.cov(part.T, bias=True) for part in (one, other)]
    apart = one.mean(axis=0) - other.mean(axis=0)
    root = sqrtm(covariances[0] @ covariances[1]).real
    return float(apart @ apart + np.trace(covariances[0] + covariances[1] - 2 * root))


def test_in_one_dimension_by_hand():
    one = np.array([[-1.0], [1.0]])
    assert frechet_distance(one, 2 * one + 3) == pytest.approx((0 - 3) ** 2 + (1 - 2) ** 2)


@pytest.mark.parametrize("seed", range(3))
def test_as_scipy_s_root_has_it(seed):
    assert frechet_distance(*two(seed=seed)) == pytest.approx(as_printed(*two(seed=seed)))


@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind(kind):
    (one, exact_one), (other, exact_other) = (as_kind(side, kind) for side in two())
    assert frechet_distance(one, other) == pytest.approx(as_printed(exact_one, exact_other), rel=1e-6)


def test_moments_stand_for_features():
    one, other = two()
    assert frechet_distance(feature_moments(one), feature_moments(other)) == frechet_distance(one, other)


def test_rotation_and_offset_change_nothing_and_scale_counts_squared():
    one, other = two()
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    assert frechet_distance(one @ turn + 7, other @ turn + 7) == pytest.approx(frechet_distance(one, other))
    assert frechet_distance(3 * one, 3 * other) == pytest.approx(9 * frechet_distance(one, other))
    assert frechet_distance(other, one) == pytest.approx(frechet_distance(one, other))


def test_channels_that_never_vary_are_no_obstacle():
    """Fewer samples than channels, and dead ones: the covariances have no inverse."""
    one, other = (np.hstack([part[:5], np.full((5, 3), 2.0)]) for part in two())
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    direct = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    assert frechet_distance(one, other) > direct


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="the same channels, got 8 and 7"):
        frechet_distance(two()[0], two()[1][:, :7])
