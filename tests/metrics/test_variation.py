import math

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score

from tests.metrics import brute_force
from tests.metrics.brute_force import DATA, KINDS, as_kind, clusters
from workbook.metrics import (
    blocks,
    discriminative_ratio,
    inter_class_separation,
    intra_class_variance,
    mean_silhouette,
    ratio_parts,
)

METRICS = (discriminative_ratio, intra_class_variance, inter_class_separation, mean_silhouette)
COSINE = METRICS[1:]
RIGHT, UP = [2.0, 0.0], [0.0, 3.0]


def name_of(metric) -> str:
    return metric.__name__


def printed(metric, x, y) -> float:
    return getattr(brute_force, metric.__name__)(x, y)


def test_discriminative_ratio_by_hand():
    features = torch.tensor([[0.0], [2.0], [10.0], [14.0]])
    inter = (12 - 1) ** 2
    intra = (1**2 + 2**2) / 2
    assert discriminative_ratio(features, [0, 0, 1, 1]) == pytest.approx(inter / intra, rel=1e-15)


def test_cosine_metrics_by_hand():
    # class 0: right, up: cosine distances 0 1 1 0; class 1: up, up
    features, labels = torch.tensor([RIGHT, UP, UP, UP]), [0, 0, 1, 1]
    assert intra_class_variance(features, labels) == pytest.approx((2 / 4 + 0) / 2, rel=1e-15)
    # two classes: the sum over j, k of 1/2 (own), 1/2, 1/2 and 0 (own)
    assert inter_class_separation(features, labels) == pytest.approx((1 / 2 + 1 / 2 + 1 / 2 + 0) / 4, rel=1e-15)
    # right: s = 1, v = 1 -> 0; up of class 0: s = 0, v = 1 -> -1; class 1: s = 1/2, v = 0 -> 1
    assert mean_silhouette(features, labels) == pytest.approx((0 - 1 + 1 + 1) / 4, abs=1e-15)


@pytest.mark.parametrize("metric", METRICS, ids=name_of)
@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("block_size", [1, 40, 2**19])
def test_the_printed_sums(metric, data, block_size, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
    x, y = DATA[data]()
    assert metric(x, y) == pytest.approx(printed(metric, x, y), rel=1e-6)


@pytest.mark.parametrize("metric", METRICS, ids=name_of)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_features(metric, kind):
    x, y = clusters()
    features, exact = as_kind(x, kind)
    assert metric(features, y) == pytest.approx(printed(metric, exact, y), rel=1e-6)


# what leaves a metric unchanged: STYLE's table, one row a change
SAME = {
    "scale": METRICS,
    "scale of each sample": COSINE,
    "rotation": METRICS,
    "permuted rows": METRICS,
    "renamed labels": METRICS,
    "offset": (discriminative_ratio,),
}


def changed(change: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    order = rng.permutation(len(x))
    rotation = np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0]
    return {
        "scale": (1e4 * x, y),
        "scale of each sample": (x * rng.uniform(0.1, 9, (len(x), 1)), y),
        "rotation": (x @ rotation, y),
        "permuted rows": (x[order], y[order]),
        "renamed labels": (x, np.array([5, -3, 2, 90])[np.unique(y, return_inverse=True)[1]]),
        "offset": (x + 3.0, y),
    }[change]


@pytest.mark.parametrize("metric", METRICS, ids=name_of)
@pytest.mark.parametrize("change", SAME)
def test_invariances(metric, change):
    x, y = clusters()
    same = metric(*changed(change, x, y)) == pytest.approx(metric(x, y), rel=1e-9)
    assert same == (metric in SAME[change])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silhouette_is_scikit_learn_s(dtype):
    x, y = clusters(dim=20, sizes={k: 20 + k for k in range(9)})
    expected = silhouette_score(x.astype(dtype).astype(np.float64), y, metric="cosine")
    assert mean_silhouette(x.astype(dtype), y) == pytest.approx(expected, abs=1e-12)


def test_a_large_offset_cancels_nothing():
    x, y = clusters()
    x = np.round(x * 2**20) / 2**20  # so that adding the offset is exact
    assert discriminative_ratio(x + 2.0**30, y) == pytest.approx(brute_force.discriminative_ratio(x, y), rel=1e-8)


def test_a_narrow_class_keeps_its_variance():
    # two directions apart by the angle 2t: the mean over pairs of 1 - cos is (1 - cos 2t) / 2 = sin(t)^2
    t = 1e-7
    pair = [[math.cos(t), math.sin(t)], [math.cos(t), -math.sin(t)]]
    features = torch.tensor([*pair, *pair], dtype=torch.float64)
    assert intra_class_variance(features, [0, 0, 1, 1]) == pytest.approx(math.sin(t) ** 2, rel=1e-6)


def test_classes_that_are_points():
    points = np.array([[0.1, 0.7], [0.3, 0.2], [0.1, 0.7], [0.3, 0.2]])
    assert discriminative_ratio(points, [0, 1, 0, 1]) == math.inf
    assert intra_class_variance(points, [0, 1, 0, 1]) == 0
    assert mean_silhouette(points, [0, 1, 0, 1]) == pytest.approx(1)


def test_one_point_only():
    points = np.full((6, 5), 0.1)
    labels = [0, 1, 0, 1, 2, 2]
    assert math.isnan(discriminative_ratio(points, labels))
    assert intra_class_variance(points, labels) == inter_class_separation(points, labels) == 0
    assert mean_silhouette(points, labels) == 0


def test_one_sample_a_class_separates():
    assert inter_class_separation(torch.tensor([RIGHT, UP]), [0, 1]) == pytest.approx(1 / 2)


@pytest.mark.parametrize("metric", [discriminative_ratio, intra_class_variance, mean_silhouette], ids=name_of)
def test_one_sample_a_class_is_refused(metric):
    with pytest.raises(ValueError, match=r"at least 2 samples, got 1 of class -7 \(1 of 2 classes"):
        metric(torch.tensor([RIGHT, UP, UP]), [-7, 1, 1])


ZERO = [0.0, 0.0]


@pytest.mark.parametrize("block_size", [1, 4, 2**19])
def test_a_zero_vector_by_hand(block_size, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
    # class 0: right, zero: distances 0 1 1 1, of the zero vector with itself, too; class 1: up, up: 0 0 0 0
    features, labels = torch.tensor([RIGHT, ZERO, UP, UP]), [0, 0, 1, 1]
    assert intra_class_variance(features, labels) == pytest.approx((3 / 4 + 0) / 2, rel=1e-15)
    # between the classes every distance is 1
    assert inter_class_separation(features, labels) == pytest.approx((3 / 4 + 1 + 1 + 0) / 4, rel=1e-15)
    # right: s = v = 1; zero: s = v = 1; class 1: s = 1, v = 0
    assert mean_silhouette(features, labels) == pytest.approx((0 + 0 + 1 + 1) / 4, rel=1e-15)


def test_a_zero_vector_is_in_the_silhouette_as_scikit_learn_has_it():
    x, y = brute_force.with_zeros()
    assert mean_silhouette(x, y) == pytest.approx(silhouette_score(x, y, metric="cosine"), abs=1e-12)


def test_features_that_are_all_zero():
    features, labels = np.zeros((6, 4)), [0, 0, 0, 1, 1, 1]
    assert math.isnan(discriminative_ratio(features, labels))
    assert intra_class_variance(features, labels) == inter_class_separation(features, labels) == 1
    assert mean_silhouette(features, labels) == 0


def test_the_parts_of_a_ratio_by_hand():
    """Seen classes differ along the first channel; unseen ones are 4 apart along it and 1 along the other."""
    seen = np.array([[-1.0, 3.0], [-1.0, -3.0], [1.0, 3.0], [1.0, -3.0]])
    unseen = np.array([[-1.0, -1.0], [1.0, 1.0], [3.0, 0.0], [5.0, 2.0]])
    parts = ratio_parts(unseen, [0, 0, 1, 1], seen, [0, 0, 1, 1])
    assert parts.seen == pytest.approx(4**2 / 1**2)
    assert parts.shared == pytest.approx(1**2 / 1**2)
    assert parts.weight == pytest.approx(1**2 / (1**2 + 1**2))


def test_the_parts_make_the_ratio_in_any_frame():
    rng = np.random.default_rng(0)
    (seen, of_seen), (unseen, of_unseen) = ((rng.normal(size=(60, 7)), np.arange(60) % k) for k in (4, 5))
    turn, _ = np.linalg.qr(rng.normal(size=(7, 7)))
    parts = ratio_parts(unseen, of_unseen, seen, of_seen)
    whole = parts.weight * parts.seen + (1 - parts.weight) * parts.shared
    assert whole == pytest.approx(discriminative_ratio(unseen, of_unseen))
    moved = ratio_parts(3 * unseen @ turn + 5, of_unseen, 3 * seen @ turn + 5, of_seen)
    assert (moved.seen, moved.shared, moved.weight) == pytest.approx((parts.seen, parts.shared, parts.weight))


def test_seen_classes_of_one_mean_span_nothing():
    with pytest.raises(ValueError, match="the seen classes have one mean"):
        ratio_parts(np.eye(4), [0, 0, 1, 1], np.ones((4, 4)), [0, 0, 1, 1])
