import json

import pandas as pd
import pytest

from tests.report.records import put, verdict
from workbook.errors import ReportError
from workbook.report.record import later_failures, read_records, write_table


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "n.json").write_text("[1")
    with pytest.raises(ReportError, match="n.json.*delete it"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "[1]",
        "null",
        "3",
        '"text"',
        "[" * 100_000,
        "{}",
        b"\xff",
        {"seconds": "long"},
        {"status": "well"},
        {"title": None},
    ]
    + [{"verdicts": content} for content in (3, None, [None], [[]], [{}], [{"claim": "A"}])]
    + [{"parameters": []}, {"cell": "one"}, {"milestones": 3}],
    ids=lambda content: repr(content)[:30],
)
def test_what_is_json_of_another_type_is_a_damaged_record(tmp_path, content):
    put(tmp_path, "n", [verdict("A.stages.sl-drops")])
    if isinstance(content, dict):
        content = json.dumps(json.loads((tmp_path / "n.json").read_text()) | content)
    (tmp_path / "n.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ReportError, match="n.json is not a report's record .*delete it"):
        read_records(tmp_path)


@pytest.mark.parametrize("field", ["n", "measured", "detail", "seeds", "claim", "counted"])
def test_a_verdict_of_other_types_is_a_damaged_record(tmp_path, field):
    put(tmp_path, "n", [verdict("A.stages.sl-drops") | {field: {}}])
    put(tmp_path, "m", [verdict("A.stages.sl-drops")])
    problems: list[str] = []
    assert [record.notebook for record in read_records(tmp_path, problems)] == ["m"]
    assert len(problems) == 1 and "n.json" in problems[0]


def test_a_record_that_cannot_be_read_is_a_problem_too(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to("gone")
    problems: list[str] = []
    assert read_records(tmp_path, problems) == []
    assert "it is a folder" in problems[0] and "link to gone" in problems[1]


def test_a_failure_does_not_take_the_place_of_a_success(tmp_path):
    put(tmp_path, "n", [], status="failed", error="first")
    assert [record.status for record in read_records(tmp_path)] == ["failed"] and not later_failures(tmp_path)
    put(tmp_path, "n", [])
    put(tmp_path, "n", [], status="failed", error="later")
    assert [record.status for record in read_records(tmp_path)] == ["passed"]
    assert [record.error for record in later_failures(tmp_path)] == ["later"]


def test_measurements_lie_beside_as_a_table_and_no_stale_one_stays(tmp_path):
    rows = [{"method": "SL", "seed": 0, "accuracy": 41.5}, {"method": "SL-MLP", "seed": 0, "note": 'said "so", twice'}]
    write_table(tmp_path, put(tmp_path, "n", [], findings={"measurements": rows}))
    table = pd.read_csv(tmp_path / "n.csv")
    assert list(table) == ["method", "seed", "accuracy", "note"] and table["note"][1] == 'said "so", twice'
    write_table(tmp_path, put(tmp_path, "n", [], status="failed", findings={"measurements": rows[:1]}))
    assert len(pd.read_csv(tmp_path / "n.failed.csv")) == 1 and len(pd.read_csv(tmp_path / "n.csv")) == 2
    write_table(tmp_path, put(tmp_path, "n", []))
    assert not (tmp_path / "n.csv").exists()


def test_verdicts_on_runs_from_before_the_protocol_are_exploratory(tmp_path):
    put(tmp_path, "n", [verdict("A.stages.sl-drops", "differs"), verdict("B.msc.accuracy", evidence="printed tables")])
    document = json.loads((tmp_path / "n.json").read_text())
    for found in document["verdicts"]:
        for later in ("said", "counted", "seeds"):
            del found[later]
    (tmp_path / "n.json").write_text(json.dumps(document))
    (record,) = read_records(tmp_path)
    on_runs, printed = record.verdicts
    assert (on_runs["status"], on_runs["said"], on_runs["counted"]) == ("exploratory", "differs", "3 seeds")
    assert on_runs["detail"] == "the interval; its runs are from before the protocol; more"
    assert (printed["status"], printed["counted"]) == ("agrees", "3 models")
