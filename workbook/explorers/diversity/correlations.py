"""How accuracy and CIS go with transfer among the models that are selected, and when that says nothing."""

from typing import Any

import numpy as np
import pandas as pd

from workbook.metrics import rank_correlations

SCORES = {"accuracy": "accuracy", "cluster_cis": "cluster CIS", "spectral_cis": "spectral CIS"}
COEFFICIENTS = {"spearman": "Spearman", "pearson": "Pearson", "kendall": "Kendall", "r2": "R²"}
# an interval to about 0.02, in a table that is there at once; notebook 10 takes ten times as many
RESAMPLES = 1_000
_LEAST_MODELS = 4
_FEW_MODELS = 10
# three families make ten different samples, whose interval can leave out 0 for nothing; five make 126
_LEAST_FAMILIES = 5


def transfer_correlations(models: pd.DataFrame, transfer: str) -> tuple[pd.DataFrame, str]:
    """Correlations of transfer with every score of SCORES, and in words how many models they are of.

    models: columns family, those of SCORES, and `transfer`; models without one of them do not count.
    DataFrame: columns score, coefficient (of COEFFICIENTS), value, low, high: as `metrics.rank_correlations` has them,
    with an interval that draws families; low and high are NaN where there are too few families for one. No rows for
    fewer than four models, or where a score is the same for all.
    """
    known = models.dropna(subset=[*SCORES, transfer])
    families, n = known["family"].nunique(), len(known)
    said = f"n = {n} {'model' if n == 1 else 'models'} of {families} {'family' if families == 1 else 'families'}."
    if n < len(models):
        said += f" {len(models) - n} of the selected lack accuracy or transfer and do not count."
    if n < _LEAST_MODELS:
        return _NONE, f"{said} Too few: a correlation needs at least {_LEAST_MODELS} models."
    try:
        found = _over_scores(known, transfer, resamples=100).assign(low=np.nan, high=np.nan)
    except ValueError as error:
        return _NONE, f"{said} No correlation: {error}."
    try:
        if families < _LEAST_FAMILIES:
            raise ValueError(f"it draws families, and {families} are too few ({_LEAST_FAMILIES} at least)")
        found = _over_scores(known, transfer, families=known["family"], resamples=RESAMPLES)
    except ValueError as error:
        said += f" No interval: {error}, because models of one family are not independent."
    if n < _FEW_MODELS:
        said += " So few models agree or disagree by chance: read no conclusion from them."
    return found, said


_NONE = pd.DataFrame(columns=["score", "coefficient", "value", "low", "high"])


def _over_scores(known: pd.DataFrame, transfer: str, **how: Any) -> pd.DataFrame:
    found = {score: rank_correlations(known[score], known[transfer], **how) for score in SCORES}
    return pd.concat(found, names=["score", "coefficient"]).reset_index()
