"""An executed notebook -> a page that needs no network and no kernel."""

import copy
import html
import json
import os
import re
import threading
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jinja2
from latex2mathml.converter import convert as mathml
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from plotly.offline import get_plotlyjs, get_plotlyjs_version
from pygments.formatters import HtmlFormatter

from workbook.figures.verdicts import SIGNS
from workbook.files import without_home, write_atomically
from workbook.papers.verdicts import interval_text, printed, quantity
from workbook.report import survey as places
from workbook.report.notebooks import PLOTLY
from workbook.report.record import ReportResult, place_of
from workbook.report.survey import START_PAGE

_WIDGET = "application/vnd.jupyter.widget-view+json"
_WIDGET_NOTE = '<p class="note">Interactive here in JupyterLab: an executed report has no kernel behind it.</p>'
_RELATIVE = re.compile(r'href="(?![\w+.-]+:|[/#])([^"#]+)')
_ELSEWHERE = re.compile(r' href="(?!(?:https?|mailto):|#)[^"]*"')
_ERROR_MARKER = "papermill-error-cell-tag"


def render_page(
    notebook: NotebookNode, result: ReportResult, *, source: Path, out: Path, self_contained: bool = False
) -> str:
    """The page, to lie in the folder `out`, of an executed notebook; `source` is the notebook's own file.

    Its figures are drawn by the plotly.js that is written beside it, or self-contained by one inside.
    """
    parts = page_parts(notebook, cell=result.cell, source=source, out=out)
    plotly = place_plotly(out) if parts["figures"] and not self_contained else ""
    return render("page.html.j2", result=result, table=f"{place_of(out, result)}.csv", plotly=plotly, **parts)


def page_parts(notebook: NotebookNode, *, cell: int | None = None, source: Path, out: Path | None) -> dict[str, Any]:
    """What the template of a page needs; cell: the one that failed, from 1.

    Formulas become MathML, plotly figures are drawn by plotly.js, widgets become a note, images are embedded. Links
    start from the notebook's folder, and from `out` in the page; those to what lies beside it lead to its pages. out:
    None = a page that lies beside no others, in which only links to itself and to the web are left.
    """
    shown = without_home(copy.deepcopy(notebook))
    shown.metadata.pop("widgets", None)  # their state: megabytes, and nothing reads it
    shown.cells = [cell for cell in shown.cells if _ERROR_MARKER not in cell.metadata.get("tags", [])]
    failed = _mark_failed(shown, cell)
    figures = [_make_static(output) for cell in shown.cells for output in cell.get("outputs", [])]
    with _ONE_AT_A_TIME:
        body, _ = _exporter().from_notebook_node(shown, {"metadata": {"path": str(source.parent)}})
    if out is None:
        body = _ELSEWHERE.sub("", body)
    else:
        body = _RELATIVE.sub(lambda link: f'href="{_relinked(link[1], source.parent, out)}', body)
    return {"body": body, "failed": failed, "figures": any(figures)}


def _relinked(link: str, start: Path, out: Path) -> str:
    """Of a page in `out`, what a link from the folder `start` becomes; the index sees to it that each page is there."""
    target = Path(os.path.normpath(start / unquote(html.unescape(link))))
    if target.parent == start and target.suffix in ((".ipynb", ".md") if start == places.NOTEBOOKS else (".ipynb",)):
        return quote("index.html" if target.stem == START_PAGE else f"{target.stem}.html")
    return quote(Path(os.path.relpath(target, out)).as_posix())


def place_plotly(folder: Path) -> str:
    """The name of plotly.js in the folder; written there once, so that its pages open without a network."""
    name = f"plotly-{get_plotlyjs_version()}.min.js"
    if not (folder / name).exists():
        write_atomically(folder / name, get_plotlyjs())
    return name


def _mark_failed(notebook: NotebookNode, number: int | None) -> str:
    """Tag the cell that failed, for its looks; its id in the page, or an empty string."""
    if number is None:
        return ""
    own = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    cell = own[number - 1]
    cell.metadata["tags"] = [*cell.metadata.get("tags", []), "failed"]
    return f"cell-id={cell.id}"  # as nbconvert's template names it


def _make_static(output: NotebookNode) -> bool:
    """Replace what needs a kernel or another site by HTML of our own; True for a figure."""
    data = output.get("data", {})
    if PLOTLY in data:
        script = f'<script type="application/json">{script_json(data[PLOTLY])}</script>'
        height = data[PLOTLY].get("layout", {}).get("height", 200)  # so that nothing moves when it is drawn
        output["data"] = {"text/html": f'<div class="plotly-figure" style="min-height: {height}px">{script}</div>'}
        return True
    if _WIDGET in data:
        output["data"] = {"text/html": _WIDGET_NOTE}
    elif "text/latex" in data and "text/html" not in data:
        output["data"] = {"text/html": formula(data["text/latex"].strip().strip("$"), display=True)}
    return False


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    # "</" would end the element early; in JSON "<" may be written as an escape.
    return json.dumps(value).replace("<", "\\u003c")


class _MathRenderer(IPythonRenderer):
    """Markdown whose formulas are MathML instead of source for MathJax, and whose headings have JupyterLab's marks."""

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        mark = html.unescape(re.sub("<[^>]+>", "", text)).replace(" ", "-")
        return super().heading(text, level, **attrs | {"id": html.escape(mark)})

    def block_math(self, body: str) -> str:
        return formula(body, display=True)

    def inline_math(self, body: str) -> str:
        return formula(body, display=False)

    def latex_environment(self, name: str, body: str) -> str:
        return formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True)


class _BodyExporter(HTMLExporter):
    """The lab template's cells without its head, with `_MathRenderer` for Markdown."""

    @jinja2.pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        cell = context.get("cell", {})
        renderer = _MathRenderer(
            escape=False,
            attachments=cell.get("attachments", {}),
            embed_images=self.embed_images,
            path=context.get("resources", {}).get("metadata", {}).get("path", ""),
            exclude_anchor_links=True,
        )
        return MarkdownWithMath(renderer=renderer).render(source)


def formula(latex: str, *, display: bool) -> str:
    """MathML; the LaTeX source as code where it cannot be converted, so that a page never fails for it."""
    # latex2mathml knows `align` but not `aligned`, and writes the relation \sim as a plain tilde.
    source = re.sub(r"\\(begin|end)\{(aligned|gathered|split)\}", r"\\\1{align*}", latex.strip())
    try:
        converted = mathml(source, display="block" if display else "inline")
    except Exception:  # the library raises whatever its parser stumbles over (IndexError, KeyError, its own)
        return f'<code class="latex">{html.escape(latex)}</code>'
    return converted.replace("&#x0007E;", "&#x0223C;")


_ONE_AT_A_TIME = threading.Lock()  # pages are rendered in several threads, and an exporter keeps what it is at


@cache
def _exporter() -> _BodyExporter:
    """One for all pages: each compiles the lab template's files again, which takes longer than a page."""
    return _BodyExporter(template_name="lab", template_file="base.html.j2", embed_images=True)


def _code_css() -> str:
    light = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    made.filters |= {"quantity": quantity, "printed": printed, "duration": duration, "day": day}
    made.globals |= {"interval_text": interval_text, "script_json": script_json, "signs": SIGNS}
    made.globals |= {"code_css": _code_css, "plotly_js": get_plotlyjs}
    return made


def render(template: str, **context: Any) -> str:
    """A template of this package, filled in."""
    return _environment().get_template(template).render(context)


def duration(seconds: float) -> str:
    """42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def day(date: str) -> str:
    """2024-05-01T12:30:00+00:00 -> 2024-05-01 12:30 UTC"""
    return f"{date[:10]} {date[11:16]} UTC"
