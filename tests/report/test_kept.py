"""Pages that are kept as evidence: how they are made, and those that lie there."""

import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.chromium import chromium, need_chromium
from tests.report.links import dead_links
from tests.report.records import put, verdict
from workbook.report.index import write_index
from workbook.report.page import render_page
from workbook.report.record import read_records
from workbook.report.results import adopt
from workbook.report.survey import NOTEBOOKS, read_survey

RESULTS = NOTEBOOKS / "results"
LIMIT = 15e6  # bytes of all kept pages, plotly.js among them
DROPS, STAGES, ABLATION = "A.stages.sl-drops", "01_stagewise_evaluation", "02_mlp_ablation"
DATE = re.compile(r'<time datetime="([^"]+)">')
PLOTLY = "application/vnd.plotly.v1+json"


def shown(**data) -> nbformat.NotebookNode:
    return new_output("display_data", data={kind.replace("__", "/"): value for kind, value in data.items()})


def figure(*traces) -> nbformat.NotebookNode:
    return new_output("display_data", data={PLOTLY: go.Figure([*traces]).to_plotly_json()})


@pytest.fixture
def kept(house) -> Path:
    """The page that is kept of a run whose notebook shows all that must not travel."""
    text = f"[02]({ABLATION}.ipynb), [below](#Is-it-so?), [elsewhere](https://example.org/a/b)\\n\\n# Is it so?"
    table = f'<table><tr><td><a id="{DROPS}" href="00_start_here.ipynb#{DROPS}">{DROPS}</a></td></tr></table>'
    values = np.random.default_rng(0).random(3000)
    outputs = [
        shown(text__html=table),
        figure(go.Scatter(y=values), go.Scatter(y=[0.123456789])),
        figure(go.Image(z=np.zeros((2, 2, 3), dtype=np.uint8))),
        shown(image__png="iVBORw0KGgo="),
        shown(text__html="<img src='data:image/png;base64,iVBORw0KGgo='>"),
        new_output("stream", name="stderr", text="/usr/lib/python3/site.py:3: careful"),
    ]
    cells = [new_markdown_cell(text.replace("\\n", "\n")), new_code_cell('data = "/srv/me/x.npz"', outputs=outputs)]
    notebook, folder = new_notebook(cells=cells), house / "reports/pocket"
    record = put(folder, STAGES, [verdict(DROPS)])
    nbformat.write(notebook, folder / f"{STAGES}.ipynb")
    page = render_page(notebook, record, source=house / f"notebooks/{STAGES}.ipynb", out=folder)
    (folder / f"{STAGES}.html").write_text(page)
    (house / "notebooks/results").mkdir(exist_ok=True)
    adopted = adopt("pocket", reports=house / "reports", results=house / "notebooks/results")
    assert [path.name for path in adopted] == [f"{STAGES}.json", f"{STAGES}.html"]
    return adopted[1]


def test_a_kept_page_is_of_no_machine_and_without_images_of_others(kept):
    text = kept.read_text()
    assert "/srv" not in text and "/usr" not in text and "x.npz" in text and "site.py:3: careful" in text
    assert text.count("Not kept: images of a data set") == 3 and "iVBOR" not in text
    assert DATE.findall(text) == ["2024-01-01T00:00:00+00:00"]


def test_a_kept_page_leads_to_itself_its_record_and_the_web_alone(kept):
    assert dead_links(kept.parent) == []
    links = set(re.findall(r'<a [^>]*href="([^"]+)"', kept.read_text()))
    assert links == {"#Is-it-so?", "https://example.org/a/b", f"{STAGES}.json"}
    assert f'id="{DROPS}"' in kept.read_text()


def test_a_kept_page_is_small_and_plotly_lies_once_beside_the_folders(kept, house):
    text = kept.read_text()
    assert '"dtype": "f4"' in text and '"dtype": "f8"' not in text and "[0.12346]" in text
    (script,) = kept.parents[1].glob("plotly*.js")
    assert f'<script src="../{script.name}">' in text and not list(kept.parent.glob("*.js"))


def test_what_was_found_leads_to_the_kept_page(kept, house):
    survey = read_survey("smoke", house / "reports/smoke")
    _, found = survey.findings(DROPS)
    assert survey.address(found) == f"../reports/pocket/{STAGES}.html#{DROPS}", "its report is still there"
    (adopted,) = [source for source in survey.sources if source.adopted]
    assert survey.address(adopted.finding(DROPS)) == f"results/pocket/{STAGES}.html#{DROPS}"
    shutil.rmtree(house / "reports/pocket")
    (house / "reports/smoke").mkdir()
    write_index(house / "reports/smoke", profile="smoke")
    index = (house / "reports/smoke/index.html").read_text()
    assert f'href="../../notebooks/results/pocket/{STAGES}.html#{DROPS}"' in index
    kept.unlink()
    assert survey.address(adopted.finding(DROPS)) == f"{STAGES}.ipynb#known-pocket-{DROPS}"


def test_a_record_of_another_run_than_the_page_takes_the_page_away(kept, house):
    put(house / "reports/pocket", STAGES, [verdict(DROPS)], date="2024-02-02T00:00:00+00:00")
    (adopted,) = adopt("pocket", reports=house / "reports", results=house / "notebooks/results")
    assert adopted.suffix == ".json" and not kept.exists()


def test_a_kept_page_draws_its_figures_without_a_network(kept):
    path = need_chromium()
    with chromium(path) as browser:
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(kept.as_uri())
        page.wait_for_selector(".js-plotly-plot .main-svg")
        assert page.locator(".js-plotly-plot").count() == 1
        assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)


def test_the_pages_that_are_kept_belong_to_the_records_beside_them_and_are_small_together():
    pages = [path for path in RESULTS.rglob("*") if path.suffix in (".html", ".js")]
    assert sum(path.stat().st_size for path in pages) <= LIMIT
    assert dead_links(RESULTS) == []
    drawing = set()
    for path in (path for path in pages if path.suffix == ".html"):
        (record,) = [record for record in read_records(path.parent) if record.notebook == path.stem]
        text = path.read_text(encoding="utf-8")
        assert DATE.findall(text) == [record.date], path
        assert record.setting.folder == path.parent.name
        assert all(f'id="{found["claim"]["id"]}"' in text for found in record.verdicts), "findings lead there"
        drawing |= {(path.parent / script).resolve() for script in re.findall(r'<script[^>]* src="([^"]+)"', text)}
        assert not re.search(r"<link|@import|data:image", text), path
    assert drawing == {path for path in pages if path.suffix == ".js"}, "each is there, and draws"
