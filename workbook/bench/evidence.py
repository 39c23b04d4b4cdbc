"""Runs of a profile, trained and measured within a budget, and the records of what they say.

What is dear is stored as notebooks store it: a later call goes on where one stopped, and a notebook finds the runs.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from workbook.bench.budget import Budget
from workbook.errors import DivergedError, ReportError
from workbook.evaluation.extraction import STAGES, head_accuracy
from workbook.evaluation.stagewise import stagewise_evaluation
from workbook.lab import Lab
from workbook.metrics import discriminative_ratio, feature_mixture, feature_redundancy
from workbook.papers import differences
from workbook.papers.verdicts import as_findings
from workbook.pretraining import ablations
from workbook.pretraining.ablations import Arm, over_seeds
from workbook.pretraining.loop import images_to_train
from workbook.pretraining.recipe import Recipe, without_mlp
from workbook.pretraining.runs import Run, pretraining_images, train
from workbook.profiles import Profile
from workbook.provenance import provenance
from workbook.report.record import ReportResult, read_records, write_record, write_table
from workbook.report.survey import NOTEBOOKS
from workbook.study import SUPERVISED, Study

MEASURED_BY = "python -m workbook.bench gpu"
PAIRS = ("MoCo v2", "BYOL", "SupCon", "MoCo v1 w/ MLP")  # each is compared with itself without MLP
_PREMISED = "A.variation.phi-eval"
_OF = {
    "01_stagewise_evaluation": differences.of_stages,
    "03_intra_class_variation": differences.of_variation,
    "04_feature_mixture": differences.of_mixture,
    "05_feature_redundancy": differences.of_redundancy,
}
_OF_MLP = "02_mlp_ablation"


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A recipe, and what is measured of its run besides the pooled features at its end."""

    recipe: Recipe
    stages: bool = False
    every_epoch: bool = False

    @property
    def work(self) -> int:
        """Images that it trains on."""
        return images_to_train(self.recipe, pretraining_images(self.recipe))


@dataclass(frozen=True)
class _Found:
    """Of one run. stages: one row a layer, as `stagewise_evaluation` has them, of the last epoch. measures: one row an
    epoch: pi, and of each side phi and R, of the pooled features; accuracy, of their probe on eval-D."""

    job: _Job
    seconds: float = 0.0
    stages: pd.DataFrame = field(default_factory=pd.DataFrame)
    measures: pd.DataFrame = field(default_factory=pd.DataFrame)
    problem: str = ""  # why there is nothing


@dataclass
class Evidence:
    """Where the records go, and what is known so far."""

    study: Study
    out: Path
    budget: Budget
    given: Mapping[str, Any]  # overrides of the profile
    rates: dict[str, float] = field(default_factory=dict)  # method -> seconds an image that is trained on, at most
    found: dict[Recipe, _Found] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for record in read_records(self.out):
            if record.notebook in {*_OF, _OF_MLP} and record.parameters.get("measured by") != MEASURED_BY:
                raise ReportError(f"{self.out} holds the report of {record.notebook}: name another folder with --out")

    def gather(self) -> None:
        """As many runs at a time as the study says, each by a process of its own."""
        todo = partial(_measured, self.study.profile)
        bar = tqdm(disable=True, total=0)
        for _, found in self.study.lab.map(todo, self._in_time(), bar, title=lambda job: job.recipe.title):
            self._take(found)

    def _take(self, found: _Found) -> None:
        recipe = found.job.recipe
        if found.problem:
            self.budget.left_out.append(f"{recipe.title}: {found.problem}")
            return
        self.rates[recipe.method] = max(found.seconds / found.job.work, self.rates.get(recipe.method, 0.0))
        self.found[recipe] = found
        self._write()

    def _in_time(self) -> Iterator[_Job]:
        """What fits in, by what its method took before, or by what took longest."""
        for job in self._jobs():
            seconds = job.work * self.rates.get(job.recipe.method, max(self.rates.values(), default=0.0))
            what = f"{job.recipe.epochs} epochs of {job.recipe.title}, which take about {seconds:.0f} s"
            if self.budget.allows(what, seconds):
                yield job

    def _jobs(self) -> list[_Job]:
        """SL and SL-MLP first, then what many claims need; each recipe once."""
        own = [recipe for pair in zip(*map(self.study.recipes, SUPERVISED), strict=True) for recipe in pair]
        jobs = [_Job(recipe=recipe, stages=True, every_epoch=True) for recipe in own]
        first, *others = [self.study.recipes(pair, without_mlp(pair)) for pair in PAIRS]
        arms = [[arm.recipe for arm in arms] for arms in self._arms.values()]
        for group in [first, others[0], *arms, self._shorter, *others[1:]]:
            for recipe in group:
                of_arm = recipe.objective.name == "SL"
                jobs.append(_Job(recipe=recipe, stages=not of_arm, every_epoch=not of_arm))
        once: dict[Recipe, _Job] = {}
        for job in jobs:  # an arm may be a run that is measured in full
            once.setdefault(job.recipe, job)
        return [*once.values()]

    @property
    def _arms(self) -> dict[str, list[Arm]]:
        """A Table 5's, and those of Fig. 10a where the profile has them, with every seed, as notebook 02 does."""
        profile = self.study.profile
        length = profile.ablation.component_epochs or profile.recipe.epochs
        found = {"components": ablations.components(ablations.trained(profile.recipe, length))}
        if (sweep := "number of projectors") in profile.ablation.sweeps:
            found[sweep] = ablations.SWEEPS[sweep](profile.ablation_recipe, ())
        return {name: over_seeds(arms, profile.ablation_seeds) for name, arms in found.items()}

    @property
    def _shorter(self) -> list[Recipe]:
        """SL over a third of its epochs, as notebook 05 has it."""
        recipe = self.study.profile.recipe
        third = ablations.trained(recipe, ablations.lengths(recipe)[0])
        return [replace(third, seed=seed) for seed in self.study.profile.own_seeds]

    def _write(self) -> None:
        """A record for each notebook, of the seeds that SL and SL-MLP both have."""
        both = [{recipe.seed for recipe in self.study.recipes(name) if recipe in self.found} for name in SUPERVISED]
        if not (seeds := sorted(set.intersection(*both))):
            return
        names = [*SUPERVISED, *(name for pair in PAIRS for name in (pair, without_mlp(pair)))]
        runs = [recipe for recipe in self.study.recipes(*names) if recipe in self.found and recipe.seed in seeds]
        measures, shorter = self._measures(runs), [recipe for recipe in self._shorter if recipe in self.found]
        for notebook, judged_by in _OF.items():
            stages = judged_by is differences.of_stages
            table = pd.concat([self.found[recipe].stages for recipe in runs]) if stages else measures
            values = judged_by(table)
            if judged_by is differences.of_redundancy and shorter:
                values |= differences.of_length(measures, self._measures(shorter))
            self._record(notebook, seeds, values, table, measures)
        self._record(_OF_MLP, seeds, *self._of_mlp(measures), measures)

    def _of_mlp(self, measures: pd.DataFrame) -> tuple[differences.Differences, pd.DataFrame]:
        """What notebook 02 judges, and the tables that it is made from."""
        accuracy = differences.at_end(measures)["accuracy"].unstack("seed")
        values, tables = differences.of_mlp(accuracy), [measures]
        for name, arms in self._arms.items():
            if any(arm.recipe not in self.found for arm in arms):
                continue
            ends = [self._measures([arm.recipe]).iloc[[-1]].assign(arm=arm.label) for arm in arms]
            tables.append(pd.concat(ends))
            if name == "components":
                signed = tables[-1].assign(phi=-tables[-1]["phi_pre"], redundancy=-tables[-1]["R_pre"])
                values |= differences.of_components(signed)
            else:
                counts = tables[-1].pivot(index="arm", columns="seed", values="accuracy")
                values |= differences.of_projector_counts(counts, ablations.lengths(self.study.profile.ablation_recipe))
        return values, pd.concat(tables)

    def _measures(self, runs: list[Recipe]) -> pd.DataFrame:
        return pd.concat([self.found[recipe].measures for recipe in runs], ignore_index=True)

    def _record(
        self,
        notebook: str,
        seeds: list[int],
        values: differences.Differences,
        table: pd.DataFrame,
        measures: pd.DataFrame,
    ) -> None:
        made, premises = provenance(), differences.if_learned(values, measures)
        premises |= {_PREMISED: differences.beyond_threshold(table)} if _PREMISED in values else {}
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


def _measured(profile: Profile, job: _Job, lab: Lab, bar: tqdm) -> _Found:
    """Of a run from the store, or trained now; its bars are nobody's."""
    os.environ["WORKBOOK_PROGRESS"] = os.devnull
    study = Study(profile, lab)
    began = time.monotonic()
    try:
        run = train(job.recipe, study.lab)
    except DivergedError as error:
        return _Found(job, problem=str(error))
    parts = study.probe_parts()

    def probed(layers: tuple[str, ...], *, every_epoch: bool = False) -> pd.DataFrame:
        """These layers as notebook 01 reads them."""
        extraction = replace(profile.extraction, layers=layers)
        return stagewise_evaluation([run], parts, extraction, profile.probe, study.lab, every_epoch=every_epoch)

    stages = probed((*STAGES, "pooled")) if job.stages else pd.DataFrame()
    accuracy = probed(("pooled",), every_epoch=job.every_epoch)["accuracy"]
    measures = _of_features(run, study, every_epoch=job.every_epoch).assign(accuracy=accuracy)
    if run.recipe.objective.name == "SL":
        on_pre = head_accuracy(run, study.held_out(), study.lab)
        measures.loc[measures["epoch"] == run.recipe.epochs, "accuracy_on_pre"] = on_pre
    return _Found(job, time.monotonic() - began, stages, measures)


def _of_features(run: Run, study: Study, *, every_epoch: bool) -> pd.DataFrame:
    """What notebooks 03, 04 and 05 measure of the pooled features."""
    sides = {side: study.measured(side) for side in ("pre", "eval")}
    both = study.measured()
    is_eval = np.isin(both.class_names, sides["eval"].class_names)
    mixture = {"pi": partial(feature_mixture, is_eval_class=is_eval.tolist())}
    found = study.measures([run], both, mixture, every_epoch=every_epoch)
    for side, images in sides.items():
        metrics = {f"phi_{side}": discriminative_ratio, f"R_{side}": feature_redundancy}
        found = found.merge(study.measures([run], images, metrics, every_epoch=every_epoch))
    return found.assign(run=run.key)


def _title(notebook: str) -> str:
    """Its first line, without what reads notebooks."""
    first = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].lstrip("# ")
