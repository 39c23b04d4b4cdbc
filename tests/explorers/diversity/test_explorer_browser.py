"""The diversity explorer in a real browser: what a user does there changes what is drawn.

`explorer_page` is a Playwright page that shows the executed notebook of its parameter in JupyterLab.
"""

import pytest

from tests.explorers.servers import asserts_a_good_start

in_jupyterlab = pytest.mark.parametrize("explorer_page", [("explore_diversity", {"profile": "smoke"})], indirect=True)

# the map's circles are its last trace but one
MAP = """() => {
  const [map, layers] = document.querySelectorAll('.diversity-explorer .js-plotly-plot');
  const circles = map.data.at(-2), axes = map._fullLayout, box = map.getBoundingClientRect();
  const pixels = {};
  circles.ids.forEach((id, i) => { pixels[id] = [
    box.left + axes.xaxis._offset + axes.xaxis.l2p(circles.x[i]),
    box.top + axes.yaxis._offset + axes.yaxis.l2p(circles.y[i])]; });
  return {
    ids: circles.ids, x: Array.from(circles.x), y: Array.from(circles.y), sizes: Array.from(circles.marker.size),
    current: circles.ids.filter((_, i) => circles.marker.opacity[i] > 0.5),
    selected: circles.selectedpoints ? Array.from(circles.selectedpoints, i => circles.ids[i]) : null,
    ring: map.data.at(-1).text, title: axes.xaxis.title.text, pixels,
    layers: layers && layers.data.length ? Array.from(layers.data[2].y) : [],
    words: document.querySelector('.diversity-explorer').innerText,
  };
}"""


class Explorer:
    """The page as this test reads it."""

    def __init__(self, page) -> None:
        self.page = page
        page.locator(".diversity-explorer").evaluate("element => element.scrollIntoView()")

    def now(self) -> dict:
        return self.page.evaluate(MAP)

    def until(self, condition: str) -> dict:
        """Wait until a JavaScript condition on `now` holds; what is drawn then."""
        self.page.wait_for_function(f"() => {{ const now = ({MAP})(); return {condition}; }}", timeout=10_000)
        return self.now()

    def button(self, name: str):
        return self.page.locator(".diversity-explorer").get_by_role("button", name=name, exact=True)

    def on_the_map(self, model: str) -> tuple[float, float]:
        """Where it is, once the page lies still: on a busy machine it still moves when the data has come."""
        self.page.locator(".diversity-explorer .js-plotly-plot").first.scroll_into_view_if_needed()
        before, place = None, self.now()["pixels"][model]
        while place != before:
            self.page.wait_for_timeout(500)
            before, place = place, self.now()["pixels"][model]
        return tuple(place)


@pytest.fixture
def explorer(explorer_page) -> Explorer:
    found = Explorer(explorer_page)
    found.button("paper B").click()
    found.button("cluster").click()
    found.button("linear probe").click()
    found.until("now.ids.length === 39 && now.y[0] > 0.5")
    return found


@in_jupyterlab
def test_the_slider_moves_the_models_by_mouse_and_by_keyboard(explorer):
    handle = explorer.page.locator(".diversity-explorer [role=slider], .diversity-explorer .noUi-handle").first
    handle.focus()
    handle.press("End")
    assert "SwAV, T = 1" in explorer.until("now.current.includes('DINO, T = 1')")["current"]
    handle.press("ArrowLeft")
    assert "SwAV, T = 2" in explorer.until("now.current.includes('DINO, T = 2')")["current"]
    handle.press("Home")
    explorer.until("now.current.includes('DINO')")


@in_jupyterlab
def test_the_switches_change_diversity_transfer_and_models(explorer):
    before = explorer.now()
    explorer.button("spectral").click()
    spectral = explorer.until("now.y[0] < 0.5")
    assert spectral["x"] == before["x"]
    explorer.button("finetuning").click()
    told = "now.words.includes('Correlation with transfer by finetuning')"
    resized = explorer.until(f"now.sizes[3] !== {spectral['sizes'][3]} && {told}")
    assert resized["y"] == spectral["y"]
    explorer.button("own runs").click()
    own = explorer.until("now.title.includes('upstream') && now.words.includes('not to be compared')")
    assert "Supervised" not in own["ids"]


@in_jupyterlab
def test_a_click_on_a_model_shows_it(explorer):
    explorer.page.mouse.click(*explorer.on_the_map("DINO"))
    explorer.until("now.ring[0] === 'DINO' && now.words.includes('not published')")
    explorer.button("own runs").click()
    own = explorer.until("now.title.includes('upstream') && now.words.includes('Runs of this store')")
    if not own["ids"]:
        assert "make reports" in own["words"]
        return
    name = own["ids"][0]
    explorer.page.mouse.click(*explorer.on_the_map(name))
    assert len(explorer.until(f"now.ring[0] === {name!r} && now.layers.length > 0")["layers"]) > 2


@in_jupyterlab
def test_a_lasso_and_the_list_select_what_correlates(explorer):
    page, (x, y) = explorer.page, explorer.on_the_map("MoCo-v2")
    page.mouse.move(x - 25, y - 25)
    page.mouse.down()
    for to in ((x + 60, y - 25), (x + 60, y + 25), (x - 25, y + 25), (x - 25, y - 25)):
        page.mouse.move(*to, steps=6)
    page.mouse.up()
    selected = explorer.until("now.selected && now.words.includes(`The selected models: n = ${now.selected.length} `)")
    assert {"MoCo-v2", "SimCLR"} <= set(selected["selected"])
    lists = page.locator(".diversity-explorer select[multiple]")
    lists.nth(1).focus()
    lists.nth(1).press("Home")
    lists.nth(1).press("Shift+End")
    explorer.until("now.selected.length === 39 && now.words.includes('n = 39 models of 7 families')")


@in_jupyterlab
def test_the_list_of_models_does_what_a_click_does(explorer):
    chooser = explorer.page.locator(".diversity-explorer select:not([multiple])")
    chooser.select_option("SwAV, T = 3")
    explorer.until("now.ring[0] === 'SwAV, T = 3' && now.words.includes('53.78')")


@pytest.mark.parametrize("voila_page", [("explore_diversity", {"profile": "smoke"})], indirect=True)
def test_in_voila_map_and_controls_stand_on_the_first_screen(voila_page):
    asserts_a_good_start(voila_page)
