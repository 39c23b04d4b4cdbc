"""What the diversity explorer says: the numbers of a model, and how accuracy and CIS go with transfer."""

import pandas as pd

from workbook.explorers.diversity.collection import TRANSFERS, Collection
from workbook.explorers.diversity.correlations import COEFFICIENTS, SCORES
from workbook.explorers.page import html
from workbook.figures.trajectories import MEASURES


def details_html(shown: Collection, model: str | None) -> str:
    """The numbers of a model, and why it has no layers where it has none."""
    row = None if model is None else shown.models.loc[model]
    values = {"model": model, "row": row, "measures": MEASURES, "transfers": TRANSFERS}
    return html("diversity/details", shown=shown, number=_number, **values)


def correlations_html(found: pd.DataFrame, said: str, *, transfer: str) -> str:
    """`transfer_correlations`, a row a score; where there are intervals the largest value of a coefficient is bold."""
    best = found.dropna().groupby("coefficient")["value"].max().reindex(list(COEFFICIENTS))
    by_score = dict(list(found.set_index("coefficient").groupby("score")))
    rows = {name: by_score[score] for score, name in SCORES.items() if score in by_score}
    values = {"rows": rows, "best": best, "coefficients": COEFFICIENTS, "number": _number}
    return html("diversity/correlations", said=said, transfer=transfer, **values)


def _number(value: float, form: str = ".3g", unit: str = "") -> str:
    return "not measured" if pd.isna(value) else f"{value:{form}}{unit}".replace("-", "−")
