"""The whole way of the script for a GPU, on a CPU, at the smallest size."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from workbook.bench.__main__ import app
from workbook.bench.budget import Budget
from workbook.bench.evidence import Evidence
from workbook.report.record import read_records
from workbook.report.results import adopt
from workbook.store import Store
from workbook.study import Study

TOY = {"device": "cpu", "precision": "float32", "dataset": "generated", "images_per_class": 6, "image_size": 8}
TOY |= {"backbone": "narrow_resnet", "epochs": 1, "checkpoint_epochs": "[0]", "batch_size": 16, "seeds": 2}
TOY |= {"measured_per_class": 3, "probe_images_per_class": 4, "c_values": "[0.1]"}
LATER = {"A.stages.slmlp-monotone", "A.variation.phi-eval", "A.variation.sl-descends"}
LATER |= {"A.mixture.sl-falls", "A.mixture.slmlp-stays"}
AT_END = {"A.stages.sl-drops", "A.stages.slmlp-rises", "A.pooled.slmlp-above"}
AT_END |= {"A.variation.phi", "A.mixture.pi", "A.redundancy.sl"}


def call(out, *more: str, **changes) -> str:
    given = [f"-p{name}={value}" for name, value in (TOY | changes).items()]
    result = CliRunner().invoke(app, ["gpu", "--jobs", "1", "--out", str(out), *given, *more])
    assert result.exit_code == (1 if result.output.count("--out") else 0), result.output
    return result.output


def lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if "images/s  " in line and "|" not in line]


def claims(folder) -> set[str]:
    return {verdict["claim"]["id"] for record in read_records(folder) for verdict in record.verdicts}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with reports and a store, after one call that had time for everything."""
    base = tmp_path_factory.mktemp("gpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBOOK_STORE", str(base / "store"))
        patch.delenv("WORKBOOK_DATA", raising=False)
        base.joinpath("said").write_text(call(base / "reports/study"))
        yield base


def test_it_trains_measures_and_judges(base):
    assert "left out" not in (base / "said").read_text()
    assert claims(base / "reports/study") == AT_END | LATER
    records = {record.notebook: record for record in read_records(base / "reports/study")}
    first = records["01_stagewise_evaluation"]
    assert first.title.startswith("Does supervised pretraining lose")
    assert first.findings["seeds"] == [10, 11] and first.profile == "study"
    assert first.parameters["measured by"] == "python -m workbook.bench gpu"
    assert {verdict["status"] for verdict in first.verdicts} == {"not evaluated"}, "of two seeds"
    layers = pd.DataFrame(first.findings["measurements"]).groupby(["method", "seed"])["layer"].agg(set)
    assert len(layers) == 4 and all({"stage1", "stage5", "pooled"} <= found for found in layers)


def test_throughput_before_and_after(base):
    table = pd.read_csv(base / "reports/study/throughput.csv")
    for name in ("SL", "BYOL", "SimCLR", "MoCo v2", "AutoAugment"):
        assert table["what"].str.startswith(f"{name}:").any()
    assert (table[["before", "after"]] > 0).all(axis=None)


def test_its_records_are_adopted(base):
    adopted = adopt("study", reports=base / "reports", results=base / "results")
    assert len(adopted) == 4
    assert claims(base / "results/study") == AT_END | LATER


def test_without_time_it_says_what_it_leaves_out_and_goes_on_later(base, tmp_path):
    stored = {artefact.path for artefact in Store().artefacts()}
    said = call(tmp_path / "none", "--minutes", "0")
    assert "left out: seed 10" in said and "left out: SL: steps" in said and claims(tmp_path / "none") == set()
    again = call(base / "reports/study")
    assert lines(again) == lines((base / "said").read_text()), "those of the first call"
    assert claims(base / "reports/study") == AT_END | LATER
    assert {artefact.path for artefact in Store().artefacts()} == stored, "everything came from the store"


def test_a_seed_is_begun_only_where_it_is_measured_in_time(tmp_path):
    budget = Budget(100.0)
    evidence = Evidence(Study.of("smoke", device="cpu", seeds=3, runs_at_a_time=2), tmp_path, budget, {})
    evidence.took, evidence.measuring = 20.0, 15.0  # 50 s for the first seed, 80 s for it and a second one
    begun = [recipe.seed for recipe in evidence._in_time()]
    assert len(begun) == 4 and evidence.unmeasured == 4
    assert budget.left_out == [f"seed {begun[-1] + 1}, which takes about 110 s"]


def test_a_report_of_the_notebook_stays(base, tmp_path):
    record = base / "reports/study/05_feature_redundancy.json"
    theirs = json.loads(record.read_text()) | {"parameters": {}}
    (tmp_path / record.name).write_text(json.dumps(theirs))
    assert "holds the report of 05_feature_redundancy" in call(tmp_path)
    assert json.loads((tmp_path / record.name).read_text()) == theirs


def test_without_a_gpu_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("workbook.devices.choose_device", lambda device: "cpu")
    result = CliRunner().invoke(app, ["gpu", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and "no CUDA device is seen here: -p device=cpu" in result.output


def test_it_needs_neither_jupyter_nor_plotly():
    """Where they are not installed, an import of them fails."""
    absent = ("IPython", "ipykernel", "jupyter_client", "nbconvert", "nbformat", "papermill", "plotly")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import workbook.bench.__main__"
    subprocess.run([sys.executable, "-c", code], check=True)
