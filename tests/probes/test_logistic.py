"""The solver: scikit-learn, and Newton's method where that stops early, as oracles."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.probes.cases import blobs, sklearn_weights
from workbook.probes import logistic
from workbook.probes.logistic import fit_logistic, regularisation_path


def case(name: str) -> tuple[Tensor, Tensor]:
    if name == "more channels than samples":
        return blobs(30, 80, 3)
    if name == "two classes":
        return blobs(100, 8, 2)
    if name == "separable":
        return blobs(120, 15, 4, separation=8.0)
    x, y = blobs(150, 10, 4)
    if name == "unbalanced":
        keep = (y == 0) | (torch.arange(len(y)) < 20)
        return x[keep], y[keep]
    if name == "constant channel":
        x[:, 3] = 7.0
    if name == "duplicated columns":
        x = torch.cat([x, x], dim=1)
    if name == "far from the origin":
        x = x + 50.0
    return x, y


CASES = (
    "plain",
    "more channels than samples",
    "two classes",
    "separable",
    "unbalanced",
    "constant channel",
    "duplicated columns",
    "far from the origin",
)


@pytest.fixture(autouse=True, params=["eigenbasis", "too large for one"])
def basis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "eigenbasis":
        monkeypatch.setattr(logistic, "LARGEST_EIGENBASIS", 0)


def objective(x: Tensor, y: Tensor, weights: Tensor, c: float) -> float:
    """scikit-learn's; with two classes its ridge is on w = W_1 - W_0."""
    w = weights[:-1]
    loss = torch.nn.functional.cross_entropy(x @ w + weights[-1], y, reduction="sum")
    ridge = (w[:, 1] - w[:, 0]).square().sum() if w.shape[1] == 2 else w.square().sum()
    return float(c * loss + 0.5 * ridge)


@pytest.mark.parametrize("c", [1e-5, 1e-2, 1.0, 100.0, 1e5])
@pytest.mark.parametrize("name", CASES)
def test_objective_is_that_of_scikit_learn(name: str, c: float) -> None:
    x, y = case(name)
    k = int(y.max()) + 1
    ours = objective(x, y, fit_logistic(x, y, c, num_classes=k), c)
    theirs = objective(x, y, sklearn_weights(x, y, c), c)
    assert ours <= theirs * (1 + 1e-4)
    assert theirs <= ours * (1 + 1e-3)  # the oracle itself has converged


@pytest.mark.parametrize("name", CASES)
def test_tolerance_bounds_the_distance_to_the_optimum(name: str) -> None:
    x, y = case(name)
    k = int(y.max()) + 1
    for c in (1e-3, 1.0, 1e3):
        optimum = objective(x, y, fit_logistic(x, y, c, num_classes=k, tolerance=1e-11), c)
        for tolerance in (1e-2, 1e-4, 1e-7):
            reached = objective(x, y, fit_logistic(x, y, c, num_classes=k, tolerance=tolerance), c)
            assert optimum * (1 - 1e-9) <= reached <= optimum * (1 + tolerance)


@pytest.mark.parametrize("name", CASES)
def test_path_reaches_the_same_optima_as_single_fits(name: str) -> None:
    x, y = case(name)
    k = int(y.max()) + 1
    c_values = tuple(np.logspace(-6, 5, 12))
    for c, weights in zip(c_values, regularisation_path(x, y, c_values, num_classes=k), strict=True):
        single = objective(x, y, fit_logistic(x, y, c, num_classes=k), c)
        assert objective(x, y, weights, c) == pytest.approx(single, rel=1e-4)


def test_rows_that_repeat_each_other_are_no_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "LARGEST_EIGENBASIS", 0)
    x, y = case("more channels than samples")
    x, y = torch.cat([x, x[:20] + 1e-7]), torch.cat([y, y[:20]])
    eigenvalues = logistic._in_a_basis(x - x.mean(dim=0))[2]
    assert eigenvalues is not None, "Cholesky's pivots are too small"
    ours = objective(x, y, fit_logistic(x, y, 1.0, num_classes=int(y.max()) + 1), 1.0)
    assert ours <= objective(x, y, sklearn_weights(x, y, 1.0), 1.0) * (1 + 1e-4)


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 50])
def test_inner_products_of_any_number_of_rows(rows: int) -> None:
    x = torch.randn(rows, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(logistic._inner_products(x), x @ x.T)


def test_small_c_still_learns_the_direction() -> None:
    # at this C the objective is within 1e-4 of its value at W = 0, so its own size says little
    x, y = case("plain")
    loose = fit_logistic(x, y, 1e-7, num_classes=4)[:-1]
    tight = fit_logistic(x, y, 1e-7, num_classes=4, tolerance=1e-12)[:-1]
    assert float((loose - tight).norm() / tight.norm()) < 0.02


def test_gradient_vanishes_at_the_optimum() -> None:
    x, y = case("plain")
    weights = fit_logistic(x, y, 1.0, num_classes=4, tolerance=1e-14).requires_grad_()
    loss = torch.nn.functional.cross_entropy(x @ weights[:-1] + weights[-1], y, reduction="sum")
    (loss + 0.5 * weights[:-1].square().sum()).backward()
    assert float(weights.grad.abs().max()) < 1e-5


def nearly_separable() -> tuple[Tensor, Tensor]:
    """Correlated channels; the classes lie apart but for one label in a hundred."""
    x, y = blobs(1000, 20, 5, separation=4.0)
    y = torch.where(torch.arange(len(y)) % 100 == 99, (y + 1) % 5, y)
    mixing = torch.randn(20, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x @ (mixing * torch.logspace(0, -2, 20, dtype=torch.float64)), y


def newton_optimum(x: Tensor, y: Tensor, num_classes: int, c: float) -> float:
    """By damped Newton steps; where scikit-learn's lbfgs stops here, the objective is up to 6e-3 higher."""
    weights = torch.zeros(x.shape[1] + 1, num_classes, dtype=torch.float64)

    def value(flat: Tensor) -> Tensor:
        w = flat.view_as(weights)
        loss = torch.nn.functional.cross_entropy(x @ w[:-1] + w[-1], y, reduction="sum")
        # the sum of the intercepts is free: hold it at 0
        return c * loss + 0.5 * w[:-1].square().sum() + 0.5 * w[-1].sum().square()

    point, length = weights.flatten(), 1.0
    while length > 1e-6:
        gradient = torch.autograd.functional.jacobian(value, point)
        hessian = torch.autograd.functional.hessian(value, point)
        step, length = torch.linalg.solve(hessian, gradient), 1.0
        while length > 1e-6 and value(point - length * step) >= value(point):
            length /= 2
        point = point - length * step if length > 1e-6 else point
    return float(value(point))


@pytest.mark.parametrize("refresh", [20, 10_000])  # blocks early, never
def test_large_c_on_nearly_separable_data(monkeypatch: pytest.MonkeyPatch, refresh: int) -> None:
    monkeypatch.setattr(logistic, "REFRESH", refresh)
    x, y = nearly_separable()
    c_values = (1e3, 1e4, 1e5)
    for c, weights in zip(c_values, regularisation_path(x, y, c_values, num_classes=5), strict=True):
        optimum = newton_optimum(x, y, 5, c)
        assert optimum * (1 - 1e-9) <= objective(x, y, weights, c) <= optimum * (1 + 5e-5)


def test_blocks_spare_most_iterations_where_a_diagonal_is_a_poor_model(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = nearly_separable()
    products: list[int] = []
    monkeypatch.setattr(logistic._Problem, "loss_gradient", counted(logistic._Problem.loss_gradient, products))
    for refresh in (10_000, logistic.REFRESH):
        monkeypatch.setattr(logistic, "REFRESH", refresh)
        products.append(0)
        fit_logistic(x, y, 1e5, num_classes=5)
    assert products[1] < products[0] / 5


def counted(function: Callable, counts: list[int]) -> Callable:
    def counting(*args):
        counts[-1] += 1
        return function(*args)

    return counting


def test_a_start_far_away_ends_at_the_same_optimum() -> None:
    x, y = case("plain")
    start = 10 * torch.randn(11, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    far = fit_logistic(x, y, 1.0, num_classes=4, start=start, tolerance=1e-12)
    torch.testing.assert_close(far, fit_logistic(x, y, 1.0, num_classes=4, tolerance=1e-12), atol=1e-4, rtol=0)


def test_too_few_iterations_warn() -> None:
    x, y = case("plain")
    with pytest.warns(RuntimeWarning, match="relative gap of at most .* raise max_iterations"):
        fit_logistic(x, y, 1e3, num_classes=4, max_iterations=1)


def test_rounding_to_float32_moves_the_optimum_by_rounding() -> None:
    x, y = blobs(400, 10, 4)
    exact, rounded = (fit_logistic(z, y, 1.0, num_classes=4, tolerance=1e-12) for z in (x, x.float()))
    torch.testing.assert_close(rounded, exact, rtol=0, atol=1e-5)


def test_refusals() -> None:
    x, y = blobs(40, 5, 3)
    with pytest.raises(ValueError, match=r"labels must hold each of 0 ... 3.*got 3 classes"):
        fit_logistic(x, y, 1.0, num_classes=4)
    with pytest.raises(ValueError, match=r"labels must hold each of 0 ... 2.*got 3 classes: \[0, 2, 4\]"):
        fit_logistic(x, 2 * y, 1.0, num_classes=3)
    for c_values in ((1.0, 0.1), (0.0, 1.0), (), (1.0, float("inf"))):
        with pytest.raises(ValueError, match="c_values must be positive and ascend"):
            next(regularisation_path(x, y, c_values, num_classes=3))
