"""The page of an executed notebook in a browser without a network."""

import nbformat

from tests.report.records import put, put_notebook
from workbook.report.page import render_page


def test_a_figure_is_drawn_and_sends_nothing_away(browser, tmp_path):
    put_notebook(tmp_path / "01.ipynb")
    result = put(tmp_path, "01", [])
    page = tmp_path / "01.html"
    notebook = nbformat.read(tmp_path / "01.ipynb", as_version=4)
    page.write_text(render_page(notebook, result, source=tmp_path / "01.ipynb", out=tmp_path), encoding="utf-8")
    context = browser.new_context(offline=True)
    shown = context.new_page()
    shown.goto(page.as_uri())
    shown.locator(".js-plotly-plot .scatterlayer .trace").wait_for()
    buttons = shown.locator(".modebar-btn").evaluate_all("all => all.map(each => each.dataset.title)")
    context.close()
    assert any("Download" in title for title in buttons)
    assert not [title for title in buttons if "cloud" in title.lower() or "share" in title.lower()]
