import pytest


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder that holds all data of this machine."""
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    return tmp_path
