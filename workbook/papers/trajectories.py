"""Families of models along the control cycle: which points lie where their neighbours do not lead."""

import numpy as np
import pandas as pd

from workbook.papers.tables import PrintedTable


def deviations(table: PrintedTable) -> pd.DataFrame:
    """A row for every cell that has a neighbour on both sides of its family's trajectory; see `usual`.

    Columns: model, column, value; expected, on the straight line between the two neighbours over the logarithm of
    the control cycle; outside, how far the value lies beyond both of them (0 between them); usual, the median of
    |value - expected| in the column, but no less than half a unit of the last digit; to_origin, True for the largest
    control cycle, whose farther neighbour is the family's origin. The origin was not label-injected at all and often
    lies far off, so those cells do not count in `usual`. A column without other cells has no rows.
    """
    parts = [_along(table.values, cycles) for _, cycles in table.control_cycle.groupby(table.base, sort=False)]
    found = pd.concat(parts, ignore_index=True)
    distance = (found["value"] - found["expected"]).abs().where(~found["to_origin"])
    usual = distance.groupby(found["column"]).transform("median")
    least = found["column"].map(table.half_units)
    return found.assign(usual=usual.clip(lower=least)).dropna(subset="usual", ignore_index=True)


def _along(values: pd.DataFrame, cycles: pd.Series) -> pd.DataFrame:
    """All columns of one family, from the smallest control cycle to the origin."""
    names = cycles.sort_values(na_position="last").index
    steps = cycles[names].to_numpy(dtype=float, na_value=np.inf)
    # not in the paper: the origin, T = infinity, is drawn one doubling beyond the largest control cycle
    farthest = max((step for step in steps if np.isfinite(step)), default=1.0)
    where = np.log(np.minimum(steps, 2 * farthest))
    numbers = values.loc[names].to_numpy(dtype=float)
    left, middle, right = numbers[:-2], numbers[1:-1], numbers[2:]
    share = ((where[1:-1] - where[:-2]) / (where[2:] - where[:-2]))[:, None]
    outside = np.maximum(0, np.maximum(middle - np.maximum(left, right), np.minimum(left, right) - middle))
    return pd.DataFrame(
        {
            "model": np.repeat(names[1:-1], numbers.shape[1]),
            "column": np.tile(values.columns, len(middle)),
            "value": middle.ravel(),
            "expected": (left + share * (right - left)).ravel(),
            "outside": outside.ravel(),
            "to_origin": np.repeat(np.isinf(steps[2:]), numbers.shape[1]),
        }
    )
