import io

import numpy as np
import pytest
from PIL import Image

from tests.chromium import chromium, need_chromium
from tests.report import pictures
from tests.report.records import put, put_notebook
from workbook.errors import ReportError
from workbook.files import CHECKOUT

PICTURE = "notebooks/results/pocket/01_stagewise_evaluation.png"
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("picture", pictures.pictures_of(README))
def test_the_readme_shows_the_run_that_its_table_quotes(picture):
    path = CHECKOUT / picture
    assert path.stat().st_size < pictures.LIMIT
    assert Image.open(path).info.get("Source") == pictures.source_of(picture, CHECKOUT), "run make readme"


def test_a_picture_is_drawn_from_the_adopted_run_only(tmp_path):
    path = need_chromium()
    (tmp_path / "README.md").write_text(f"![a line]({PICTURE})")
    reports, results = tmp_path / "reports/pocket", tmp_path / "notebooks/results/pocket"
    put(results, "01_stagewise_evaluation", [])
    put(reports, "01_stagewise_evaluation", [], date="2025-01-01T00:00:00+00:00")
    with pytest.raises(ReportError, match="not the run that was adopted"):
        pictures.main(tmp_path)
    put(reports, "01_stagewise_evaluation", [])
    with pytest.raises(ReportError, match="no figure in a cell tagged gallery"):
        pictures.main(tmp_path)
    put_notebook(reports / "01_stagewise_evaluation.ipynb")
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
    grey[300, :20] = (0, 158, 115)  # a thin green line
    assert len(_png(grey)) > pictures.LIMIT
    png = pictures.compressed(_png(grey))
    assert len(png) < pictures.LIMIT
    kept = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[300, 5].astype(int)
    assert np.abs(kept - (0, 158, 115)).max() < 30


def _png(pixels: np.ndarray) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()
