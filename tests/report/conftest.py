import shutil
from pathlib import Path

import pytest

from workbook.report import survey
from workbook.report.index import write_index

START = survey.NOTEBOOKS / f"{survey.START_PAGE}.ipynb"


def build(base: Path, patch: pytest.MonkeyPatch) -> Path:
    """A house with a start page and no other notebook: what is read from it instead of from the checkout."""
    (base / "notebooks").mkdir()
    shutil.copy(START, base / "notebooks")
    patch.setattr(survey, "NOTEBOOKS", base / "notebooks")
    return base


@pytest.fixture
def house(tmp_path, monkeypatch):
    return build(tmp_path, monkeypatch)


@pytest.fixture
def index(house):
    """Writes and reads the index of a profile's folder in the house."""

    def written(profile: str = "pocket", **changes) -> str:
        out = house / "reports" / profile
        out.mkdir(parents=True, exist_ok=True)
        assert write_index(out, profile=profile, **changes).status == "passed"
        return (out / "index.html").read_text()

    return written
