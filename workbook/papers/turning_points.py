"""The threshold t of Theorem 1 (A 4.3): beyond which phi on pre-D a larger one comes with a smaller phi on eval-D."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression


def turning_place(phi_pre: Any, phi_eval: Any) -> int:
    """The position of the checkpoint at which phi on eval-D turns from rising to falling over phi on pre-D.

    phi_pre, phi_eval: (n,), a value a checkpoint, in any order.

    not in the paper: it gives no number for t and no way to find it. Here it is the mode of the curve that rises and
    then falls and is the nearest in least squares; of several values at its top, the highest phi on eval-D. What does
    rise and then fall turns at its highest; a single value that sticks out is no turn.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (phi_pre, phi_eval))
    order = np.argsort(x, kind="stable")
    fits = [_risen_to(y[order], peak) for peak in range(1, len(y) + 1)]
    fit = min(fits, key=lambda fitted: float(((fitted - y[order]) ** 2).sum()))
    return int(order[np.lexsort((y[order], fit))[-1]])


def turning_points(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """t of every group of checkpoints, such as a distance and a seed, over all methods and epochs in it.

    table: phi_pre, phi_eval and the columns `by`. One row a group, in the order in which they come: `by`, t, and turns,
    which says whether a turn is seen: "seen"; "at or above", where t is the largest phi_pre, so that nothing falls in
    the range and t lies there or above it; "at or below", where it is the smallest.
    """
    rows = []
    for group, points in table.groupby(list(by), sort=False):
        t = float(points["phi_pre"].iloc[turning_place(points["phi_pre"], points["phi_eval"])])
        ends = {points["phi_pre"].min(): "at or below", points["phi_pre"].max(): "at or above"}
        rows.append((*group, t, ends.get(t, "seen")))
    return pd.DataFrame(rows, columns=[*by, "t", "turns"])


def _risen_to(values: np.ndarray, peak: int) -> np.ndarray:
    """The nearest values of which the first `peak` do not fall and the others do not rise."""
    risen, fallen = isotonic_regression(values[:peak]).x, values[peak:]
    if len(fallen):
        fallen = isotonic_regression(fallen, increasing=False).x
    return np.concatenate([risen, fallen])
