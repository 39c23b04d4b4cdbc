import numpy as np
import pandas as pd
import pytest

from workbook.figures.injection import cka_maps, cycle_name, measures_over_cycles

TABLE = pd.DataFrame(
    [
        (seed, "SimCLR", cycle, value + seed)
        for seed in (0, 1)
        for cycle, value in ((None, 1.0), (10, 5.0), (2, 7.0), (1, 6.0))
    ],
    columns=["seed", "method", "control_cycle", "cis"],
)


def test_cycles_ascend_and_never_comes_last():
    figure = measures_over_cycles(TABLE, {"cis": "CIS"}, title="t", starred=["cis"])
    line, band, star = figure.data
    assert list(line.x) == ["1", "2", "10", "∞"] == list(figure.layout.xaxis.categoryarray)
    assert list(line.y) == [6.5, 7.5, 5.5, 1.5]
    assert list(band.y) == [7.0, 8.0, 6.0, 2.0, 1.0, 5.0, 7.0, 6.0]
    assert (list(star.x), list(star.y)) == (["2"], [7.5])
    assert len(measures_over_cycles(TABLE, {"cis": "CIS"}, title="t").data) == 2, "no star where none is asked for"


def test_a_cycle_that_was_not_measured_is_left_out():
    table = TABLE.assign(cis=TABLE["cis"].where(TABLE["control_cycle"] != 2))
    line, _, star = measures_over_cycles(table, {"cis": "CIS"}, title="t", starred=["cis"]).data
    assert list(line.x) == ["1", "10", "∞"] and list(star.x) == ["1"]


@pytest.mark.parametrize(("cycle", "name"), [(None, "∞"), (float("nan"), "∞"), (3.0, "3"), (100, "100")])
def test_names_of_cycles(cycle, name):
    assert cycle_name(cycle) == name


def test_maps_share_their_scale_and_keep_their_orientation():
    matrix = np.array([[0.1, 0.9], [0.3, 0.4]])
    figure = cka_maps({"start": matrix, "supervised": matrix}, ["1", "2"], x_title="x", title="t")
    assert len(figure.data) == 2 and np.array_equal(figure.data[0].z, matrix)
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
    with pytest.raises(ValueError, match=r"the map of a must have shape \(3, 3\), got \(2, 2\)"):
        cka_maps({"a": matrix}, ["1", "2", "3"], x_title="x", title="t")
