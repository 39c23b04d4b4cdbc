"""The feature explorer in JupyterLab and Voila: what a reader does, and what is drawn then."""

import math

import psutil
import pytest
from playwright.sync_api import expect

from tests.explorers.servers import asserts_a_good_start

PARAMETERS = {"overrides": {"seeds": 1, "epochs": 2}, "num_classes": 3}
TWO_SEEDS = PARAMETERS | {"overrides": {"seeds": 2, "epochs": 2}}
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
    explorer.locator(".js-plotly-plot .nsewdrag").first.wait_for(timeout=120_000)
    explorer.scroll_into_view_if_needed()
    return explorer


def control(explorer, label):
    return explorer.get_by_label(label, exact=True)


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

    search = control(explorer, "Select")
    search.fill("zebra")
    explorer.get_by_text("No class of this map has 'zebra' in its name").wait_for()
    search.fill(explorer.locator(".class-list section div").first.get_attribute("title"))
    page.wait_for_function(_SELECTED, arg=len(drawn["x"][0]) // 6)  # a class of six
    explorer.get_by_text("needs two classes of two images, here is 1").first.wait_for()  # the numbers follow


def points_at(page, explorer, panel, image):
    """Where an image lies on the screen."""
    return page.evaluate(
        """([panel, image]) => {
            const gd = document.querySelector('.features-explorer .js-plotly-plot'), axes = gd._fullLayout;
            const trace = gd._fullData.filter(trace => trace.xaxis === ['x', 'x2'][panel])[0];
            const [x, y] = [[axes.xaxis, axes.yaxis], [axes.xaxis2, axes.yaxis2]][panel];
            const box = gd.getBoundingClientRect();
            return [box.left + x._offset + x.l2p(trace.x[image]), box.top + y._offset + y.l2p(trace.y[image])];
        }""",
        [panel, image],
    )


@pytest.mark.parametrize("voila_page", [("explore_features", TWO_SEEDS)], indirect=True)
def test_in_voila(voila_page):
    page, explorer = voila_page.page, explorer_of(voila_page.page)
    asserts_a_good_start(voila_page)
    start = page.evaluate(_SHOWN)
    page.mouse.click(*points_at(page, explorer, 0, 0))
    explorer.locator(".neighbours img").nth(20).wait_for()  # twelve and the image itself, twice
    explorer.locator(".pointed img").wait_for()
    assert "pre-D" in explorer.locator(".pointed").inner_text()

    draw_lasso(page, explorer, 1)
    explorer.locator("a[download]").first.wait_for()
    selected = page.evaluate(_SHOWN)["selected"]
    page.mouse.click(*points_at(page, explorer, 0, 1))
    page.wait_for_timeout(1000)
    assert page.evaluate(_SHOWN)["selected"] == selected  # a click asks, and selects nothing

    control(explorer, "Seed").select_option(label="1")  # maps that are not stored
    page.wait_for_function(_DRAWN, arg=start["x"][0][0], timeout=120_000)
    control(explorer, "Colour").select_option(label="side")
    control(explorer, "Side").select_option(label="eval-D alone")
    page.wait_for_function(f"() => ({_SHOWN})().x[0].some(Number.isNaN)")
    asserts_a_good_start(voila_page)
    hidden = [math.isnan(x) for x in page.evaluate(_SHOWN)["x"][0]]
    assert hidden.count(True) == len(hidden) // 2

    view = control(explorer, "View").input_value()
    assert "colour=side" in view and "selected=" in view
    before = page.evaluate(f"JSON.stringify(({_SHOWN})())")
    page.goto(f"{voila_page.address}&{view}", timeout=180_000)
    explorer = explorer_of(page)
    page.wait_for_function(f"before => JSON.stringify(({_SHOWN})()) === before", arg=before, timeout=60_000)
    expect(control(explorer, "View")).to_have_value(view)

    kernel = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    (process,) = [each for each in psutil.process_iter(["cmdline"]) if kernel in " ".join(each.info["cmdline"] or [])]
    process.kill()
    page.locator(".explorer.jupyter-widgets-disconnected").wait_for(timeout=60_000)
    banner = page.locator(".features-explorer").evaluate("one => getComputedStyle(one, '::before').content")
    assert "Reload the page" in banner
