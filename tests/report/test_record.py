import json

import pytest

from tests.report.records import put, verdict
from workbook.errors import ReportError
from workbook.report.record import read_records


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "n.json").write_text("[1")
    with pytest.raises(ReportError, match="n.json.*delete it"):
        read_records(tmp_path)


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
