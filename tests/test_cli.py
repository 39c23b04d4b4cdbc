import pytest
from typer.testing import CliRunner

from workbook.cli import app
from workbook.files import write_atomically
from workbook.store import Store


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("workbook.cli._REPORTS", tmp_path / "reports")
    return lambda *words: CliRunner().invoke(app, words)


def test_the_store_is_listed_and_cleared(run):
    spec = {"run": "abc", "epoch": 3}
    artefact = Store().get_or_make("features", spec, lambda folder: write_atomically(folder / "x.npy", b"123"))
    listed = run("store", "list")
    assert artefact.key in listed.output
    assert "of run abc, epoch 3" in listed.output
    assert run("store", "remove", artefact.key).exit_code == 0
    assert Store().artefacts() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("store", "remove", "0" * 20), "holds nothing under"),
        (("report", "--profile", "pockt"), "did you mean 'pocket'"),
        (("report", "-p", "epoch=3"), "did you mean"),
        (("report", "-p", "epochs=three"), "epochs takes int, got 'three'"),
        (("report", "-p", "dataset=cifar10"), "cifar100"),
        (("data", "verify", "cifar10"), "cifar100"),
        (("data", "verify", "cifar100"), "WORKBOOK_DATA"),
        (("results", "adopt", "smoke"), "no evidence"),
    ],
)
def test_a_user_s_mistake_is_told_without_a_traceback(run, words, message):
    result = run(*words)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
