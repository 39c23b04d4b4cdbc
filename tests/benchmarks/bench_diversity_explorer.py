"""How long a change of a control of the diversity explorer takes until it is on the screen, in Chromium.

    python tests/benchmarks/bench_diversity_explorer.py [--repeats 20]

Serves paper B's 39 models with Voila on this machine and prints a Markdown table. A time runs from the browser's
event to the first frame after plotly has drawn the change: browser, kernel and back. The aim is 200 ms. Needs
Voila, Playwright for Python and the system's Chromium (Debian: apt-get install chromium).
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

# a promise of the milliseconds from an event on a control to the frame in which plotly's change is painted
TIMED = """(change) => new Promise(resolve => {
  const dashboard = document.querySelector('.diversity-explorer');
  const map = dashboard.querySelector('.js-plotly-plot');
  const lists = dashboard.querySelectorAll('select');
  const press = text => [...dashboard.querySelectorAll('button')].find(b => b.innerText.trim() === text).click();
  const choose = (list, number) => {
    for (const option of list.options) option.selected = list.multiple ? option.index <= number : false;
    if (!list.multiple) list.selectedIndex = number;
    list.dispatchEvent(new Event('change', {bubbles: true}));
  };
  const before = performance.now();
  map.once('plotly_afterplot', () => requestAnimationFrame(() => resolve(performance.now() - before)));
  if (change.button) press(change.button);
  if (change.list !== undefined) choose(lists[change.list], change.number);
  if (change.key) {
    const handle = dashboard.querySelector('.noUi-handle');
    handle.focus();
    handle.dispatchEvent(new KeyboardEvent('keydown', {key: change.key, bubbles: true}));
  }
})"""
# for each control two changes, in turn, so that each changes something
CHANGES: dict[str, tuple[dict, dict]] = {
    "cluster / spectral": ({"button": "spectral"}, {"button": "cluster"}),
    "linear probe / finetuning": ({"button": "finetuning"}, {"button": "linear probe"}),
    "T, one step": ({"key": "ArrowRight"}, {"key": "ArrowLeft"}),
}
LISTS = {"a model": 0, "families drawn": 1, "models selected": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="changes of each control")
    repeats = parser.parse_args().repeats
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.chromium import chromium, need_chromium
    from tests.explorers.servers import voila

    with tempfile.TemporaryDirectory() as folder, chromium(need_chromium()) as browser:
        store = {"WORKBOOK_STORE": f"{folder}/store"}
        with voila("explore_diversity", {"profile": "smoke"}, store, Path(folder)) as address:
            page = browser.new_page(viewport={"width": 1300, "height": 1100})
            page.goto(address, timeout=300_000)
            page.wait_for_function(
                "document.querySelector('.diversity-explorer .js-plotly-plot')?.data", timeout=300_000
            )
            time.sleep(3)
            report(page, repeats)


def report(page: Page, repeats: int) -> None:
    print("| change | median (ms) | slowest (ms) |")
    print("|---|---:|---:|")
    for name, pair in CHANGES.items():
        row(name, [page.evaluate(TIMED, pair[number % 2]) for number in range(repeats)])
    for name, position in LISTS.items():
        numbers = [{"list": position, "number": 3 + number % 3} for number in range(repeats)]
        row(name, [page.evaluate(TIMED, change) for change in numbers])


def row(name: str, times: list[float]) -> None:
    print(f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} |", flush=True)


if __name__ == "__main__":
    main()
