"""`workbook sweep`, as it is called."""

import json

import pytest
from typer.testing import CliRunner

from workbook.cli import app
from workbook.report.survey import NOTEBOOKS


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_STORE", str(tmp_path / "store"))
    return lambda *words: CliRunner().invoke(app, ["sweep", *map(str, words)])


def test_a_plan_trains_nothing_and_says_what_it_is_assumed_from(call, tmp_path):
    told = call(NOTEBOOKS / "04_feature_mixture.ipynb", "--plan", "-p", "seeds=3")
    assert told.exit_code == 0, told.output
    records = json.loads(call(NOTEBOOKS / "04_feature_mixture.ipynb", "--plan", "--json", "-p", "seeds=3").stdout)
    assert [(row["what"], row["seed"]) for row in records] == [
        *[("SL", 0), ("SL", 1), ("SL", 2), ("SL-MLP", 0), ("SL-MLP", 1), ("SL-MLP", 2), ("BYOL", 0)]
    ]
    assert not any(row["stored"] for row in records) and not (tmp_path / "store").exists()
    for devices in ("1 x NVIDIA H200", "8 x NVIDIA H200", "64 x NVIDIA H200"):
        assert devices in told.output
    assert "an assumption: 8 GPUs 90%, 64 GPUs 80%" in told.output and "SL, resnet18, 32 pixels 49,833" in told.output


def test_notebooks_that_train_nothing_are_told(call):
    told = call(NOTEBOOKS / "16_what_the_tables_say.ipynb")
    assert told.exit_code == 0 and told.output == "these notebooks train nothing\n"


def test_what_is_stored_is_told_by_what_it_took(call):
    how = (NOTEBOOKS / "15_semantic_gap.ipynb", "-p", "ablation.seeds=1", "-p", "epochs=1")
    assert "What is stored took" not in call(*how, "--plan").output
    assert call(*how).exit_code == 0
    told = call(*how, "--plan")
    assert "What is stored took:" in told.output, told.output
    records = json.loads(call(*how, "--plan", "--json").stdout)
    assert all(row["stored"] and 0 < row["took, hours"] < 1 for row in records)
    for row in records:  # the files are what the plan says, but for the history and their headers
        assert row["GB"] < row["took, GB"] < 1.1 * row["GB"]
    total = next(line for line in told.output.splitlines() if line.strip().startswith("all"))
    assert total.split()[-3:] == [
        f"{sum(row[name] for row in records):.2f}" for name in ("took, hours", "took, GB", "GB")
    ]
