import json
from pathlib import Path

import pytest
from nbformat.v4 import new_markdown_cell

from tests.report.readme import results_table, update_readme
from tests.report.records import write_notebook
from workbook.errors import ReportError
from workbook.report.record import ReportResult, write_record
from workbook.report.results import adopt

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
    given = {"overrides": {"dataset": "/home/me/mine.yaml"}}
    write_record(tmp_path / "reports/pocket", record("01_a", "pocket", parameters=given))
    write_record(tmp_path / "reports/pocket", record("02_b", "pocket", status="failed"))
    write_record(tmp_path / "reports/pocket", record("03_c", "pocket", findings={}))
    adopted = adopt("pocket", reports=tmp_path / "reports", results=tmp_path / "results")
    assert [path.name for path in adopted] == ["01_a.json"]
    text = adopted[0].read_text()
    assert "/home" not in text
    assert "mine.yaml" in text
    assert json.loads(text)["verdicts"][0]["measured"] == 2.0
    with pytest.raises(ReportError, match="smoke results are no evidence"):
        adopt("smoke", reports=tmp_path / "reports", results=tmp_path / "results")
    with pytest.raises(ReportError, match="nothing to adopt.*make reports PROFILE=study"):
        adopt("study", reports=tmp_path / "reports", results=tmp_path / "results")


def test_readme_shows_the_strongest_evidence(tmp_path):
    notebooks, results = tmp_path / "notebooks", tmp_path / "notebooks/results"
    notebooks.mkdir()
    write_notebook(notebooks / f"{STAGES}.ipynb", new_markdown_cell("# Does a | b?"))
    write_notebook(notebooks / f"{ABLATION}.ipynb", new_markdown_cell("text\n\n## Two?"))
    write_notebook(notebooks / "tool.ipynb", new_markdown_cell("# What is mine like?"))
    for profile, hardware in (("study", "one GPU"), ("pocket", "one CPU")):
        (results / profile).mkdir(parents=True)
        findings = record(STAGES, profile).findings | {"hardware": hardware}
        write_record(results / profile, record(STAGES, profile, findings=findings))
    readme = tmp_path / "README.md"
    readme.write_text("head\n<!-- results:begin -->\nold\n<!-- results:end -->\ntail\n")
    assert update_readme(readme, notebooks=notebooks, results=results)
    assert not update_readme(readme, notebooks=notebooks, results=results)
    rows = readme.read_text().splitlines()
    assert (rows[0], rows[-1]) == ("head", "tail")
    assert rows[4] == (
        rf"| Does a \| b? | [{STAGES}](notebooks/{STAGES}.ipynb) | x \| y (A, Fig. 2): 3.1 points "
        r"| **agrees**: 2.00 points, [1.00, 3.00], n = 3 seeds | one GPU; study | 2 |"
    )
    assert rows[5] == f"| Two? | [{ABLATION}](notebooks/{ABLATION}.ipynb) |  | not measured yet |  |  |"
    assert rows[6] == "<!-- results:end -->", "a notebook without claims has no row"
    readme.write_text("no place")
    with pytest.raises(ReportError, match="results:begin"):
        update_readme(readme, notebooks=notebooks, results=results)


def test_what_decides_is_shown_before_what_a_larger_study_explored(tmp_path):
    notebooks, results = tmp_path / "notebooks", tmp_path / "notebooks/results"
    notebooks.mkdir()
    write_notebook(notebooks / f"{STAGES}.ipynb", new_markdown_cell("# One?"))
    for profile, status in (("study", "exploratory"), ("pocket", "inconclusive")):
        (results / profile).mkdir(parents=True)
        made = record(STAGES, profile)
        verdicts = [dict(verdict, status=status) for verdict in made.verdicts]
        write_record(results / profile, record(STAGES, profile, findings=made.findings | {"verdicts": verdicts}))
    assert "**inconclusive**" in results_table(notebooks, results)


def table_of(folder: Path, verdicts: list[dict[str, str]]) -> str:
    """The table of one notebook, whose verdicts are the usual one with these changes."""
    notebooks, results = folder / "notebooks", folder / "notebooks/results"
    (results / "pocket").mkdir(parents=True)
    write_notebook(notebooks / f"{STAGES}.ipynb", new_markdown_cell("# One?"))
    findings = record(STAGES, "pocket").findings
    (usual,) = findings["verdicts"]
    findings |= {"verdicts": [usual | changes for changes in verdicts]}
    write_record(results / "pocket", record(STAGES, "pocket", findings=findings))
    return results_table(notebooks, results)


def test_what_is_exploratory_says_so_in_the_readme(tmp_path):
    table = table_of(tmp_path, [{"status": "exploratory", "said": "differs"}])
    assert "| **exploratory** (differs): 2.00 points, [1.00, 3.00], n = 3 seeds |" in table


def test_the_readme_counts_what_it_does_not_show(tmp_path):
    many = [{"status": "agrees" if number < 7 else "differs"} for number in range(9)]
    rows = table_of(tmp_path, many).splitlines()[2:]
    assert len(rows) == 7
    assert rows[-1] == f"|  |  | [3 more](notebooks/results/pocket/{STAGES}.json) | 1 agrees, 2 differs |  |  |"
