"""Every figure drawn in a page of two widths, and as narrow as JupyterLab makes it: all texts can be read."""

import json
from html import unescape

import pytest

from tests.figures.examples import EXAMPLES
from tests.report.records import put, put_notebook
from workbook.report.notebooks import read_notebook
from workbook.report.page import render_page

# of the page and of the figure, None = as wide as its place
WIDTHS = ((1400, None), (900, None), (900, 640))
_DRAW = """async figure => {
  const holder = Object.assign(document.createElement("div"), {className: "plotly-figure", id: "drawn"});
  holder.append(Object.assign(document.createElement("script"), {type: "application/json", textContent: figure}));
  document.getElementById("drawn")?.remove();
  document.querySelector("main").append(holder);
  await draw_figure(holder);
}"""
# what stands on the data, such as numbers in cells and epochs at points, may lie on data
_TEXTS = """() => {
  const place = document.querySelector("#drawn .js-plotly-plot");
  const frame = place.querySelector(".main-svg").getBoundingClientRect();
  const texts = [...place.querySelectorAll(".main-svg text")].filter(text =>
    text.textContent.trim() && !text.closest(".textpoint, .points, .hm, .heatmap-label, .hoverlayer, .trace"));
  const found = texts.map(text => {
    const {left, top, right, bottom} = text.getBoundingClientRect();
    const turned = /rotate\\((?!-?90|0)/.test(text.getAttribute("transform") ?? "");
    const inner = text.closest("[class*=tick]") && turned;
    return {text: text.textContent, left: left - frame.left, top: top - frame.top, right: right - frame.left,
            bottom: bottom - frame.top, turned: Boolean(inner)};
  });
  return {texts: found, width: frame.width, height: frame.height};
}"""


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """A report's page, in which figures are drawn one after the other."""
    folder = tmp_path_factory.mktemp("page")
    put_notebook(folder / "01.ipynb")
    result = put(folder, "01", [])
    notebook = read_notebook(folder / "01.ipynb")
    html = render_page(notebook, result, source=folder / "01.ipynb", out=folder)
    (folder / "01.html").write_text(html, encoding="utf-8")
    context = browser.new_context(offline=True, viewport={"width": WIDTHS[0][0], "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto((folder / "01.html").as_uri())
    yield page
    context.close()


def overlaps(texts: list[dict]) -> list[tuple[str, str]]:
    """Pairs that share more than two pixels in both directions; boxes of turned labels of ticks reach over others."""
    found = []
    for number, one in enumerate(texts):
        for other in texts[number + 1 :]:
            wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
            high = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
            if wide > 2 and high > 2 and not (one["turned"] and other["turned"]):
                found.append((one["text"], other["text"]))
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_text_lies_on_another_or_beyond_the_figure(page, name):
    # without WebGL, which takes seconds where there is no graphics card and moves no text
    content = json.loads(EXAMPLES[name]().to_json().replace('"scattergl"', '"scatter"'))
    for width in WIDTHS:
        page.set_viewport_size({"width": width[0], "height": 900})
        layout = {"width": width[1]} | content["layout"] if width[1] else content["layout"]
        page.evaluate(_DRAW, json.dumps(content | {"layout": layout}))
        drawn = page.evaluate(_TEXTS)
        texts = drawn["texts"]
        assert texts, width
        assert overlaps(texts) == [], width
        beyond = [
            text["text"]
            for text in texts
            if min(text["left"], text["top"]) < -1
            or text["right"] > drawn["width"] + 1
            or text["bottom"] > drawn["height"] + 1
        ]
        assert beyond == [], width
    label = page.locator("#drawn .main-svg").first.get_attribute("aria-label")
    title = content["layout"].get("title", {}).get("text", "")
    assert unescape(title.replace("<br>", " ")) in label and label
