import re

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.report.records import put, put_notebook, tagged, verdict
from workbook.papers.claims import CLAIMS
from workbook.report.here import execute_here
from workbook.report.index import write_index

DROPS = "A.stages.sl-drops"
STAGES, PREDICTS = "01_stagewise_evaluation", "10_what_predicts_transfer"


def test_it_is_the_start_page_with_gallery_grid_and_claims(house, index):
    put(house / "reports/pocket", STAGES, [verdict(DROPS)])
    page = index()
    assert "What do you want to know?" in page
    assert page.count('<article class="card') == 1
    assert page.count('<div class="plotly-figure"') == 1
    assert page.count('<div class="claim"') == len(CLAIMS)
    assert "one CPU" in page, "what it was measured on"


def test_links_lead_to_pages_where_there_are_any(house, index):
    put_notebook(house / f"notebooks/{STAGES}.ipynb")
    put_notebook(house / f"notebooks/{PREDICTS}.ipynb")
    put(house / "reports/pocket", STAGES, [verdict(DROPS)])
    put(house / "notebooks/results/study", STAGES, [verdict(DROPS)], profile="study")
    (house / f"reports/pocket/{STAGES}.html").touch()
    page = index()
    assert f'<h3><a href="{STAGES}.html">' in page
    assert f'<a class="source" href="{STAGES}.html#{DROPS}">' in page
    assert f'<a class="source" href="{STAGES}.html#known-study-{DROPS}">' in page
    assert f'<a href="{STAGES}.ipynb">{STAGES}.ipynb</a>' in page, "the executed notebook"
    of_smoke = index("smoke")
    assert f'<a class="source" href="../pocket/{STAGES}.html#{DROPS}">' in of_smoke
    assert 'beside it: <a href="../pocket/index.html">pocket</a>' in of_smoke


def test_the_banner_says_what_goes_on_and_what_went_wrong(house, index):
    put(house / "reports/pocket", STAGES, [verdict(DROPS)], status="failed", error="KeyError: 'x'", cell=7)
    (house / "reports/pocket/x.json").write_text("[1")
    page = index(note="Running: 1 of 2 notebooks are done.")
    assert '<p class="banner mild" role="status">Running: 1 of 2' in page, "which is nothing to be alarmed at"
    assert re.search(r'role="alert"><b>1 of 1 failed:</b> <a href="01_stagewise_evaluation.html">', page)
    assert re.search(r"Not shown here: .*x\.json", page)


def test_an_empty_folder_says_what_to_run(index):
    assert "make reports PROFILE=pocket" in index()


def test_a_tool_alone_has_a_gallery_alone(house, index):
    put(house / "reports/score/mine", "score_your_models", [])
    page = index("score/mine")
    assert 'class="claim"' not in page and "What do you want to know" not in page
    assert "Does score_your_models help?" in page


def test_it_needs_no_network_and_plotly_once(house, index):
    put_notebook(house / f"reports/pocket/{STAGES}.ipynb")
    put(house / "reports/pocket", STAGES, [])
    page = index()
    (script,) = (house / "reports/pocket").glob("plotly*.js")
    assert f'const PLOTLY = "{script.name}"' in page
    before = script.stat().st_mtime_ns
    assert index() == page
    assert script.stat().st_mtime_ns == before, "written once"
    assert not re.search(r"<script[^>]+src=|<link|@import|https?:", page)


def test_a_start_page_that_fails_is_shown_up_to_there(house):
    out = house / "reports/pocket"
    put(out, STAGES, [])
    (house / "notebooks/00_start_here.ipynb").unlink()
    put_notebook(house / "notebooks/00_start_here.ipynb", source="nothing_of_this_name", figure=False)
    result = write_index(out, profile="pocket")
    assert (result.status, result.cell) == ("failed", 2)
    assert "nothing_of_this_name" in (out / "index.html").read_text()


def test_cells_are_executed_here():
    cells = [new_markdown_cell("# A"), tagged("a = 1\nb = 2"), new_code_cell("c = a + b\nc"), new_code_cell("c = 0")]
    notebook = new_notebook(cells=cells)
    assert execute_here(notebook, {"a": 10}) == (None, None)
    assert [output.data["text/plain"] for output in notebook.cells[2].outputs] == ["12"]
    assert notebook.cells[1].outputs == notebook.cells[3].outputs == []
    assert execute_here(new_notebook(cells=[new_code_cell("1 +")]))[1] == 1


def test_what_cells_print_here_is_shown_up_to_the_one_that_fails():
    printing = "import sys\nprint('out')\nprint('err', file=sys.stderr)\n"
    cells = [new_code_cell(printing + "3"), new_code_cell(printing + "1 / 0"), new_code_cell("1")]
    notebook, seen = new_notebook(cells=cells), []
    error, cell = execute_here(notebook, on_cell_start=lambda cell, index: seen.append(index))
    assert isinstance(error, ZeroDivisionError) and cell == 2 and seen == [0, 1]
    shown = [[(output.get("name"), output.get("text")) for output in cell.outputs] for cell in notebook.cells]
    printed = [("stdout", "out\n"), ("stderr", "err\n"), (None, None)]
    assert shown == [printed, printed, []]
    assert notebook.cells[1].outputs[2].ename == "ZeroDivisionError"
