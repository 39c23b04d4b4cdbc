"""Draw the pictures of the README anew: `make readme`.

A picture `notebooks/results/PROFILE/NOTEBOOK.png` is the main figure of `reports/PROFILE/NOTEBOOK.ipynb`, the very
run whose verdicts were adopted. Any other picture was taken by hand, and is only made small enough.
"""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from plotly.offline import get_plotlyjs

from tests.chromium import HOW_TO_INSTALL, chromium, find_chromium
from workbook.errors import ReportError
from workbook.files import CHECKOUT, write_atomically
from workbook.report.notebooks import main_figure

LIMIT = 200_000
WIDTH = 900
_SHOWN = re.compile(r"!\[[^]]*\]\((notebooks/results/[^)]+\.png)\)")
_OF_A_REPORT = re.compile(r"notebooks/results/(?P<profile>\w+)/(?P<notebook>\w+)\.png")
_COLOURS = (256, 128, 64, 32)


def pictures_of(readme: str) -> list[str]:
    """Those below notebooks/results/ that it shows, as relative paths."""
    return _SHOWN.findall(readme)


def source_of(picture: str, root: Path) -> str | None:
    """`NOTEBOOK, PROFILE, DATE` of the adopted run that it shows; None for one that was taken by hand."""
    if not (found := _OF_A_REPORT.fullmatch(picture)):
        return None
    adopted = root / f"notebooks/results/{found['profile']}/{found['notebook']}.json"
    return _source(adopted)


def _source(record: Path) -> str:
    if not record.exists():
        raise ReportError(f"there is no {record}; run the notebook and keep it with workbook results adopt")
    document = json.loads(record.read_text(encoding="utf-8"))
    return f"{document['notebook']}, {document['profile']}, {document['date']}"


def draw(picture: str, root: Path, browser: Any) -> bytes:
    """The main figure of its report as PNG, at two device pixels a pixel."""
    found = _OF_A_REPORT.fullmatch(picture)
    assert found
    report = root / f"reports/{found['profile']}/{found['notebook']}.json"
    if _source(report) != source_of(picture, root):
        raise ReportError(
            f"{report} is not the run that was adopted; run workbook results adopt {found['profile']}, or run it again"
        )
    figure = main_figure(report.with_suffix(".ipynb"))
    if figure is None:
        raise ReportError(f"{report.with_suffix('.ipynb')} has no figure in a cell tagged gallery; run it again")
    page = browser.new_page(device_scale_factor=2, viewport={"width": WIDTH, "height": 800})
    page.set_content("<!DOCTYPE html><body style='margin: 0'><div id='figure'></div>")
    page.add_script_tag(content=get_plotlyjs())
    shown = [figure["data"], figure["layout"] | {"width": WIDTH}]
    page.evaluate("([data, layout]) => Plotly.newPlot('figure', data, layout, {staticPlot: true})", shown)
    return page.locator("#figure").screenshot()


def compressed(png: bytes, source: str | None = None) -> bytes:
    """As it is or, over the limit, with a palette; `source` is written into it."""
    told = PngInfo()
    if source:
        told.add_text("Source", source)
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (None, *_COLOURS):
        target = io.BytesIO()
        # An octree keeps rare colours, a median cut does not: a line is thin, and its colour is what it means.
        shown = image.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) if colours else image
        shown.save(target, "PNG", optimize=True, pnginfo=told)
        if target.tell() < LIMIT:
            return target.getvalue()
    raise ReportError(f"{target.tell()} bytes with {colours} colours, more than {LIMIT}; take a smaller picture")


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
