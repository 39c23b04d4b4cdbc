import io

import numpy as np
import pytest
from PIL import Image

from tests.chromium import chromium, need_chromium
from tests.report import pictures
from tests.report.records import put
from workbook.errors import ReportError
from workbook.evaluation.extraction import STAGES
from workbook.files import CHECKOUT

PICTURE = "notebooks/results/pocket/01_stagewise_evaluation.png"
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("picture", pictures.pictures_of(README))
def test_the_readme_shows_the_run_that_its_table_quotes(picture):
    path = CHECKOUT / picture
    assert path.stat().st_size < pictures.LIMIT
    assert Image.open(path).info.get("Source") == pictures.source_of(picture, CHECKOUT), "run make readme"


def test_a_picture_is_drawn_from_what_was_adopted(tmp_path):
    path, results = need_chromium(), tmp_path / "notebooks/results/pocket"
    (tmp_path / "README.md").write_text(f"![a line]({PICTURE})")
    with pytest.raises(ReportError, match="01_stagewise_evaluation.json; run the notebook and keep it"):
        pictures.main(tmp_path)
    stages = [{"method": "SL", "seed": 0, "layer": name, "accuracy": 40.0} for name in (*STAGES, "pooled")]
    put(results, "01_stagewise_evaluation", [], findings={"seeds": [0], "measurements": stages})
    with chromium(path) as browser:
        png = pictures.compressed(pictures.draw(PICTURE, tmp_path, browser), "where it is from")
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
