"""How accuracy and CIS go with transfer among the models that are selected, and when that says nothing."""

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
        return _table([]), f"{said} Too few: a correlation needs at least {_LEAST_MODELS} models."
    try:
        found = {score: rank_correlations(known[score], known[transfer], resamples=100) for score in SCORES}
    except ValueError as error:
        return _table([]), f"{said} No correlation: {error}."
    try:
        if families < _LEAST_FAMILIES:
            raise ValueError(f"it draws families, and {families} are too few ({_LEAST_FAMILIES} at least)")
        drawn = {"families": known["family"], "resamples": RESAMPLES}
        found = {score: rank_correlations(known[score], known[transfer], **drawn) for score in SCORES}
    except ValueError as error:
        found = {score: table.assign(low=np.nan, high=np.nan) for score, table in found.items()}
        said += f" No interval: {error}, because models of one family are not independent."
    rows = [
        row
        for score, table in found.items()
        for row in table.rename_axis("coefficient").reset_index().assign(score=score).to_dict("records")
    ]
    if n < _FEW_MODELS:
        said += " So few models agree or disagree by chance: read no conclusion from them."
    return _table(rows), said


def _table(rows: list[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["score", "coefficient", "value", "low", "high"])


def correlations_html(table: pd.DataFrame, said: str, *, transfer: str) -> str:
    """The table as HTML, a row a score; where there are intervals the largest value of a coefficient is bold."""
    caption = f"Correlation with transfer by {transfer} [95 % interval over families]"
    if table.empty:
        return f'<p class="caption">{caption}</p><p>{said}</p>'
    head = "".join(f"<th scope='col'>{name}</th>" for name in COEFFICIENTS.values())
    best = table.dropna().groupby("coefficient")["value"].max().reindex(list(COEFFICIENTS))
    rows = []
    for score, name in SCORES.items():
        found = table[table["score"] == score].set_index("coefficient")
        cells = "".join(_cell(found.loc[coefficient], best[coefficient]) for coefficient in COEFFICIENTS)
        rows.append(f"<tr><th scope='row'>{name}</th>{cells}</tr>")
    body = "".join(rows)
    return (
        f'<p class="caption">{caption}</p><table><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table><p>{said}</p>"
    )


def _cell(row: pd.Series, best: float) -> str:
    value, low, high = (f"{row[name]:.2f}".replace("-", "−") for name in ("value", "low", "high"))
    value = f"<b>{value}</b>" if row["value"] == best else value
    return f"<td>{value}</td>" if np.isnan(row["low"]) else f"<td>{value} <small>[{low}, {high}]</small></td>"
