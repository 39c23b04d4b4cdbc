import pytest

from tests.report.records import put, verdict
from workbook.papers.claims import CLAIMS
from workbook.report.setting import Setting
from workbook.report.survey import read_survey

DROPS, POOLED = "A.stages.sl-drops", "A.pooled.slmlp-above"
CIS = "B.cis.linear.spectral.spearman"
STAGES, ABLATION, PREDICTS = "01_stagewise_evaluation", "02_mlp_ablation", "10_what_predicts_transfer"


@pytest.fixture
def survey(house):
    """That of a profile's folder in the house."""
    return lambda profile: read_survey(profile, house / "reports" / profile)


def outcomes(survey, claim: str) -> list[tuple[str, bool, str]]:
    return [(str(found.setting), found.source.adopted, found.outcome) for found in survey.findings(claim)]


def test_an_empty_place_has_measured_nothing(survey):
    empty = survey("pocket")
    assert outcomes(empty, DROPS) == [("pocket", False, "not measured")]
    assert empty.settings == [Setting("pocket")]
    assert sorted(claim.id for claims in empty.topics().values() for claim in claims) == sorted(CLAIMS)


def test_own_run_first_then_the_others_from_the_strongest(house, survey):
    put(house / "reports/smoke", STAGES, [verdict(DROPS, "not evaluated")], profile="smoke")
    put(house / "reports/pocket", STAGES, [verdict(DROPS, "differs")], date="2024-02-02T00:00:00+00:00")
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS, "agrees")])
    put(house / "notebooks/results/study", STAGES, [verdict(DROPS, "inconclusive")], profile="study")
    seen = survey("smoke")
    assert outcomes(seen, DROPS) == [
        ("smoke", False, "not evaluated"),
        ("study", True, "inconclusive"),
        ("pocket", False, "differs"),
        ("pocket", True, "agrees"),
    ]
    assert seen.strongest(DROPS).setting.profile == "study"
    assert [*map(str, seen.settings)] == ["smoke", "pocket", "study"]


def test_the_own_set_of_a_profile_counts_more_than_a_second_one_that_decides_too(house, survey):
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS, "differs")])
    put(house / "notebooks/results/pocket-a", STAGES, [verdict(DROPS, "agrees")], parameters={"dataset": "/x/a.yaml"})
    put(house / "notebooks/results/sketch", STAGES, [verdict(DROPS, "agrees")], profile="sketch")
    seen = survey("smoke")
    assert [name for name, *_ in outcomes(seen, DROPS)] == ["smoke", "pocket", "pocket, a", "sketch"]
    assert [*map(str, seen.settings)] == ["smoke", "sketch", "pocket, a", "pocket"]
    assert seen.strongest(DROPS).outcome == "differs"
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS, "exploratory")])
    assert str(survey("smoke").strongest(DROPS).setting) == "pocket, a"
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS, "not evaluated")])
    assert str(survey("smoke").strongest(DROPS).setting) == "pocket, a"


def test_a_number_of_too_few_seeds_is_known_where_nothing_tells_more(house, survey):
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS, "not evaluated")])
    seen = survey("smoke")
    assert (str(seen.strongest(DROPS).setting), seen.strongest(DROPS).outcome) == ("pocket", "not evaluated")
    assert seen.strongest(POOLED).outcome == "not measured" == seen.own.finding(DROPS).outcome
    put(house / "reports/smoke", STAGES, [verdict(DROPS, "not evaluated")], profile="smoke")
    assert str(survey("smoke").strongest(DROPS).setting) == "pocket"


def test_a_folder_of_another_set_says_so_and_what_reads_no_images_there_is_the_profiles_own(house, survey):
    folder = house / "reports/pocket-tiny-imagenet-32"
    put(folder, STAGES, [verdict(DROPS)], parameters={"overrides": {"recipe.dataset": "tiny-imagenet-32"}})
    put(folder, PREDICTS, [verdict(CIS, evidence="printed tables")])
    own = read_survey("pocket", folder)
    assert str(own.own.setting) == "pocket, tiny-imagenet-32"
    assert [outcomes(own, claim) for claim in (DROPS, CIS)] == [
        [("pocket, tiny-imagenet-32", False, "agrees")],
        [("pocket", False, "agrees")],
    ]
    beside = survey("smoke")
    assert beside.strongest(DROPS).setting.dataset == "tiny-imagenet-32" and not beside.strongest(CIS).setting.dataset


def test_an_adopted_result_is_not_told_beside_its_own_report(house, survey):
    put(house / "reports/pocket", STAGES, [verdict(DROPS)])
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS)])
    assert outcomes(survey("pocket"), DROPS) == [("pocket", False, "agrees")]


def test_a_failed_run_gives_no_verdict(house, survey):
    put(house / "reports/pocket", STAGES, [verdict(DROPS, "agrees")], status="failed", error="E", cell=3)
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS, "differs")], date="2023-01-01T00:00:00+00:00")
    seen = survey("pocket")
    first, second = seen.findings(DROPS)
    assert (first.outcome, first.verdict, first.record.cell) == ("failed run", None, 3)
    assert (second.outcome, second.source.adopted) == ("differs", True)
    assert seen.settings == [Setting("pocket")]
    # one that another notebook judged too has a verdict all the same
    put(house / "reports/pocket", ABLATION, [verdict(POOLED, "inconclusive")])
    assert survey("pocket").findings(POOLED)[0].outcome == "inconclusive"


def test_of_two_notebooks_the_one_with_more_seeds_counts(house, survey):
    put(house / "reports/pocket", STAGES, [verdict(POOLED, "inconclusive", n=3)])
    put(house / "reports/pocket", ABLATION, [verdict(POOLED, "agrees", n=5)])
    (found,) = survey("pocket").findings(POOLED)
    assert (found.outcome, found.record.notebook, found.others) == ("agrees", ABLATION, {STAGES: "inconclusive"})


def test_an_exploratory_verdict_counts_only_where_no_other_does(house, survey):
    put(house / "reports/pocket", STAGES, [verdict(POOLED, "exploratory", said="differs", n=9)])
    put(house / "reports/pocket", ABLATION, [verdict(POOLED, "agrees", n=5)])
    put(house / "notebooks/results/study", STAGES, [verdict(POOLED, "exploratory", said="agrees")], profile="study")
    seen = survey("pocket")
    assert seen.findings(POOLED)[0].outcome == "agrees" == seen.strongest(POOLED).outcome
    put(house / "reports/pocket", ABLATION, [])
    assert survey("pocket").strongest(POOLED).setting.profile == "study"


def test_a_claim_of_no_list_stands_last(house, survey):
    found = verdict(DROPS)
    put(house / "reports/pocket", "mine", [found | {"claim": found["claim"] | {"id": "A.mine"}}])
    *_, (topic, claims) = survey("pocket").topics().items()
    assert (topic, [claim.id for claim in claims]) == ("Other claims", ["A.mine"])
    assert claims[0].notebooks == ("mine",)


def test_a_damaged_record_is_a_problem_and_hides_no_other(house, survey):
    put(house / "reports/pocket", STAGES, [verdict(POOLED)])
    (house / "reports/pocket/x.json").write_text("[1")
    for profile in ("smoke", "pocket"):
        (problem,) = survey(profile).problems
        assert "x.json" in problem
    assert [record.notebook for record in survey("pocket").own.records] == [STAGES]


def test_where_only_tools_ran_it_is_not_about_claims(house, survey):
    assert survey("score").is_about_claims, "nothing ran yet"
    put(house / "reports/score", "score_your_models", [])
    assert not survey("score").is_about_claims
    put(house / "reports/score", STAGES, [], status="failed")
    assert survey("score").is_about_claims
