"""SL and SL-MLP of the study within some minutes of one GPU, without notebooks, and their records.

    python tests/benchmarks/study_on_gpu.py train OUT --until 335 &    # seconds from now; as many seeds as fit
    python tests/benchmarks/study_on_gpu.py measure OUT --until 350    # each run as soon as it is trained
    python tests/benchmarks/study_on_gpu.py judge OUT                  # OUT/study/*.json, for `workbook results adopt`

One process trains the protocol's seeds in their order, both methods of a seed in turn, and begins no seed that the last
one's time says it cannot end; the other measures what is done. How many seeds there are is decided by the clock alone.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbook import Study, load_images
from workbook.evaluation.extraction import POOLED, Extraction, extract, head_accuracy
from workbook.evaluation.stagewise import probe_layers
from workbook.files import CHECKOUT
from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy
from workbook.papers.verdicts import write_verdicts
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import Run, _plan
from workbook.provenance import provenance
from workbook.report.notebooks import read_notebook, title_of
from workbook.report.record import ReportResult, read_findings, write_record

STARTED = time.monotonic()
NEIGHBOURS = 10  # notebook 04's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["train", "measure", "judge"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--until", type=float, default=float("inf"), help="seconds after which nothing is begun")
    parser.add_argument("--overrides", type=json.loads, default={}, help="of the profile, as JSON")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    study = Study.of("study", **args.overrides)
    {"train": train, "measure": measure, "judge": judge}[args.role](study, args.out, args.until)


def recipes(study: Study) -> Iterator[tuple[Recipe, Recipe]]:
    """SL and SL-MLP, seed by seed."""
    return zip(study.recipes("SL"), study.recipes("SL-MLP"), strict=True)


def clock() -> float:
    return time.monotonic() - STARTED


def train(study: Study, out: Path, until: float) -> None:
    took = 0.0
    for pair in recipes(study):
        before = clock()
        if before + took > until:
            break
        for run in study.train(*pair):
            print(f"[{clock():.0f} s] {run.recipe.title}: {run.history['seconds'].sum():.1f} s", flush=True)
        took = clock() - before
    (out / "trained").touch()


def measure(study: Study, out: Path, until: float) -> None:
    rows: list[dict[str, Any]] = []
    for plan in _plan([recipe for pair in recipes(study) for recipe in pair], study.lab):
        while not plan.stored(study.lab):
            if (out / "trained").exists() or clock() > until:
                return
            time.sleep(0.3)
        rows.append(measured(plan.run(study.lab, stored=True), study))
        print(f"[{clock():.0f} s] {plan.recipe.title}: {rows[-1]['probes']}", flush=True)
        (out / "rows.json").write_text(json.dumps({"rows": rows, "provenance": provenance(), "seconds": clock()}))


def measured(run: Run, study: Study) -> dict[str, Any]:
    """What notebooks 01, 03, 04 and 05 measure at the last epoch, stages 4 and 5 as whole maps."""
    images, eval_names = study.measured(), set(load_images(study.dataset, "train", side="eval").class_names)
    of_eval = np.array([name in eval_names for name in images.class_names])
    found = extract(run, images, POOLED, study.lab)
    x, y = found.layer("pooled"), found.labels
    row: dict[str, Any] = {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": run.recipe.epochs}
    row |= {"run": run.key, "pi": feature_mixture(x, y, of_eval.tolist(), k=NEIGHBOURS)}
    for side, wanted in (("pre", False), ("eval", True)):
        kept = of_eval[y] == wanted
        labels = np.unique(y[kept], return_inverse=True)[1]
        row |= {f"phi_{side}": discriminative_ratio(x[kept], labels), f"R_{side}": feature_redundancy(x[kept])}
    row["accuracy_on_pre"] = head_accuracy(run, study.held_out(), study.lab)
    own = study.profile.extraction
    whole = Extraction(stage_budget=own.stage_budget, layers=("stage4", "stage5", "pooled"), dtype=own.dtype)
    parts = [extract(run, part, whole, study.lab) for part in study.probe_parts()]
    row["probes"] = probe_layers(*parts, study.profile.probe, study.lab)
    return row


def judge(study: Study, out: Path, until: float) -> None:
    stored = json.loads((out / "rows.json").read_text())
    rows = pd.DataFrame(stored["rows"])
    of_run = ["method", "seed", "epoch"]
    probes = pd.DataFrame([{n: row[n] for n in of_run} | probe for row in stored["rows"] for probe in row["probes"]])
    wide = rows.drop(columns="probes").merge(probes[probes["layer"] == "pooled"][[*of_run, "accuracy"]], on=of_run)
    accuracy = probes.pivot(index=["method", "seed"], columns="layer", values="accuracy")
    last = wide.set_index(["method", "seed"])
    sl, mlp = accuracy.loc["SL"].join(last.loc["SL"]), accuracy.loc["SL-MLP"].join(last.loc["SL-MLP"])
    claims = {
        "01_stagewise_evaluation": {
            "A.stages.sl-drops": sl["stage4"] - sl["stage5"],
            "A.stages.slmlp-rises": mlp["stage5"] - mlp["stage4"],
            "A.pooled.slmlp-above": mlp["pooled"] - sl["pooled"],
        },
        "03_intra_class_variation": {"A.variation.phi": sl["phi_pre"] - mlp["phi_pre"]},
        "04_feature_mixture": {"A.mixture.pi": mlp["pi"] - sl["pi"]},
        "05_feature_redundancy": {"A.redundancy.sl": sl["R_pre"] - mlp["R_pre"]},
    }
    folder = out / "study"
    folder.mkdir(exist_ok=True)
    for name, values in claims.items():
        os.environ["WORKBOOK_REPORT"] = str(out / "findings.json")
        table = probes if name.startswith("01") else wide
        write_verdicts(study.judged(values), stored["provenance"], seeds=list(sl.index), measurements=table)
        record = ReportResult(
            notebook=name,
            title=title_of(read_notebook(CHECKOUT / "notebooks" / f"{name}.ipynb"), name),
            profile="study",
            status="passed",
            date=stored["provenance"]["date"],
            seconds=stored["seconds"],
            parameters={"measured by": "tests/benchmarks/study_on_gpu.py", "overrides": {"seeds": len(sl)}},
            findings=read_findings(out / "findings.json"),
        )
        write_record(folder, record)


if __name__ == "__main__":
    main()
