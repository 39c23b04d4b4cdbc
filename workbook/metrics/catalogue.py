"""Every measure of features under the name that the literature has for it, and all of them at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor

from workbook.metrics.blocks import Array, drawn, read
from workbook.metrics.collapse import cdnv, class_mean_accuracy, directional_cdnv, nc1, nc2, nc3, nc4
from workbook.metrics.evidence import h_score, logme, transrate
from workbook.metrics.fisher import ncti_parts, sfda
from workbook.metrics.moments import feature_moments
from workbook.metrics.overlap import gbc, parc
from workbook.metrics.redundancy import feature_redundancy
from workbook.metrics.source import leep, nce, nleep
from workbook.metrics.spectrum import alpha_req, effective_rank, lidar, nesum, participation_ratio, rankme
from workbook.metrics.sphere import alignment, uniformity
from workbook.metrics.variation import (
    discriminative_ratio,
    inter_class_separation,
    intra_class_variance,
    mean_silhouette,
)

_REGULARISED = partial(h_score, shrinkage="ledoit-wolf")
_DIAGONAL = partial(gbc, covariance="diagonal")


@dataclass(frozen=True)
class Measure:
    """One measure: what it is called and means, what must be given for it, and the function that it is.

    needs: "features" alone; "labels" too; "source", the probabilities of a source head, in place of the features;
    "head", the weight and bias of a head over the labels' own classes, beside features and labels.
    reads: "moments", one pass over all samples that all these share; "rows", as often as it likes; "both", rows and the
    moments of the same. best: the value that its source takes for the best to transfer, or in whose direction.
    """

    name: str
    title: str  # with the direction
    needs: Literal["features", "labels", "source", "head"]
    reads: Literal["moments", "rows", "both"]
    function: Callable[..., float | dict[str, float]]
    seeded: bool = False  # draws, from an argument `seed`
    best: float = math.inf


_ALL = (
    Measure("RankMe", "directions that are used, not centred (higher = more)", "features", "moments", rankme),
    Measure("effective rank", "directions of the variance (higher = more)", "features", "moments", effective_rank),
    Measure("participation ratio", "the same (higher = more)", "features", "moments", participation_ratio),
    Measure("NESum", "variance over that of the first direction (higher = more)", "features", "moments", nesum),
    Measure(
        "alpha-ReQ", "exponent of the spectrum's decay (near 1 = best)", "features", "moments", alpha_req, best=1.0
    ),
    Measure("R", "feature redundancy (lower = less)", "features", "moments", feature_redundancy, best=-math.inf),
    Measure(
        "uniformity", "spread over the sphere (lower = more even)", "features", "rows", uniformity, True, best=-math.inf
    ),
    Measure("phi", "discriminative ratio (higher = further apart)", "labels", "moments", discriminative_ratio),
    Measure("V_intra", "intra-class variance (higher = wider)", "labels", "moments", intra_class_variance),
    Measure("S_inter", "inter-class separation (higher = further apart)", "labels", "moments", inter_class_separation),
    Measure("MSC", "mean silhouette (higher = better separated)", "labels", "rows", mean_silhouette),
    Measure(
        "alignment",
        "squared distance within classes (lower = narrower)",
        "labels",
        "moments",
        alignment,
        best=-math.inf,
    ),
    Measure("NC1", "width of the classes for their distance (0 = collapsed)", "labels", "moments", nc1, best=-math.inf),
    Measure(
        "NC2", "distance of the class means from a simplex (0 = simplex)", "labels", "moments", nc2, best=-math.inf
    ),
    Measure("NC3", "distance of head and class means (0 = dual)", "head", "moments", nc3, best=-math.inf),
    Measure("NC4", "the head decides as the nearest mean (1 = always)", "head", "rows", nc4),
    Measure("class-mean accuracy", "nearest mean is the own (higher = better)", "labels", "rows", class_mean_accuracy),
    Measure(
        "CDNV", "width of two classes for their distance (0 = collapsed)", "labels", "moments", cdnv, best=-math.inf
    ),
    Measure(
        "directional CDNV",
        "width towards the other class (0 = collapsed)",
        "labels",
        "rows",
        directional_cdnv,
        best=-math.inf,
    ),
    Measure("LiDAR", "directions that tell classes apart (higher = more)", "labels", "rows", lidar),
    Measure("LogME", "log evidence of a linear model (higher = better)", "labels", "moments", logme),
    Measure("H-score", "variance of the class means (higher = better)", "labels", "moments", h_score),
    Measure("regularised H-score", "the same, shrunk (higher = better)", "labels", "moments", _REGULARISED),
    Measure("TransRate", "mutual information by coding rates (higher = better)", "labels", "both", transrate),
    Measure("SFDA", "probability of the own class, made harder (higher = better)", "labels", "both", sfda),
    Measure("NCTI", "parts for a pool: SELI and NCC (higher), VC (lower = better)", "labels", "both", ncti_parts),
    Measure("NLEEP", "log probability by clusters (higher = better)", "labels", "rows", nleep, True),
    Measure("LEEP", "log probability by the head's classes (higher = better)", "source", "rows", leep),
    Measure("NCE", "minus entropy given the head's class (higher = better)", "source", "rows", nce),
    Measure("PARC", "unlike samples have other labels (higher = better)", "labels", "rows", parc, True),
    Measure("GBC", "overlap of the classes, spherical (higher = less)", "labels", "both", gbc),
    Measure("diagonal GBC", "the same, a variance a component (higher = less)", "labels", "both", _DIAGONAL),
)
_NEEDED = {"labels": "labels", "source": "a source head", "head": "a linear head over these classes"}
MEASURES = {measure.name: measure for measure in _ALL}


def merit(name: str, values: Any) -> Any:
    """A measure's values turned so that higher is what its source takes for better: name as `measure_all` has it.

    Less the distance to the best value where that is a number. V_intra is taken as paper A has it, which wants the
    variation within classes kept. Raises KeyError for a name that is no measure's.
    """
    measure = MEASURES.get(name) or MEASURES[name.partition(" ")[0]]  # or a part
    best = -math.inf if name == "NCTI VC" else measure.best
    if math.isfinite(best):
        return -abs(values - best)
    return values if best > 0 else -values


def measure_all(
    features: Array,
    labels: Any = None,
    *,
    source: Callable[[Tensor], Tensor] | None = None,
    head: tuple[Array, Array | None] | None = None,
    seed: int = 0,
    rows: int = 20_000,
) -> dict[str, float | str]:
    """Every measure of the catalogue: its value, or in words why it does not apply. Parts are "NC2 cos" and so on.

    features: (N, D) float. labels: (N,) int, at least two classes. source: the source head, features (n, D) in float64
    -> probabilities (n, Z), see `leep`. head: weight and bias, see `nc4`. Measures that need what is not given say so.
    Those that read moments share one pass over all samples; the others see at most `rows` of them, drawn from `seed`.
    Raises ValueError for features and labels that no measure takes.
    """
    moments = feature_moments(features, labels)
    numbers = drawn(features, rows, seed)
    part, own = features[numbers], moments.classes.index[numbers]
    # of a sample each measure that needs them makes its own, or says why it cannot
    of_part = moments if len(numbers) == len(features) else None
    absent = {need for need, given in (("labels", labels), ("source", source), ("head", head)) if given is None}
    theta = None if source is None else source(read(part, slice(None)))
    values: dict[str, float | str] = {}
    for measure in _ALL:
        needs = {measure.needs} if measure.needs == "features" else {measure.needs, "labels"}
        if lacks := sorted(absent & needs):
            values[measure.name] = f"needs {' and '.join(_NEEDED[need] for need in lacks)}"
            continue
        of_rows = (part,) if measure.needs == "features" else (theta if measure.needs == "source" else part, own)
        options: dict[str, Any] = {"seed": seed} if measure.seeded else {}
        if head is not None and measure.needs == "head":
            options = {"weight": head[0]} | ({"bias": head[1]} if measure.reads == "rows" else {})
        options |= {"moments": of_part} if measure.reads == "both" else {}
        arguments = (moments,) if measure.reads == "moments" else of_rows
        values |= _tried(measure.name, partial(measure.function, *arguments, **options))
    return values


def _tried(name: str, function: Callable[[], float | dict[str, float]]) -> dict[str, float | str]:
    try:
        found = function()
    except ValueError as error:
        return {name: str(error)}
    parts = {f"{name} {part}": value for part, value in found.items()} if isinstance(found, dict) else {name: found}
    return {part: value if math.isfinite(value) else f"is {value} here" for part, value in parts.items()}
