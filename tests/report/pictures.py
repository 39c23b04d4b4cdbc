"""Draw the pictures of the README anew: `make readme`.

A picture `notebooks/results/PROFILE/NOTEBOOK.png` is drawn from the measurements of the record beside it, which was
adopted. Any other picture was taken by hand, and is only made small enough.
"""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from plotly.offline import get_plotlyjs

from tests.chromium import HOW_TO_INSTALL, chromium, find_chromium
from workbook.errors import ReportError
from workbook.figures.stagewise import stagewise_curves
from workbook.files import CHECKOUT, write_atomically

LIMIT = 150_000
WIDTH = 900
_SHOWN = re.compile(r"!\[[^]]*\]\((notebooks/results/[^)]+\.png)\)")
_OF_A_REPORT = re.compile(r"notebooks/results/\w+/01_stagewise_evaluation\.png")
# colours (None: all) and share of the size; with less than 128 colours methods look alike
_TRIES = ((None, 1.0), (256, 1.0), (256, 0.75), (128, 0.75), (256, 0.5), (128, 0.5))


def pictures_of(readme: str) -> list[str]:
    """Those below notebooks/results/ that it shows, as relative paths."""
    return _SHOWN.findall(readme)


def source_of(picture: str, root: Path) -> str | None:
    """`NOTEBOOK, PROFILE, DATE` of the adopted run that it shows; None for one that was taken by hand."""
    if not _OF_A_REPORT.fullmatch(picture):
        return None
    record = _record(picture, root)
    return f"{record['notebook']}, {record['profile']}, {record['date']}"


def _record(picture: str, root: Path) -> dict[str, Any]:
    path = (root / picture).with_suffix(".json")
    if not path.exists():
        raise ReportError(f"there is no {path}; run the notebook and keep it with workbook results adopt")
    return json.loads(path.read_text(encoding="utf-8"))


def draw(picture: str, root: Path, browser: Any) -> bytes:
    """The stages of what was measured as PNG, at two device pixels a pixel."""
    record = _record(picture, root)
    title = f"Stage-wise evaluation on eval-D, {record['profile']}, {len(record['seeds'])} seeds"
    how = {"paper": {"SL": 54.4, "SL-MLP": 64.1}, "paper_setting": "ImageNet, ResNet-50", "title": title}
    figure = stagewise_curves(pd.DataFrame(record["measurements"]), **how)
    figure.update_layout(width=WIDTH, font_color="#1e2328")
    page = browser.new_page(device_scale_factor=2, viewport={"width": WIDTH, "height": 800})
    page.set_content("<!DOCTYPE html><body style='margin: 0'><div id='figure'></div>")
    page.add_script_tag(content=get_plotlyjs())
    page.evaluate(
        "figure => Plotly.newPlot('figure', {...figure, config: {staticPlot: true}})", json.loads(figure.to_json())
    )
    return page.locator("#figure").screenshot()


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


def main(root: Path = CHECKOUT) -> None:
    pictures = pictures_of((root / "README.md").read_text(encoding="utf-8"))
    path = find_chromium()
    if path is None:
        raise ReportError(HOW_TO_INSTALL)
    with chromium(path) as browser:
        for picture in pictures:
            source = source_of(picture, root)
            png = (root / picture).read_bytes() if source is None else draw(picture, root, browser)
            if source is not None or len(png) >= LIMIT:
                png = compressed(png, source)
                write_atomically(root / picture, png)
            print(f"{picture}  {len(png) / 1000:.0f} kB  {source or 'taken by hand'}")


if __name__ == "__main__":
    try:
        main()
    except ReportError as error:
        sys.exit(str(error))
