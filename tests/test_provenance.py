import json
from importlib.metadata import PackageNotFoundError, version

import torch
from joblib import cpu_count

from workbook import __version__
from workbook.provenance import _code_version, _version, hardware, other_versions, provenance


def test_it_is_plain_and_says_code_libraries_and_hardware():
    found = provenance()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"date", "code", "python", "libraries", "hardware", "threads", "devices"}
    assert found["libraries"]["torch"] == version("torch")
    assert found["threads"] == torch.get_num_threads() and found["devices"] == 1 and found["date"].endswith("+00:00")


def test_a_library_that_another_one_brought_along_has_the_version_of_its_module(monkeypatch):
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    expected = _version("lightning-fabric")
    monkeypatch.setattr("workbook.provenance.version", missing)
    assert _version("lightning-fabric") == expected == version("lightning-fabric")
    assert _version("no-such-library") == "unknown"


def test_the_hardware_is_one_line():
    text = hardware()
    assert text and "\n" not in text
    if not torch.cuda.is_available():
        assert f"{cpu_count()} core" in text


def test_what_another_version_made_is_told_in_one_line():
    now = provenance()
    assert other_versions([]) == other_versions([now, now | {"date": "another", "threads": 7}]) == ""
    older = [now | {"libraries": {"torch": version}} for version in ("2.5.0", "2.4.1")] + [{}]
    told = other_versions([now, *older])
    assert told.startswith("3 of 4 were made by another version: code ") and "\n" not in told
    assert "torch 2.4.1 and 2.5.0 and unknown" in told
    assert told.endswith(f"This is code {now['code']}, torch {now['libraries']['torch']}.")


def test_a_repository_around_the_package_is_not_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr("workbook.provenance.CHECKOUT", tmp_path)
    assert _code_version.__wrapped__() == __version__
