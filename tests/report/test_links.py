import shutil

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from tests.report.conftest import START
from tests.report.links import dead_links
from tests.report.records import put, tagged, verdict, write_notebook
from workbook.papers.claims import CLAIMS
from workbook.report.runner import run_reports

DROPS = "A.stages.sl-drops"
STAGES, ABLATION = "01_stagewise_evaluation", "02_mlp_ablation"
TEXT = f"""# Is it so?

See [the rest](#What-is-left?), [02]({ABLATION}.ipynb), [all]({START.name}#{DROPS}), [the rules](protocol.md).

## What is *left*?
"""
JUDGES = f"""
import pandas as pd
from workbook.papers.claims import CLAIMS
from workbook.papers.verdicts import judge, write_verdicts
from workbook.report.known import known
write_verdicts([judge(CLAIMS["{DROPS}"], pd.Series([1.0, 2, 3]), profile="smoke")], {{"hardware": "a CPU"}})
"""


@pytest.fixture
def reports(house):
    """The reports of one of two notebooks, of which something was measured before."""
    notebooks = house / "notebooks"
    for name in {"score_your_models", *(name for claim in CLAIMS.values() for name in claim.notebooks)}:
        write_notebook(notebooks / f"{name}.ipynb", new_markdown_cell("# And this?"))
    for name in (STAGES, ABLATION):
        shown = [new_code_cell(JUDGES), new_code_cell(f"known({name!r})")]
        write_notebook(notebooks / f"{name}.ipynb", new_markdown_cell(TEXT), tagged('profile = "smoke"'), *shown)
        gone = verdict(DROPS)["claim"] | {"id": "A.of-an-earlier-list"}
        put(notebooks / "results/study", name, [verdict(DROPS), verdict(DROPS) | {"claim": gone}], profile="study")
    (notebooks / "protocol.md").write_text(f"# The rules\n\n[back]({START.name}) and [01]({STAGES}.ipynb)")
    (result,) = run_reports(
        [notebooks / f"{STAGES}.ipynb"], profile="smoke", parameters={}, out=house / "reports/smoke", here=True
    )
    assert result.status == "passed", result.error
    return house / "reports/smoke"


def test_every_link_leads_to_a_page_and_a_mark_that_are_there(reports):
    assert {"index", "protocol", STAGES, ABLATION} < {path.stem for path in reports.glob("*.html")}
    assert dead_links(reports) == []
    index = (reports / "index.html").read_text()
    for mark in (DROPS, f"known-study-{DROPS}"):
        assert f'href="{STAGES}.html#{mark}"' in index and f'id="{mark}"' in (reports / f"{STAGES}.html").read_text()


def test_a_notebook_that_was_not_run_has_a_page_that_says_so_until_it_is(reports):
    page = reports / f"{ABLATION}.html"
    told = page.read_text()
    assert "Not run here yet" in told and "make reports PROFILE=smoke ARGS=notebooks/02_mlp_ablation.ipynb" in told
    assert f'id="known-study-{DROPS}"' in told and "Is it so?" in told
    notebook = reports.parents[1] / f"notebooks/{ABLATION}.ipynb"
    for path in (notebook, notebook.with_stem(STAGES)):
        run_reports([path], profile="smoke", parameters={}, out=reports, here=True)
        assert "Not run here yet" not in page.read_text()


def test_one_plotly_lies_beside_the_pages_or_is_in_each_on_request(reports):
    (script,) = reports.glob("plotly*.js")
    assert max(path.stat().st_size for path in reports.glob("*.html")) < 1_000_000 < script.stat().st_size
    notebook = reports.parents[1] / f"notebooks/{STAGES}.ipynb"
    alone = reports.parent / "alone"
    run_reports([notebook], profile="smoke", parameters={}, out=alone, here=True, self_contained=True)
    assert not list(alone.glob("*.js")) and (alone / "index.html").stat().st_size > script.stat().st_size
    shutil.rmtree(alone)


def test_where_no_results_lie_beside_the_notebooks_they_run(reports):
    shutil.rmtree(reports.parents[1] / "notebooks/results")
    notebook = reports.parents[1] / f"notebooks/{STAGES}.ipynb"
    (result,) = run_reports([notebook], profile="smoke", parameters={}, out=reports, here=True)
    assert result.status == "passed"
    assert "Nothing that is kept as evidence" in (reports / f"{STAGES}.html").read_text()
    assert dead_links(reports) == []
