"""What the diversity explorer says in words: its style, which models are shown, and the numbers of one of them."""

from typing import Any

import pandas as pd

from workbook.explorers.collection import TRANSFERS, Collection
from workbook.figures.trajectories import MEASURES

STYLE = """<style>
.diversity-explorer { color: var(--jp-ui-font-color1, #222); max-width: 984px; }
.diversity-explorer .explorer-card { background: #fff; border: 1px solid var(--jp-border-color2, #ddd);
  border-radius: 6px; padding: 4px; overflow: hidden; box-sizing: border-box; }
.diversity-explorer p { margin: 2px 0 6px; line-height: 1.4; }
.diversity-explorer .about { max-width: 1000px; }
.diversity-explorer .caption { font-weight: 600; }
.diversity-explorer .note { border-left: 3px solid #E69F00; padding-left: 8px; overflow-wrap: anywhere; }
.diversity-explorer table { border-collapse: collapse; margin: 4px 0 8px; }
.diversity-explorer td, .diversity-explorer th { padding: 3px 14px 3px 0; text-align: left; font-weight: 400;
  border-bottom: 1px solid var(--jp-border-color2, #ddd); white-space: nowrap; }
.diversity-explorer thead th { font-weight: 600; }
.diversity-explorer td { font-variant-numeric: tabular-nums; }
.diversity-explorer small { opacity: 0.75; }
.diversity-explorer .widget-label, .diversity-explorer .widget-readout { color: var(--jp-ui-font-color1, #222); }
</style>"""
# what the paper prints of a model besides, and how it is called
_ALSO = {
    "cka": "CKA between its stages",
    "msc": "mean silhouette",
    "v_intra": "V<sub>intra</sub>",
    "s_inter": "S<sub>inter</sub>",
    "run": "run",
    "weights": "weights",
}


def about_html(shown: Collection) -> str:
    """Which data and models these are, and what is missing."""
    notes = "".join(f'<p class="note">{note}</p>' for note in shown.notes)
    return f'<div class="about"><p>{shown.about}</p>{notes}</div>'


def details_html(shown: Collection, model: str | None) -> str:
    """The numbers of a model, and why it has no layers where it has none."""
    if model is None:
        return "<p>There is no model to show.</p>"
    row = shown.models.loc[model]
    cells = {
        "accuracy": _number(row["accuracy"], ".1f", " %"),
        **{f"{name} diversity, CIS": _both(row[name], row[f"{name}_cis"]) for name in MEASURES},
        **{f"transfer, {name}": _number(row[key], ".3g") for key, name in TRANSFERS.items()},
        **{name: _told(row[key]) for key, name in _ALSO.items() if key in row.index},
    }
    rows = "".join(f"<tr><th scope='row'>{name}</th><td>{value}</td></tr>" for name, value in cells.items())
    why = "" if model in shown.layers else f"<p>{shown.no_layers}</p>"
    units = ", ".join(f"{TRANSFERS[key]}: {unit}" for key, unit in shown.transfer_unit.items())
    table = f"<table><tbody>{rows}</tbody></table><p><small>Transfer: {units}.</small></p>"
    return f'<p class="caption">{model}</p>{why}{table}'


def _number(value: float, form: str, unit: str = "") -> str:
    return "not measured" if pd.isna(value) else f"{value:{form}}{unit}".replace("-", "−")


def _both(diversity: float, cis: float) -> str:
    return f"{diversity:.4f}, {_number(cis, '.2f')}"


def _told(value: Any) -> str:
    return value if isinstance(value, str) else _number(value, ".3g")
