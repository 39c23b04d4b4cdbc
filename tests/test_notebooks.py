"""The product runs: every notebook, in the smoke profile, from an empty store and again from a full one."""

import json
import re
from pathlib import Path
from statistics import median

import nbformat
import pytest
from typer.testing import CliRunner

from tests.accessibility import violations
from tests.chromium import chromium, need_chromium
from tests.report.links import dead_links
from workbook.cli import app
from workbook.papers.claims import CLAIMS, claims_of
from workbook.papers.statistics import STATISTICS
from workbook.report.notebooks import changed_since, main_figure
from workbook.report.runner import run_reports
from workbook.store import Store
from workbook.sweep.notebooks import sweep_of

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTED = [path for path in NOTEBOOKS if path.stem != "00_start_here"]  # in a kernel; the start page is the index


DRAWN = "() => [...document.querySelectorAll('.plotly-figure')].every(one => one.querySelector('.files'))"


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The folder of the smoke reports, made twice with one store; for both times the results and what was stored."""
    base = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBOOK_STORE", str(base / "store"))
        patch.delenv("WORKBOOK_DATA", raising=False)
        times = []
        for _ in range(2):
            results = run_reports(NOTEBOOKS, profile="smoke", parameters={}, out=base / "out")
            times.append((results, {artefact.path for artefact in Store().artefacts()}))
    return base / "out", times


def test_all_pass_twice(reports):
    _, times = reports
    for results, _ in times:
        assert {result.notebook: result.status for result in results} == {path.stem: "passed" for path in NOTEBOOKS}


def test_the_second_time_everything_comes_from_the_store(reports):
    _, ((_, first), (_, second)) = reports
    assert first
    assert second == first


def test_what_a_sweep_plans_is_what_the_notebooks_trained(reports):
    _, ((_, stored), _) = reports
    assert set(sweep_of(NOTEBOOKS, "smoke", {}).runs) == {path.name for path in stored if path.parent.name == "runs"}


def test_all_that_notebooks_store_is_listed(reports, monkeypatch):
    out, (_, (_, stored)) = reports
    monkeypatch.setenv("WORKBOOK_STORE", str(out.parent / "store"))
    listed = CliRunner().invoke(app, ["store", "list"])
    assert listed.exit_code == 0, listed.output
    assert [path.name for path in stored if path.name not in listed.output] == []


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_smoke_numbers_are_no_evidence(reports, path):
    out, _ = reports
    record = json.loads((out / f"{path.stem}.json").read_text())
    # what a paper prints is the same in every profile; what a notebook trains is not
    assert {v["status"] for v in record.get("verdicts", []) if v["evidence"] == "runs"} <= {"not evaluated"}


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_every_verdict_is_listed_under_its_notebook(reports, path):
    out, _ = reports
    record = json.loads((out / f"{path.stem}.json").read_text())
    listed = {claim.id for claim in claims_of(path.stem)}
    assert {verdict["claim"]["id"] for verdict in record.get("verdicts", [])} <= listed


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_the_gallery_has_one_figure_of_each(reports, path):
    out, _ = reports
    tagged = [cell for cell in nbformat.read(path, as_version=4).cells if "gallery" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert main_figure(out / path.name) is not None
    assert not changed_since(out / path.name, path)


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_the_page_has_figures_and_no_error(reports, path):
    out, _ = reports
    page = (out / f"{path.stem}.html").read_text()
    assert "Plotly.newPlot" in page
    assert "Traceback (most recent call last)" not in page


def test_the_front_page_shows_every_notebook_and_every_claim(reports):
    out, _ = reports
    page = (out / "index.html").read_text()
    assert [path.stem for path in EXECUTED if f'href="{path.stem}.html"' not in page] == []
    assert [claim for claim in CLAIMS if f'id="{claim}"' not in page] == []
    assert "Traceback (most recent call last)" not in page


def test_every_link_of_the_pages_leads_somewhere(reports):
    out, _ = reports
    assert dead_links(out) == []


def test_one_plotly_lies_beside_the_pages_which_are_small(reports):
    out, _ = reports
    pages = {page.name: page.read_text() for page in out.glob("*.html")}
    assert len([*out.glob("plotly-*.js")]) == 1
    assert [name for name, text in pages.items() if "plotly.js v" in text] == []
    assert median(map(len, pages.values())) < 500_000


def test_axe_finds_nothing_on_the_index_and_three_reports(reports):
    out, _ = reports
    with chromium(need_chromium()) as browser:
        for scheme in ("light", "dark"):
            page = browser.new_context(offline=True, color_scheme=scheme).new_page()
            for name in ("index", "01_stagewise_evaluation", "03_intra_class_variation", "10_what_predicts_transfer"):
                page.goto((out / f"{name}.html").as_uri())
                page.wait_for_function(DRAWN)
                assert violations(page) == [], (name, scheme)


def test_what_was_measured_before_stands_before_this_run(reports):
    out, _ = reports
    cells = nbformat.read(out / "01_stagewise_evaluation.ipynb", as_version=4).cells
    before, now = (main_figure(out / "01_stagewise_evaluation.ipynb", tag) for tag in ("known", "gallery"))
    assert before["layout"]["title"]["text"].startswith("Measured before: pocket, 5 seeds")
    assert before["data"][0]["y"] != now["data"][0]["y"]
    tags = [tag for cell in cells for tag in cell.metadata.get("tags", [])]
    assert tags.index("known") < tags.index("gallery")


def test_code_cells_are_short_and_say_little_twice():
    """The shape that a reader relies on: a median of four lines, and no plumbing that stands everywhere."""
    cells = [
        cell.source.splitlines()
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    ]
    assert median(map(len, cells)) <= 4 and max(map(len, cells)) <= 20


def test_what_is_judged_by_runs_asks_first_what_was_measured_before():
    judged = {
        name for claim in CLAIMS.values() if STATISTICS[claim.statistic].evidence == "runs" for name in claim.notebooks
    }
    for path in EXECUTED:
        code = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        asking = [number for number, source in enumerate(code) if f'known("{path.stem}")' in source]
        assert len(asking) == (path.stem in judged), path.stem
        assert max(asking, default=0) <= 3, "near the top"


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_headings_ask_or_name_the_paper(path):
    """A heading never states a paper's finding as if it were ours."""
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert [
        line
        for line in headings
        if not line.endswith("?") and not line.startswith("## Paper: ") and line != "## Explore"
    ] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_its_form(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    first, *_ = notebook.cells
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert first.source.splitlines()[0].endswith("?"), "the title is the question"
    assert [cell.metadata.get("tags", []) for cell in code].count(["parameters"]) == 1
    assert all(not cell.outputs and cell.execution_count is None for cell in code), "committed without outputs"
    assert max(len(cell.source.splitlines()) for cell in code) <= 20
    forbidden = ("!pip", "sys.path", "/home/", "/root/", "%matplotlib")
    assert not [word for cell in code for word in forbidden if word in cell.source]
