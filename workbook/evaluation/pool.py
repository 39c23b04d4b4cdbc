"""A pool of scored models: their transfer, and every measure that might have told it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbook.evaluation.scores import Scores
from workbook.evaluation.scoring import LOO_KNN
from workbook.metrics import MEASURES, log_odds_elsewhere, merit
from workbook.metrics.fisher import ncti

_PARTS = ("NCTI SELI", "NCTI NCC", "NCTI VC")
_ACCURACY, _SIZE, _ELSEWHERE = "upstream accuracy", "parameters", "other data sets"


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Models whose transfer is known, and what might have told it; see `metrics.predict_transfer`.

    transfer: (models, targets), percent by a linear probe. measures: name -> one value a model, or a table as
    `transfer`; higher = better by its source (`metrics.merit`), and CKA as it is. families: of the models. baselines:
    those of the measures that cost nothing, or that a measure must beat. lacking: what is no measure here -> why.
    """

    transfer: pd.DataFrame
    measures: dict[str, pd.Series | pd.DataFrame]
    families: pd.Series
    baselines: tuple[str, ...]
    lacking: dict[str, str]

    def __repr__(self) -> str:
        models, sets = self.transfer.shape
        known = f"{sets} data sets, {len(self.measures)} measures"
        return f"Pool({models} models of {self.families.nunique()} families, {known})"


def pool_of(scores: Scores, targets: Sequence[str], *, upstream: Mapping[str, float] | None = None) -> Pool:
    """The models that were measured alike on all targets; see `Scores.accuracies`.

    upstream: model -> percent, of those whose accuracy was not given with them. A measure that some model lacks, or
    that is the same for all on a target, is left out, and `lacking` says so.
    """
    transfer = scores.accuracies()[list(targets)].dropna()
    models = scores.models.loc[transfer.index]
    accuracy = models["accuracy"].fillna(pd.Series(upstream or {}, dtype=float).reindex(models.index))
    found: dict[str, pd.Series | pd.DataFrame] = {_ACCURACY: accuracy, _SIZE: models["parameters"].astype(float)}
    if len(targets) > 1:
        found[_ELSEWHERE] = log_odds_elsewhere(transfer)
    for kind in ("cluster", "spectral"):
        found[f"{kind} diversity"] = models[kind]
        found[f"{kind} CIS"] = accuracy * models[kind]  # B Eq. 1
    found |= _on_targets(scores, transfer)
    lacking = {name: why for name, values in found.items() if (why := _unfit(values))}
    kept = {name: values for name, values in found.items() if name not in lacking}
    baselines = tuple(name for name in (_ACCURACY, _SIZE, _ELSEWHERE, LOO_KNN) if name in kept)
    families = models["group"].where(models["group"].notna(), models.index.to_series())
    return Pool(transfer=transfer, measures=kept, families=families, baselines=baselines, lacking=lacking)


def _on_targets(scores: Scores, transfer: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """name -> (models, targets), of what is measured on a target's features."""
    measured = scores.measured
    named = [name for name in measured if name.partition(" ")[0] in MEASURES or name in MEASURES]
    tables = {
        name: measured.pivot(index="model", columns="dataset", values=name).loc[transfer.index, transfer.columns]
        for name in (*named, "CKA", LOO_KNN)
    }
    found = {name: table if name in ("CKA", LOO_KNN) else merit(name, table) for name, table in tables.items()}
    if set(_PARTS) <= set(found):  # which say something together, and of a pool
        parts = {name.split()[1]: tables[name] for name in _PARTS}
        columns = {target: _ncti(parts, target) for target in transfer}
        found = {name: table for name, table in found.items() if name not in _PARTS}
        found["NCTI"] = pd.DataFrame(columns, index=transfer.index)
    return found


def _ncti(parts: dict[str, pd.DataFrame], target: str) -> list[float]:
    rows = pd.DataFrame({name: table[target] for name, table in parts.items()})
    return ncti(rows.to_dict("records")) if rows.notna().all(axis=None) else [float("nan")] * len(rows)


def _unfit(values: pd.Series | pd.DataFrame) -> str:
    """Why it ranks nothing; "" where it can."""
    table = values.to_frame() if isinstance(values, pd.Series) else values
    if missing := int(table.isna().any(axis=1).sum()):
        return f"{missing} of {len(table)} models lack it"
    return "the same for all models" if (np.ptp(table.to_numpy(), axis=0) == 0).any() else ""
