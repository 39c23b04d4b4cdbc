"""Paper B's Figs. 8 and 14: the importance that XGBoost gives each factor, and how far it can be trusted."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

CHANGES = ("none", "column order", "families drawn", "a model left out", "a family left out")
FACTORS = {"cka": "CKA", "msc": "MSC", "v_intra": "V_intra", "s_inter": "S_inter"}
INPUT_SETS = ("as captioned", "with accuracy", "as in App. F", "accuracy for CIS")
InputSet = Literal["as captioned", "with accuracy", "as in App. F", "accuracy for CIS"]
Diversity = Literal["cluster", "spectral"]


def importance_inputs(models: pd.DataFrame, diversity: Diversity, inputs: InputSet) -> pd.DataFrame:
    """What XGBoost is fed: CKA, MSC, V_intra and S_inter, and before them

    - "as captioned" (Figs. 8 and 14): CIS;
    - "with accuracy": CIS and ImageNet accuracy;
    - "as in App. F": ImageNet accuracy and feature diversity (CIS / accuracy), the text's own list;
    - "accuracy for CIS": ImageNet accuracy alone.

    models: as `workbook.papers.tables.models_of_paper_b` gives them.
    """
    cis, accuracy = models[f"{diversity}_cis"], models["accuracy"]
    first = {
        "as captioned": {"CIS": cis},
        "with accuracy": {"CIS": cis, "accuracy": accuracy},
        "as in App. F": {"accuracy": accuracy, "diversity": cis / accuracy},
        "accuracy for CIS": {"accuracy": accuracy},
    }
    return pd.DataFrame(first[inputs] | {name: models[column] for column, name in FACTORS.items()})


def _fit(inputs: pd.DataFrame, transfer: pd.Series, *, trees: bool = True):
    """XGBoost with scikit-learn's defaults of B App. F: 100 trees of depth up to 6. No chance is left in it.

    trees: False for a linear model instead.
    """
    from xgboost import XGBRegressor  # late: half a second, and only this study needs it

    model = XGBRegressor(n_estimators=100, max_depth=6, n_jobs=1) if trees else LinearRegression()
    return model.fit(inputs.to_numpy(), transfer.to_numpy())


def importances(inputs: pd.DataFrame, transfer: pd.Series) -> pd.DataFrame:
    """The importance of each column in [0, 1], together 1, one row a column of `inputs`.

    `gain` is what scikit-learn's interface of XGBoost returns: the gain of a split, averaged over the column's
    splits. `total_gain` sums it, which is what B App. F describes. They come from the same trees.
    """
    model = _fit(inputs, transfer)
    found = {}
    for measure in ("gain", "total_gain"):
        model.importance_type = measure
        found[measure] = model.feature_importances_.astype(float)
    return pd.DataFrame(found, index=inputs.columns)


def importance_study(
    inputs: pd.DataFrame, transfer: pd.Series, families: pd.Series, draws: np.ndarray, changes: Sequence[str] = CHANGES
) -> pd.DataFrame:
    """Importances after changes that should not matter, one row for every refit and input.

    inputs, transfer, families: indexed by model. draws: (refits, families) int, samples of the families by their
    place among those that differ. Columns: change, refit, input, gain, total_gain. The changes: "none"; "column
    order", every rotation of the columns and its reverse; "families drawn", the bootstrap samples `draws` of whole
    families; "a model left out" and "a family left out", every one in turn.
    """
    everyone, columns = np.arange(len(inputs)), list(inputs)
    members = [np.flatnonzero(families == family) for family in families.unique()]
    rotations = [columns[i:] + columns[:i] for i in range(len(columns))]
    samples: dict[str, list[tuple[np.ndarray, list[str]]]] = {  # the rows and the columns of each refit
        "none": [(everyone, columns)],
        "column order": [(everyone, order) for rotation in rotations for order in (rotation, rotation[::-1])],
        "families drawn": [(np.concatenate([members[i] for i in draw]), columns) for draw in draws],
        "a model left out": [(np.delete(everyone, i), columns) for i in everyone],
        "a family left out": [(np.setdiff1d(everyone, family), columns) for family in members],
    }
    rows = []
    for change in changes:
        if change not in samples:
            raise ValueError(f"changes must be among {CHANGES}, got {change!r}")
        for refit, (kept, order) in enumerate(samples[change]):
            found = importances(inputs.iloc[kept][order], transfer.iloc[kept])
            rows.append(found.rename_axis("input").reset_index().assign(change=change, refit=refit))
    return pd.concat(rows, ignore_index=True)


def leads(importance: pd.Series) -> pd.Series:
    """By how much the first input is more important than each of FACTORS, indexed by these."""
    factors = importance[list(FACTORS.values())]
    return importance.drop(factors.index).iloc[0] - factors


def share_together(importance: pd.Series) -> pd.Series:
    """By how much the share of accuracy and diversity together exceeds one half; one value."""
    return pd.Series({"accuracy and diversity": float(importance[["accuracy", "diversity"]].sum()) - 0.5})


def without_each_family(
    inputs: pd.DataFrame, transfer: pd.Series, families: pd.Series, effect: Callable[[pd.DataFrame], pd.Series]
) -> pd.DataFrame:
    """An effect of the importances, of all models in the row "none", and without each family in the row of its name."""
    kept = {"none": families == families} | {family: families != family for family in families.unique()}
    found = {name: effect(importances(inputs[rows], transfer[rows])) for name, rows in kept.items()}
    return pd.DataFrame(found).T


def lead(study: pd.DataFrame, name: str, measure: str) -> pd.DataFrame:
    """By how much `name` is more important than the largest of FACTORS: one row a refit; change, refit, lead."""
    wide = study.pivot(index=["change", "refit"], columns="input", values=measure)
    return (wide[name] - wide[list(FACTORS.values())].max(axis=1)).rename("lead").reset_index()


def held_out_r2(inputs: pd.DataFrame, transfer: pd.Series, families: pd.Series, *, trees: bool) -> dict[str, float]:
    """How much of the variance of transfer is predicted, in sample, for left-out models and for left-out families.

    trees: XGBoost as above, else a linear model. Each at most 1; 0 = no better than the mean of all; may be negative.
    """

    def r2(groups: np.ndarray) -> float:
        predicted = pd.Series(np.nan, index=inputs.index)
        for group in np.unique(groups):
            out = groups == group
            predicted[out] = _fit(inputs[~out], transfer[~out], trees=trees).predict(inputs[out].to_numpy())
        return float(1 - ((transfer - predicted) ** 2).sum() / ((transfer - transfer.mean()) ** 2).sum())

    return {
        "in sample": float(_fit(inputs, transfer, trees=trees).score(inputs.to_numpy(), transfer)),
        "models left out": r2(np.arange(len(inputs))),
        "families left out": r2(families.to_numpy()),
    }


def permutation_importance(
    inputs: pd.DataFrame, transfer: pd.Series, families: pd.Series, *, draws: int, generator: np.random.Generator
) -> pd.Series:
    """How much worse families left out are predicted when one input of theirs is that of a random model.

    The mean squared error's rise, over the variance of transfer; 0 = the input is of no use for a new family,
    negative = it misleads.
    """
    rise = pd.Series(0.0, index=inputs.columns)
    for family in families.unique():
        out = (families == family).to_numpy()
        model = _fit(inputs[~out], transfer[~out])
        rows, real = inputs[out], transfer[out].to_numpy()
        whole = ((model.predict(rows.to_numpy()) - real) ** 2).sum()
        for name in inputs:
            for _ in range(draws):
                mixed = rows.assign(**{name: generator.choice(inputs[name].to_numpy(), size=len(rows))})
                rise[name] += (((model.predict(mixed.to_numpy()) - real) ** 2).sum() - whole) / draws
    return rise / ((transfer - transfer.mean()) ** 2).sum()
