import json
from dataclasses import replace

import pytest
from nbformat.v4 import new_markdown_cell

from tests.report.ledger import standing
from tests.report.readme import QUESTIONS, long_tables, short_table, update
from tests.report.records import TINY, verdict, write_notebook
from workbook.errors import ReportError
from workbook.files import CHECKOUT
from workbook.report.record import ReportResult, write_record
from workbook.report.results import adopt
from workbook.report.survey import NOTEBOOKS

STAGES, ABLATION = "01_stagewise_evaluation", "02_mlp_ablation"


def record(name: str, profile: str, **changes) -> ReportResult:
    claim = {"id": "A.x", "paper": "A", "place": "Fig. 2", "statement": "x | y", "number": 3.1, "unit": "points"}
    verdict = {"claim": claim, "status": "agrees", "measured": 2.0000001, "low": 1.0, "high": 3.0, "n": 3, "detail": ""}
    verdict |= {"seeds": [5, 6, 7], "counted": "3 seeds", "said": "agrees"}
    measurements = [{"file": "/home/me/data/x.npz", "v": 1}]
    findings = {"hardware": "one CPU", "verdicts": [verdict], "measurements": measurements}
    given = {"title": "T", "status": "passed", "date": "2024-01-01T00:00:00", "seconds": 130.0, "findings": findings}
    return ReportResult(notebook=name, profile=profile, **(given | changes))


def test_adopt_rounds_and_forgets_the_machine(tmp_path):
    (tmp_path / "reports/pocket").mkdir(parents=True)
    given = {"overrides": {"start.file": "/home/me/mine.safetensors"}}
    write_record(tmp_path / "reports/pocket", record("01_a", "pocket", parameters=given))
    write_record(tmp_path / "reports/pocket", record("02_b", "pocket", status="failed"))
    write_record(tmp_path / "reports/pocket", record("03_c", "pocket", findings={}))
    adopted = adopt("pocket", reports=tmp_path / "reports", results=tmp_path / "results")
    assert [path.name for path in adopted] == ["01_a.json"]
    text = adopted[0].read_text()
    assert "/home" not in text
    assert "mine.safetensors" in text
    assert json.loads(text)["verdicts"][0]["measured"] == 2.0
    with pytest.raises(ReportError, match="smoke results are no evidence"):
        adopt("smoke", reports=tmp_path / "reports", results=tmp_path / "results")
    with pytest.raises(ReportError, match="nothing to adopt.*make reports PROFILE=study"):
        adopt("study", reports=tmp_path / "reports", results=tmp_path / "results")


def test_the_page_of_results_shows_the_strongest_evidence(tmp_path):
    notebooks, results = tmp_path / "notebooks", tmp_path / "notebooks/results"
    notebooks.mkdir()
    write_notebook(notebooks / f"{STAGES}.ipynb", new_markdown_cell("# Does a | b?"))
    write_notebook(notebooks / f"{ABLATION}.ipynb", new_markdown_cell("text\n\n## Two?"))
    write_notebook(notebooks / "tool.ipynb", new_markdown_cell("# What is mine like?"))
    for profile, hardware in (("study", "one GPU"), ("pocket", "one CPU")):
        (results / profile).mkdir(parents=True)
        findings = record(STAGES, profile).findings | {"hardware": hardware}
        write_record(results / profile, record(STAGES, profile, findings=findings))
    lines = [line for line in long_tables(notebooks, results).splitlines() if line]
    assert lines[0] == "## Does a | b?"
    assert lines[1].startswith(f"[{STAGES}](../{STAGES}.ipynb). Profile `study`, one GPU, 2 minutes, 20")
    assert lines[4] == r"| x \| y (A, Fig. 2) | 3.1 points | 2.00 points, [1.00, 3.00], n = 3 seeds | **agrees** |"
    assert lines[5:] == ["## Two?", f"[{ABLATION}](../{ABLATION}.ipynb). Not measured yet."], "a tool has no section"


def test_reports_on_another_set_are_adopted_under_their_folder_without_what_reads_no_images(tmp_path):
    reports, results = tmp_path / "reports", tmp_path / "results"
    (reports / "pocket-tiny-imagenet-32").mkdir(parents=True)
    (reports / "smoke-tiny-imagenet-32").mkdir()
    write_record(reports / "pocket-tiny-imagenet-32", record(STAGES, "pocket", parameters=TINY))
    write_record(reports / "pocket-tiny-imagenet-32", record("10_printed", "pocket"))
    write_record(reports / "smoke-tiny-imagenet-32", record(STAGES, "smoke", parameters=TINY))
    adopted = adopt("pocket-tiny-imagenet-32", reports=reports, results=results)
    assert adopted == [results / f"pocket-tiny-imagenet-32/{STAGES}.json"]
    with pytest.raises(ReportError, match="smoke results are no evidence"):
        adopt("smoke-tiny-imagenet-32", reports=reports, results=results)
    with pytest.raises(ReportError, match="no report.*make reports PROFILE=study ARGS='-p dataset=digits'"):
        adopt("study-digits", reports=reports, results=results)
    (reports / "pocket-tiny-imagenet-32").rename(reports / "pocket")
    (reports / "pocket/10_printed.json").unlink()
    with pytest.raises(
        ReportError, match=r"with 1 verdicts \(pocket, tiny-imagenet-32\)\); run make reports PROFILE=poc"
    ):
        adopt("pocket", reports=reports, results=results)


def test_each_set_of_the_strongest_profile_has_a_table_and_the_profiles_own_set_answers(tmp_path):
    notebooks, results = tmp_path / "notebooks", tmp_path / "notebooks/results"
    notebooks.mkdir()
    write_notebook(notebooks / f"{STAGES}.ipynb", new_markdown_cell("# One?"))
    claim = verdict("A.stages.sl-drops")["claim"]
    for profile, parameters, status in (
        ("pocket", {}, "differs"),
        ("pocket", TINY, "agrees"),
        ("sketch", {}, "agrees"),
    ):
        made = record(STAGES, profile, parameters=parameters)
        folder = results / made.setting.folder
        folder.mkdir(parents=True)
        verdicts = [dict(found, status=status, claim=claim) for found in made.verdicts]
        write_record(folder, replace(made, findings=made.findings | {"verdicts": verdicts}))
    page = long_tables(notebooks, results)
    told = [page.index(text) for text in ("`pocket`,", "**differs**", "`pocket, tiny-imagenet-32`,", "**agrees**")]
    assert told == sorted(told) and "sketch" not in page
    assert short_table(results).splitlines()[2].endswith("**differs** |")


def test_what_decides_is_shown_before_what_a_larger_study_explored(tmp_path):
    notebooks, results = tmp_path / "notebooks", tmp_path / "notebooks/results"
    notebooks.mkdir()
    write_notebook(notebooks / f"{STAGES}.ipynb", new_markdown_cell("# One?"))
    for profile, status in (("study", "exploratory"), ("pocket", "inconclusive")):
        (results / profile).mkdir(parents=True)
        made = record(STAGES, profile)
        verdicts = [dict(verdict, status=status, said="differs") for verdict in made.verdicts]
        write_record(results / profile, record(STAGES, profile, findings=made.findings | {"verdicts": verdicts}))
    assert "**inconclusive**" in long_tables(notebooks, results)
    (results / "pocket" / f"{STAGES}.json").unlink()
    assert "**exploratory** (differs) |" in long_tables(notebooks, results)


def test_the_readme_answers_its_questions_or_says_that_nothing_was_measured(tmp_path):
    (tmp_path / "pocket").mkdir()
    made = record(STAGES, "pocket")
    verdicts = [made.verdicts[0] | {"claim": made.verdicts[0]["claim"] | {"id": "A.stages.sl-drops"}}]
    write_record(tmp_path / "pocket", record(STAGES, "pocket", findings=made.findings | {"verdicts": verdicts}))
    rows = short_table(tmp_path).splitlines()[2:]
    assert len(rows) == len(QUESTIONS) and rows[0].endswith("| 2.00 points, [1.00, 3.00], n = 3 seeds | **agrees** |")
    assert all(row.endswith("|  | not measured yet |") for row in rows[1:])
    assert "| yes, 9.7 points (A, Table 2, ResNet-50, 300 epochs) |" in rows[1]


def test_a_table_takes_the_place_of_the_last_one_and_nothing_else(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("head\n<!-- results:begin -->\nold\n<!-- results:end -->\ntail\n")
    assert update(page, "| new |") and not update(page, "| new |")
    assert page.read_text() == "head\n<!-- results:begin -->\n| new |\n<!-- results:end -->\ntail\n"
    page.write_text("no place")
    with pytest.raises(ReportError, match="results:begin"):
        update(page, "")


def test_the_pages_show_what_was_adopted():
    results = NOTEBOOKS / "results"
    assert short_table(results) in (CHECKOUT / "README.md").read_text(encoding="utf-8"), "run make readme"
    page = (NOTEBOOKS / "docs/results.md").read_text(encoding="utf-8")
    assert standing(results) in page and long_tables(NOTEBOOKS, results) in page
