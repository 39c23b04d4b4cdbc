import io

import numpy as np
import pytest
from PIL import Image

from tests.chromium import chromium, need_chromium
from tests.report import pictures
from workbook.errors import ReportError
from workbook.files import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_every_picture_shows_the_run_that_was_adopted():
    drawn = list(pictures.drawn_pictures())
    assert {path.stem[:2] for path, _, _ in drawn} >= {f"{number:02}" for number in range(1, 9)}
    for path, _, source in drawn:
        assert path.stat().st_size < pictures.LIMIT
        assert Image.open(path).info.get("Source") == source, "run make readme"
    assert "](notebooks/results/pocket/01_stagewise_evaluation.png)" in README


def test_a_figure_is_drawn():
    path = need_chromium()
    figure = {"data": [{"type": "scatter", "x": [0, 1], "y": [0, 1]}], "layout": {"height": 400, "font": {"size": 14}}}
    with chromium(path) as browser:
        png = pictures.compressed(pictures.draw(figure, browser), "where it is from")
    image = Image.open(io.BytesIO(png))
    assert image.info["Source"] == "where it is from"
    assert image.width == 2 * pictures.WIDTH
    assert len(image.convert("RGB").getcolors(1 << 24)) > 2, "something is drawn"


def test_pictures_stay_small_or_are_refused():
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    with pytest.raises(ReportError, match="take a smaller picture"):
        pictures.compressed(_png(noise))
    grey = np.repeat(noise[:450, :450, :1] // 2, 3, axis=2)
    lines = {100: (31, 58, 167), 200: (136, 34, 85), 300: (153, 190, 122)}  # three methods of one picture
    for row, colour in lines.items():
        grey[row : row + 4, :40] = colour
    assert len(_png(grey)) > pictures.LIMIT
    png = pictures.compressed(_png(grey))
    assert len(png) < pictures.LIMIT
    smaller = Image.open(io.BytesIO(png)).convert("RGB")
    for row, colour in lines.items():
        kept = smaller.getpixel((8, round((row + 2) * smaller.height / 450)))
        assert np.abs(np.subtract(kept, colour)).max() < 30


def _png(pixels: np.ndarray) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()
