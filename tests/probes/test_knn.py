import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from workbook.probes.knn import knn_accuracy, loo_knn_accuracy, loo_knn_right


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 5
    centres = np.random.default_rng(9).normal(size=(5, 12))
    return (centres[labels] + 2.5 * rng.normal(size=(count, 12))), labels


TRAIN, TEST = blobs(300, 0), blobs(1111, 1)


@pytest.mark.parametrize("k", [1, 7, 20])
@pytest.mark.parametrize("temperature", [None, 0.07, 0.5])
def test_it_is_scikit_learn_s(k, temperature):
    weights = "uniform" if temperature is None else lambda distance: np.exp((1 - distance) / temperature)
    oracle = KNeighborsClassifier(k, metric="cosine", weights=weights).fit(*TRAIN)
    expected = 100 * oracle.score(*TEST)
    assert 30 < expected < 95
    assert knn_accuracy(*TRAIN, *TEST, k=k, temperature=temperature) == pytest.approx(expected, abs=0.1)


def test_weights_by_hand():
    """Two neighbours of class 1 at cosine 0 against one of class 0 at cosine 1: heads or nearness decide."""
    x, y = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.array([0, 1, 1])
    query = np.array([[2.0, 0.0]]), np.array([0])
    assert knn_accuracy(x, y, *query, k=3, temperature=None) == 0
    assert knn_accuracy(x, y, *query, k=3, temperature=0.07) == 100
    assert knn_accuracy(x, y, *query, k=3, temperature=2.0) == 0  # exp(1/2) < 2


def test_scale_changes_nothing():
    x, y = TRAIN
    assert knn_accuracy(100 * x, y, *TEST) == knn_accuracy(x, y, *TEST)
    assert knn_accuracy(torch.from_numpy(x), torch.from_numpy(y), *TEST) == knn_accuracy(x, y, *TEST)


def test_names_of_the_labels_do_not_matter():
    x, y = TRAIN
    assert knn_accuracy(x, 3 * y + 5, TEST[0], 3 * TEST[1] + 5) == knn_accuracy(*TRAIN, *TEST)


def test_refusals():
    x, y = TRAIN
    with pytest.raises(ValueError, match=r"k must lie in \[1, 300\].*got 301"):
        knn_accuracy(x, y, *TEST, k=301)
    with pytest.raises(ValueError, match=r"train labels must have shape \(300,\), got \(299,\)"):
        knn_accuracy(x, y[1:], *TEST)
    with pytest.raises(ValueError, match=r"test features must have shape \(N, 12\), got \(1111, 11\)"):
        knn_accuracy(x, y, TEST[0][:, 1:], TEST[1])
    with pytest.raises(ValueError, match="test features must be finite"):
        knn_accuracy(x, y, np.full_like(TEST[0], np.nan), TEST[1])
    with pytest.raises(ValueError, match="train labels must be integers, got torch.float64"):
        knn_accuracy(x, y + 0.5, *TEST)
    with pytest.raises(ValueError, match="training labels must not be negative, got -1"):
        knn_accuracy(x, y - 1, *TEST)
    with pytest.raises(ValueError, match=r"test labels must be among the 5 of training, 0 ... 4, got \[5\]"):
        knn_accuracy(x, y, TEST[0], TEST[1] + 1)


@pytest.mark.parametrize(("k", "percent"), [(1, 98.8870), (20, 97.5515)])
def test_leaving_each_out_on_digits(k, percent):
    digits = load_digits()
    assert loo_knn_accuracy(digits.data / 16, digits.target, k=k) == pytest.approx(percent, abs=1e-4)


@pytest.mark.parametrize("temperature", [None, 0.07])
def test_leaving_one_out_is_asking_all_others(temperature):
    x, y = TRAIN[0][:60], TRAIN[1][:60]
    others = [np.arange(60) != row for row in range(60)]
    asked = [knn_accuracy(x[o], y[o], x[~o], y[~o], k=5, temperature=temperature) for o in others]
    assert loo_knn_accuracy(x, y, k=5, temperature=temperature) == pytest.approx(np.mean(asked))


def test_leaving_one_out_over_blocks(monkeypatch):
    whole = loo_knn_accuracy(*TEST, k=7)
    monkeypatch.setattr("workbook.probes.knn._ROWS", 100)
    assert loo_knn_accuracy(*TEST, k=7) == whole


def test_leaving_one_out_needs_k_others():
    with pytest.raises(ValueError, match=r"k must lie in \[1, 299\].*got 300"):
        loo_knn_accuracy(*TRAIN, k=300)


def test_which_images_the_others_get_right():
    features = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.05]])
    right = loo_knn_right(features, np.array([0, 0, 1, 1, 1]), k=1)  # the last lies between the first two
    assert right.tolist() == [False, False, True, True, False]
