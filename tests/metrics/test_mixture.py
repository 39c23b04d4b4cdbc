from itertools import combinations

import numpy as np
import pytest
import torch

from tests.metrics import brute_force
from tests.metrics.brute_force import DATA, KINDS, as_kind, clusters
from workbook.metrics import blocks, feature_mixture, mixture_levels

SIZES = {4: 3, -2: 1, 9: 5, 70: 2, 8: 4, 33: 6, 5: 2}
IS_EVAL = [True, False, False, True, False, True, False]


def directions(*degrees: float) -> tuple[torch.Tensor, torch.Tensor]:
    """One sample a class, at these angles, and the labels 0, 1, 2 ..."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1), torch.arange(len(angles))


def test_by_hand():
    # nearest of 0 degrees is 10, of 10 is 0, of 100 is 10; the last alone is of eval-D: shares found 0, 0, 0 of 1/3
    assert feature_mixture(*directions(0, 10, 100), [False, False, True], k=1) == pytest.approx(1 - 1 / 3)
    # now 10 degrees is: shares found 1, 0, 1
    expected = 1 - (2 / 3 + 1 / 3 + 2 / 3) / 3
    assert feature_mixture(*directions(0, 10, 100), [False, True, False], k=1) == pytest.approx(expected)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("block_size", [1, 40, 2**19])
def test_the_printed_sum(data, block_size, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
    x, y = DATA[data]()
    is_eval = [i % 2 == 0 for i in range(len(np.unique(y)))]
    for k in range(1, len(is_eval)):
        assert feature_mixture(x, y, is_eval, k) == pytest.approx(brute_force.feature_mixture(x, y, is_eval, k))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 6])
def test_every_kind_of_features(kind, k):
    x, y = clusters(sizes=SIZES)
    features, exact = as_kind(x, kind)
    expected = brute_force.feature_mixture(exact, y, IS_EVAL, k)
    assert feature_mixture(features, y, np.array(IS_EVAL), k) == pytest.approx(expected, rel=1e-12)


def test_is_eval_class_follows_the_sorted_labels():
    x, y = directions(0, 10, 100)
    by_label = feature_mixture(x, y, [False, False, True], k=1)
    assert feature_mixture(x, torch.tensor([7, 50, -1]), [True, False, False], k=1) == by_label


@pytest.mark.parametrize("change", ["scale", "rotation", "permuted rows"])
def test_unchanged_by(change):
    x, y = clusters(sizes=SIZES)
    rng = np.random.default_rng(1)
    order, rotation = rng.permutation(len(x)), np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0]
    features, labels = {"scale": (300 * x, y), "rotation": (x @ rotation, y), "permuted rows": (x[order], y[order])}[
        change
    ]
    assert feature_mixture(features, labels, IS_EVAL, 3) == pytest.approx(feature_mixture(x, y, IS_EVAL, 3))


def test_an_offset_changes_the_neighbours():
    x, y = directions(0, 10, 100)
    is_eval = [False, False, True]
    moved = x - torch.tensor([0.99, 0.1])
    assert feature_mixture(moved, y, is_eval, k=1) != feature_mixture(x, y, is_eval, k=1)


def test_of_tied_neighbours_the_first_label_is_nearer():
    # 0 degrees lies between 30 and -30; both of those are nearest to it
    x, y = directions(-30, 0, 30)
    assert feature_mixture(x, y, [True, False, False], k=1) == pytest.approx(1 - (1 / 3 + 2 / 3 + 1 / 3) / 3)
    assert feature_mixture(x, y, [False, False, True], k=1) == pytest.approx(1 - 3 * (1 / 3) / 3)


def test_ties_do_not_hang_on_rounding():
    # every class has the same mean, but for a length that makes their cosines differ in the last digit
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(1, 37)) * rng.uniform(0, 9, size=(60, 1))
    is_eval = np.arange(60) < 30
    # the three nearest are the first three labels but the own one: all of eval-D
    assert feature_mixture(x, np.arange(60), is_eval, k=3) == pytest.approx(1 / 2)


def all_draws(is_eval: list[bool], k: int) -> float:
    """The expected mixture under chance, over every draw that each class could make."""
    count, share = len(is_eval), np.mean(is_eval)
    deviations = [
        np.mean([abs(np.mean([is_eval[j] for j in draw]) - share) for draw in combinations(others, k)])
        for others in ([j for j in range(count) if j != i] for i in range(count))
    ]
    return float(1 - np.mean(deviations))


@pytest.mark.parametrize("k", range(1, 7))
def test_chance_is_the_mean_over_all_draws(k):
    assert mixture_levels(IS_EVAL, k).chance == pytest.approx(all_draws(IS_EVAL, k), rel=1e-12)


@pytest.mark.parametrize("k", range(1, 7))
def test_separated_is_what_two_far_clusters_of_classes_have(k):
    x, y = directions(0, 1, 3, 90, 92, 95, 99)
    is_eval = [True] * 3 + [False] * 4
    levels = mixture_levels(is_eval, k)
    assert levels.separated == pytest.approx(feature_mixture(x, y, is_eval, k))
    p = 3 / 7
    assert (levels.separated == pytest.approx(1 - 2 * p * (1 - p))) == (k <= 2)


def test_levels_of_the_paper_s_split():
    levels = mixture_levels(np.arange(1000) < 348, k=10)
    assert levels.separated == pytest.approx(1 - 2 * 0.348 * 0.652)
    assert levels.separated < levels.chance < 1


@pytest.mark.parametrize("k", [0, 7, -1, 2.0])
def test_k_out_of_range(k):
    x, y = clusters(sizes=SIZES)
    with pytest.raises(ValueError, match=f"k must be a whole number from 1 to 6, .* got {k}"):
        feature_mixture(x, y, IS_EVAL, k)
    with pytest.raises(ValueError, match="k must be a whole number from 1 to 6"):
        mixture_levels(IS_EVAL, k)


@pytest.mark.parametrize(
    ("is_eval", "message"),
    [
        (IS_EVAL[:6], r"shape \(7,\), got bool of shape \(6,\)"),
        ([1, 0, 0, 1, 0, 1, 0], r"one bool a class, shape \(7,\), got int64"),
        ([True] * 7, "both sides, got 7 of 7"),
        ([False] * 7, "both sides, got 0 of 7"),
    ],
)
def test_bad_sides(is_eval, message):
    x, y = clusters(sizes=SIZES)
    with pytest.raises(ValueError, match=message):
        feature_mixture(x, y, is_eval, 3)


def test_a_class_mean_of_zero_is_refused():
    x, y = torch.tensor([[1.0, 0.0], [2.0, 1.0], [-2.0, -1.0]]), [3, 4, 4]
    with pytest.raises(ValueError, match="got one in row 1 of the class means"):
        feature_mixture(x, y, [True, False], k=1)
