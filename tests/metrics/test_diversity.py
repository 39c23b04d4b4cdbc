import math

import numpy as np
import pytest
import torch

from workbook.metrics import (
    calibrated_imagenet_score,
    cluster_diversity,
    cluster_ratio,
    explained_variance,
    spectral_diversity,
)


def clusters_left(weights: np.ndarray, threshold: float) -> int:
    """B Eq. 2 as printed: merge the two clusters of the highest mean cosine while it is above the threshold."""
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    cosine = unit @ unit.T
    clusters = [[row] for row in range(len(weights))]
    while len(clusters) > 1:
        pairs = [(a, b) for a in range(len(clusters)) for b in range(a)]
        means = [cosine[np.ix_(clusters[a], clusters[b])].mean() for a, b in pairs]
        if max(means) <= threshold:
            break
        a, b = pairs[int(np.argmax(means))]
        clusters[b] += clusters.pop(a)
    return len(clusters)


def random_weights(n, dim, seed=0, offset=0.0):
    return np.random.default_rng(seed).normal(size=(n, dim)) + offset


AWKWARD = {
    "more features than dimensions": random_weights(30, 6),
    "more dimensions than features": random_weights(12, 40),
    "alike": random_weights(20, 9, offset=1.5),
    "near-parallel": np.outer(np.ones(8), random_weights(1, 5)) + 1e-4 * random_weights(8, 5, seed=1),
    "duplicated": np.repeat(random_weights(6, 7), 3, axis=0),
    "opposite": np.concatenate([random_weights(5, 4), -random_weights(5, 4)]),
    "unequal lengths": random_weights(15, 8) * 10.0 ** np.arange(-7, 8)[:, None],
    "one feature": random_weights(1, 5),
    "one dimension": random_weights(9, 1),
}


@pytest.mark.parametrize("weights", AWKWARD.values(), ids=AWKWARD)
def test_cluster_diversity_is_the_area_under_the_cluster_ratio(weights):
    grid = (np.arange(20_000) + 0.5) / 20_000
    assert cluster_diversity(weights) == pytest.approx(cluster_ratio(weights, grid).mean(), abs=1e-4)


@pytest.mark.parametrize("weights", AWKWARD.values(), ids=AWKWARD)
def test_cluster_ratio_counts_what_the_printed_loop_leaves(weights):
    # not at the grid's round numbers, where a similarity of exactly 1 or 0 meets rounding
    thresholds = np.array([-0.505, 0.003, 0.11, 0.22, 0.35, 0.51, 0.72, 0.93, 0.995])
    expected = [clusters_left(weights, threshold) / len(weights) for threshold in thresholds]
    np.testing.assert_allclose(cluster_ratio(weights, thresholds), expected)


def test_two_features_at_sixty_degrees():
    # they merge at a cosine of 1/2: two clusters of two above it, one below, 1/2 * 1/2 + 1/2 * 1
    assert cluster_diversity([[2.0, 0.0], [0.5, math.sqrt(3) / 2]]) == pytest.approx(3 / 4)


def test_three_features_merge_at_their_mean_similarity():
    # 0 and 90 and 45 degrees: cos 45 for the first merge, then the mean of 0 and cos 45
    first = math.sqrt(1 / 2)
    weights = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    assert cluster_diversity(weights) == pytest.approx((3 - first - first / 2) / 3)


def test_bounds_of_cluster_diversity():
    assert cluster_diversity(np.eye(7)) == 1
    assert cluster_diversity(-np.ones((8, 3))) == pytest.approx(1 / 8)
    assert cluster_diversity([[1.0, 2.0]]) == 1


def test_a_zero_feature_is_no_cluster_and_is_counted():
    weights = random_weights(10, 6)
    padded = np.concatenate([weights, np.zeros((5, 6))])
    assert cluster_diversity(padded) == pytest.approx(cluster_diversity(weights) * 10 / 15)
    assert cluster_ratio(padded, [2.0])[0] == pytest.approx(10 / 15)
    assert cluster_diversity(np.zeros((4, 3))) == 0


def test_cluster_diversity_knows_directions_alone():
    weights = random_weights(14, 6, offset=0.7)
    rotation = np.linalg.qr(random_weights(6, 6, seed=3))[0]
    expected = cluster_diversity(weights)
    scales = np.random.default_rng(1).uniform(1e-160, 1e-150, (14, 1))
    order = np.random.default_rng(2).permutation(14)
    assert cluster_diversity(weights * scales) == pytest.approx(expected, rel=1e-9)
    assert cluster_diversity(weights * 1e300) == pytest.approx(expected, rel=1e-9)
    assert cluster_diversity(weights[order] @ rotation) == pytest.approx(expected, rel=1e-9)
    assert cluster_diversity(np.repeat(weights, 3, axis=0)) == pytest.approx(
        # every copy merges with its original at 1; what is left is the dendrogram of the originals
        expected / 3,
        rel=1e-9,
    )


def printed_area(weights: np.ndarray, d: int) -> float:
    squares = np.zeros(d)
    found = np.linalg.svd(weights, compute_uv=False)[:d] ** 2
    squares[: len(found)] = found
    explained = [squares[:k].sum() / squares.sum() for k in range(1, d + 1)]
    return 1 - sum(explained) / d


@pytest.mark.parametrize("weights", AWKWARD.values(), ids=AWKWARD)
def test_spectral_diversity_is_the_printed_sum(weights):
    n, dim = weights.shape
    assert spectral_diversity(weights) == pytest.approx(printed_area(weights, min(n, dim)), rel=1e-9, abs=1e-12)
    assert spectral_diversity(weights, components="features") == pytest.approx(printed_area(weights, n), abs=1e-12)
    assert spectral_diversity(weights, components="dimensions") == pytest.approx(printed_area(weights, dim), abs=1e-12)


def test_spectral_diversity_by_hand():
    assert spectral_diversity(np.eye(4)) == pytest.approx(1 - (1 / 4 + 2 / 4 + 3 / 4 + 1) / 4)
    assert spectral_diversity(np.diag([2.0, 1.0])) == pytest.approx(1 - (4 / 5 + 1) / 2)
    assert spectral_diversity(np.outer(np.arange(1, 5), [3.0, -1.0])) == pytest.approx(0, abs=1e-12)
    assert spectral_diversity([[1.0, 2.0, 3.0]]) == 0
    assert spectral_diversity(np.zeros((3, 4))) == 0


def test_the_rank_as_number_of_components():
    low_rank = random_weights(20, 3) @ random_weights(3, 12, seed=1)
    assert len(explained_variance(low_rank, components="nonzero")) == 3
    assert spectral_diversity(low_rank, components="nonzero") == pytest.approx(printed_area(low_rank, 3))
    full = random_weights(20, 12)
    assert spectral_diversity(full, components="nonzero") == spectral_diversity(full)


def test_spectral_diversity_forgets_scale_and_rotation():
    weights = random_weights(9, 6, offset=0.4)
    rotation = np.linalg.qr(random_weights(6, 6, seed=3))[0]
    for same in (weights * 1e-200, weights * 1e200, weights @ rotation, weights[::-1], weights.T):
        assert spectral_diversity(same) == pytest.approx(spectral_diversity(weights), rel=1e-9)


@pytest.mark.parametrize("measure", [cluster_diversity, spectral_diversity])
def test_tensors_and_half_precision_are_read(measure):
    weights = torch.from_numpy(random_weights(16, 8)).half()
    expected = measure(weights.double().numpy())
    assert measure(weights) == expected
    assert measure(torch.nn.Parameter(weights.float())) == expected


@pytest.mark.parametrize("measure", [cluster_diversity, spectral_diversity])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"shape \(n_features, dim\), neither of them 0, got \(3,\)"),
        (np.ones((0, 3)), r"got \(0, 3\)"),
        (np.array([[1.0, np.nan], [2.0, np.inf]]), "finite, got 2 that are not, the first of them nan"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.ones((2, 2), dtype=complex), "real numbers"),
    ],
)
def test_refusals(measure, weights, message):
    with pytest.raises(ValueError, match=message):
        measure(weights)


def test_an_unknown_number_of_components_is_refused():
    with pytest.raises(ValueError, match="available, nonzero, features, dimensions, got 'all'"):
        spectral_diversity(np.eye(3), components="all")


def test_cis_is_the_product():
    assert calibrated_imagenet_score(79.4, 0.6473) == pytest.approx(79.4 * 0.6473)
    grid = calibrated_imagenet_score(np.array([70.0, 80.0]), np.array([[0.5], [0.6]]))
    np.testing.assert_allclose(grid, [[35, 40], [42, 48]])


@pytest.mark.parametrize(("accuracy", "diversity"), [(101, 0.5), (-1, 0.5), (70, 1.1), (70, math.nan), (math.nan, 0.1)])
def test_cis_refuses_what_is_no_percentage_or_diversity(accuracy, diversity):
    with pytest.raises(ValueError, match="must lie in"):
        calibrated_imagenet_score(accuracy, diversity)
