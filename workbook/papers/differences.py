"""What the claims of notebooks 01 to 05, 09, 14, 15 and 17 are judged by, from what was measured.

Each function takes a tidy table, which has `method` and `seed` beside the columns that it names, and gives what the
statistic of each claim takes: a difference a seed, positive where the paper is right. Methods are compared seed by
seed, over the seeds that both have. A claim on methods, layers or epochs that are not in the table is left out.
"""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import pandas as pd

from workbook.papers.claims import CLAIMS
from workbook.papers.statistics import falls, paired, rank_agreements
from workbook.papers.turning_points import turning_place, turning_points

Differences = dict[str, pd.Series | pd.DataFrame]
Values = TypeVar("Values", pd.Series, pd.DataFrame)

_OF_RUN = ["method", "seed"]
_EARLY = ["stage1", "stage2", "stage3", "stage4"]
# a method with its MLP and without, by what ids of claims call it
_PAIRS = {
    "byol": ("BYOL", "BYOL w/o MLP"),
    "mocov1": ("MoCo v1 w/ MLP", "MoCo v1"),
    "mocov2": ("MoCo v2", "MoCo v2 w/o MLP"),
    "supcon": ("SupCon", "SupCon w/o MLP"),
}


def of_stages(table: pd.DataFrame) -> Differences:
    """A 3.2, 3.3, 4.2, notebook 01. table: layer, accuracy (percent on eval-D), of one epoch of each run."""
    accuracy = table.pivot(index=_OF_RUN, columns="layer", values="accuracy")
    pooled, step = accuracy["pooled"], accuracy["stage5"] - accuracy["stage4"]
    found: Differences = {
        "A.stages.sl-drops": -step["SL"],
        "A.stages.slmlp-rises": step["SL-MLP"],
        "A.pooled.slmlp-above": _less(pooled["SL-MLP"], pooled["SL"]),
    }
    signs = {"BYOL": ("byol-rises", 1), "MoCo v1": ("mocov1-drops", -1), "MoCo v2": ("mocov2-rises", 1)}
    found |= {f"A.stages.{claim}": sign * step[name] for name, (claim, sign) in signs.items() if name in step}
    for name in ("byol", "mocov1", "mocov2"):
        with_mlp, without = _PAIRS[name]
        if with_mlp in step and without in step:
            found[f"A.stages.mlp-{name}"] = _less(step[with_mlp], step[without])
    return found | (_of_early_stages(accuracy[_EARLY]) if set(_EARLY) <= set(accuracy) else {})


def _of_early_stages(accuracy: pd.DataFrame) -> Differences:
    sl, mlp = accuracy.loc["SL"], accuracy.loc["SL-MLP"]
    found: Differences = {"A.stages.slmlp-monotone": mlp.diff(axis=1).iloc[:, 1:]}
    for name, method in {"byol": "BYOL", "mocov1": "MoCo v1", "mocov2": "MoCo v2"}.items():
        if method in accuracy.index:
            found[f"A.stages.sl-above-{name}"] = _less(sl, accuracy.loc[method])
    if "BYOL" in accuracy.index:
        found["A.stages.slmlp-above-byol"] = _less(mlp, accuracy.loc["BYOL"])
    return found


def of_mlp(accuracy: pd.DataFrame) -> Differences:
    """A 3.3, 5.2, notebook 02. accuracy: percent on eval-D, pooled features, a row a method and a column a seed."""
    pairs = {"pooled.slmlp-above": ("SL-MLP", "SL")} | {f"mlp.{name}": pair for name, pair in _PAIRS.items()}
    return {
        f"A.{claim}": (accuracy.loc[with_mlp] - accuracy.loc[without]).dropna()
        for claim, (with_mlp, without) in pairs.items()
        if with_mlp in accuracy.index and without in accuracy.index
    }


def of_components(table: pd.DataFrame) -> Differences:
    """A Table 5, notebook 02. table: arm (see `ablations.components`), seed, accuracy (percent on eval-D, pooled), and
    of the pooled features phi and redundancy on pre-D, each with its sign turned, and pi."""
    parts = table.pivot(index="arm", columns="seed", values="accuracy")
    arms = {"all": ("SL-MLP", "(a)"), "fc": ("(b)", "(a)"), "norm": ("(c)", "(a)"), "relu": ("(d)", "(a)")}
    arms["no-fc"] = ("(e)", "(a)")
    found: Differences = {
        f"A.components.{name}": parts.loc[more] - parts.loc[less] for name, (more, less) in arms.items()
    }
    found["A.components.best"] = (parts.loc["SL-MLP"] - parts.drop(index="SL-MLP")).T
    ranked = {name: rank_agreements(table, name, "accuracy") for name in ("phi", "pi", "redundancy")}
    return found | {f"A.components.{name}": values for name, values in ranked.items()}


def of_projector_counts(counts: pd.DataFrame, lengths: tuple[int, int]) -> Differences:
    """A Fig. 10a, notebook 02. counts: percent on eval-D, pooled, a row an arm of `ablations.projector_counts` and a
    column a seed; lengths: the epochs of the short arms and of the long ones."""
    short, long = (
        pd.DataFrame({n: counts.loc[f"{n} x MLP, {epochs} epochs"] for n in (1, 2, 3)}) for epochs in lengths
    )
    brings = long - short
    return {
        "A.epochs.slmlp": brings[1],
        "A.projectors.epochs": brings[1] - brings[[2, 3]].mean(axis=1),
        "A.projectors.one-best": -long[[2, 3]].sub(long[1], axis=0),
    }


def if_learned(claims: Iterable[str], table: pd.DataFrame) -> dict[str, pd.Series]:
    """The premise of those of the claims that need a method to have learned: how far it ends above where it began.

    table: epoch, accuracy (percent on eval-D, pooled), from epoch 0 on, which is the untrained backbone. What is not
    above it says nothing of what its pretraining does.
    """
    found = {}
    for claim in claims:
        method = CLAIMS[claim].learns
        learned = all_learned(table[table["method"] == method])
        if len(learned):
            found[claim] = learned.rename(f"{method} on eval-D above its untrained backbone")
    return found


def all_learned(table: pd.DataFrame) -> pd.Series:
    """The premise that every method of a table has learned: of each seed the smallest rise. table: as `if_learned`."""
    curves = table.pivot(index=_OF_RUN, columns="epoch", values="accuracy")
    if 0 not in curves:
        return pd.Series(dtype=float)
    rises = (curves.ffill(axis=1).iloc[:, -1] - curves[0]).unstack("method").dropna()
    return rises.min(axis=1).rename("every self-supervised method on eval-D above its untrained backbone")


def of_variation(table: pd.DataFrame) -> Differences:
    """A 4.2, 4.3, notebook 03. table: epoch, phi_pre, phi_eval, accuracy (percent on eval-D).

    `A.variation.phi-eval` has a premise, see `beyond_threshold`.
    """
    last = at_end(table)
    sl, mlp = last.loc["SL"], last.loc["SL-MLP"]
    found: Differences = {"A.variation.phi": _less(sl["phi_pre"], mlp["phi_pre"])}
    accuracy = _curves(table, "SL", "accuracy")
    if accuracy.shape[1] > 1:
        found["A.variation.phi-eval"] = _less(mlp["phi_eval"], sl["phi_eval"])
        found["A.variation.sl-descends"] = accuracy
    for name in ("supcon", "byol"):
        with_mlp, without = _PAIRS[name]
        if with_mlp in last.index and without in last.index:
            phi = last["phi_pre"]
            found[f"A.variation.phi-{name}"] = _less(phi[without], phi[with_mlp])
    if "BYOL" in last.index:
        byol = last.loc["BYOL"]
        found["A.variation.sl-phi-byol"] = _less(sl["phi_pre"], byol["phi_pre"])
        found["A.variation.byol-accuracy"] = _less(byol["accuracy"], sl["accuracy"])
    return found


def beyond_threshold(table: pd.DataFrame) -> pd.Series:
    """How far SL-MLP's phi on pre-D lies above the threshold t of Theorem 1 (A 4.3), a value a seed.

    t is SL's phi on pre-D at its `turning_place`, on the mean over seeds.
    """
    pre, eva = (_curves(table, "SL", side) for side in ("phi_pre", "phi_eval"))
    turn = pre.columns[turning_place(pre.mean(), eva.mean())]
    return _less(at_end(table).loc["SL-MLP", "phi_pre"], pre[turn])


def of_distances(table: pd.DataFrame) -> Differences:
    """A 4.3, notebook 15. table: distance (an eval-D, the nearest first), epoch, phi_pre, phi_eval.

    All have a premise: `A.theorem.falls` and `A.theorem.falls-more` that of `still_rising`, the others that of
    `turning_in_range`.
    """
    names = list(table["distance"].unique())
    t = turning_points(table, ["distance", "seed"]).pivot(index="seed", columns="distance", values="t")[names]
    near, far = names[0], names[-1]
    found: Differences = {"A.theorem.threshold": t[near] - t[far], "A.theorem.order": -t.diff(axis=1).iloc[:, 1:]}
    of_near, of_far = (_curves(table[table["distance"] == name], "SL", "phi_eval") for name in (near, far))
    if of_far.shape[1] > 1:
        found["A.theorem.falls"] = of_far
        found["A.theorem.falls-more"] = falls(np.log(of_far)) - falls(np.log(of_near))
    return found


def still_rising(table: pd.DataFrame) -> pd.Series:
    """How far SL's phi on pre-D rises where its phi on eval-D is asked for a fall (`falls`), a value a seed.

    Theorem 1 (A 4.3) says nothing of two checkpoints of which the later one has no larger phi on pre-D.
    """
    return -falls(_curves(table[table["distance"] == table["distance"].iloc[0]], "SL", "phi_pre"))


def turning_in_range(table: pd.DataFrame) -> pd.Series:
    """How far the turning point of the farthest eval-D lies below the largest phi on pre-D, a value a seed.

    0 where phi on eval-D does not turn: then there is no t to compare.
    """
    farthest = table[table["distance"] == table["distance"].iloc[-1]]
    return farthest.groupby("seed")["phi_pre"].max() - turning_points(farthest, ["seed"]).set_index("seed")["t"]


def of_mixture(table: pd.DataFrame) -> Differences:
    """A 4.2, notebook 04. table: epoch, pi. A fall is measured as `falls` does."""
    sl, mlp = _curves(table, "SL", "pi"), _curves(table, "SL-MLP", "pi")
    found: Differences = {"A.mixture.pi": _less(_end(mlp), _end(sl))}
    several = sl.shape[1] > 1
    if several:
        found |= {"A.mixture.sl-falls": sl, "A.mixture.slmlp-stays": _less(falls(sl), falls(mlp))}
    if "BYOL" in set(table["method"]):
        byol = _curves(table, "BYOL", "pi")
        found["A.mixture.byol"] = _less(_end(byol), _end(sl))
        if several:
            found["A.mixture.byol-stays"] = _less(falls(sl), falls(byol))
    return found


def of_redundancy(table: pd.DataFrame) -> Differences:
    """A Table 1, notebook 05, but for what is compared with a shorter pretraining. table: epoch, R_pre."""
    redundancy = at_end(table)["R_pre"]
    found: Differences = {"A.redundancy.sl": _less(redundancy["SL"], redundancy["SL-MLP"])}
    for name in ("byol", "mocov1"):
        with_mlp, without = _PAIRS[name]
        if with_mlp in redundancy and without in redundancy:
            found[f"A.redundancy.{name}"] = _less(redundancy[without], redundancy[with_mlp])
    return found


def of_detection(table: pd.DataFrame) -> Differences:
    """A Table 3, notebook 09. table: step, target and AP (percent), as `detection_table` has them; AP of boxes at the
    last step is judged."""
    last = table[(table["step"] == table["step"].max()) & (table["target"] == "box")].set_index(_OF_RUN)["AP"]
    others = {"ap": "SL", "byol": "BYOL"} if "SL-MLP" in last else {}
    return {
        f"A.detection.{name}": _less(last["SL-MLP"], last[other]) for name, other in others.items() if other in last
    }


def of_length(table: pd.DataFrame, shorter: pd.DataFrame) -> Differences:
    """A Tables 1 and 2, notebook 05: SL against itself over a third of the epochs, the second table.

    Both tables: epoch, R_pre, accuracy (percent on eval-D).
    """
    long, short = (at_end(rows).loc["SL"] for rows in (table, shorter))
    return {
        "A.redundancy.sl-grows": _less(long["R_pre"], short["R_pre"]),
        "A.epochs.sl": _less(short["accuracy"], long["accuracy"]),
    }


def of_kept(kept: pd.DataFrame, accuracy: pd.Series) -> Differences:
    """What notebook 14 asks. kept: method, seed, layer and within (R2 of the readouts within classes, the mean over
    factors), of one epoch of each run. accuracy: percent on eval-D, pooled features, indexed by method and seed.

    The agreement of kept and accuracy is over the methods of a seed, of those seeds that every method has.
    """
    layers = kept.pivot(index=_OF_RUN, columns="layer", values="within")
    mlp = layers.loc["SL-MLP"]
    points = layers[["pooled"]].join(accuracy.rename("accuracy")).reset_index()
    of_all = points.groupby("seed")["method"].transform("count") == points["method"].nunique()
    return {
        "W.kept.stage5": _less(mlp["stage5"], layers.loc["SL"]["stage5"]),
        "W.kept.projector": mlp["pooled"] - mlp["projector"],
        "W.kept.accuracy": rank_agreements(points[of_all], "pooled", "accuracy"),
    }


def of_scales(gains: pd.DataFrame) -> Differences:
    """What notebook 17 asks. gains: scale, step, seed and gain (SL-MLP less SL, points on eval-D, pooled features).

    Of each seed the slope of the gain over the logarithm of the step, to base 2: points for each doubling.
    """
    named = {"channels": "channels", "pretraining classes": "classes", "images a class": "images", "epochs": "epochs"}
    found: Differences = {}
    for scale, rows in gains.groupby("scale", sort=False):
        by_seed = rows.pivot(index="seed", columns="step", values="gain").dropna()
        away = np.log2(by_seed.columns.to_numpy(dtype=float))
        away -= away.mean()
        found[f"W.gain.{named[str(scale)]}"] = by_seed @ (away / (away**2).sum())
    return found


def over_factors(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """SL-MLP less SL, seed by seed, in every cell: columns factor, layer, measured, low and high (95 %, Student's t).

    table: layer, factor and the column `value`, of one epoch of each run; low and high are NaN for a single seed. Of
    so many intervals one in twenty leaves out 0 by chance.
    """
    cells = table.pivot_table(index="seed", columns=["method", "factor", "layer"], values=value, sort=False)
    mlp, sl = cells["SL-MLP"], cells["SL"]
    steps = mlp[[cell for cell in mlp if cell in sl]] - sl
    found = {cell: paired(values.dropna()) for cell, values in steps.items()}
    rows = [(*cell, one.measured, one.low, one.high) for cell, one in found.items()]
    return pd.DataFrame(rows, columns=["factor", "layer", "measured", "low", "high"]).astype(
        {"low": float, "high": float}
    )


def at_end(table: pd.DataFrame) -> pd.DataFrame:
    """The last epoch of every run, indexed by method and seed."""
    return table.loc[table.groupby(_OF_RUN)["epoch"].idxmax()].set_index(_OF_RUN)


def _curves(table: pd.DataFrame, method: str, value: str) -> pd.DataFrame:
    """One row a seed, one column an epoch, ascending."""
    return table[table["method"] == method].pivot(index="seed", columns="epoch", values=value)


def _end(curves: pd.DataFrame) -> pd.Series:
    return curves[curves.columns[-1]]


def _less(values: Values, others: Values) -> Values:
    """values - others, over the seeds that both have; what is not finite in them stays, to be refused."""
    seeds = values.index.intersection(others.index)
    return values.loc[seeds] - others.loc[seeds]
