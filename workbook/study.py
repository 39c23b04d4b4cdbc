"""A study: a profile and the lab that it is made in, in one hand, and what notebooks do with them.

Which features, which labels and which formula stays in the notebook: a study only trains, opens, extracts, stores and
records.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from workbook.data import load_images
from workbook.data.factors import VIEWS, Varied, apply_factors, drawn_factors
from workbook.data.images import Images
from workbook.data.manifests import load_manifest
from workbook.detection.scenes import Scenes
from workbook.detection.sources import load_scenes
from workbook.devices import make_fabric
from workbook.errors import ProfileError
from workbook.evaluation.embedding import Embedding, embed_epochs
from workbook.evaluation.entries import entries_of
from workbook.evaluation.extraction import POOLED, READINGS, STAGES, Extraction, Features, over_epochs
from workbook.evaluation.injection import Injected
from workbook.evaluation.measures import Measure, feature_measures, weight_diversity
from workbook.evaluation.readouts import Epochs, factor_readouts
from workbook.evaluation.scores import Scores, score_models
from workbook.evaluation.stagewise import stagewise_evaluation
from workbook.evaluation.transfer import Task, TransferProtocol, load_present, transfer_suite
from workbook.lab import Lab
from workbook.models.pretrained import Pretrained
from workbook.papers.claims import CLAIMS
from workbook.papers.verdicts import Verdict, judge, write_verdicts
from workbook.parameters import check_notebook
from workbook.pretraining.ablations import Arm, over_seeds
from workbook.pretraining.injection import injection_recipe, injection_vit_recipe, over_cycles, supervised_vit_recipe
from workbook.pretraining.recipe import Recipe, sweep
from workbook.pretraining.runs import Run, Runs, train_all
from workbook.profiles import PROTOCOLS, Profile, load_profile
from workbook.provenance import provenance
from workbook.store import Store

SUPERVISED = ("SL", "SL-MLP")


@dataclass(frozen=True)
class Study:
    """What a notebook holds: how large everything is (`profile`), and where it is made and kept (`lab`)."""

    profile: Profile
    lab: Lab
    trained_on: set[str] = field(default_factory=set, repr=False, compare=False)  # hardware of its runs so far

    @classmethod
    def of(cls, profile: str = "smoke", *, dataset: str | None = None, **overrides: Any) -> "Study":
        """The study of the profile of this name.

        dataset: what is pretrained on, a manifest's name or path; None = the profile's. overrides: see `load_profile`.
        In a notebook, its parameters are held to what they may be, and what was given but is none of them is refused.
        """
        check_notebook()
        given = overrides if dataset is None else overrides | {"dataset": dataset}
        chosen = load_profile(profile, **given)
        fabric = make_fabric(chosen.device, chosen.precision)
        engine = chosen.engine(fabric.device.type)
        return cls(chosen, Lab(Store(), fabric, engine, chosen.keep_features, chosen.devices))

    @property
    def dataset(self) -> str:
        return self.profile.recipe.dataset

    def upstream(self) -> "Study":
        """The study of transfer to other data sets: pretrained on all classes where the profile says so."""
        if not self.profile.transfer.all_classes:
            return self
        recipe = replace(self.profile.recipe, side=None)
        return replace(self, profile=replace(self.profile, recipe=recipe))

    def of_distances(self) -> "Study":
        """The study of several eval-Ds: pretrained on the profile's set of them, with the seeds of the ablations.

        Raises ProfileError where the profile has no such set.
        """
        recipe = replace(self.profile.recipe, dataset=self.profile.distances or self.dataset)
        found = replace(self, profile=replace(self.profile, recipe=recipe, seeds=self.profile.ablation.seeds))
        if not found.distances:
            raise ProfileError(
                f"{found.dataset} has one eval-D. Name a manifest whose concept split has distances: "
                "overrides={'distances': ...}."
            )
        return found

    @property
    def distances(self) -> tuple[str, ...]:
        """The names of several eval-Ds, each a side, the nearest first; none where there is one eval-D."""
        split = load_manifest(self.dataset).concept_split
        return () if split is None else tuple(split.distances)

    # runs

    def recipes(self, *methods: str) -> list[Recipe]:
        """One for every method and seed, methods in the outer order: SL and SL-MLP as the profile has them, all others
        as its ablation has."""
        own = (self.profile.recipe, self.profile.own_seeds)
        other = (self.profile.other_recipe, self.profile.ablation_seeds)
        chosen = [(method, *(own if method in SUPERVISED else other)) for method in methods]
        return [recipe for method, base, seeds in chosen for recipe in sweep(base, [method], seeds)]

    def train(self, *which: str | Recipe) -> Runs:
        """The runs of these methods or recipes, from the store or trained now, in this order."""
        recipes = [recipe for what in which for recipe in (self.recipes(what) if isinstance(what, str) else [what])]
        runs = train_all(recipes, self.lab)
        self.trained_on.update(filter(None, (run.artefact.provenance.get("hardware") for run in runs)))
        return runs

    def backbones(
        self, methods: Sequence[str], models: Sequence[str] | None = None
    ) -> dict[tuple[str, int], Pretrained]:
        """Method and seed -> the backbone that its run ended with, of as many seeds as the ablations have.

        models: files, names and lists of them in place of runs, see `entries_of`; an entry's name is its method, and
        the entries of one name are its seeds 0, 1 ... in their order.
        """
        if models is None:
            recipes = [recipe for recipe in self.recipes(*methods) if recipe.seed in self.profile.ablation_seeds]
            return {(run.recipe.method, run.recipe.seed): run.backbone() for run in self.train(*recipes)}
        found: dict[tuple[str, int], Pretrained] = {}
        for entry in entries_of(models):
            opened = entry.open(self.lab.store)
            method = entry.name or opened.name
            found[method, sum(name == method for name, _ in found)] = opened
        return found

    def starts(self, methods: Sequence[str] | None = None, vit_methods: Sequence[str] | None = None) -> list[Recipe]:
        """The self-supervised recipes that label injection starts from; None = the profile's methods."""
        chosen = self.profile.injection
        base, seeds = self.profile.other_recipe, self.profile.ablation_seeds
        found = sweep(base, chosen.methods if methods is None else methods, seeds)
        vit_methods = chosen.vit_methods if vit_methods is None else vit_methods
        return found + sweep(replace(base, backbone=chosen.vit), vit_methods, seeds)

    def injection_recipes(self, start: Run, cycles: Sequence[int | None] | None = None) -> list[Recipe]:
        """Label injections of a start, one for every control cycle; None = the profile's cycles."""
        chosen, own = self.profile.injection, start.recipe
        make = injection_vit_recipe if own.backbone == chosen.vit else injection_recipe
        base = replace(self.profile.ablation_recipe, backbone=own.backbone, seed=own.seed)
        return over_cycles(make(base, start.start(), 1, epochs=chosen.epochs), cycles or chosen.cycles)

    def injections(self, starts: Sequence[Run], cycles: Sequence[int | None] | None = None) -> list[Injected]:
        """Every start, followed by its label injections."""
        recipes = [self.injection_recipes(start, cycles) for start in starts]
        runs = iter(self.train(*(recipe for of_start in recipes for recipe in of_start)))
        found = []
        for start, of_start in zip(starts, recipes, strict=True):
            found += [Injected(start, start), *(Injected(start, run) for run in islice(runs, len(of_start)))]
        return found

    def labels_alone(self, starts: Sequence[Run]) -> dict[str, Run]:
        """key of a start -> the run of its backbone and seed that learned from labels alone."""
        recipes = {}
        for start in starts:
            (base,) = sweep(self.profile.recipe, ["SL"], [start.recipe.seed])
            vit = replace(base, backbone=self.profile.injection.vit)
            recipes[start.key] = supervised_vit_recipe(vit) if start.recipe.backbone == vit.backbone else base
        return dict(zip(recipes, self.train(*recipes.values()), strict=True))

    # images

    def measured(self, side: str | None = None) -> Images:
        """Training images of one side of the concept split (None = both), as many a class as are measured.

        Those of one side are among the images that are pretrained on where these are as many or more; those of both are
        drawn over all classes, and are others.
        """
        return load_images(self.dataset, "train", side=side).per_class(self.profile.measured_per_class)

    def probe_parts(self, side: str | None = "eval") -> tuple[Images, Images]:
        """The images of this side that probes are fitted to, and those that they are tested on."""
        train, test = (load_images(self.dataset, split, side=side) for split in ("train", "test"))
        return train.per_class(self.profile.probe_images_per_class), test

    def held_out(self) -> Images:
        """Test images of the classes that are pretrained on."""
        return load_images(self.dataset, "test", side=self.profile.recipe.side)

    def scenes(self) -> tuple[Scenes, Scenes]:
        """What detectors are trained on, and what they are tested on."""
        own = self.profile.detection
        return load_scenes(own.scenes, "train", own.train_scenes), load_scenes(own.scenes, "test", own.test_scenes)

    def varied(self, *, applied: bool = False) -> Varied:
        """Training images of pre-D, as many a class as factors are read from, and the factors: as they were drawn with,
        else, or where asked, in so many views with factors that are applied."""
        images = load_images(self.dataset, "train", side=self.profile.recipe.side)
        count = self.profile.readout_per_class
        if applied or images.factors is None:
            return apply_factors(images.per_class(max(1, count // VIEWS)))
        return drawn_factors(images.per_class(count))

    # measurements

    def features(
        self, runs: Sequence[Run], images: Images, layer: str = "pooled", *, every_epoch: bool = True
    ) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
        """Whose they are (method, seed, epoch), the features (N, D) of a layer, and the labels (N,) of the images.

        Of every checkpoint of every run, epochs ascending, or with `every_epoch` false of its last.
        """
        extraction = Extraction(layers=(layer,))
        for run, epoch, found in over_epochs(runs, images, extraction, self.lab, every_epoch=every_epoch):
            who = {"method": run.recipe.method, "seed": run.recipe.seed, "epoch": epoch}
            yield who, found.layer(layer), found.labels

    def measures(
        self,
        runs: Sequence[Run],
        images: Images,
        measures: Mapping[str, Measure],
        layer: str = "pooled",
        *,
        every_epoch: bool = True,
    ) -> pd.DataFrame:
        """`feature_measures` of a layer: method, seed, epoch, and a column for each measure."""
        extraction = Extraction(layers=(layer,))
        return feature_measures(runs, images, measures, extraction, self.lab, every_epoch=every_epoch)

    def diversity(self, runs: Sequence[Run], *, every_epoch: bool = True) -> pd.DataFrame:
        """`weight_diversity`: method, seed, epoch, cluster and spectral."""
        return weight_diversity(runs, self.lab, every_epoch=every_epoch)

    def stagewise(
        self,
        runs: Sequence[Run],
        layers: tuple[str, ...] | None = None,
        *,
        every_epoch: bool = False,
        side: str = "eval",
    ) -> pd.DataFrame:
        """`stagewise_evaluation` on eval-D, or on another side; layers: None = those of the profile's extraction, at
        its budget."""
        extraction = self.profile.extraction if layers is None else Extraction(layers=layers)
        parts, probe = self.probe_parts(side), self.profile.probe
        return stagewise_evaluation(runs, parts, extraction, probe, self.lab, every_epoch=every_epoch)

    def readouts(
        self, runs: Sequence[Run], varied: Varied, layers: tuple[str, ...], *, epochs: Epochs = "last"
    ) -> pd.DataFrame:
        """`factor_readouts` of these layers, stages within the budget of features of models of others."""
        extraction = replace(self.profile.score.extraction or POOLED, layers=layers)
        return factor_readouts(runs, varied, extraction, self.lab, epochs=epochs)

    def readings(self, runs: Sequence[Run]) -> pd.DataFrame:
        """The stages as `stagewise` has them, read in each of `READINGS`; a column `reading`."""
        own, parts, probe = self.profile.extraction, self.probe_parts(), self.profile.probe
        tables = []
        for name in READINGS:
            layers = own.layers if name == own.reading else STAGES
            extraction = replace(own, reading=name, layers=layers)
            tables.append(stagewise_evaluation(runs, parts, extraction, probe, self.lab).assign(reading=name))
        found = pd.concat(tables, ignore_index=True)
        return found[found["layer"].isin(STAGES)]

    def arms(self, arms: Sequence[Arm]) -> pd.DataFrame:
        """The arms of an ablation, trained with every seed, by the probe of their pooled features; a column `arm`."""
        seeded = over_seeds(arms, self.profile.ablation_seeds)
        runs = self.train(*(arm.recipe for arm in seeded))
        return self.stagewise(runs, ("pooled",)).assign(arm=[arm.label for arm in seeded])

    def maps(self, runs: Sequence[Run], images: Images) -> pd.DataFrame:
        """t-SNE of the pooled features at every epoch: method, epoch, image, label, x, y and class_name."""
        found = []
        for run in runs:
            epochs = [(epoch, Features(run, images, POOLED, self.lab, epoch)) for epoch in run.recipe.saved_epochs]
            found.append(embed_epochs(epochs, Embedding(), self.lab.store).assign(method=run.recipe.method))
        points = pd.concat(found)
        return points.assign(class_name=[images.class_names[label] for label in points["label"]])

    def tasks(self, sets: Sequence[str] | None = None) -> list[Task]:
        """Those of the sets that are on this machine, None = both papers'; of each of the others a line says how to
        get it."""
        chosen = self.profile.transfer
        present, missing = load_present(sets or chosen.sets, chosen.images_per_class)
        for name in missing:
            print(f"{name} is not on this machine: workbook data show {name.partition(':')[0]}")
        return present

    def protocols(self, *names: str) -> dict[str, TransferProtocol]:
        """How transfer is scored, by name, see `profiles.PROTOCOLS`; none given = the profile's."""
        return {name: PROTOCOLS[name](self.profile) for name in names or self.profile.transfer.protocols}

    def transfer(self, runs: Sequence[Run], tasks: Sequence[Task], *names: str) -> pd.DataFrame:
        """`transfer_suite` of these runs by the protocols of these names; none given = the profile's."""
        return transfer_suite(runs, tasks, self.protocols(*names), self.lab)

    def scores(self, models: Sequence[str], datasets: Sequence[str], *, stages: bool = True, **how: Any) -> Scores:
        """`score_models` of runs, files, names, and lists of them; stages: whether they are probed; how: what holds for
        each model, see `Entry`."""
        recipe = self.profile.score if stages else replace(self.profile.score, extraction=None)
        return score_models(entries_of(models, **how), datasets, recipe, self.lab)

    # what came out

    def verdicts(
        self,
        values: Mapping[str, pd.Series | pd.DataFrame],
        table: pd.DataFrame,
        *,
        premises: Mapping[str, pd.Series] | None = None,
        over: Sequence[str] = (),
        **given: Any,
    ) -> pd.DataFrame:
        """Judges the claims of these ids, records the verdicts with the table that they were made from, and shows them.

        values: what each claim's statistic takes, indexed by seed; see `workbook.papers.statistics.STATISTICS`.
        premises: of claims that hold on a condition, see `judge`. over: the downstream sets that they are a mean of,
        which the statements then name. given: parameters of the notebook that change what is measured, None where they
        are as they stand there; with them, with overrides, and over other sets than a paper's of the profile, such as
        those that are on this machine, a verdict is exploratory.
        """
        judged = self.judged(values, premises=premises, over=over, **given)
        seeds = sorted({seed for verdict in judged for seed in verdict.seeds})
        return write_verdicts(judged, self.provenance(), seeds=seeds, measurements=table)

    def provenance(self) -> dict[str, Any]:
        """As of everything that is made here, but for the hardware: what trained the runs, wherever that was."""
        made = provenance()
        return made | {"hardware": "; ".join(sorted(self.trained_on)) or made["hardware"]}

    def judged(
        self,
        values: Mapping[str, pd.Series | pd.DataFrame],
        *,
        premises: Mapping[str, pd.Series] | None = None,
        over: Sequence[str] = (),
        **given: Any,
    ) -> list[Verdict]:
        """The verdicts of `verdicts`, for a notebook that has others beside them."""
        changed = self.profile.changed | {name: value for name, value in given.items() if value is not None}
        chosen = self.profile.transfer
        if over and set(over) not in (set(chosen.sets_a), set(chosen.sets_b)):
            changed |= {"sets": ", ".join(over)}
        measured = f" (measured: mean of {', '.join(over)}; its interval covers seeds alone)" if over else ""
        return [
            judge(
                replace(CLAIMS[claim], statement=CLAIMS[claim].statement + measured),
                found,
                profile=self.profile.name,
                changed=changed,
                premise=(premises or {}).get(claim),
            )
            for claim, found in values.items()
        ]
