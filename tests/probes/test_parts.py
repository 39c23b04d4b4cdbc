import numpy as np
import pytest
import torch

from workbook.probes.parts import other_part, standardisation, top1, training_part

CPU = torch.device("cpu")
X = torch.arange(12.0).view(6, 2)
Y = torch.tensor([4, 4, 9, 9, 7, 7])


def test_labels_that_occur_are_the_classes():
    features, classes, labels = training_part(X, Y, CPU)
    assert features.dtype == torch.float64 and torch.equal(features, X.double())
    assert labels.tolist() == [4, 7, 9] and classes.tolist() == [0, 0, 2, 2, 1, 1]
    _, tested = other_part(X[:3], torch.tensor([9, 7, 4]), "test", X, labels)
    assert tested.tolist() == [2, 1, 0]


def test_arrays_of_any_integer_and_half_precision_are_taken():
    features, classes, _ = training_part(X.numpy().astype(np.float16), Y.numpy().astype(np.uint8), CPU)
    assert torch.equal(features, X.double()) and classes.dtype == torch.int64


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[0], Y, r"val features must have shape \(N, 2\), got \(2,\)"),
        (X[:0], Y[:0], r"val features must have shape \(N, 2\), got \(0, 2\)"),
        (X, Y[None], r"val labels must have shape \(6,\), got \(1, 6\)"),
        (X, Y > 4, "val labels must be integers, got torch.bool"),
        (X.masked_fill(X == 3, float("inf")), Y, "val features must be finite, got 1 NaN or infinite"),
        (X, Y + 1, r"among the 3 of training, 4 ... 9, got \[5, 8, 10\]: number all parts alike"),
    ],
)
def test_what_came_is_said(x, y, message):
    with pytest.raises(ValueError, match=message):
        other_part(x, y, "val", X, torch.tensor([4, 7, 9]))


def test_training_needs_two_classes_from_0():
    with pytest.raises(ValueError, match=r"at least two classes, got \[4\]"):
        training_part(X[:2], Y[:2], CPU)
    with pytest.raises(ValueError, match="must not be negative, got -1: leave out images without class"):
        training_part(X, Y - 5, CPU)


def test_a_constant_channel_becomes_nothing():
    x = torch.tensor([[1.0, 1e6 + 0.001], [3.0, 1e6]], dtype=torch.float64)
    centre, scale = standardisation(x)
    assert ((x - centre) / scale)[:, 0].tolist() == [-1, 1]
    assert ((x - centre) / scale)[:, 1].tolist() == [0, 0], "what float32 could not tell apart is constant"


def test_top1_by_hand():
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0]])  # the intercepts last
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7], [0.0, 0.0]])
    assert top1(x, torch.tensor([0, 1, 1, 0]), weights) == 75.0  # 0.8 against 0.7 in the third
