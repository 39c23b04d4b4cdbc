"""The feature explorer in JupyterLab and Voila: what a reader does, and what is drawn then."""

import math

import pytest

PARAMETERS = {"overrides": {"seeds": 1, "epochs": 2}, "num_classes": 3}
_SHOWN = """() => {
    const gd = document.querySelector('.features-explorer .js-plotly-plot');
    const panels = ['x', 'x2'].map(axis => gd._fullData.filter(trace => trace.xaxis === axis));
    return {
        x: panels.map(traces => traces.flatMap(trace => Array.from(trace.x))),
        selected: panels.map(traces => traces.flatMap(
            (trace, shape) => Array.from(trace.selectedpoints || []).map(point => [shape, point])
        )),
        titles: gd.layout.annotations.map(title => title.text),
        outlines: (gd.layout.selections || []).length,
    };
}"""
# that no name of a class is cut off
_INSIDE = """list => {
    const edge = list.closest('.widget-html').getBoundingClientRect().right + 1;
    list.querySelector('section div').append(' a-name-of-a-class that is-longer-than-its-column');
    return [list, ...list.querySelectorAll('div')].every(
        item => item.getBoundingClientRect().right <= edge && item.scrollWidth <= item.clientWidth
    );
}"""
_DRAWN = f"before => ({_SHOWN})().x[0][0] !== before"
_SELECTED = f"count => ({_SHOWN})().selected.every(found => found.length === count)"


def explorer_of(page):
    explorer = page.locator(".features-explorer")
    explorer.locator(".js-plotly-plot .nsewdrag").first.wait_for(timeout=60_000)
    explorer.scroll_into_view_if_needed()
    return explorer


def control(explorer, label):
    return explorer.locator(".widget-dropdown", has_text=label).locator("select")


def draw_lasso(page, explorer, panel):
    """A circle over most of a panel."""
    box = explorer.locator(".nsewdrag").nth(panel).bounding_box()
    x, y, radius = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.35 * box["width"]
    page.mouse.move(x + radius, y)
    page.mouse.down()
    for step in range(1, 31):
        page.mouse.move(x + radius * math.cos(step * math.pi / 15), y + radius * math.sin(step * math.pi / 15))
    page.mouse.up()


@pytest.mark.parametrize("explorer_page", [("explore_features", PARAMETERS)], indirect=True)
def test_in_jupyterlab(explorer_page):
    page, explorer = explorer_page, explorer_of(explorer_page)
    start = page.evaluate(_SHOWN)
    assert start["titles"] == ["<b>SL</b>, epoch 2", "<b>SL-MLP</b>, epoch 2"]
    page.set_viewport_size({"width": 1400, "height": 1000})
    assert explorer.locator(".class-list").evaluate(_INSIDE)

    explorer.locator(".noUi-handle").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(_DRAWN, arg=start["x"][0][0])
    earlier = page.evaluate(_SHOWN)
    assert earlier["titles"] == ["<b>SL</b>, epoch 1", "<b>SL-MLP</b>, epoch 1"]

    control(explorer, "Left").select_option(label="SL-MLP")
    page.wait_for_function(_DRAWN, arg=earlier["x"][0][0])
    same = page.evaluate(_SHOWN)
    assert same["x"][0] == same["x"][1] == earlier["x"][1]

    explorer.scroll_into_view_if_needed()
    draw_lasso(page, explorer, 1)
    explorer.locator(".sheet img").first.wait_for()
    drawn = page.evaluate(_SHOWN)
    first, second = drawn["selected"]
    assert 0 < len(first) < len(drawn["x"][0]) and first == second
    explorer.get_by_text(f"Selected: {len(first)} images").wait_for()

    control(explorer, "Map").select_option(label="PCA")
    page.wait_for_function(_DRAWN, arg=drawn["x"][0][0])
    moved = page.evaluate(_SHOWN)
    assert moved["selected"] == drawn["selected"]  # the same images, wherever they are now
    assert moved["outlines"] == 0

    explorer.get_by_role("button", name="Clear selection").click()
    page.wait_for_function(_SELECTED, arg=0)
    explorer.locator(".sheet").wait_for(state="detached")

    control(explorer, "Select").select_option(index=1)
    page.wait_for_function(_SELECTED, arg=len(drawn["x"][0]) // 6)  # a class of six
    explorer.get_by_text("needs two classes of two images, here is 1").first.wait_for()  # the numbers follow


@pytest.mark.parametrize("voila_page", [("explore_features", PARAMETERS)], indirect=True)
def test_in_voila(voila_page):
    page, explorer = voila_page, explorer_of(voila_page)
    start = page.evaluate(_SHOWN)
    control(explorer, "Side").select_option(label="eval-D alone")
    page.wait_for_function(_DRAWN, arg=start["x"][0][0])
    hidden = [math.isnan(x) for x in page.evaluate(_SHOWN)["x"][0]]
    assert hidden.count(True) == len(hidden) // 2

    box = explorer.locator(".nsewdrag").first.bounding_box()
    for step in range(0, 60):  # until the pointer is on a point
        page.mouse.move(box["x"] + box["width"] * (step + 20) / 100, box["y"] + box["height"] / 2)
        page.wait_for_timeout(50)
    explorer.locator(".pointed img").wait_for()
    assert "eval-D" in explorer.locator(".pointed").inner_text()
