"""Average precision: scikit-learn, and both definitions by hand where scores tie."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from tests.metrics.brute_force import average_precision_by_rank_as_coded
from workbook.metrics import average_precision, average_precision_by_rank, mean_average_precision


def data(ties: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(50, 6))
    return np.round(scores) if ties else scores, generator.random((50, 6)) < [0.02, 0.1, 0.3, 0.5, 0.9, 1.0]


@pytest.mark.parametrize("ties", [False, True])
def test_it_is_scikit_learn_s(ties):
    scores, labels = data(ties)
    expected = [average_precision_score(labels[:, k], scores[:, k]) for k in range(6)]
    np.testing.assert_allclose(average_precision(scores, labels), expected, rtol=1e-12)
    assert mean_average_precision(scores, labels) == pytest.approx(np.mean(expected))


def test_by_hand():
    """Ranks of the images that have the class: 1 and 3."""
    scores, labels = np.array([[3.0], [2.0], [1.0], [0.0]]), np.array([[True], [False], [True], [False]])
    by_hand = 1 / 2 * 1 / 1 + 1 / 2 * 2 / 3
    assert average_precision(scores, labels)[0] == average_precision_by_rank(scores, labels)[0] == by_hand


def test_tied_images_count_together_or_one_after_the_other():
    """All three tie: one step of recall 1 at precision 1/3; or ranks 1, 2, 3 from the last row to the first."""
    scores, labels = np.zeros((3, 3)), np.eye(3, dtype=bool)
    np.testing.assert_allclose(average_precision(scores, labels), [1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(average_precision_by_rank(scores, labels), [1 / 3, 1 / 2, 1])
    np.testing.assert_allclose([average_precision_score(labels[:, k], scores[:, k]) for k in range(3)], 1 / 3)


@pytest.mark.parametrize("ties", [False, True])
def test_by_rank_it_is_the_loop_that_the_code_is(ties):
    scores, labels = data(ties, seed=1)
    labels[0] = True
    expected = [average_precision_by_rank_as_coded(scores[:, k], labels[:, k]) for k in range(6)]
    np.testing.assert_allclose(average_precision_by_rank(scores, labels), expected, rtol=1e-6)
    same = np.allclose(average_precision(scores, labels), expected)
    assert same != ties, "the two differ where scores tie, and only there"


def test_saturated_sigmoids_tie_where_their_logits_do_not():
    logits = torch.tensor([[20.0], [25.0], [30.0]])
    labels = torch.tensor([[False], [False], [True]])
    assert mean_average_precision(logits, labels) == 1.0
    assert mean_average_precision(logits.sigmoid(), labels) == pytest.approx(1 / 3)


def test_a_class_that_no_image_has_is_left_out_of_the_mean():
    scores, labels = data(ties=False)
    labels[:, 2] = False
    found = average_precision(scores, labels)
    assert np.flatnonzero(np.isnan(found)).tolist() == [2]
    assert mean_average_precision(scores, labels) == pytest.approx(np.delete(found, 2).mean())
    with pytest.raises(ValueError, match="at least one image that has a class, got none among 50"):
        mean_average_precision(scores, np.zeros_like(labels))


def test_what_does_not_matter():
    """The order of the images, of the classes, and any map of the scores that keeps their order."""
    scores, labels = data(ties=True)
    found, order = average_precision(scores, labels), np.random.default_rng(2).permutation(50)
    np.testing.assert_allclose(average_precision(scores[order], labels[order]), found)
    np.testing.assert_allclose(average_precision(scores[:, ::-1].copy(), labels[:, ::-1].copy()), found[::-1])
    np.testing.assert_allclose(average_precision(np.exp(3 * scores) - 7, labels), found)


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        (np.zeros(3), np.zeros(3, bool), r"floats of shape \(N, K\), got torch.float64 \(3,\)"),
        (np.zeros((3, 2)), np.zeros((2, 3), bool), r"bool of shape \(3, 2\), got torch.bool \(2, 3\)"),
        (np.zeros((3, 2)), np.zeros((3, 2), int), "got torch.int64"),
        (np.full((3, 2), np.nan), np.zeros((3, 2), bool), "finite, got 6 NaN"),
    ],
)
def test_what_is_no_ranking_is_refused(scores, labels, words):
    with pytest.raises(ValueError, match=words):
        average_precision(scores, labels)
