"""Paper B's Table 1 recomputed from its Tables 6, 7 and 9, and what its R2 may be."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from workbook.papers.tables import load_table

SCORES = {"accuracy": "ImageNet Score", "spectral_cis": "Spectral CIS", "cluster_cis": "Cluster CIS"}
PROTOCOLS = {"linear": "B.9", "finetune": "B.7"}


def correlations_again(models: pd.DataFrame) -> pd.DataFrame:
    """Table 1's Spearman, Pearson and Kendall beside those of `models`, as `models_of_paper_b` gives them.

    `accuracy` is Table 6's; "accuracy beside Transfer" is that of Table 9 for linear and of Table 7 for finetuning.
    One row a printed coefficient: protocol, score, coefficient, printed, recomputed, difference, and reproduces,
    whether the recomputed value rounds to the printed one.
    """
    functions = {"spearman": stats.spearmanr, "pearson": stats.pearsonr, "kendall": stats.kendalltau}
    rows = []
    for protocol, name in PROTOCOLS.items():
        beside = {"accuracy beside Transfer": load_table(name)["ImageNet"][models.index]}
        for score, values in (beside | dict(models[list(SCORES)])).items():
            for coefficient, function in functions.items():
                again = float(function(values, models[protocol]).statistic)
                rows.append((protocol, score, coefficient, printed_value(protocol, score, coefficient), again))
    table = pd.DataFrame(rows, columns=["protocol", "score", "coefficient", "printed", "recomputed"])
    difference = table["recomputed"] - table["printed"]
    return table.assign(difference=difference, reproduces=table["recomputed"].round(2) == table["printed"])


def printed_value(protocol: str, score: str, coefficient: str) -> float:
    """A cell of Table 1: protocol linear or finetune; score a key of SCORES; spearman, pearson, r2 or kendall."""
    row = "ImageNet Score" if score.startswith("accuracy") else SCORES[score]
    return float(load_table("B.1").at[row, f"{protocol}_{coefficient}"])


def _r2(y: np.ndarray, predicted: np.ndarray) -> float:
    """The coefficient of determination of a prediction, as scikit-learn's r2_score: may be negative."""
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def _scaled(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / np.ptp(values)


def _left_out(x: np.ndarray, y: np.ndarray) -> float:
    fits = [np.polyfit(np.delete(x, i), np.delete(y, i), 1) for i in range(len(x))]
    return _r2(y, np.array([np.polyval(fit, value) for fit, value in zip(fits, x, strict=True)]))


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


R2_DEFINITIONS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "r²: the best line": lambda x, y: _pearson(x, y) ** 2,
    "adjusted r²": lambda x, y: 1 - (1 - _pearson(x, y) ** 2) * (len(x) - 1) / (len(x) - 2),
    "best line, one model left out": _left_out,
    "best line through 0": lambda x, y: _r2(y, x * (x @ y) / (x @ x)),
    "2r − 1: standardised score as prediction": lambda x, y: 2 * _pearson(x, y) - 1,
    "2ρ − 1: rank as prediction": lambda x, y: 2 * float(stats.spearmanr(x, y).statistic) - 1,
    "ρ²": lambda x, y: float(stats.spearmanr(x, y).statistic) ** 2,
    "min-max scaled score as prediction": lambda x, y: _r2(_scaled(y), _scaled(x)),
    "min-max scaled, the other way": lambda x, y: _r2(_scaled(x), _scaled(y)),
}

# of these the printed coefficient alone decides, whatever the models are
_OF_ONE_COEFFICIENT: Mapping[str, tuple[str, Callable[[float], float]]] = {
    "r²: the best line": ("pearson", lambda r: r * r),
    "2r − 1: standardised score as prediction": ("pearson", lambda r: 2 * r - 1),
    "2ρ − 1: rank as prediction": ("spearman", lambda rho: 2 * rho - 1),
    "ρ²": ("spearman", lambda rho: rho * rho),
}


def r2_attempts(models: pd.DataFrame) -> pd.DataFrame:
    """Every definition of R2 tried, on the six pairs of Table 1; first row as printed, then nearest first.

    Columns `<protocol> <score>`; `off`, the mean distance to the printed values; and `excluded`, for definitions
    that follow from Spearman's or Pearson's coefficient alone: how many of the six printed R2 the coefficient printed
    beside them excludes, rounding allowed for.
    """
    pairs = {f"{protocol} {score}": (score, protocol) for protocol in PROTOCOLS for score in SCORES}
    printed = pd.Series({name: printed_value(protocol, score, "r2") for name, (score, protocol) in pairs.items()})
    tried = pd.DataFrame(
        [
            {name: r2(*models[list(pair)].to_numpy().T) for name, pair in pairs.items()}
            for r2 in R2_DEFINITIONS.values()
        ],
        index=pd.Index(R2_DEFINITIONS),
    )
    excluded = pd.Series(0.0, index=pd.Index(_OF_ONE_COEFFICIENT))
    for definition, (coefficient, function) in _OF_ONE_COEFFICIENT.items():
        for name, (score, protocol) in pairs.items():
            value = printed_value(protocol, score, coefficient)
            low, high = function(value - 0.005) - 0.005, function(value + 0.005) + 0.005
            excluded[definition] += not low <= printed[name] <= high
    tried = tried.assign(off=(tried - printed).abs().mean(axis=1), excluded=excluded)
    return pd.concat([printed.rename("as printed").to_frame().T, tried.sort_values("off")])


def one_more_model(
    x: np.ndarray, y: np.ndarray, printed: Mapping[str, float], new_x: np.ndarray, new_y: np.ndarray
) -> pd.DataFrame:
    """How far Table 1's four coefficients stay off if one more model, not in the tables, is added.

    x, y: (n,) score and transfer. new_x, new_y: values to try for the added model. printed: spearman, pearson, r2
    (min-max scaled score as prediction of scaled transfer) and kendall.
    DataFrame, a row a tried pair: x, y, the four coefficients, and `off`, the largest distance to a printed value.
    """
    # (tries, n + 1): the added model stands last; a coefficient of all pairs is one product of matrices
    xs, ys = (np.column_stack([np.broadcast_to(v, (len(n), len(v))), n]) for v, n in ((x, new_x), (y, new_y)))
    signs = [np.sign(v[:, :, None] - v[:, None, :]).reshape(len(v), -1) for v in (xs, ys)]
    scaled_x, scaled_y = (np.apply_along_axis(_scaled, 1, v) for v in (xs, ys))
    squares = (scaled_x**2).sum(axis=1)[:, None] + (scaled_y**2).sum(axis=1) - 2 * scaled_x @ scaled_y.T
    found = {
        "spearman": _cosines(*(stats.rankdata(v, axis=1) - (len(x) + 2) / 2 for v in (xs, ys))),
        "pearson": _cosines(*(v - v.mean(axis=1, keepdims=True) for v in (xs, ys))),
        "r2": 1 - squares / ((scaled_y - scaled_y.mean(axis=1, keepdims=True)) ** 2).sum(axis=1),
        "kendall": _cosines(*signs),
    }
    tries = {"x": np.repeat(new_x, len(new_y)), "y": np.tile(new_y, len(new_x))}
    table = pd.DataFrame(tries | {name: values.ravel() for name, values in found.items()})
    return table.assign(off=(table[list(found)] - pd.Series(printed)[list(found)]).abs().max(axis=1))


def nearest_added_models(models: pd.DataFrame, *, transfer: float | None = None) -> pd.DataFrame:
    """For each pair of Table 1 the one added model that brings its four coefficients nearest to the printed ones.

    transfer: that of the added model for linear probing, where something else tells it; then only the linear rows.
    One row a pair: protocol, score and the best row of `one_more_model`, over 201 values of the score and as many of
    transfer (2001 where transfer is given), each from half a range below the tables' values to half a range above.
    """
    rows = []
    for protocol in PROTOCOLS if transfer is None else ("linear",):
        for score in SCORES:
            x, y = (models[column].to_numpy(dtype=float) for column in (score, protocol))
            tries = 201 if transfer is None else 2001
            new_x, new_y = (np.linspace(v.min() - np.ptp(v) / 2, v.max() + np.ptp(v) / 2, tries) for v in (x, y))
            printed = {name: printed_value(protocol, score, name) for name in ("spearman", "pearson", "r2", "kendall")}
            tried = one_more_model(x, y, printed, new_x, new_y if transfer is None else np.array([transfer]))
            rows.append({"protocol": protocol, "score": score} | tried.loc[tried["off"].idxmin()].to_dict())
    return pd.DataFrame(rows).set_index(["protocol", "score"])


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left @ right.T) / np.outer(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1))
