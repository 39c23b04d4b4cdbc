"""Draw the pictures of the README and of the site anew: `make readme`.

A picture `notebooks/results/FOLDER/NOTEBOOK.png` is what the notebook's cell tagged "known" draws of the record beside
it, which was adopted. Any other picture was taken by hand, and is only made small enough.
"""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbformat.v4 import new_notebook
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from plotly.offline import get_plotlyjs

from tests.chromium import HOW_TO_INSTALL, chromium, find_chromium
from workbook.errors import ReportError
from workbook.files import CHECKOUT, write_atomically
from workbook.report.here import execute_here
from workbook.report.known import known
from workbook.report.notebooks import PLOTLY, read_notebook

RESULTS = CHECKOUT / "notebooks" / "results"
LIMIT = 150_000
WIDTH = 900
# colours (None: all) and share of the size; with less than 128 colours methods look alike
_TRIES = ((None, 1.0), (256, 1.0), (256, 0.75), (128, 0.75), (256, 0.5), (128, 0.5))


def drawn_pictures() -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Of each notebook that draws what is known of it: where the picture lies, the figure, and whose run it shows."""
    for path in sorted(CHECKOUT.glob("notebooks/*.ipynb")):
        record, figure = known(path.stem).most, known_figure(path)
        if record and figure:
            source = f"{record.notebook}, {record.setting}, {record.date}"
            yield RESULTS / record.setting.folder / f"{path.stem}.png", figure, source


def known_figure(notebook: Path) -> dict[str, Any] | None:
    """Data and layout of what the cell tagged "known" draws, executed with the imports before it; None without one."""
    cells = [cell for cell in read_notebook(notebook).cells if cell.cell_type == "code"]
    tagged = [cell for cell in cells if "known" in cell.metadata.get("tags", ())]
    if not tagged:
        return None
    imports = next(cell for cell in cells if "import" in cell.source)
    executed = new_notebook(cells=[imports, *tagged])
    error, _ = execute_here(executed)
    if error:
        raise error
    shown = [output.data[PLOTLY] for output in executed.cells[-1].outputs if PLOTLY in output.get("data", {})]
    return shown[0] if shown else None


def draw(figure: dict[str, Any], browser: Any) -> bytes:
    """The figure as PNG, at two device pixels a pixel."""
    layout = figure["layout"] | {"width": WIDTH, "font": {"color": "#1e2328"}, "paper_bgcolor": "#fff"}
    page = browser.new_page(device_scale_factor=2, viewport={"width": WIDTH, "height": 800})
    page.set_content("<!DOCTYPE html><body style='margin: 0'><div id='figure'></div>")
    page.add_script_tag(content=get_plotlyjs())
    shown = {"data": figure["data"], "layout": layout, "config": {"staticPlot": True}}
    page.evaluate("figure => Plotly.newPlot('figure', figure)", json.loads(json.dumps(shown)))
    png = page.locator("#figure").screenshot()
    page.close()
    return png


def compressed(png: bytes, source: str | None = None) -> bytes:
    """As it is or, over the limit, with a palette and smaller; `source` is written into it."""
    told = PngInfo()
    if source:
        told.add_text("Source", source)
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours, share in _TRIES:
        target, sized = io.BytesIO(), image.resize((round(share * image.width), round(share * image.height)))
        # An octree keeps rare colours, a median cut does not: a line is thin, and its colour is what it means.
        shown = sized.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) if colours else sized
        shown.save(target, "PNG", optimize=True, pnginfo=told)
        if target.tell() < LIMIT:
            return target.getvalue()
    raise ReportError(f"{target.tell()} bytes at half its size, more than {LIMIT}; take a smaller picture")


def main() -> None:
    path = find_chromium()
    if path is None:
        raise ReportError(HOW_TO_INSTALL)
    with chromium(path) as browser:
        for picture, figure, source in drawn_pictures():
            write_atomically(picture, compressed(draw(figure, browser), source))
            print(f"{picture.relative_to(CHECKOUT)}  {picture.stat().st_size / 1000:.0f} kB  {source}")
    for picture in sorted(RESULTS.glob("*.png")):  # taken by hand
        png = picture.read_bytes()
        write_atomically(picture, png if len(png) < LIMIT else compressed(png))
        print(f"{picture.relative_to(CHECKOUT)}  {picture.stat().st_size / 1000:.0f} kB  taken by hand")


if __name__ == "__main__":
    try:
        main()
    except ReportError as error:
        sys.exit(str(error))
