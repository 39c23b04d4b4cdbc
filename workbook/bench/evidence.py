"""SL and SL-MLP of a profile, trained and measured seed by seed within a budget, and the records of what they say.

What is dear is stored as notebooks store it: a later call goes on where one stopped, and a notebook finds the runs.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbook.bench.budget import Budget
from workbook.data import load_images
from workbook.data.images import Images
from workbook.errors import ReportError
from workbook.evaluation.extraction import POOLED, STAGES, extract, head_accuracy
from workbook.evaluation.stagewise import stagewise_evaluation
from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy
from workbook.papers import differences
from workbook.papers.verdicts import as_findings
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import Run, train_each
from workbook.provenance import provenance
from workbook.report.record import ReportResult, read_records, write_record, write_table
from workbook.report.survey import NOTEBOOKS
from workbook.study import SUPERVISED, Study

MEASURED_BY = "python -m workbook.bench gpu"
_PREMISED = "A.variation.phi-eval"
LATE = ("stage4", "stage5", "pooled")  # what the first claims are about; the earlier stages take longer
_OF = {
    "01_stagewise_evaluation": differences.of_stages,
    "03_intra_class_variation": differences.of_variation,
    "04_feature_mixture": differences.of_mixture,
    "05_feature_redundancy": differences.of_redundancy,
}


@dataclass
class Evidence:
    """Where the records go, and what is known so far.

    stages: one row a run and layer, as `stagewise_evaluation` has them, of the last epoch. measures: one row a run and
    epoch: pi, and of each side phi and R, of the pooled features; accuracy, of their probe on eval-D.
    """

    study: Study
    out: Path
    budget: Budget
    given: Mapping[str, Any]  # overrides of the profile
    took: float = 0.0  # seconds of training that a run takes at most, as far as is known
    measuring: float = 0.0  # the same of what follows its training
    unmeasured: int = 0  # runs whose training was begun
    stages: pd.DataFrame = field(default_factory=pd.DataFrame)
    measures: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        for record in read_records(self.out):
            if record.notebook in _OF and record.parameters.get("measured by") != MEASURED_BY:
                raise ReportError(f"{self.out} holds the report of {record.notebook}: name another folder with --out")

    def gather(self) -> None:
        """First what claims on the last epoch take, then what those on early stages and on curves take."""
        runs = []
        for run in train_each(self._in_time(), self.study.lab):
            runs.append(run)
            self.took = max(self.took, float(run.history["seconds"].sum()))
            before = self.budget.spent
            self._measure(run)
            self._write()
            self.measuring = max(self.measuring, self.budget.spent - before)
            self.unmeasured -= 1
        self._measure_early_stages(runs)
        self._measure_curves(runs)
        self._write()

    def _in_time(self) -> Iterator[Recipe]:
        """The recipes, both of a seed in turn, as long as one more seed fits in, and what is begun with it."""
        for pair in zip(*(self.study.recipes(method) for method in SUPERVISED), strict=True):
            training = self.took * (2 if self.study.lab.jobs == 1 else 1)
            seconds = training + self.measuring * (self.unmeasured + len(pair))
            if self.budget.allows(f"seed {pair[0].seed}, which takes about {seconds:.0f} s", seconds):
                self.unmeasured += len(pair)
                yield from pair

    def _measure(self, run: Run) -> None:
        """The last epoch."""
        found = self._stagewise(run, LATE)
        self.stages = pd.concat([self.stages, found], ignore_index=True)
        row = self._of_features(run, run.recipe.epochs)
        row["accuracy"] = found.set_index("layer")["accuracy"]["pooled"]
        row["accuracy_on_pre"] = head_accuracy(run, self._held_out, self.study.lab)
        self.measures = pd.concat([self.measures, pd.DataFrame([row])], ignore_index=True)

    def _measure_early_stages(self, runs: Sequence[Run]) -> None:
        tables = [self.stages]
        for run in runs:
            if not self.budget.allows("the stages before the fourth"):
                return
            tables.append(self._stagewise(run, tuple(stage for stage in STAGES if stage not in LATE)))
        self.stages = pd.concat(tables, ignore_index=True)

    def _measure_curves(self, runs: Sequence[Run]) -> None:
        rows = []
        for run in runs:
            if not self.budget.allows("the epochs before the last"):
                return
            accuracy = self._stagewise(run, ("pooled",), every_epoch=True).set_index("epoch")["accuracy"]
            earlier = run.recipe.saved_epochs[:-1]
            rows += [self._of_features(run, epoch) | {"accuracy": accuracy[epoch]} for epoch in earlier]
        self.measures = pd.concat([self.measures, pd.DataFrame(rows)], ignore_index=True)

    def _of_features(self, run: Run, epoch: int) -> dict[str, Any]:
        """What notebooks 03, 04 and 05 measure of the pooled features, of images of both sides in one pass."""
        images, is_eval = self._images
        found = extract(run, images, POOLED, self.study.lab, epoch=epoch)
        x, y = found.layer("pooled"), found.labels
        row: dict[str, Any] = {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": epoch, "run": run.key}
        row["pi"] = feature_mixture(x, y, is_eval)
        for side, kept in {"pre": ~is_eval[y], "eval": is_eval[y]}.items():
            row[f"phi_{side}"] = discriminative_ratio(x[kept], y[kept])
            row[f"R_{side}"] = feature_redundancy(x[kept])
        return row

    @cached_property
    def _images(self) -> tuple[Images, np.ndarray]:
        """The images that features are measured on, and of each class whether it is of eval-D."""
        images = self.study.measured()
        eval_names = set(load_images(self.study.dataset, "train", side="eval").class_names)
        return images, np.array([name in eval_names for name in images.class_names])

    @cached_property
    def _probed(self) -> tuple[Images, Images]:
        return self.study.probe_parts()

    @cached_property
    def _held_out(self) -> Images:
        return self.study.held_out()

    def _stagewise(self, run: Run, layers: tuple[str, ...], *, every_epoch: bool = False) -> pd.DataFrame:
        """These layers as notebook 01 reads them."""
        profile, lab = self.study.profile, self.study.lab
        extraction = replace(profile.extraction, layers=layers)
        return stagewise_evaluation([run], self._probed, extraction, profile.probe, lab, every_epoch=every_epoch)

    def _write(self) -> None:
        """A record for each notebook, of the seeds that both methods have."""
        if self.stages.empty:
            return
        both = self.stages.groupby("seed")["method"].nunique() == len(SUPERVISED)
        seeds = sorted(both.index[both])
        stages, measures = (table[table["seed"].isin(seeds)] for table in (self.stages, self.measures))
        for notebook, judged_by in _OF.items() if seeds else ():
            table = stages if judged_by is differences.of_stages else measures
            values, made = judged_by(table), provenance()
            premises = {_PREMISED: differences.beyond_threshold(table)} if _PREMISED in values else {}
            verdicts = self.study.judged(values, premises=premises)
            record = ReportResult(
                notebook=notebook,
                title=_title(notebook),
                profile=self.study.profile.name,
                status="passed",
                date=str(made["date"]),
                seconds=round(self.budget.spent, 1),
                parameters={"measured by": MEASURED_BY, "overrides": {**self.given, "seeds": len(seeds)}},
                findings=as_findings(verdicts, made, seeds=seeds, measurements=table),
            )
            write_record(self.out, record)
            write_table(self.out, record)


def _title(notebook: str) -> str:
    """Its first line, without what reads notebooks."""
    first = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].lstrip("# ")
