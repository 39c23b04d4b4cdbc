import numpy as np
import pytest
import torch

from workbook.probes.domain import domain_accuracy
from workbook.probes.linear import ProbeRecipe

RECIPE = ProbeRecipe(c_values=(1e-2, 1.0))


def normal(rows: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 5)) + shift


def test_what_a_hyperplane_parts_is_told_apart_and_what_is_alike_is_not():
    assert domain_accuracy(normal(200, 0), normal(300, 1, shift=8), RECIPE) == 100.0
    assert domain_accuracy(normal(2_000, 0), normal(3_000, 1), RECIPE) == pytest.approx(50, abs=4)


def test_the_farther_the_better_told_apart():
    found = [domain_accuracy(normal(1_000, 0), normal(1_000, 1, shift), RECIPE) for shift in (0.2, 0.5, 1.0)]
    assert found == sorted(found) and found[0] < found[2]


def test_a_larger_set_counts_no_more_than_the_other():
    assert domain_accuracy(normal(40, 0), normal(4_000, 1), RECIPE) < 75, "not the share of the larger one"


def test_tensors_and_arrays_alike_and_by_the_seed():
    one, other = normal(100, 0), normal(100, 1, 0.5)
    assert domain_accuracy(torch.as_tensor(one), torch.as_tensor(other), RECIPE) == domain_accuracy(one, other, RECIPE)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least four rows, got 3 and 9"):
        domain_accuracy(normal(3, 0), normal(9, 1), RECIPE)
