import numpy as np
import pytest
import torch

from tests.metrics.brute_force import clusters
from workbook.metrics import ncti, ncti_parts, sfda
from workbook.metrics.fisher import _power_method

POOL = [
    {"SELI": 10.0, "NCC": 0.5, "VC": 3.0},
    {"SELI": 20.0, "NCC": 0.9, "VC": 4.0},
    {"SELI": 15.0, "NCC": 0.8, "VC": 3.0},
]


def test_a_pool_by_hand():
    assert ncti(POOL) == pytest.approx([0 + 0 - 0, 1 + 1 - 1, 1 / 2 + 3 / 4 - 0])
    assert ncti([parts | {"VC": 3.0} for parts in POOL]) == pytest.approx([0, 2, 5 / 4])
    with pytest.raises(ValueError, match="compares the models of a pool, got 1"):
        ncti(POOL[:1])


def test_the_power_method_is_exact_where_it_begins_at_the_largest():
    assert _power_method(torch.ones(3, 3, dtype=torch.float64)) == pytest.approx(3)
    with pytest.raises(ValueError, match="no width"):
        _power_method(torch.zeros(3, 3, dtype=torch.float64))


@pytest.mark.parametrize("measure", [sfda, lambda x, y: ncti_parts(x, y)["NCC"]], ids=["SFDA", "NCC"])
def test_classes_further_apart_score_higher(measure):
    x, y = clusters(sizes={0: 60, 1: 60, 2: 60})
    means = np.stack([x[y == label].mean(0) for label in range(3)])
    assert measure(x - 0.9 * means[y], y) < measure(x, y) < measure(x + means[y], y) <= 1


@pytest.mark.parametrize("measure", [sfda, ncti_parts])
def test_classes_that_are_points_are_refused(measure):
    with pytest.raises(ValueError, match="no width"):
        measure(np.repeat(np.eye(3), 4, axis=0), np.repeat(np.arange(3), 4))
