"""The mixture model of Theorem 1: closed forms by hand, against features that are drawn, and where they turn."""

import math

import numpy as np
import pytest

from workbook.metrics import discriminative_ratio
from workbook.papers.semantic_gap import (
    blur_share,
    blur_turn,
    blurred,
    draw,
    phi_eval,
    scatter,
    separation,
    squeeze_turn,
    squeezed,
)

TWO = np.array([[1.0, 0.0], [0.5, 0.5]])
GRID = np.geomspace(0.1, 1000, 4001)


def mixtures(seed: int, classes: int = 8, seen: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(seen, 0.3), size=classes)


def test_two_classes_by_hand():
    """One is a seen class, the other falls on two seen ones alike."""
    assert separation(TWO) == pytest.approx(1 / 4 + 1 / 4)
    assert scatter(TWO) == pytest.approx((0 + 1 / 2) / 2)
    assert phi_eval(4.0, TWO) == pytest.approx((2 * 1 / 2) / (1 + 2 * 1 / 4))
    assert phi_eval(4.0, TWO, shared=3.0) == pytest.approx((2 * 1 / 2 + 3) / (1 + 2 * 1 / 4))


def test_unseen_classes_that_are_seen_ones_have_the_ratio_of_pre_d():
    assert phi_eval(GRID, np.eye(4)) == pytest.approx(GRID)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_features_that_are_drawn_have_the_closed_form(seed, shared):
    p, generator = mixtures(seed), np.random.default_rng(seed)
    for phi_pre in (2.0, 10.0, 50.0):
        found = discriminative_ratio(*draw(phi_pre, p, 5_000, generator, shared=shared))
        assert found == pytest.approx(float(phi_eval(phi_pre, p, shared)), rel=0.015)


def test_seen_classes_that_are_drawn_have_the_ratio_that_was_asked_for():
    features, labels = draw(6.0, np.eye(5), 2_000, np.random.default_rng(0))
    assert discriminative_ratio(features, labels) == pytest.approx(6.0, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_given_mixture_never_falls_and_saturates(seed):
    """The counterexample to Theorem 1: no threshold, whatever the distance."""
    p = mixtures(seed)
    assert (np.diff(phi_eval(GRID, p)) > 0).all()
    assert phi_eval(1e9, p) == pytest.approx(separation(p) / scatter(p))


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_with_assignments_that_blur_it_turns_where_derived(rate):
    p = mixtures(0)
    ratios = [float(phi_eval(phi, blurred(p, blur_share(phi, 1.0, rate)))) for phi in GRID]
    assert GRID[int(np.argmax(ratios))] == pytest.approx(blur_turn(p, 1.0, rate), rel=0.01)


def test_the_faster_the_blur_the_earlier_the_turn():
    p = mixtures(0)
    turns = [blur_turn(p, 0.1, rate) for rate in (0.2, 0.4, 0.8)]
    assert turns == sorted(turns, reverse=True)
    assert blur_turn(p, 3.0, 1.5) == 3.0, "it falls as soon as the blur begins"
    assert blur_turn(np.array([[1.0, 0.0], [1.0, 0.0]]), 1.0, 0.5) == math.inf


def test_blurring_keeps_the_mean_and_draws_the_classes_together():
    p = mixtures(1)
    assert blurred(p, 0.5).mean(axis=0) == pytest.approx(p.mean(axis=0))
    assert separation(blurred(p, 0.5)) == pytest.approx(separation(p) / 4)
    assert blur_share(0.5, 1.0, 0.4) == 1.0 and blur_share(16.0, 1.0, 0.5) == pytest.approx(16**-0.25)


def test_shared_directions_that_are_squeezed_alike_decide_whether_and_not_when():
    p = mixtures(0)
    limit = separation(p) / scatter(p)
    assert (np.diff(phi_eval(GRID, p, 1.1 * limit)) < 0).all()
    assert (np.diff(phi_eval(GRID, p, 0.9 * limit)) > 0).all()


@pytest.mark.parametrize("part", [0.75, 0.9])
def test_shared_directions_that_are_squeezed_faster_and_faster_turn_where_derived(part):
    p, end = mixtures(0), 40.0
    shared = part * separation(p) / scatter(p)
    grid = np.linspace(0, end, 8001)
    turn = squeeze_turn(p, shared, end)
    assert 0 < turn < end
    assert grid[int(np.argmax(phi_eval(grid, p, squeezed(grid, shared, end))))] == pytest.approx(turn, abs=0.01)


def test_farther_classes_turn_earlier_where_shared_directions_are_squeezed():
    base, shared = mixtures(0), 0.75 * separation(mixtures(0)) / scatter(mixtures(0))
    turns = [squeeze_turn(blurred(base, share), shared, 40.0) for share in (1.0, 0.97, 0.94)]
    assert turns == sorted(turns, reverse=True) and len(set(turns)) == 3
    assert squeeze_turn(blurred(base, 0.2), shared, 40.0) == 0.0
    assert squeeze_turn(base, shared / 100, 40.0) == math.inf, "not before the end"
    # B = 0: 2 u = l^2 A / e, with A = 2, l = 2 and e = 3
    assert squeeze_turn(np.eye(3), 8.0, 4.0) == pytest.approx(2 * (2**2 * 2 / 8) / 2)


def test_what_is_no_mixture_is_refused():
    with pytest.raises(ValueError, match="at least two unseen classes, got .1, 2."):
        separation(TWO[:1])
    with pytest.raises(ValueError, match="add up to 1, got sums .2.0, 1.0"):
        scatter(TWO * [[2], [1]])
    with pytest.raises(ValueError, match="above 0, got 0.0 and 1.0"):
        squeeze_turn(TWO, 0.0, 1.0)
