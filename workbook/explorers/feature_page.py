"""What the feature explorer shows as HTML: legend, readings, hovered image and contact sheet."""

from collections.abc import Sequence
from html import escape

import pandas as pd

from workbook.explorers.readings import Reading
from workbook.figures.linked_maps import GLYPHS

SIDE_WORDS = {"pre": "pre-D", "eval": "eval-D"}

# JupyterLab's and Voila's themes set the variables; maps, legend and sheet keep a light ground under both, because
# the hues of the classes are chosen for it
STYLE = """<style>
.features-explorer { max-width: 1230px; }
.features-explorer .js-plotly-plot g.infolayer text { fill: var(--jp-ui-font-color1, #222) !important; }
.features-explorer .modebar-btn path { fill: var(--jp-ui-font-color2, #666) !important; }
.features-explorer .modebar-btn.active path { fill: var(--jp-brand-color1, #1976d2) !important; }
.features-explorer .modebar, .features-explorer .modebar-group { background: transparent !important; }
.features-explorer .modebar-btn--logo { display: none !important; }
.features-explorer .widget-html-content { line-height: 1.4; }
.fx { color: var(--jp-ui-font-color1, #222); font-size: 13px; }
.fx-light { background: #fbfbfa; color: #222; border-radius: 4px; padding: 6px 8px; }
.fx-legend { columns: 2; column-gap: 8px; font-size: 11.5px; line-height: 1.5; }
.fx-legend b { display: block; }
.fx-legend div { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.fx-legend section { break-inside: avoid; }
.fx-hover { display: flex; gap: 10px; align-items: center; min-height: 112px; }
.fx-hover img { width: 112px; height: 112px; object-fit: contain; border-radius: 4px; background: #fbfbfa; }
.fx-hover div.fx-empty { width: 112px; height: 112px; border: 1px dashed var(--jp-border-color1, #bbb); flex: none;
  border-radius: 4px; box-sizing: border-box; }
.fx table { border-collapse: collapse; margin: 4px 0; }
.fx th, .fx td { padding: 3px 14px 3px 0; text-align: left; vertical-align: baseline; font-size: 13px; }
.fx td.number { text-align: right; font-variant-numeric: tabular-nums; font-weight: 600; min-width: 52px; }
.fx td.note, .fx .note { color: var(--jp-ui-font-color2, #666); font-size: 12px; }
.fx thead th { border-bottom: 1px solid var(--jp-border-color1, #bbb); }
.fx-sheet b { display: block; margin-bottom: 2px; }
.fx-sheet img { display: block; max-width: 100%; }
</style>"""

_MEANING = {
    "φ": "discriminative ratio; lower = more variation within classes",
    "Π": "feature mixture; higher = pre-D and eval-D more mixed",
    "R": "feature redundancy; higher = channels repeat each other",
}


def legend(styles: pd.DataFrame) -> str:
    """These classes, by side, each with its shape in its hue; styles: see `class_styles`."""
    parts = []
    for side, rows in styles.groupby("side", sort=False):
        lines = [
            f'<div title="{escape(str(name))}"><span style="color:{row.colour}">{GLYPHS[row.symbol]}</span> '
            f"{escape(str(name))}</div>"
            for name, row in rows.iterrows()
        ]
        parts.append(f"<section><b>{SIDE_WORDS.get(str(side), 'classes')}</b>{''.join(lines)}</section>")
    return f'<div class="fx fx-light fx-legend">{"".join(parts)}</div>'


def readings_table(methods: Sequence[str], columns: Sequence[Sequence[Reading]], title: str) -> str:
    """A row a measure, a column a method; a value that is not defined says why."""
    head = "".join(f'<th colspan="2">{escape(method)}</th>' for method in methods)
    body = ""
    for row in zip(*columns, strict=True):
        meaning = _MEANING.get(row[0].name, "")
        cells = "".join(
            f'<td class="number">{"–" if reading.value is None else f"{reading.value:.3f}"}</td>'
            f'<td class="note">{escape(reading.note)}</td>'
            for reading in row
        )
        body += f'<tr><th scope="row">{row[0].name}</th>{cells}<td class="note">{meaning}</td></tr>'
    return (
        f'<div class="fx" role="status"><b>{escape(title)}</b><table><thead><tr><th></th>{head}<th></th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def hovered(uri: str, name: str, side: str, number: int) -> str:
    """One image with its class, its side and its number."""
    words = SIDE_WORDS.get(side, "")
    return (
        f'<div class="fx fx-hover"><img src="{uri}" alt="{escape(name)}" style="image-rendering: pixelated">'
        f'<div><b>{escape(name)}</b><br>{words}<br><span class="note">image {number}</span></div></div>'
    )


def nothing_hovered() -> str:
    """The place of the image before the pointer was on a point."""
    return (
        '<div class="fx fx-hover"><div class="fx-empty"></div>'
        '<div class="note">Point at a map: the image stands here.</div></div>'
    )


def sheet(uri: str, words: str) -> str:
    """The contact sheet and what it holds."""
    return (
        f'<div class="fx fx-sheet"><b>{escape(words)}</b><div class="fx-light" style="display: inline-block">'
        f'<img src="{uri}" alt="{escape(words)}"></div></div>'
    )


def words(text: str) -> str:
    """A plain line of the page."""
    return f'<div class="fx note" role="status">{escape(text)}</div>'
