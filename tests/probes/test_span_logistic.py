"""The solver of few-shot episodes: scikit-learn's objective and predictions, and its own gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.probes.test_few_shot import SHORT, UNIT, X, Y, by_scikit_learn
from workbook.probes.few_shot import draw_episodes
from workbook.probes.span_logistic import fit_in_span


def objective(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray, c: float) -> float:
    """scikit-learn's, w (D, K); with two classes its ridge is on w_1 - w_0."""
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(x @ w + b), torch.from_numpy(y), reduction="sum")
    ridge = np.sum((w[:, 1] - w[:, 0]) ** 2) if w.shape[1] == 2 else np.sum(w**2)
    return c * float(loss) + 0.5 * float(ridge)


@pytest.mark.parametrize("c", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("ways", [2, 5])
def test_objective_and_predictions_are_those_of_scikit_learn(ways: int, c: float) -> None:
    rows = draw_episodes(X, Y, replace(SHORT, ways=ways))
    y = np.repeat(np.arange(ways), 5)
    support = UNIT[rows[:, :, :5].reshape(len(rows), -1)]
    query = UNIT[rows[:, :, 5:].reshape(len(rows), -1)]
    gram = torch.from_numpy(support @ support.transpose(0, 2, 1))
    a, b = (part.numpy() for part in fit_in_span(gram, torch.from_numpy(y), c, num_classes=ways))
    for i, x in enumerate(support):
        fitted = by_scikit_learn(x, y, c)
        w = x.T @ a[i]
        coef, intercept = fitted.coef_.T, fitted.intercept_
        if ways == 2:
            coef, intercept = np.hstack([-coef, coef]) / 2, np.append(-intercept, intercept) / 2
        assert objective(x, y, w, b[i], c) == pytest.approx(objective(x, y, coef, intercept, c), rel=1e-6)
        np.testing.assert_array_equal((query[i] @ w + b[i]).argmax(1), fitted.predict(query[i]))


@pytest.mark.parametrize("name", ["one point", "copies", "flat", "nearly free"])
def test_the_gradient_vanishes_where_the_gram_matrix_is_singular(name: str) -> None:
    c = 1e6 if name == "nearly free" else 1.0
    y = torch.arange(5).repeat_interleave(5)
    x = torch.randn(3, 25, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if name == "one point":
        x = x[:, :1].expand(3, 25, 60)
    if name == "copies":
        x = x[:, :5].repeat(1, 5, 1)
    if name == "flat":
        x = x[:, :, :4]
    x = x / x.norm(dim=2, keepdim=True)
    a, b = fit_in_span(x @ x.mT, y, c, num_classes=5)
    w, b = (x.mT @ a).requires_grad_(), b.requires_grad_()
    logits = x @ w + b[:, None]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.repeat(3), reduction="sum")
    (c * loss + 0.5 * w.square().sum()).backward()
    # beside the weights, and beside the gradient at W = 0, which is of the order of c
    least = 1e-6 * (float(w.detach().abs().max()) + 1) + 1e-10 * c
    assert float(w.grad.abs().max()) < least and float(b.grad.abs().max()) < least


def test_sets_are_solved_alone_however_many_there_are(monkeypatch) -> None:
    x = torch.randn(4, 10, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(2).repeat(5)
    together = fit_in_span(x @ x.mT, y, 1.0, num_classes=2)
    monkeypatch.setattr("workbook.probes.span_logistic._TOGETHER", 1)
    for part, alone in zip(together, fit_in_span(x @ x.mT, y, 1.0, num_classes=2), strict=True):
        torch.testing.assert_close(part, alone)
        torch.testing.assert_close(part.sum(-1), torch.zeros_like(part.sum(-1)))


def test_an_optimum_that_is_not_reached_warns(monkeypatch) -> None:
    monkeypatch.setattr("workbook.probes.span_logistic.MAX_ITERATIONS", 1)
    x = torch.randn(1, 10, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match=r"relative gap of about .*lower c \(now 100"):
        fit_in_span(x @ x.mT, torch.arange(2).repeat(5), 100.0, num_classes=2)
