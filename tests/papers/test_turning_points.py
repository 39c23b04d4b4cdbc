import numpy as np
import pandas as pd
import pytest

from workbook.papers.turning_points import turning_place, turning_points


def test_one_curve_turns_at_its_highest_point_in_any_order():
    assert turning_place([1, 3, 8], [1, 5, 4]) == 1
    assert turning_place([8, 1, 3], [4, 1, 5]) == 2


def test_a_point_that_sticks_out_is_no_turn():
    ratios = [1.0, 9.0, 3.0, 5.0, 7.0, 8.0, 8.5, 8.8]
    assert turning_place(range(8), ratios) == 7 and int(np.argmax(ratios)) == 1


@pytest.mark.parametrize("planted", [2.0, 5.0, 8.0])
def test_a_planted_turn_is_found_among_noisy_methods(planted):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(50):
        x = np.sort(rng.uniform(0, 10, 40))
        y = -np.abs(x - planted) + 0.3 * rng.normal(size=40)
        found.append(x[turning_place(x, y)])
    assert abs(np.mean(found) - planted) < 0.15 and np.std(found) < 0.5


@pytest.mark.parametrize(
    ("phi_eval", "t", "turns"),
    [((1, 2, 3), 4.0, "at or above"), ((3, 2, 1), 1.0, "at or below"), ((1, 3, 2), 2.0, "seen")],
)
def test_without_a_turn_the_end_of_the_range_is_a_bound(phi_eval, t, turns):
    table = pd.DataFrame({"distance": "far", "seed": 5, "phi_pre": (1.0, 2.0, 4.0), "phi_eval": phi_eval})
    assert turning_points(table, ["distance", "seed"]).values.tolist() == [["far", 5, t, turns]]


def test_methods_are_taken_together_unless_asked_for():
    rows = [("SL", 1.0, 1.0), ("SL", 3.0, 2.0), ("SL-MLP", 2.0, 5.0), ("SL-MLP", 0.5, 0.5)]
    table = pd.DataFrame(rows, columns=["method", "phi_pre", "phi_eval"]).assign(seed=0)
    assert turning_points(table, ["seed"])["t"].tolist() == [2.0]
    alone = turning_points(table, ["method", "seed"])
    assert alone[["method", "t", "turns"]].values.tolist() == [
        ["SL", 3.0, "at or above"],
        ["SL-MLP", 2.0, "at or above"],
    ]
