import pytest

from workbook.errors import ReportError
from workbook.report.record import read_records


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "n.json").write_text("[1")
    with pytest.raises(ReportError, match="n.json.*delete it"):
        read_records(tmp_path)
