"""The linear probe: scikit-learn as oracle for the solver, then the protocol around it."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from workbook.evaluation import logistic
from workbook.evaluation.linear_probe import ProbeRecipe, linear_probe
from workbook.evaluation.logistic import fit_logistic, regularisation_path
from workbook.evaluation.quasi_newton import Blocks

SHORT = ProbeRecipe(c_values=(1e-4, 1e-2, 1.0, 100.0))


def blobs(n: int, d: int, k: int, *, separation: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian classes around random centres; every class occurs."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    x = rng.normal(size=(n, d)) + separation * np.random.default_rng(99).normal(size=(k, d))[y]
    return torch.from_numpy(x), torch.from_numpy(y)


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


def objective(x: Tensor, y: Tensor, weights: Tensor, c: float) -> float:
    """scikit-learn's; with two classes its ridge is on w = W_1 - W_0."""
    w = weights[:-1]
    loss = torch.nn.functional.cross_entropy(x @ w + weights[-1], y, reduction="sum")
    ridge = (w[:, 1] - w[:, 0]).square().sum() if w.shape[1] == 2 else w.square().sum()
    return float(c * loss + 0.5 * ridge)


def sklearn_weights(x: Tensor, y: Tensor, c: float) -> Tensor:
    # on centred data: the intercept moves, the objective does not
    mean = x.mean(dim=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=c, tol=1e-10, max_iter=20_000).fit((x - mean).numpy(), y.numpy())
    w, b = torch.from_numpy(model.coef_.T), torch.from_numpy(model.intercept_)
    if w.shape[1] == 1:
        w, b = torch.cat([-w / 2, w / 2], dim=1), torch.cat([-b / 2, b / 2])
    return torch.cat([w, (b - mean @ w)[None]])


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blocks_invert_each_class(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(3, 6, 6, generator=generator, dtype=torch.float64) * torch.logspace(0, 3, 6)
    matrices = roots.mT @ roots
    vectors = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    expected = torch.stack([torch.linalg.solve(matrices[c], vectors[:, :, c].T).T for c in range(3)], dim=-1)
    solved = Blocks(matrices.to(dtype)).solve(vectors.to(dtype))
    torch.testing.assert_close(solved.double(), expected, rtol=1e-2 if dtype == torch.float32 else 1e-8, atol=1e-6)


def test_blocks_take_matrices_that_rounding_made_indefinite() -> None:
    matrices = torch.ones(1, 5, 5)
    matrices[0, 0, 1] = matrices[0, 1, 0] = 1 + 1e-4
    assert Blocks(matrices).solve(torch.ones(1, 5, 1)).isfinite().all()


def test_a_start_far_away_ends_at_the_same_optimum() -> None:
    x, y = case("plain")
    start = 10 * torch.randn(11, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    far = fit_logistic(x, y, 1.0, num_classes=4, start=start, tolerance=1e-12)
    torch.testing.assert_close(far, fit_logistic(x, y, 1.0, num_classes=4, tolerance=1e-12), atol=1e-4, rtol=0)


def test_too_few_iterations_warn() -> None:
    x, y = case("plain")
    with pytest.warns(RuntimeWarning, match="relative gap of at most .* raise max_iterations"):
        fit_logistic(x, y, 1e3, num_classes=4, max_iterations=1)


def probe(x: Tensor, y: Tensor, **kwargs):
    n = len(x) // 2
    return linear_probe(x[:n], y[:n], x[n:], y[n:], kwargs.pop("recipe", SHORT), **kwargs)


def test_default_path_is_that_of_the_paper() -> None:
    c = ProbeRecipe().c_values
    assert len(c) == 45
    assert (c[0], c[-1]) == pytest.approx((1e-6, 1e5))
    np.testing.assert_allclose(np.diff(np.log10(c)), 0.25)


def test_separable_data_are_solved() -> None:
    result = probe(*blobs(200, 15, 4, separation=8.0))
    assert result.accuracy == 100.0


def test_ties_take_the_smaller_c() -> None:
    result = probe(*blobs(200, 15, 4, separation=8.0))
    best = max(result.validation_accuracy)
    assert result.c == SHORT.c_values[result.validation_accuracy.index(best)]
    assert result.validation_accuracy.count(best) > 1


def test_test_labels_do_not_change_the_choice() -> None:
    x, y = blobs(300, 10, 4)
    first = probe(x, y)
    shuffled = torch.cat([y[:150], y[150:].roll(7)])
    other = probe(x, shuffled)
    assert (first.c, first.validation_accuracy) == (other.c, other.validation_accuracy)
    assert first.accuracy != other.accuracy


def test_the_probe_is_the_protocol_done_by_hand() -> None:
    x, y = blobs(300, 10, 4)
    train, chooser, test = slice(0, 120), slice(120, 200), slice(200, 300)

    def standardised(part: slice, by: slice) -> Tensor:
        return (x[part] - x[by].mean(0)) / x[by].std(0, correction=0)

    def percent(part: slice, by: slice, c: float) -> float:
        weights = sklearn_weights(standardised(by, by), y[by], c)
        predicted = (standardised(part, by) @ weights[:-1] + weights[-1]).argmax(1)
        return 100 * float((predicted == y[part]).double().mean())

    scores = [percent(chooser, train, c) for c in SHORT.c_values]
    c = SHORT.c_values[int(np.argmax(scores))]
    result = linear_probe(x[train], y[train], x[test], y[test], SHORT, validation=(x[chooser], y[chooser]))
    assert result.c == c
    # one image of 80, of 100: the closest margin here is 4e-4, within the solver's tolerance
    assert result.validation_accuracy == pytest.approx(scores, abs=1.26)
    assert result.accuracy == pytest.approx(percent(test, slice(0, 200), c), abs=1.01)


def test_channel_scale_and_offset_do_not_matter() -> None:
    x, y = blobs(300, 10, 4)
    assert probe(x * torch.logspace(-3, 3, 10, dtype=torch.float64) + 5, y) == probe(x, y)


def test_names_of_the_labels_do_not_matter() -> None:
    x, y = blobs(300, 10, 4)
    n, order = 200, torch.tensor([2, 0, 3, 1])
    parts = (x[:100], x[200:], (x[100:n], y[100:n]))
    first = linear_probe(parts[0], y[:100], parts[1], y[200:], SHORT, validation=parts[2])
    renamed = (x[100:n], order[y[100:n]])
    other = linear_probe(parts[0], order[y[:100]], parts[1], order[y[200:]], SHORT, validation=renamed)
    assert first == other


def test_the_split_is_seeded() -> None:
    x, y = blobs(300, 10, 4)
    assert probe(x, y) == probe(x, y)
    seeds = [probe(x, y, recipe=replace(SHORT, seed=seed)).validation_accuracy for seed in range(4)]
    assert len(set(seeds)) > 1


def test_a_constant_channel_changes_nothing() -> None:
    x, y = blobs(300, 10, 4)
    constant = torch.full((300, 1), 0.1, dtype=torch.float64)
    assert probe(torch.cat([x, constant], dim=1), y) == probe(x, y)


def test_only_constant_channels_give_the_most_frequent_class() -> None:
    y = torch.tensor([0, 1, 1, 1, 1, 0] * 10)
    result = probe(torch.ones(60, 3), y)
    assert result.accuracy == pytest.approx(100 * 4 / 6)


def test_the_same_numbers_in_float32_and_float64_are_the_same() -> None:
    x, y = blobs(400, 10, 4)
    assert probe(x.float(), y) == probe(x.float().double(), y)


def test_rounding_to_float32_moves_the_optimum_by_rounding() -> None:
    x, y = blobs(400, 10, 4)
    exact, rounded = (fit_logistic(z, y, 1.0, num_classes=4, tolerance=1e-12) for z in (x, x.float()))
    torch.testing.assert_close(rounded, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_precision_of_the_features_hardly_matters(dtype: torch.dtype) -> None:
    x, y = blobs(400, 10, 4)
    # one of the 200 test images is 0.5 percent: at most two may change sides
    assert probe(x.to(dtype), y).accuracy == pytest.approx(probe(x, y).accuracy, abs=1.0)


def test_memory_maps_and_arrays_equal_tensors(tmp_path) -> None:
    x, y = blobs(300, 10, 4)
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    labels = y.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = linear_probe(mapped[:150], labels[:150], mapped[150:], labels[150:], SHORT)
    assert result == probe(x, y)


def test_a_class_missing_in_validation_is_fine() -> None:
    x, y = blobs(300, 10, 4)
    some = y[100:150] != 2
    result = linear_probe(x[:100], y[:100], x[150:], y[150:], SHORT, validation=(x[100:150][some], y[100:150][some]))
    assert result.accuracy > 50


def test_a_class_with_one_image_stays_in_training() -> None:
    x, y = blobs(150, 10, 3, separation=8.0)
    x[-1], y[-1] = -40.0, 3
    recipe = replace(SHORT, c_values=(100.0,))
    for seed in range(3):  # set aside, it would be an error of the validation part, for nothing could learn it
        assert linear_probe(x, y, x, y, replace(recipe, seed=seed)).validation_accuracy == (100.0,)


def test_one_image_a_class_is_enough_where_validation_is_given() -> None:
    y = torch.arange(40) % 4
    x = torch.eye(4, dtype=torch.float64)[y] + 0.01 * torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    result = linear_probe(x[:4], y[:4], x[20:], y[20:], SHORT, validation=(x[4:20], y[4:20]))
    assert result.accuracy == 100.0


def test_more_channels_than_images() -> None:
    x, y = blobs(300, 400, 3, separation=0.15)
    centre, scale = x[:60].mean(0), x[:60].std(0, correction=0)
    weights = sklearn_weights((x[:60] - centre) / scale, y[:60], 1.0)
    predicted = ((x[60:] - centre) / scale @ weights[:-1] + weights[-1]).argmax(1)
    expected = 100 * float((predicted == y[60:]).double().mean())
    recipe = replace(SHORT, c_values=(1.0,))
    result = linear_probe(x[:30], y[:30], x[60:], y[60:], recipe, validation=(x[30:60], y[30:60]))
    assert 50 < expected < 95
    assert result.accuracy == pytest.approx(expected, abs=0.42)  # one image of 240


def test_gaps_in_the_labels_do_not_matter() -> None:
    x, y = blobs(300, 10, 4)
    assert probe(x, 3 * y + 5) == probe(x, y)
    first = linear_probe(x[:100], y[:100], x[200:], y[200:], SHORT, validation=(x[100:200], y[100:200]))
    y = 3 * y + 5
    assert linear_probe(x[:100], y[:100], x[200:], y[200:], SHORT, validation=(x[100:200], y[100:200])) == first


X, Y = blobs(40, 5, 3)
REFUSED = {
    "NaN": (X.index_fill(1, torch.tensor([2]), float("nan")), Y, "train features must be finite, got 40"),
    "shape of features": (X[:, 0], Y, r"train features must have shape \(N, D\), got \(40,\)"),
    "shape of labels": (X, Y[:-1], r"train labels must have shape \(40,\), got \(39,\)"),
    "float labels": (X, Y.double(), "train labels must be integers, got torch.float64"),
    "one class": (X, Y * 0, "at least two classes, got"),
    "negative": (X, Y - 1, "training labels must not be negative, got -1"),
    "one image a class": (X[:3], Y[:3], "pass `validation`"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    x, y, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        linear_probe(x, y, X, Y, SHORT)


def test_refusals_of_the_other_parts() -> None:
    with pytest.raises(ValueError, match=r"test labels must be among the 3 of training, 0 ... 2, got \[3\]"):
        linear_probe(X, Y, X, Y + 1, SHORT)
    with pytest.raises(ValueError, match=r"validation labels .* 0 ... 4, got \[1\]: number all parts alike"):
        linear_probe(X, 2 * Y, X, 2 * Y, SHORT, validation=(X, Y))
    with pytest.raises(ValueError, match=r"test features must have shape \(N, 5\), got \(40, 4\)"):
        linear_probe(X, Y, X[:, :4], Y, SHORT)
    with pytest.raises(ValueError, match="validation features must be finite"):
        linear_probe(X, Y, X, Y, SHORT, validation=(X / 0, Y))
    with pytest.raises(ValueError, match="validation_fraction must be between 0 and 1, got 1.5"):
        linear_probe(X, Y, X, Y, replace(SHORT, validation_fraction=1.5))
    with pytest.raises(ValueError, match="c_values must be positive and ascend"):
        linear_probe(X, Y, X, Y, replace(SHORT, c_values=(1.0, 0.1)))
    with pytest.raises(ValueError, match=r"labels must hold each of 0 ... 3.*got 3 classes"):
        fit_logistic(X, Y, 1.0, num_classes=4)
    with pytest.raises(ValueError, match=r"labels must hold each of 0 ... 2.*got 3 classes: \[0, 2, 4\]"):
        fit_logistic(X, 2 * Y, 1.0, num_classes=3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree() -> None:
    x, y = blobs(300, 10, 4)
    assert probe(x, y, device="cuda").accuracy == pytest.approx(probe(x, y).accuracy, abs=1.0)
