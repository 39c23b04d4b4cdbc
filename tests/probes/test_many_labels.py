"""The linear probe of many labels: its solver against scikit-learn, and the protocol done by hand."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import Tensor

from workbook.probes.linear import ProbeRecipe
from workbook.probes.logistic import fit_labels, labels_path
from workbook.probes.many_labels import labels_probe

C_VALUES = (1e-4, 1e-2, 1.0, 100.0)
SHORT = ProbeRecipe(c_values=C_VALUES)


def data(n: int = 300, d: int = 12, k: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features aside of 0, and labels from rare to frequent that they tell in part."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    slopes = torch.randn(d, k, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    logits = x @ slopes / d**0.5 + torch.randn(n, k, generator=generator, dtype=torch.float64)
    return x + 3, logits > torch.linspace(-1, 2, k)


def reference(x: Tensor, y: Tensor, c: float) -> Tensor:
    """(D+1, K): scikit-learn's regression of each label by itself, on centred data."""
    mean, columns = x.mean(0), []
    for k in range(y.shape[1]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(C=c, tol=1e-10, max_iter=20_000).fit((x - mean).numpy(), y[:, k].numpy())
        w = torch.from_numpy(model.coef_[0])
        columns.append(torch.cat([w, torch.from_numpy(model.intercept_) - mean @ w]))
    return torch.stack(columns, dim=1)


def objective(x: Tensor, y: Tensor, weights: Tensor, c: float) -> Tensor:
    """(K,)"""
    logits = x @ weights[:-1] + weights[-1]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, y.double(), reduction="none")
    return c * loss.sum(0) + 0.5 * weights[:-1].square().sum(0)


@pytest.mark.parametrize("c", [1e-5, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize("shape", [(300, 12), (60, 100)], ids=["more images", "more channels"])
def test_each_label_s_objective_is_that_of_scikit_learn(shape, c):
    x, y = data(*shape)
    ours, best = (objective(x, y, weights, c) for weights in (fit_labels(x, y, c), reference(x, y, c)))
    torch.testing.assert_close(ours, best, rtol=3e-4, atol=0)
    tight = objective(x, y, fit_labels(x, y, c, tolerance=1e-9), c)
    torch.testing.assert_close(tight, best, rtol=1e-7, atol=0)


def test_the_path_is_the_fits_one_after_the_other():
    x, y = data()
    for c, weights in zip(C_VALUES, labels_path(x, y, C_VALUES), strict=True):
        torch.testing.assert_close(
            objective(x, y, weights, c), objective(x, y, reference(x, y, c), c), rtol=3e-4, atol=0
        )


def test_a_label_that_tells_nothing_is_no_problem_of_the_solver():
    x, y = data()
    y[:, 2] = True
    with pytest.raises(ValueError, match=r"on some samples and not on all, got \[2\] otherwise"):
        fit_labels(x, y, 1.0)


def test_the_probe_is_the_protocol_done_by_hand():
    x, y = data()
    fitted, chooser, test = slice(0, 150), slice(150, 220), slice(220, 300)

    def percent(part: slice, by: slice, c: float) -> float:
        centre, scale = x[by].mean(0), x[by].std(0, correction=0)
        weights = reference((x[by] - centre) / scale, y[by], c)
        scores = (x[part] - centre) / scale @ weights[:-1] + weights[-1]
        return 100 * float(np.mean([average_precision_score(y[part, k], scores[:, k]) for k in range(6)]))

    scores = [percent(chooser, fitted, c) for c in C_VALUES]
    found = labels_probe(x[fitted], y[fitted], x[test], y[test], SHORT, validation=(x[chooser], y[chooser]))
    assert found.c == C_VALUES[int(np.argmax(scores))] and found.largest_c == C_VALUES[-1]
    assert found.mean_average_precision == pytest.approx(percent(test, slice(0, 220), found.c), abs=0.2)
    assert found.left_out == 0


def test_a_part_of_the_training_images_chooses_where_there_is_no_other():
    x, y = data()
    found = labels_probe(x[:220], y[:220], x[220:], y[220:], SHORT)
    assert found.c in C_VALUES and found.mean_average_precision > 100 * float(y[220:].double().mean()) + 10
    assert labels_probe(x[:220], y[:220], x[220:], y[220:], SHORT) == found


def test_labels_without_an_image_are_counted_and_unknown_ones_rank_nothing():
    x, y = data()
    y[220:, 1] = False  # of no test image
    y[:220, 4] = False  # of no training image
    found = labels_probe(x[:220], y[:220], x[220:], y[220:], SHORT)
    alone = labels_probe(x[:220], y[:220][:, [0, 2, 3, 5]], x[220:], y[220:][:, [0, 2, 3, 5]], SHORT)
    assert found.left_out == 1 and alone.left_out == 0
    share = 100 * float(y[220:, 4].double().mean())
    assert found.mean_average_precision == pytest.approx((4 * alone.mean_average_precision + share) / 5, abs=0.5)


def test_features_may_be_arrays_in_half_precision():
    x, y = data()
    parts = [part.numpy() for part in (x.half()[:220], y[:220], x.half()[220:], y[220:])]
    expected = labels_probe(x[:220], y[:220], x[220:], y[220:], SHORT).mean_average_precision
    assert labels_probe(*parts, SHORT).mean_average_precision == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.zeros(80, dtype=torch.int64), r"test labels must have shape \(80, 6\), got \(80,\)"),
        (torch.zeros(80, 5, dtype=torch.bool), r"must have shape \(80, 6\), got \(80, 5\)"),
        (torch.zeros(80, 6), "test labels must be bool, got torch.float32"),
    ],
)
def test_labels_of_another_kind_are_refused(labels, words):
    x, y = data()
    with pytest.raises(ValueError, match=words):
        labels_probe(x[:220], y[:220], x[220:], labels, SHORT)


def test_labels_that_all_images_share_leave_nothing_to_learn():
    x, y = data()
    with pytest.raises(ValueError, match="some images have and others lack, got none"):
        labels_probe(x, torch.ones_like(y), x, y, SHORT)
