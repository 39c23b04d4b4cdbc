from tests.report.records import put, put_notebook, verdict
from workbook.papers.claims import claims_of
from workbook.report.overview import gallery
from workbook.report.survey import read_survey

DROPS, RISES = "A.stages.sl-drops", "A.stages.slmlp-rises"
STAGES, PREDICTS = "01_stagewise_evaluation", "10_what_predicts_transfer"


def shown(house, profile: str = "pocket") -> str:
    return gallery(read_survey(profile, house / "reports" / profile))


def card(page: str, notebook: str) -> str:
    start = page.index(f'id="{notebook}"')
    return page[start : page.find("<article", start)]


def test_a_card_shows_question_figure_and_verdicts(house):
    put_notebook(house / f"reports/pocket/{STAGES}.ipynb")
    put(house / "reports/pocket", STAGES, [verdict(DROPS), verdict(RISES, "differs")])
    found = card(shown(house), STAGES)
    assert f'<h3><a href="{STAGES}.ipynb">Does {STAGES} help?</a></h3>' in found
    assert f'href="../reports/pocket/{STAGES}.ipynb">{STAGES}.ipynb<' in found, "the executed notebook, named as one"
    assert "✓ 1 agrees" in found and "✗ 1 differs" in found
    assert found.count('class="figure"') == 1
    assert "A &lt;/script&gt; line" in found, "the figure's title, escaped"


def test_a_question_that_was_not_run_here_says_what_is_known(house):
    put_notebook(house / f"notebooks/{STAGES}.ipynb", title="Does SL fall?")
    put_notebook(house / "notebooks/tool.ipynb", title="What is mine?")
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS), verdict(RISES, "differs")])
    page = shown(house, "smoke")
    assert f'<a href="{STAGES}.ipynb">Does SL fall?</a>' in card(page, STAGES)
    assert "not run here yet" in card(page, STAGES) and "known so far" in card(page, STAGES)
    assert "✓ 1 agrees" in card(page, STAGES) and f"· {len(claims_of(STAGES)) - 2} not measured" in card(page, STAGES)
    assert "not run here yet" in card(page, "tool") and "known" not in card(page, "tool")
    assert "00_start_here" not in page


def test_a_run_that_is_no_evidence_shows_what_was_measured_before(house):
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS)])
    put(house / "reports/smoke", STAGES, [verdict(DROPS, "not evaluated")], profile="smoke")
    executed = house / f"reports/smoke/{STAGES}.ipynb"
    put_notebook(executed)
    assert "as measured before" not in card(shown(house, "smoke"), STAGES), "the notebook shows nothing of it"
    put_notebook(executed, tag="known")
    found = card(shown(house, "smoke"), STAGES)
    assert "as measured before" in found and found.count('class="figure"') == 1
    assert found.index("known so far") < found.index("✓ 1 agrees") < found.index("this run") < found.index("○ 1 not")


def test_beside_a_tool_no_question_is_asked(house):
    put_notebook(house / f"notebooks/{STAGES}.ipynb")
    put(house / "reports/score", "score_your_models", [])
    page = shown(house, "score")
    assert "passed" in card(page, "score_your_models")
    assert STAGES not in page


def test_a_failed_run_counts_no_verdict(house):
    put_notebook(house / f"reports/pocket/{STAGES}.ipynb")
    put(house / "reports/pocket", STAGES, [verdict(DROPS)], status="failed", error="KeyError: 'x'", cell=7)
    found = card(shown(house), STAGES)
    assert "✗ failed in cell 7" in found and "KeyError" in found
    assert "drawn before the run failed" in found
    assert "agrees" not in found


def test_a_notebook_changed_since_its_run_is_said(house):
    executed, notebook = house / f"reports/pocket/{STAGES}.ipynb", house / f"notebooks/{STAGES}.ipynb"
    put(house / "reports/pocket", STAGES, [])
    put_notebook(executed)
    assert "has changed since" not in shown(house), "it is gone"
    put_notebook(notebook, figure=False, title="Other words?")
    assert "has changed since" not in shown(house)
    put_notebook(notebook, source="draw(2)")
    assert "has changed since" in shown(house)
