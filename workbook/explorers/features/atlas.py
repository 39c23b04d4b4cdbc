"""An atlas: the same images under every checkpoint of several runs, their features and their maps in the plane."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from workbook.data.images import Images
from workbook.evaluation.embedding import Embedding, embed_epochs, has_map, turned_onto
from workbook.evaluation.extraction import POOLED, Features, over_epochs
from workbook.explorers.features.readings import readings
from workbook.figures.linked_maps import class_styles
from workbook.lab import Lab
from workbook.pretraining.runs import Run


class Atlas:
    """Maps of `images` by every run, epoch and kind of map; each is made when first asked for, and stored.

    runs: complete ones, of whose seeds and epochs those are shown that all have. side_of: class name -> "pre" or
    "eval", or the same for all classes where there is no concept split. perplexity: of t-SNE, and UMAP's number of
    neighbours. `styles` says how each class is drawn, see `class_styles`.
    """

    def __init__(
        self, runs: Sequence[Run], images: Images, side_of: dict[str, str], lab: Lab, *, perplexity: float = 30.0
    ) -> None:
        self.images, self.lab, self.perplexity = images, lab, perplexity
        self.side_of = {name: side_of[name] for name in images.class_names}
        self.styles = class_styles(self.side_of)
        self.runs = {(run.recipe.method, run.recipe.seed): run for run in runs}
        self.methods = tuple(dict.fromkeys(method for method, _ in self.runs))
        self.seeds = _shared({run.recipe.seed for run in runs if run.recipe.method == name} for name in self.methods)
        self.epochs = _shared(set(run.recipe.saved_epochs) for run in runs)
        if not self.seeds:
            raise ValueError(f"every method needs a run of the same seed, got {list(self.runs) or 'no runs'}")
        if not self.epochs:
            raise ValueError("the runs have no checkpoint of the same epoch: give them the same checkpoint_epochs")
        self._features: dict[tuple[str, int], dict[int, Features]] = {}
        self._maps: dict[tuple[str, int, str], dict[int, np.ndarray]] = {}

    @property
    def factors(self) -> pd.DataFrame:
        """The numbers that the images were drawn with, (N, F); no column where they were not drawn."""
        known = self.images.factors
        return pd.DataFrame(index=range(len(self.images))) if known is None else known.select_dtypes("number")

    def features(self, method: str, seed: int, epoch: int) -> np.ndarray:
        """The pooled features (N, D) of the images, memory-mapped."""
        return self._of_run(method, seed)[epoch].layer("pooled")

    def has_maps(self, method: str, seed: int, kind: str) -> bool:
        """Whether these maps are in memory, so that they can be shown at once."""
        return (method, seed, kind) in self._maps

    def maps(self, method: str, seed: int, kind: str = "t-SNE") -> dict[int, np.ndarray]:
        """One (N, 2) float32 map an epoch, within [-1, 1]; of NaN where the features of all images are the same.

        A map has no direction and no unit of its own: each is centred, scaled to the panel, and turned or mirrored,
        never bent. The last epoch is turned onto the principal components of the first run that has any, whatever the
        kind, the method and the seed, and every earlier epoch onto the one after it: the eye can follow a class from
        map to map.
        """
        key = (method, seed, kind)
        if key not in self._maps:
            embedding = Embedding(kind=kind, perplexity=self.perplexity)
            table = embed_epochs(list(self._of_run(method, seed).items()), embedding, self.lab.store)
            turned, onto = {}, self._reference
            for epoch in reversed(self.epochs):
                turned[epoch] = table.loc[table["epoch"] == epoch, ["x", "y"]].to_numpy()
                if np.isfinite(turned[epoch]).all():
                    onto = turned[epoch] = turned_onto(turned[epoch], onto)
            self._maps[key] = {epoch: _scaled(turned[epoch]) for epoch in self.epochs}
        return self._maps[key]

    def table(self, methods: Sequence[str], seed: int, kind: str = "t-SNE") -> pd.DataFrame:
        """The maps of these methods as one tidy table, by class: method, epoch, image, x, y and class_name."""
        labels = self.images.labels
        names, order = np.array(self.images.class_names)[labels], np.argsort(labels, kind="stable")
        parts = [
            pd.DataFrame(place[order], columns=["x", "y"]).assign(
                method=method, epoch=epoch, image=order, class_name=names[order]
            )
            for method in methods
            for epoch, place in self.maps(method, seed, kind).items()
        ]
        return pd.concat(parts, ignore_index=True)

    def measures(self, seed: int) -> pd.DataFrame:
        """The readings of all images, one row a method and epoch; see `readings.readings`."""
        sides, every = np.array(list(self.side_of.values())), np.arange(len(self.images))
        rows = []
        for method in self.methods:
            for epoch in self.epochs:
                found = readings(self.features(method, seed, epoch), self.images.labels, sides, every)
                rows.append({"method": method, "epoch": epoch} | {reading.name: reading.value for reading in found})
        return pd.DataFrame(rows).set_index(["method", "epoch"])

    def _of_run(self, method: str, seed: int) -> dict[int, Features]:
        key = (method, seed)
        if key not in self._features:
            found = over_epochs([self.runs[key]], self.images, POOLED, self.lab)
            self._features[key] = {epoch: features for _, epoch, features in found if epoch in self.epochs}
        return self._features[key]

    @cached_property
    def _reference(self) -> np.ndarray:
        """Stored as every map is: of thousands of images it takes seconds."""
        components = Embedding(kind="PCA", perplexity=self.perplexity)
        for method in self.methods:
            for epoch, features in reversed(self._of_run(method, self.seeds[0]).items()):
                if has_map(features.layer("pooled")):
                    return embed_epochs([(epoch, features)], components, self.lab.store)[["x", "y"]].to_numpy()
        return np.zeros((len(self.images), 2))


def draw_classes(side_of: dict[str, str], count: int, seed: int = 0) -> list[str]:
    """At most `count` classes of each side, drawn with `seed`; side_of: class name -> side."""
    if count < 1:
        raise ValueError(f"count must be at least 1 class of each side, got {count}")
    drawn = [str(name) for name in np.random.default_rng(seed).permutation(list(side_of))]
    sides = dict.fromkeys(side_of.values())
    return [name for side in sides for name in [other for other in drawn if side_of[other] == side][:count]]


def _shared(sets: Iterable[set[int]]) -> tuple[int, ...]:
    """What is in all of them, ascending."""
    first, *others = [*sets] or [set()]
    return tuple(sorted(first.intersection(*others)))


def _scaled(place: np.ndarray) -> np.ndarray:
    middle = (place.max(axis=0) + place.min(axis=0)) / 2
    return ((place - middle) / np.abs(place - middle).max()).astype(np.float32)
