import re

import pytest

from tests.report.records import put, put_notebook, verdict
from workbook.papers.claims import CLAIMS
from workbook.report.gallery import changed_since, main_figure
from workbook.report.index import write_index

DROPS, POOLED, CIS = "A.stages.sl-drops", "A.pooled.slmlp-above", "B.cis.linear"
STAGES, PREDICTS = "01_stagewise_evaluation", "10_what_predicts_transfer"


@pytest.fixture
def index(tmp_path):
    """Writes and reads the index of a profile's folder below `tmp_path`."""

    def written(profile: str = "pocket", **changes) -> str:
        out = tmp_path / "reports" / profile
        out.mkdir(parents=True, exist_ok=True)
        return write_index(out, profile=profile, notebooks=tmp_path / "notebooks", **changes).read_text()

    (tmp_path / "notebooks").mkdir()
    return tmp_path, written


def row(page: str, claim: str) -> str:
    """The part of the page that is about one claim."""
    start = page.index(f'<div class="claim" id="{claim}"')
    return page[start : page.find('<div class="claim"', start + 1)]


def shown(page: str, claim: str) -> list[tuple[str, str]]:
    return re.findall(r'data-profile="(\w+)" data-verdict="([\w ]+)"', row(page, claim))


def test_every_claim_is_listed_once(index):
    base, write = index
    put(base / "reports/pocket", STAGES, [verdict(DROPS)])
    assert sorted(re.findall(r'class="claim" id="([^"]+)"', write())) == sorted(CLAIMS)


def test_an_empty_folder_says_what_to_run_and_shows_what_was_adopted(index):
    base, write = index
    put(base / "notebooks/results/pocket", STAGES, [verdict(DROPS)])
    page = write("smoke")
    assert "make reports PROFILE=smoke" in page
    assert shown(page, DROPS) == [("smoke", "not measured"), ("pocket", "agrees")]
    assert f"../../notebooks/results/pocket/{STAGES}.json" in row(page, DROPS)
    assert not list((base / "reports/smoke").glob("plotly*"))


def test_claims_lead_to_their_report_and_notebook(index):
    base, write = index
    put_notebook(base / f"notebooks/{PREDICTS}.ipynb")
    put_notebook(base / f"reports/pocket/{STAGES}.ipynb")
    put(base / "reports/pocket", STAGES, [verdict(DROPS)], parameters={"overrides": {"epochs": 3}})
    page = write()
    assert f'href="{STAGES}.html"' in row(page, DROPS)
    assert "epochs = 3" in row(page, DROPS), "a run with other settings says so at its verdict"
    assert f'<a href="{STAGES}.ipynb">' in page, "the executed notebook where there is one"
    assert f'<a href="../../notebooks/{PREDICTS}.ipynb">' in page
    write_smoke = write("smoke")
    assert f'href="../pocket/{STAGES}.html"' in row(write_smoke, DROPS)
    assert 'beside it: <a href="../pocket/index.html">pocket</a>' in write_smoke


def test_a_failed_run_is_said_where_its_verdicts_would_be(index):
    base, write = index
    put_notebook(base / f"reports/pocket/{STAGES}.ipynb")
    put(base / "reports/pocket", STAGES, [verdict(DROPS)], status="failed", error="KeyError: 'x'", cell=7)
    page = write()
    assert "1 of 1 failed" in page
    assert shown(page, DROPS) == [("pocket", "failed run")]
    assert "stopped in cell 7" in row(page, DROPS)
    assert "2.00 points" not in row(page, DROPS)
    assert "agrees</span>" not in page, "its verdicts are counted nowhere"
    assert "drawn before the run failed" in page


def test_smoke_shows_no_number_as_evidence_and_printed_tables_once(index):
    base, write = index
    put(base / "reports/smoke", PREDICTS, [verdict(CIS, evidence="printed tables")], profile="smoke")
    put(base / "notebooks/results/pocket", PREDICTS, [verdict(CIS, evidence="printed tables")])
    page = write("smoke")
    assert shown(page, CIS) == [("smoke", "agrees")]
    assert "never evidence" in page


def test_a_tool_alone_has_no_list_of_claims(index):
    base, write = index
    put(base / "reports/score", "score_your_model", [])
    page = write("score")
    assert 'class="claim"' not in page
    assert "Does score_your_model help?" in page


def test_the_gallery_draws_the_tagged_figures_without_a_network(index):
    base, write = index
    put_notebook(base / f"reports/pocket/{STAGES}.ipynb")
    put_notebook(base / f"reports/pocket/{PREDICTS}.ipynb", figure=False)
    for notebook in (STAGES, PREDICTS):
        put(base / "reports/pocket", notebook, [])
    page = write()
    assert page.count('class="figure"') == 1
    assert "A &lt;/script&gt; line" in page, "the figure's title, escaped"
    (script,) = (base / "reports/pocket").glob("plotly*.js")
    assert f'const PLOTLY = "{script.name}"' in page
    before = script.stat().st_mtime_ns
    write()
    assert script.stat().st_mtime_ns == before, "written once"
    assert not re.search(r"<script[^>]+src=|<link|@import|https?:", page)


def test_a_notebook_changed_since_its_run_is_said(index):
    base, write = index
    executed, notebook = base / f"reports/pocket/{STAGES}.ipynb", base / f"notebooks/{STAGES}.ipynb"
    put(base / "reports/pocket", STAGES, [])
    put_notebook(executed)
    assert not changed_since(executed, notebook), "it is gone"
    put_notebook(notebook, figure=False, title="Other words?")
    assert "has changed since" not in write()
    put_notebook(notebook, source="draw(2)")
    assert "has changed since" in write()


def test_no_figure_without_tag_or_notebook(tmp_path):
    assert main_figure(tmp_path / "none.ipynb") is None
    put_notebook(tmp_path / "n.ipynb", figure=False)
    assert main_figure(tmp_path / "n.ipynb") is None
    put_notebook(tmp_path / "n.ipynb")
    assert main_figure(tmp_path / "n.ipynb").title == "A </script> line"
