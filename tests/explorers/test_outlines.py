import numpy as np
import pytest

from workbook.explorers.outlines import points_within

PLACES = [np.array([[0.1, 0.1], [0.9, 0.9], [np.nan, np.nan], [2.0, 0.5]]), np.zeros((4, 2))]
SQUARE = {"xref": "x", "type": "path", "path": "M0,0L1,0L1,1L0,1Z"}


def test_a_lasso_has_what_is_inside_and_nothing_hidden():
    assert list(points_within([SQUARE], PLACES)) == [0, 1]
    # plotly leaves the closing out where the pointer came back to its start
    assert list(points_within([SQUARE | {"path": "M0,0L1,0L1,1L0,1L0,0"}], PLACES)) == [0, 1]


@pytest.mark.parametrize("corners", [(0, 0, 0.5, 0.5), (0.5, 0.5, 0, 0), (0, 0.5, 0.5, 0)])
def test_a_box_may_be_drawn_from_any_corner(corners):
    box = {"xref": "x", "type": "rect"} | dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))
    assert list(points_within([box], PLACES)) == [0]


def test_an_outline_counts_in_its_own_panel_and_several_add_up():
    around_zero = {"xref": "x2", "type": "rect", "x0": -1, "y0": -1, "x1": 1, "y1": 1}
    assert list(points_within([around_zero], PLACES)) == [0, 1, 2, 3]
    far = {"xref": "x", "type": "rect", "x0": 1.5, "y0": 0, "x1": 3, "y1": 1}
    assert list(points_within([SQUARE, far], PLACES)) == [0, 1, 3]
    assert not len(points_within([], PLACES))


def test_a_dented_lasso_and_a_hole():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, size=(2000, 2))
    ring = {"xref": "x", "type": "path", "path": "M-1,-1L1,-1L1,1L-1,1ZM-0.5,-0.5L0.5,-0.5L0.5,0.5L-0.5,0.5Z"}
    inner = np.abs(points).max(axis=1) < 0.5
    assert set(points_within([ring], [points])) == set(np.flatnonzero(~inner))
    dented = {"xref": "x", "type": "path", "path": "M-1,-1L0,0L1,-1L1,1L-1,1Z"}  # a square less a wedge from below
    wedge = points[:, 1] < -np.abs(points[:, 0])
    assert set(points_within([dented], [points])) == set(np.flatnonzero(~wedge))
