"""How long a change of a control of the diversity explorer takes until it is on the screen, in Chromium.

    python tests/benchmarks/bench_diversity_explorer.py [--repeats 20]

Serves paper B's 39 models with Voila on this machine and prints a Markdown table. A time runs from the browser's
event to the first frame after plotly has drawn the change: browser, kernel and back. The aim is 200 ms. Needs
Voila, Playwright for Python and the system's Chromium (Debian: apt-get install chromium).
"""

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page, sync_playwright

CELL = """from workbook.explorers.collection import paper_models
from workbook.explorers.diversity import DiversityExplorer

DiversityExplorer([paper_models()])"""
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
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        notebook = Path(folder, "bench.ipynb")
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(new_notebook(cells=[new_code_cell(CELL)], metadata=kernel), notebook)
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "voila",
            str(notebook),
            "--no-browser",
            f"--port={port}",
            "--Voila.ip=127.0.0.1",
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(f"http://127.0.0.1:{port}/static/")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1300, "height": 1100})
            page.goto(f"http://127.0.0.1:{port}/", timeout=300_000)
            page.wait_for_function(
                "document.querySelector('.diversity-explorer .js-plotly-plot')?.data", timeout=300_000
            )
            time.sleep(3)
            report(page, repeats)
            browser.close()
        finally:
            server.terminate()
            server.wait()


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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for(url: str) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(url, timeout=1)
            return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.5)
    sys.exit(f"Voila does not answer at {url}")


if __name__ == "__main__":
    main()
