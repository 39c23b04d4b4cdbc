"""What was fixed before the runs, so that no look at their results could choose it.

The statistic of a claim and how many seeds it takes are the columns `statistic` and `n` of claims.csv; the profile's
data, sets and lengths are those of its name, without overrides. A verdict that departs from that is exploratory: it may
suggest, and does not decide.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from workbook.papers.claims import Claim

FIRST_SEED: Mapping[str, int] = {"pocket": 5, "study": 10}
"""Profile -> the first seed of the evidence. Lower ones were looked at while the profile was made."""

SECOND: Mapping[tuple[str, str], int] = {("pocket", "tiny-imagenet-32"): 3}
"""A profile and another set than its own that it also fixes -> so many seeds at most."""


def seeds_of(claim: Claim, profile: str, dataset: str | None = None) -> tuple[int, ...]:
    """The seeds that a verdict on this claim takes in a profile, or in it on a second set; none where nothing is fixed.

    dataset: None = the profile's own.
    """
    first, n = FIRST_SEED.get(profile), claim.n
    if dataset is not None:
        n = min(n, SECOND.get((profile, dataset), 0))
    return () if first is None else tuple(range(first, first + n))


def departures(claim: Claim, *, profile: str, seeds: Sequence[int], changed: Mapping[str, Any]) -> str:
    """Why a verdict with these seeds is exploratory; "" where all is as it was fixed.

    changed: fields of the profile and parameters of the notebook that are not as they stand there, with their values.
    """
    dataset = changed.get("recipe.dataset")
    second = (profile, dataset) in SECOND
    fixed = seeds_of(claim, profile, dataset if second else None)
    if not fixed:
        return f"the protocol fixes nothing for the profile {profile}"
    told = [
        f"{name} = {value} is not the protocol's"
        for name, value in changed.items()
        if not (second and name == "recipe.dataset")
    ]
    if tuple(sorted(seeds)) != fixed:
        told.insert(0, f"seeds {spoken(seeds)} are not the protocol's {spoken(fixed)}")
    return "; ".join(told)


def spoken(seeds: Sequence[int]) -> str:
    """5 to 9, or 0, 2, 5."""
    inner = sorted(seeds)
    if len(inner) > 2 and inner == list(range(inner[0], inner[-1] + 1)):
        return f"{inner[0]} to {inner[-1]}"
    return ", ".join(map(str, inner)) or "none"
