"""Pages for everybody: by the rules of WCAG, by keyboard, and on paper."""

import pandas as pd
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader

from tests.accessibility import violations
from tests.report.conftest import build
from tests.report.records import put, verdict
from workbook.report.index import write_beside, write_index
from workbook.report.notebooks import PLOTLY
from workbook.report.page import render_page
from workbook.report.setting import Setting

DROPS, STAGES, ABLATION = "A.stages.sl-drops", "01_stagewise_evaluation", "02_mlp_ablation"
CODE = (
    "import numpy as np  # a comment\n\n\n@wrapped\ndef f(x: float = 1.5) -> str:\n    return f'{x!r}' + "
    + "'long' + " * 30
)
PAPER = 703  # pixels across a page of A4 within its margins


def figure(title: str) -> NotebookNode:
    lines = [{"type": "scatter", "x": [1, 2, 3], "y": [1, 3, 2], "name": f"a method {number}"} for number in range(3)]
    return new_output(
        "display_data", data={PLOTLY: {"data": lines, "layout": {"title": {"text": title}, "height": 400}}}
    )


def notebook():
    """Code, a formula and a table that are wider than the page, what is printed, and two figures."""
    wide = pd.DataFrame({f"column_{number}": [number / 7] * 3 for number in range(20)})
    table = new_output("display_data", data={"text/html": wide._repr_html_()})
    streams = [new_output("stream", name=name, text="told\n") for name in ("stdout", "stderr")]
    formula = "$$" + " + ".join(f"x_{{{number}}}" for number in range(18)) + "$$"
    shown = [figure(f"Figure number {number}") for number in (1, 2)]
    cells = [new_code_cell(CODE, outputs=[*streams, table]), *(new_code_cell("draw()", outputs=[one]) for one in shown)]
    return new_notebook(cells=[new_markdown_cell(f"# Is it so?\n\nSee [the protocol](a.ipynb).\n\n{formula}"), *cells])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of reports: one that passed, one that failed, one that was not run, and the index."""
    with pytest.MonkeyPatch.context() as patch:
        base = build(tmp_path_factory.mktemp("accessible"), patch)
        out = base / "reports/smoke"
        known, unrun = verdict(DROPS), base / "notebooks/03_intra_class_variation.ipynb"
        put(base / "notebooks/results/pocket", unrun.stem, [known])
        put(base / "notebooks/results/study", STAGES, [known | {"status": "differs"}], profile="study")
        unrun.write_text((base / "notebooks/00_start_here.ipynb").read_text())
        passed = put(out, STAGES, [verdict(DROPS, "not evaluated")], profile="smoke")
        failed = put(out, ABLATION, [], profile="smoke", status="failed", error="KeyError: 'x'", cell=2)
        for result in (passed, failed):
            page = render_page(notebook(), result, source=base / f"notebooks/{result.notebook}.ipynb", out=out)
            (out / f"{result.notebook}.html").write_text(page)
        write_beside(out, setting=Setting("smoke"))
        assert write_index(out, profile="smoke", note="Running: 1 of 2 notebooks are done.").status == "passed"
        return out


@pytest.fixture
def opened(browser, folder):
    """Opens a page of the folder, and waits for its figures."""
    contexts = []

    def open_page(name: str, scheme: str = "light"):
        contexts.append(browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 900, "height": 800}))
        page = contexts[-1].new_page()
        page.goto((folder / f"{name}.html").as_uri())
        page.wait_for_function(
            "() => [...document.querySelectorAll('.plotly-figure')].every(one => one.querySelector('.files'))"
        )
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", STAGES, ABLATION, "03_intra_class_variation"])
def test_axe_finds_nothing(opened, name, scheme):
    assert violations(opened(name, scheme)) == []


def test_what_scrolls_is_reached_by_keyboard_and_what_does_not_is_passed_over(opened):
    page = opened(STAGES)
    stops = page.locator("[role=group][tabindex='0']")
    names = set(stops.evaluate_all("all => all.map(stop => stop.ariaLabel.split(',')[0])"))
    assert names == {"Code", "Formula", "Table"}
    assert page.locator(".highlight[tabindex]").count() == 1, "the long line, and no short one"
    code = page.locator(".highlight[tabindex]")
    code.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 0")
    page.set_viewport_size({"width": 600, "height": 800})
    page.wait_for_function("() => document.querySelector('.plotly-figure[tabindex]')")


def test_what_runs_is_not_told_as_a_failure(opened):
    page = opened("index")
    mild = page.locator(".banner.mild").evaluate("one => getComputedStyle(one).borderLeftColor")
    alarming = page.locator(".banner[role=alert]").first.evaluate("one => getComputedStyle(one).borderLeftColor")
    assert mild != alarming


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_print_holds_all_figures_tables_and_code(opened, tmp_path, scheme):
    page = opened(STAGES, scheme)
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    text = "".join("".join(sheet.extract_text().split()) for sheet in PdfReader(tmp_path / "page.pdf").pages)
    assert "Figurenumber1" in text and "Figurenumber2" in text
    assert text.count("'long'") == 30 and "0.142857" in text
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 800})
    ends = "all => Math.max(...all.map(one => one.getBoundingClientRect().right))"
    assert page.locator("main :is(table, th, pre, span, mi, .main-svg)").evaluate_all(ends) <= PAPER
    ink = page.locator(".xtick text").first.evaluate("one => getComputedStyle(one).fill")
    assert ink == "rgb(30, 35, 40)", "dark ink, on paper that is white"


def test_a_print_of_the_index_holds_the_figures_below_what_was_seen(opened, tmp_path):
    page = opened("index")
    page.pdf(path=tmp_path / "index.pdf")
    text = "".join(sheet.extract_text() for sheet in PdfReader(tmp_path / "index.pdf").pages)
    assert "what is known, and what this run found" in text and "SL loses accuracy on eval-D" in text
