import re

from tests.report.records import TINY, put, verdict
from workbook.papers.claims import CLAIMS
from workbook.report.overview import claim_list, known_in_words, outcome_table, standing, state
from workbook.report.survey import read_survey

DROPS, CIS = "A.stages.sl-drops", "B.cis.linear.spectral.spearman"
PANELS = ["known so far", "this run: smoke"]
STAGES, PREDICTS = "01_stagewise_evaluation", "10_what_predicts_transfer"


def row(page: str, claim: str) -> str:
    """The part of a list that is about one claim."""
    start = page.index(f'<div class="claim" id="{claim}"')
    return page[start : page.find('<div class="claim"', start + 1)]


def shown(page: str, claim: str) -> list[tuple[str, str]]:
    return re.findall(r'data-profile="([^"]+)" data-verdict="([\w ]+)"', row(page, claim))


def test_the_state_says_what_ran_and_what_to_run(house):
    told = state(read_survey("pocket", house / "reports/pocket"))
    assert "make reports PROFILE=pocket" in told
    put(house / "reports/pocket", STAGES, [], status="failed", error="E")
    put(house / "notebooks/results/study", STAGES, [verdict(DROPS)], profile="study")
    (house / "reports/pocket/x.json").write_text("[1")
    told = state(read_survey("pocket", house / "reports/pocket"))
    assert told.startswith("1 notebook of the profile **pocket** ran, the last on 2024-01-01.")
    assert "1 failed, so without verdicts" in told
    assert "x.json" in told
    assert "never evidence" not in told and "never evidence" in state(read_survey("smoke", house / "reports/smoke"))


def test_what_is_known_stands_before_what_this_run_found(house):
    put(house / "notebooks/results/study", STAGES, [verdict(DROPS)], profile="study")
    known = read_survey("smoke", house / "reports/smoke")
    assert list(outcome_table(known)["panel"].unique()) == ["known so far"], "nothing was run here"
    put(house / "reports/smoke", STAGES, [verdict(DROPS, "not evaluated")], profile="smoke")
    survey = read_survey("smoke", house / "reports/smoke")
    table = outcome_table(survey)
    assert table.groupby("panel", sort=False).size().to_dict() == dict.fromkeys(PANELS, len(CLAIMS))
    found = table.set_index(["panel", "claim"])
    assert list(found.loc[(slice(None), DROPS), "outcome"]) == ["agrees", "not evaluated"]
    assert found.loc["known so far", DROPS]["text"] == "2.00 points, n = 3 seeds, study"
    assert standing(survey) == {"agrees": 1, "not measured": len(CLAIMS) - 1}
    told = known_in_words(survey)
    assert f"Of {len(CLAIMS)} claims: ✓ 1 agrees, · {len(CLAIMS) - 1} not measured" in told
    assert "measured before: the profiles **study**." in told


def test_where_nothing_was_measured_before_it_says_so(house):
    assert "No results that were measured before" in known_in_words(read_survey("smoke", house / "reports/smoke"))


def test_every_claim_is_listed_once(house):
    page = claim_list(read_survey("pocket", house / "reports/pocket"))
    assert sorted(re.findall(r'class="claim" id="([^"]+)"', page)) == sorted(CLAIMS)
    assert shown(page, DROPS) == [("pocket", "not measured")]


def test_a_claim_says_where_it_was_found(house):
    put(house / "reports/pocket", STAGES, [verdict(DROPS)], parameters={"overrides": {"epochs": 3}})
    put(house / "notebooks/results/study", STAGES, [verdict(DROPS, "inconclusive")], profile="study")
    page = claim_list(read_survey("smoke", house / "reports/smoke"))
    assert shown(page, DROPS) == [("study", "inconclusive"), ("smoke", "not measured"), ("pocket", "agrees")]
    assert f'href="../reports/pocket/{STAGES}.html#{DROPS}"' in row(page, DROPS)
    assert f'href="{STAGES}.ipynb#known-study-{DROPS}"' in row(page, DROPS)
    assert f'href="{STAGES}.ipynb"' in page
    assert "epochs = 3" in row(page, DROPS), "a run with other settings says so at its verdict"


def test_a_number_of_too_few_seeds_is_told_as_the_map_of_claims_shows_it(house):
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS, "not evaluated")])
    survey = read_survey("smoke", house / "reports/smoke")
    assert standing(survey)["not evaluated"] == 1
    assert shown(claim_list(survey), DROPS) == [("pocket", "not evaluated"), ("smoke", "not measured")]


def test_another_set_is_told_wherever_the_profile_is(house):
    for name, parameters in (("pocket", {}), ("pocket-tiny-imagenet-32", TINY)):
        put(house / f"notebooks/results/{name}", STAGES, [verdict(DROPS)], parameters=parameters)
    survey = read_survey("smoke", house / "reports/smoke")
    found = [("pocket", "agrees"), ("smoke", "not measured"), ("pocket, tiny-imagenet-32", "agrees")]
    page = claim_list(survey)
    assert shown(page, DROPS) == found
    assert 'data-filter="profile" data-value="pocket, tiny-imagenet-32"' in page
    assert f'href="{STAGES}.ipynb#known-pocket/tiny-imagenet-32/{DROPS}"' in row(page, DROPS)
    assert "the profiles **pocket** and **pocket, tiny-imagenet-32**." in known_in_words(survey)
    folder = house / "reports/pocket-tiny-imagenet-32"
    put(folder, STAGES, [verdict(DROPS)], parameters=TINY, status="failed")
    front = read_survey("pocket", folder)
    assert "of the profile **pocket, tiny-imagenet-32** ran" in state(front)
    assert "`make reports PROFILE=pocket ARGS='-p dataset=tiny-imagenet-32'` runs them again" in state(front)
    assert "this run: pocket, tiny-imagenet-32" in set(outcome_table(front)["panel"])


def test_a_failed_run_is_said_where_its_verdicts_would_be(house):
    put(house / "reports/pocket", STAGES, [verdict(DROPS)], status="failed", error="KeyError: 'x'", cell=7)
    page = claim_list(read_survey("pocket", house / "reports/pocket"))
    assert shown(page, DROPS) == [("pocket", "failed run")]
    assert "stopped in cell 7" in row(page, DROPS)
    assert "2.00 points" not in row(page, DROPS)


def test_an_exploratory_verdict_says_what_the_interval_says_and_why_it_does_not_count(house):
    found = verdict(DROPS, "exploratory", said="agrees") | {"detail": "the interval; seeds 0 to 4"}
    put(house / "notebooks/results/pocket", STAGES, [found])
    page = claim_list(read_survey("smoke", house / "reports/smoke"))
    assert shown(page, DROPS) == [("pocket", "exploratory"), ("smoke", "not measured")]
    assert "by its interval: agrees; seeds 0 to 4" in row(page, DROPS)
    assert 'data-value="exploratory"' in page, "a filter of its own"


def test_what_a_paper_prints_is_told_once(house):
    put(house / "reports/smoke", PREDICTS, [verdict(CIS, evidence="printed tables")], profile="smoke")
    put(house / "notebooks/results/pocket", PREDICTS, [verdict(CIS, evidence="printed tables")])
    assert shown(claim_list(read_survey("smoke", house / "reports/smoke")), CIS) == [("smoke", "agrees")]
