import pytest

from tests.report.records import put, put_notebook, verdict
from workbook.figures.verdicts import verdict_grid
from workbook.papers.claims import CLAIMS
from workbook.report.overview import claim_table, outcome_table, question_table, state
from workbook.report.survey import read_survey
from workbook.report.topics import TOPICS

DROPS = "A.stages.sl-drops"
POOLED = "A.pooled.slmlp-above"
CIS = "B.cis.linear"
STAGES, ABLATION, PREDICTS = "01_stagewise_evaluation", "02_mlp_ablation", "10_what_predicts_transfer"


@pytest.fixture
def place(tmp_path):
    """Where reports and notebooks lie; a survey of it by profile."""

    def survey(profile: str):
        return read_survey(profile, out=tmp_path / "reports" / profile, notebooks=tmp_path / "notebooks")

    (tmp_path / "notebooks").mkdir()
    return tmp_path, survey


def reports(base, profile: str):
    """A folder of reports, which has an index."""
    folder = base / "reports" / profile
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").touch()
    return folder


def outcomes(survey, claim: str) -> list[tuple[str, bool, str]]:
    return [(found.source.profile, found.source.adopted, found.outcome) for found in survey.findings(claim)]


def test_every_claim_is_of_one_topic():
    listed = [claim.id for topic in TOPICS for claim in topic.claims]
    assert sorted(listed) == sorted(CLAIMS)


def test_an_empty_place_says_what_to_run(place):
    _, survey = place
    empty = survey("pocket")
    assert outcomes(empty, DROPS) == [("pocket", False, "not measured")]
    assert "make reports PROFILE=pocket" in state(empty)
    assert len(outcome_table(empty)) == len(CLAIMS)


def test_own_run_first_then_the_others_from_the_strongest(place):
    base, survey = place
    put(reports(base, "smoke"), STAGES, [verdict(DROPS, "not evaluated")], profile="smoke")
    put(reports(base, "pocket"), STAGES, [verdict(DROPS, "differs")], date="2024-02-02T00:00:00+00:00")
    put(base / "notebooks/results/pocket", STAGES, [verdict(DROPS, "agrees")])
    put(base / "notebooks/results/study", STAGES, [verdict(DROPS, "inconclusive")], profile="study")
    seen = survey("smoke")
    assert outcomes(seen, DROPS) == [
        ("smoke", False, "not evaluated"),
        ("study", True, "inconclusive"),
        ("pocket", False, "differs"),
        ("pocket", True, "agrees"),
    ]
    assert seen.strongest(DROPS).source.profile == "study"
    assert seen.profiles == ["smoke", "pocket", "study"]
    assert seen.in_profile(DROPS, "pocket").outcome == "differs"


def test_an_adopted_result_is_not_told_beside_its_own_report(place):
    base, survey = place
    put(reports(base, "pocket"), STAGES, [verdict(DROPS)])
    put(base / "notebooks/results/pocket", STAGES, [verdict(DROPS)])
    assert outcomes(survey("pocket"), DROPS) == [("pocket", False, "agrees")]


def test_a_failed_run_gives_no_verdict(place):
    base, survey = place
    put(reports(base, "pocket"), STAGES, [verdict(DROPS, "agrees")], status="failed", error="E", cell=3)
    put(base / "notebooks/results/pocket", STAGES, [verdict(DROPS, "differs")], date="2023-01-01T00:00:00+00:00")
    seen = survey("pocket")
    first, second = seen.findings(DROPS)
    assert (first.outcome, first.verdict, first.record.cell) == ("failed run", None, 3)
    assert (second.outcome, second.source.adopted) == ("differs", True)
    assert seen.profiles == ["pocket"]
    assert f"Failed, so without verdicts: {STAGES}" in state(seen)
    # one that another notebook judged too has a verdict all the same
    put(base / "reports/pocket", ABLATION, [verdict(POOLED, "inconclusive")])
    assert survey("pocket").findings(POOLED)[0].outcome == "inconclusive"


def test_of_two_notebooks_the_one_with_more_seeds_counts(place):
    base, survey = place
    put(reports(base, "pocket"), STAGES, [verdict(POOLED, "inconclusive", n=3)])
    put(base / "reports/pocket", ABLATION, [verdict(POOLED, "agrees", n=5)])
    (found,) = survey("pocket").findings(POOLED)
    assert (found.outcome, found.record.notebook, found.others) == ("agrees", ABLATION, {STAGES: "inconclusive"})


def test_a_damaged_record_is_a_problem_and_hides_no_other(place):
    base, survey = place
    (reports(base, "pocket") / "x.json").write_text("[1")
    (problem,) = survey("smoke").problems
    assert "x.json" in problem
    assert "x.json" in state(survey("smoke"))
    put(base / "reports/pocket", STAGES, [verdict(POOLED)])
    own = survey("pocket")
    assert [record.notebook for record in own.own.records] == [STAGES]
    assert len(own.problems) == 1 and "x.json" in own.problems[0]


def test_tables_link_notebooks_and_reports(place):
    base, survey = place
    put_notebook(base / f"notebooks/{STAGES}.ipynb", title="Does SL fall | drop?")
    put_notebook(base / "notebooks/00_start_here.ipynb", title="What now?")
    (reports(base, "pocket") / f"{STAGES}.html").touch()
    put(base / "reports/pocket", STAGES, [verdict(DROPS), verdict(POOLED, "differs")])
    put(reports(base, "smoke"), STAGES, [verdict(DROPS, "not evaluated")], profile="smoke")
    seen = survey("smoke")
    asked = question_table(seen, base / "notebooks").splitlines()
    assert asked[2:] == [
        rf"| [Does SL fall \| drop?]({STAGES}.ipynb) | A | 5 | ✓ 1 agrees, ✗ 1 differs, · 3 not measured |"
    ]
    rows = claim_table(seen).splitlines()
    (drops,) = [row for row in rows if CLAIMS[DROPS].statement in row]
    assert f"| ○ not evaluated | [✓ agrees](../reports/pocket/{STAGES}.html): 2.00 points, n = 3 |" in drops
    assert f"**Detection**: {'no notebook yet'}" in "\n".join(rows)


def test_the_grid_has_a_square_a_claim_in_every_panel(place):
    base, survey = place
    put(reports(base, "pocket"), STAGES, [verdict(DROPS), verdict(POOLED, "differs")])
    put(reports(base, "study"), PREDICTS, [verdict(CIS, evidence="printed tables")], profile="study")
    table = outcome_table(survey("pocket"))
    assert table.groupby("profile").size().to_dict() == {"pocket": len(CLAIMS), "study": len(CLAIMS)}
    figure = verdict_grid(table, title="t")
    squares = [trace for trace in figure.data if trace.customdata is not None]
    found = {(claim, trace.xaxis): trace.name for trace in squares for claim in trace.customdata}
    assert len(found) == 2 * len(CLAIMS)
    assert found[DROPS, "x"] == "agrees"
    assert found[POOLED, "x"] == "differs"
    assert found[DROPS, "x2"] == "not measured"
    assert found[CIS, "x2"] == "agrees"
    # the colour never stands alone: every outcome has a sign of its own
    signs = {trace.name: set(trace.text) for trace in squares}
    assert signs == {"agrees": {"✓"}, "differs": {"✗"}, "not measured": {"·"}}
    with pytest.raises(ValueError, match="an outcome is one of"):
        verdict_grid(table.assign(outcome="maybe"), title="t")
