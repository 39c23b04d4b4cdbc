"""The whole way of the script for a GPU, on a CPU, at the smallest size."""

import json
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from tqdm import tqdm
from typer.testing import CliRunner

from workbook.bench.__main__ import app
from workbook.bench.budget import Budget
from workbook.bench.evidence import Evidence, _measured
from workbook.errors import DivergedError
from workbook.evaluation.extraction import STAGES
from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy
from workbook.report.parameters import parse_value
from workbook.report.record import read_records
from workbook.report.results import adopt
from workbook.store import Store
from workbook.study import Study

TOY = {"device": "cpu", "precision": "float32", "dataset": "generated", "images_per_class": 6, "image_size": 8}
TOY |= {"backbone": "narrow_resnet", "epochs": 1, "checkpoint_epochs": "[0]", "batch_size": 16, "seeds": 2}
TOY |= {"measured_per_class": 3, "probe_images_per_class": 4, "c_values": "[0.1]"}
TOY |= {"ablation.seeds": 1, "ablation.batch_size": 8}  # MoCo's queue is 16 batches
PAIRS = {"byol", "mocov1", "mocov2", "supcon"}
CLAIMED = {
    "01": {"stages.sl-drops", "stages.slmlp-rises", "stages.slmlp-monotone", "stages.byol-rises"}
    | {"stages.mocov1-drops", "stages.mocov2-rises", "stages.slmlp-above-byol", "pooled.slmlp-above"}
    | {f"stages.{what}-{name}" for what in ("mlp", "sl-above") for name in PAIRS - {"supcon"}},
    "02": {"pooled.slmlp-above"}
    | {f"mlp.{name}" for name in PAIRS}
    | {f"components.{part}" for part in ("all", "fc", "norm", "relu", "no-fc", "best", "phi", "pi", "redundancy")}
    | {"epochs.slmlp", "projectors.epochs", "projectors.one-best"},
    "03": {"variation.phi", "variation.phi-eval", "variation.sl-descends", "variation.phi-supcon", "variation.phi-byol"}
    | {"variation.sl-phi-byol", "variation.byol-accuracy"},
    "04": {"mixture.pi", "mixture.sl-falls", "mixture.slmlp-stays", "mixture.byol", "mixture.byol-stays"},
    "05": {"redundancy.sl", "redundancy.sl-grows", "epochs.sl", "redundancy.byol", "redundancy.mocov1"},
}


def call(out, *more: str, **changes) -> str:
    given = [f"-p{name}={value}" for name, value in (TOY | changes).items()]
    jobs = [] if "--jobs" in more else ["--jobs", "1"]
    result = CliRunner().invoke(app, ["gpu", *jobs, "--out", str(out), *given, *more])
    assert result.exit_code == (1 if result.output.count("--out") else 0), result.output
    return result.output


def lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if "images/s  " in line and "|" not in line]


def claims(folder) -> dict[str, set[str]]:
    """Of each notebook, by its number; all are on paper A."""
    return {
        record.notebook[:2]: {verdict["claim"]["id"].removeprefix("A.") for verdict in record.verdicts}
        for record in read_records(folder)
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with reports and a store, after one call that had time for everything."""
    base = tmp_path_factory.mktemp("gpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBOOK_STORE", str(base / "store"))
        patch.delenv("WORKBOOK_DATA", raising=False)
        base.joinpath("said").write_text(call(base / "reports/study-generated"))
        yield base


def test_it_trains_measures_and_judges(base):
    assert "left out" not in (base / "said").read_text()
    assert claims(base / "reports/study-generated") == CLAIMED
    records = {record.notebook: record for record in read_records(base / "reports/study-generated")}
    first = records["01_stagewise_evaluation"]
    assert first.title.startswith("Does supervised pretraining lose")
    assert first.findings["seeds"] == [10, 11] and first.profile == "study"
    assert first.parameters["measured by"] == "python -m workbook.bench gpu"
    assert {verdict["status"] for verdict in first.verdicts} == {"not evaluated"}, "of two seeds"
    layers = pd.DataFrame(first.findings["measurements"]).groupby(["method", "seed"])["layer"].agg(set)
    assert len(layers) == 4 + 8 and all(found == {*STAGES, "pooled"} for found in layers)


def test_throughput_before_and_after(base):
    table = pd.read_csv(base / "reports/study-generated/throughput.csv")
    for name in ("SL", "BYOL", "SimCLR", "MoCo v2", "AutoAugment"):
        assert table["what"].str.startswith(f"{name}:").any()
    assert (table[["before", "after"]] > 0).all(axis=None)


def test_its_records_are_adopted(base):
    adopted = adopt("study-generated", reports=base / "reports", results=base / "results")
    assert len(adopted) == 5
    assert claims(base / "results/study-generated") == CLAIMED


def test_without_time_it_says_what_it_leaves_out_and_goes_on_later(base, tmp_path):
    stored = {artefact.path for artefact in Store().artefacts()}
    said = call(tmp_path / "none", "--minutes", "0")
    assert "left out: 1 epochs of SL on generated, seed 10" in said and "left out: SL: steps" in said
    assert claims(tmp_path / "none") == {}
    again = call(base / "reports/study-generated")
    assert lines(again) == lines((base / "said").read_text()), "those of the first call"
    assert claims(base / "reports/study-generated") == CLAIMED
    assert {artefact.path for artefact in Store().artefacts()} == stored, "everything came from the store"


def test_what_it_says_of_a_run_is_what_the_notebooks_measure(base):
    """The longest way round: through the study's own methods, as notebooks 01, 03, 04 and 05 do."""
    study = Study.of("study", **{name: parse_value(name, str(value)) for name, value in TOY.items()})
    runs, measured = study.train("BYOL"), study.measured()
    record = {record.notebook[:2]: record for record in read_records(base / "reports/study-generated")}
    stages, found = (pd.DataFrame(record[n].findings["measurements"]).query("method == 'BYOL'") for n in ("01", "03"))
    theirs = study.stagewise(runs).set_index("layer")["accuracy"]
    assert stages.set_index("layer")["accuracy"].to_dict() == theirs[[*STAGES, "pooled"]].to_dict()
    sides = {side: study.measured(side) for side in ("pre", "eval")}
    is_eval = np.isin(measured.class_names, sides["eval"].class_names)
    of = [study.features(runs, images) for images in (measured, *sides.values())]
    for row, (_, x, y), pre, eva in zip(found.to_dict("records"), *of, strict=True):
        expected = {"pi": feature_mixture(x, y, is_eval)}
        for side, (_, features, labels) in {"pre": pre, "eval": eva}.items():
            expected[f"phi_{side}"] = discriminative_ratio(features, labels)
            expected[f"R_{side}"] = feature_redundancy(features)
        assert {name: row[name] for name in expected} == pytest.approx(expected)  # a record has ten digits
    accuracy = study.stagewise(runs, ("pooled",), every_epoch=True)["accuracy"]
    assert found["accuracy"].tolist() == accuracy.tolist()


def evidence(out, seconds: float, **given) -> Evidence:
    return Evidence(Study.of("smoke", device="cpu", **given), out, Budget(seconds), {})


def test_every_recipe_is_asked_for_once_sl_and_slmlp_first(tmp_path):
    jobs = evidence(tmp_path, 100.0, seeds=2)._jobs()
    assert [(job.recipe.method, job.recipe.seed) for job in jobs[:4]] == [
        *(("SL", 0), ("SL-MLP", 0)),
        *(("SL", 1), ("SL-MLP", 1)),
    ]
    recipes = [job.recipe for job in jobs]
    assert len(recipes) == len({*recipes}) and {job.recipe.method for job in jobs} > {"SupCon", "BYOL w/o MLP"}
    assert all(job.stages and job.every_epoch for job in jobs[:4]), "also where an arm is the same recipe"


def test_a_run_is_begun_only_where_it_fits_in(tmp_path):
    found = evidence(tmp_path, 100.0)
    slow = {"SL": 40.0, "BYOL": 200.0}  # seconds a run; a method that was not met yet is held to take as long
    jobs = found._jobs()
    for method, seconds in slow.items():
        found.rates[method] = seconds / max(job.work for job in jobs if job.recipe.method == method)
    begun = {job.recipe.method for job in found._in_time()}
    assert "SL" in begun and "BYOL" not in begun and "SupCon" not in begun
    assert any(what.endswith("BYOL on generated, seed 0, which take about 200 s") for what in found.budget.left_out)


def test_a_run_that_diverges_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    found = evidence(tmp_path, 100.0)
    job = found._jobs()[0]
    monkeypatch.setattr("workbook.bench.evidence.train", Mock(side_effect=DivergedError("the loss is nan")))
    found._take(_measured(found.study.profile, job, found.study.lab, tqdm(disable=True)))
    assert found.budget.left_out == ["SL on generated, seed 0: the loss is nan"] and not found.found


def test_several_runs_at_a_time_find_what_one_after_the_other_does(base, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_STORE", str(tmp_path / "store"))
    every = Evidence._jobs
    monkeypatch.setattr(Evidence, "_jobs", lambda self: every(self)[:2])
    call(tmp_path / "two", "--jobs", "2", "--no-throughput")
    mine, theirs = (
        {record.notebook: record.findings["measurements"] for record in read_records(folder)}
        for folder in (tmp_path / "two", base / "reports/study-generated")
    )
    assert len(mine["01_stagewise_evaluation"]) == 2 * 6
    for row in mine["01_stagewise_evaluation"]:
        assert row in theirs["01_stagewise_evaluation"]


def test_a_report_of_the_notebook_stays(base, tmp_path):
    record = base / "reports/study-generated/05_feature_redundancy.json"
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
