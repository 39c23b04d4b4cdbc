"""A sweep as tables: its runs, what is left of them costs, what that is assumed from, and what the others took."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from workbook.lab import Lab
from workbook.pretraining.loop import HISTORY
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import Planned
from workbook.provenance import hardware
from workbook.sweep.cost import SCALING, Rate, estimate, gigabytes, known_rates, stored_rates
from workbook.sweep.notebooks import Sweep

_GPU = "NVIDIA"  # begins what several of are told of
_WHAT = ["what", "backbone", "pixels", "data", "epochs"]


def run_records(sweep: Sweep) -> pd.DataFrame:
    """One row a run, in the order in which they are asked for; hours are on one device of each hardware.

    Of those that are stored also what they took: device hours, and the gigabytes of their files.
    """
    stored, absent, rates = sweep.stored, sweep.absent, _rates(sweep)
    rows = []
    for key, run in sweep.runs.items():
        recipe = run.recipe
        row: dict[str, Any] = {"what": _what(recipe), "backbone": recipe.backbone, "pixels": recipe.image_size}
        row |= {"data": run.images.name + " (not here)" * (key in absent), "epochs": recipe.epochs}
        row |= {"seed": recipe.seed, "key": key, "stored": key in stored, "images": run.work, "GB": gigabytes(run)}
        rows.append(row | (_took(run, sweep.lab) if key in stored else {}) | _hours(run, rates))
    return pd.DataFrame(rows)


def plan_text(records: pd.DataFrame, sweep: Sweep) -> str:
    """The tables and the assumptions."""
    runs, costs = run_table(records), cost_table(records)
    whole = runs.assign(images=[f"{count:,}" for count in runs["images"]], GB=runs["GB"].round(3))
    parts = [whole.to_string(index=False), "What is not stored yet takes:", costs.round(2).to_string(index=False)]
    if records["stored"].any():
        parts += ["What is stored took:", took_table(records).to_string(index=False, float_format="{:.2f}".format)]
    return "\n\n".join([*parts, "\n".join(assumptions(records, sweep))])


def run_table(records: pd.DataFrame) -> pd.DataFrame:
    """The records by what is trained: how many runs, how many of them are stored, images shown and gigabytes."""
    found = records.groupby(_WHAT, sort=False).agg(
        runs=("key", "size"), stored=("stored", "sum"), images=("images", "sum"), GB=("GB", "sum")
    )
    return found.reset_index()


def cost_table(records: pd.DataFrame) -> pd.DataFrame:
    """Of what is not stored yet, hours by the clock and of devices, of GPUs by 1, 8 and 64 of them; and gigabytes."""
    left = records[~records["stored"]]
    rows = []
    for name in (column.removeprefix("hours, ") for column in records if column.startswith("hours, ")):
        alone = left[f"hours, {name}"].sum()
        for devices, share in SCALING.items() if name.startswith(_GPU) else [(1, 1.0)]:
            row = {"on": f"{devices} x {name}" if name.startswith(_GPU) else name, "hours": alone / devices / share}
            rows.append(row | {"device hours": alone / share, "GB": left["GB"].sum()})
    return pd.DataFrame(rows)


def took_table(records: pd.DataFrame) -> pd.DataFrame:
    """Of what is stored, by what was trained and last in all: device hours, and gigabytes beside those of the plan."""
    found = records[records["stored"]].groupby(_WHAT, sort=False)
    sums = found[["took, hours", "took, GB", "GB"]].sum().rename(columns={"GB": "GB by plan"})
    sums.insert(0, "runs", found.size())
    total = pd.DataFrame([dict.fromkeys(_WHAT, "") | {"what": "all"} | dict(sums.sum())]).astype({"runs": int})
    return pd.concat([sums.reset_index(), total])


def assumptions(records: pd.DataFrame, sweep: Sweep) -> list[str]:
    """What the hours are told from, a sentence each."""
    found = []
    for name, rates in _rates(sweep).items():
        told = sorted({_told(rate) for rate in rates})
        measured = int(records[f"measured, {name}"].sum())
        rest = f"{measured} of {len(records)} runs are of a method and network that were measured; the others by work"
        found.append(f"{name}: images a second, measured: {'; '.join(told)}. {rest}.")
    found.append(
        "By work: each image takes as long as the more of two ratios says, of operations and of numbers that layers "
        "write. An assumption, as is that images are decoded as fast as they are taken. A network smaller than the one "
        "that was measured is told too fast: it leaves a GPU waiting."
    )
    shares = ", ".join(f"{count} GPUs {share:.0%}" for count, share in SCALING.items() if count > 1)
    found.append(f"Of n times the speed of one, an assumption: {shares}.")
    found.append("GB are of checkpoints alone. Probes and detectors are not among it: they are made by the reports.")
    if records["data"].str.endswith("(not here)").any():
        found.append("Of data that is not here the manifest says how many images it has; its classes count alike.")
    return found


def _told(rate: Rate) -> str:
    recipe = rate.recipe
    what = f"{_what(recipe)}, {recipe.backbone}, {recipe.image_size} pixels"
    return f"{what} {rate.images_per_second:,.0f} ({rate.how})"


def _what(recipe: Recipe) -> str:
    """The method, or that it finetunes."""
    return recipe.title.partition(" on ")[0]


def _rates(sweep: Sweep) -> Mapping[str, Sequence[Rate]]:
    """Those of this machine from its own runs, and those that come with the package, by hardware."""
    own = [] if sweep.lab is None else stored_rates(sweep.lab.store, hardware())
    rates = sorted([*known_rates(), *own], key=lambda rate: rate.hardware)
    return {name: list(group) for name, group in groupby(rates, key=lambda rate: rate.hardware)}


def _took(run: Planned, lab: Lab | None) -> dict[str, float]:
    if lab is None or (made := lab.store.find("runs", run.spec)) is None:
        return {}
    seconds = pd.read_json(made.file(HISTORY), orient="records")["seconds"].sum()
    size = sum(path.stat().st_size for path in made.path.iterdir())
    return {"took, hours": seconds * made.provenance.get("devices", 1) / 3600, "took, GB": size / 1e9}


def _hours(run: Planned, rates: Mapping[str, Sequence[Rate]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, of_hardware in rates.items():
        one = estimate(run, of_hardware)
        found |= {f"hours, {name}": one.seconds / 3600, f"measured, {name}": one.measured}
    return found
