"""How long the feature explorer takes, in Chromium under JupyterLab, from a control's change to the drawn points.

    python tests/benchmarks/bench_feature_explorer.py [--points 5000] [--repeats 15]

Maps and features are drawn at random: `points` images of 20 classes, 1,024 channels. A time runs from the event of the
control to the frame after plotly has drawn; the numbers and the contact sheet follow later and are not in it.
Prints a Markdown table.
"""

import argparse
import statistics
import sys
import tempfile
from functools import cache
from pathlib import Path

import nbformat
import numpy as np

from workbook.explorers.features import Atlas, FeatureExplorer
from workbook.figures.linked_maps import class_styles

ROOT = Path(__file__).parents[2]
CLASSES = 20
_CONTROL = """const s = [...document.querySelectorAll('.features-explorer .widget-dropdown')]
    .find(field => field.innerText.startsWith('LABEL')).querySelector('select');
    s.selectedIndex = INDEX; s.dispatchEvent(new Event('change', {bubbles: true}))"""
_EPOCH = """const handle = document.querySelector('.features-explorer .noUi-handle'); handle.focus();
    handle.dispatchEvent(new KeyboardEvent('keydown', {key: i % 2 ? 'ArrowRight' : 'ArrowLeft', bubbles: true}))"""
_CLASSES = """const s = document.querySelector('.features-explorer .widget-select-multiple select');
    [...s.options].forEach((option, n) => option.selected = (n + i) % 3 > 0);
    s.dispatchEvent(new Event('change', {bubbles: true}))"""

_SEARCH = """const field = document.querySelector('.features-explorer input[list]');
    field.value = `class${i % 20}`; field.dispatchEvent(new Event('input', {bubbles: true}))"""


def chosen(label: str, index: str) -> str:
    """JavaScript that chooses an option of the dropdown with this label."""
    return _CONTROL.replace("LABEL", label).replace("INDEX", index)


# JavaScript, so that the time starts with the event; `i` counts the repeats, and each of them changes something
CHANGES = {
    "epoch (slider, key)": _EPOCH,
    "left method": chosen("Left", "1 - s.selectedIndex"),
    "map (t-SNE or PCA)": chosen("Map", "2 - s.selectedIndex"),
    "side": chosen("Side", "(i + 1) % 3"),
    "classes shown": _CLASSES,
    "search a class": _SEARCH,
    "colour": chosen("Colour", "(i + 1) % 2"),
}
_TIMED = """i => new Promise((done, fail) => {
    setTimeout(() => fail(new Error('nothing was drawn')), 20000);
    const gd = document.querySelector('.features-explorer .js-plotly-plot');
    const state = () => gd._fullData.flatMap(t => [t.x, t.selectedpoints, t.marker.color]);
    const before = state(), start = performance.now();
    const drawn = () => {
        if (state().every((value, n) => value === before[n])) return;
        gd.removeListener('plotly_afterplot', drawn);
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
    };
    gd.on('plotly_afterplot', drawn);
    CHANGE;
})"""


class DrawnAtlas(Atlas):
    """An atlas of maps and features that are drawn at random: no run, no image on the disk."""

    def __init__(self, count: int) -> None:
        from tests.conftest import make_images

        self.images = make_images(count, CLASSES, size=32)
        self.side_of = {name: ("pre", "eval")[i % 2] for i, name in enumerate(self.images.class_names)}
        self.styles = class_styles(self.side_of)
        self.methods, self.seeds, self.epochs = ("SL", "SL-MLP"), (0, 1), tuple(range(0, 70, 10))

    @cache  # noqa: B019
    def features(self, method: str, seed: int, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([len(method), seed, epoch])
        return rng.normal(size=(len(self.images), 1024)).astype(np.float32) + self.images.labels[:, None] / 10

    def has_maps(self, method: str, seed: int, kind: str) -> bool:
        return True

    @cache  # noqa: B019
    def maps(self, method: str, seed: int, kind: str = "t-SNE") -> dict[int, np.ndarray]:
        rng = np.random.default_rng([len(method), seed, len(kind)])
        centres = rng.uniform(-0.8, 0.8, size=(CLASSES, 2))[self.images.labels]
        spread = {epoch: 0.3 - 0.004 * epoch for epoch in self.epochs}
        noise = rng.normal(size=(len(self.images), 2))
        return {epoch: (centres + spread[epoch] * noise).clip(-1, 1).astype(np.float32) for epoch in self.epochs}


def explorer(points: int) -> FeatureExplorer:
    """What the benchmark's notebook shows."""
    return FeatureExplorer(DrawnAtlas(points))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.chromium import chromium, need_chromium
    from tests.explorers.servers import jupyterlab, open_notebook

    cell = f"from bench_feature_explorer import explorer\nexplorer({args.points})"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)], metadata=kernel)
    with tempfile.TemporaryDirectory() as name, chromium(need_chromium()) as browser:
        folder = Path(name)
        nbformat.write(notebook, folder / "bench.ipynb")
        paths = {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
        with jupyterlab(folder, paths) as address:
            page = browser.new_page(viewport={"width": 1500, "height": 1400})
            open_notebook(page, address, "bench.ipynb")
            page.locator(".features-explorer .js-plotly-plot .nsewdrag").first.wait_for(timeout=60_000)
            page.wait_for_timeout(3000)
            print(f"{args.points} points, {args.repeats} changes each\n")
            print("| change | median, ms | slowest, ms |\n| --- | ---: | ---: |")
            for what, change in CHANGES.items():
                times = []
                for i in range(args.repeats):
                    times.append(page.evaluate(_TIMED.replace("CHANGE", change), i))
                    page.wait_for_timeout(2000)  # a person looks; numbers and sheet are made meanwhile
                print(f"| {what} | {statistics.median(times):.0f} | {max(times):.0f} |")


if __name__ == "__main__":
    main()
