"""The probe by SGD: the logistic optimum and a few steps written out as oracles."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbook.errors import DivergedError
from workbook.probes.linear import ProbeRecipe, linear_probe
from workbook.probes.logistic import fit_logistic
from workbook.probes.sgd import SGDProbeRecipe, sgd_probe

RECIPE = SGDProbeRecipe(epochs=30, batch_size=32, lr=0.1)


def blobs(count: int, separation: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(count) % 4)
    return 3 + rng.normal(size=(count, 10)) + separation * rng.normal(size=(4, 10))[y], y


X, Y = blobs(800)
PARTS = X[:300], Y[:300], X[300:], Y[300:]


def accuracy(weights: np.ndarray) -> float:
    """Of a classifier (D+1, K) on the test part, as it is."""
    return 100 * float(np.mean((PARTS[2] @ weights[:-1] + weights[-1]).argmax(1) == PARTS[3]))


def test_separable_data_are_solved() -> None:
    x, y = blobs(400, separation=8.0)
    assert sgd_probe(x[:200], y[:200], x[200:], y[200:], RECIPE) == 100.0


def test_it_comes_near_the_logistic_optimum() -> None:
    optimum = linear_probe(*PARTS, ProbeRecipe(c_values=(1e-2, 1.0, 100.0))).accuracy
    assert 60 < optimum < 95
    assert sgd_probe(*PARTS, RECIPE) == pytest.approx(optimum, abs=2)


def test_weight_decay_is_the_ridge_of_the_logistic_regression() -> None:
    """Mean loss + decay / 2 ||W||^2 over all images at once has the optimum of C = 1 / (N decay)."""
    decay = 0.3
    scaled = torch.from_numpy((PARTS[0] - PARTS[0].mean(0)) / PARTS[0].std(0))
    weights = fit_logistic(
        scaled, torch.from_numpy(PARTS[1]), 1 / (300 * decay), num_classes=4, tolerance=1e-10
    ).numpy()
    weights[:-1] /= PARTS[0].std(0)[:, None]
    weights[-1] -= PARTS[0].mean(0) @ weights[:-1]
    recipe = replace(RECIPE, epochs=400, batch_size=300, weight_decay=decay)
    assert sgd_probe(*PARTS, recipe) == pytest.approx(accuracy(weights), abs=0.21)  # one image of 500
    assert accuracy(weights) != pytest.approx(sgd_probe(*PARTS, replace(recipe, weight_decay=0.0)), abs=0.21)


@pytest.mark.parametrize("cosine", [True, False])
def test_steps_by_hand(cosine: bool) -> None:
    """Four steps over all images, on features as they are, so that their order does not matter."""
    x, targets = np.hstack([PARTS[0], np.ones((300, 1))]), np.eye(4)[PARTS[1]]
    weights, speed = np.zeros((11, 4)), np.zeros((11, 4))
    decay = np.append(np.full(10, 0.5), 0.0)[:, None]  # not on the intercepts
    for rate in 0.1 * np.array([1.0, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]) if cosine else [0.1] * 4:
        p = np.exp(x @ weights)
        p /= p.sum(1, keepdims=True)
        speed = 0.9 * speed + x.T @ (p - targets) / 300 + decay * weights
        weights = weights - rate * speed
    recipe = SGDProbeRecipe(
        epochs=4, batch_size=300, lr=0.1, momentum=0.9, weight_decay=0.5, cosine_decay=cosine, standardise=False
    )
    assert sgd_probe(*PARTS, recipe) == pytest.approx(accuracy(weights))


def test_the_same_seed_gives_the_same_result() -> None:
    short = replace(RECIPE, epochs=2, lr=0.5)
    first = sgd_probe(*PARTS, short)
    state = torch.random.get_rng_state()
    assert sgd_probe(*PARTS, short) == first
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len({sgd_probe(*PARTS, replace(short, seed=seed)) for seed in range(5)}) > 1


def test_standardised_channels_make_scale_and_offset_not_matter() -> None:
    scale, offset = np.logspace(-3, 3, 10), np.arange(10.0)
    moved = scale * PARTS[0] + offset, PARTS[1], scale * PARTS[2] + offset, PARTS[3]
    assert sgd_probe(*moved, RECIPE) == pytest.approx(sgd_probe(*PARTS, RECIPE), abs=0.41)


def test_a_constant_channel_changes_nothing() -> None:
    constant = [np.hstack([x, np.full((len(x), 1), 0.1)]) for x in (PARTS[0], PARTS[2])]
    assert sgd_probe(constant[0], PARTS[1], constant[1], PARTS[3], RECIPE) == sgd_probe(*PARTS, RECIPE)


def test_gaps_in_the_labels_and_kinds_of_arrays_do_not_matter() -> None:
    tensors = [torch.from_numpy(part) for part in PARTS]
    renamed = tensors[0], 3 * tensors[1] + 5, tensors[2], 3 * tensors[3] + 5
    assert sgd_probe(*renamed, RECIPE) == sgd_probe(*PARTS, RECIPE)


def test_refusals() -> None:
    x, y = PARTS[:2]
    with pytest.raises(ValueError, match="train features must be finite, got 3000"):
        sgd_probe(np.full_like(x, np.nan), y, x, y)
    with pytest.raises(ValueError, match=r"train labels must have shape \(300,\), got \(299,\)"):
        sgd_probe(x, y[1:], x, y)
    with pytest.raises(ValueError, match=r"test features must have shape \(N, 10\), got \(300, 9\)"):
        sgd_probe(x, y, x[:, 1:], y)
    with pytest.raises(ValueError, match=r"test labels must be among the 4 of training, 0 ... 3, got \[4\]"):
        sgd_probe(x, y, x, y + 1)
    with pytest.raises(ValueError, match="at least two classes"):
        sgd_probe(x, 0 * y, x, 0 * y)
    with pytest.raises(DivergedError, match=r"lower lr \(now 1e\+35\)"):
        sgd_probe(x, y, x, y, replace(RECIPE, lr=1e35, weight_decay=1.0))


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch_size": 0}, {"lr": 0.0}, {"momentum": 1.0}, {"weight_decay": -1}]
)
def test_a_recipe_refuses_what_makes_no_sense(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(RECIPE, **change)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree() -> None:
    assert sgd_probe(*PARTS, RECIPE, device="cuda") == pytest.approx(sgd_probe(*PARTS, RECIPE), abs=0.61)
