"""The page of an executed notebook in a browser without a network."""

from pathlib import Path

import nbformat
import pytest

from tests.report.records import put, put_notebook
from workbook.report.page import render_page

_TICK = "getComputedStyle(document.querySelector('.xtick text')).fill"


@pytest.fixture
def shown(browser, tmp_path):
    """The page of a notebook with a figure, opened on a dark desktop."""
    put_notebook(tmp_path / "01.ipynb")
    result = put(tmp_path, "01", [])
    page = tmp_path / "01.html"
    notebook = nbformat.read(tmp_path / "01.ipynb", as_version=4)
    page.write_text(render_page(notebook, result, source=tmp_path / "01.ipynb", out=tmp_path), encoding="utf-8")
    context = browser.new_context(offline=True, color_scheme="dark")
    shown = context.new_page()
    shown.goto(page.as_uri())
    shown.locator(".plotly-figure .files").wait_for()
    yield shown
    context.close()


def test_a_figure_is_drawn_and_sends_nothing_away(shown):
    assert shown.locator(".js-plotly-plot .scatterlayer .trace").count() == 1
    buttons = shown.locator(".modebar-btn").evaluate_all("all => all.map(each => each.dataset.title)")
    assert any("Zoom" in title for title in buttons)
    assert not [title for title in buttons if "cloud" in title.lower() or "share" in title.lower()]


def test_a_figure_is_written_in_the_page_s_ink(shown):
    dark, on_dark = shown.evaluate(f"[getComputedStyle(document.body).color, {_TICK}]")
    shown.emulate_media(color_scheme="light")
    shown.wait_for_function(f"before => {_TICK} != before", arg=dark)
    light, on_light = shown.evaluate(f"[getComputedStyle(document.body).color, {_TICK}]")
    assert (on_dark, on_light) == (dark, light) and dark != light


def test_a_figure_is_told_in_words_once(shown):
    pictures = shown.locator(".js-plotly-plot .main-svg")
    assert pictures.first.get_attribute("role") == "img" and "line" in pictures.first.get_attribute("aria-label")
    assert pictures.evaluate_all("all => all.slice(1).every(other => other.ariaHidden == 'true')")


def test_a_figure_is_saved_as_a_picture_and_as_data(shown):
    found = {}
    for name in ("PNG", "SVG", "CSV"):
        with shown.expect_download() as download:
            shown.get_by_role("button", name=f"as {name}").click()
        found[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    assert [*found] == ["A-line.png", "A-line.svg", "A-line.csv"]
    picture, drawing, table = found.values()
    assert picture.startswith(b"\x89PNG") and b"<svg" in drawing[:200] and b"rgb(30, 35, 40)" in drawing
    assert table.decode() == "name,panel,x,y\r\ntrace 0,1,1,3\r\ntrace 0,1,2,4\r\n"
