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


def seeds_of(claim: Claim, profile: str) -> tuple[int, ...]:
    """The seeds that a verdict on this claim takes in a profile; none where nothing was fixed for the profile."""
    first = FIRST_SEED.get(profile)
    return () if first is None else tuple(range(first, first + claim.n))


def departures(claim: Claim, *, profile: str, seeds: Sequence[int], changed: Mapping[str, Any]) -> str:
    """Why a verdict with these seeds is exploratory; "" where all is as it was fixed.

    changed: fields of the profile and parameters of the notebook that are not as they stand there, with their values.
    """
    fixed = seeds_of(claim, profile)
    if not fixed:
        return f"the protocol fixes nothing for the profile {profile}"
    told = [f"{name} = {value} is not the protocol's" for name, value in changed.items()]
    if tuple(sorted(seeds)) != fixed:
        told.insert(0, f"seeds {spoken(seeds)} are not the protocol's {spoken(fixed)}")
    return "; ".join(told)


def spoken(seeds: Sequence[int]) -> str:
    """5 to 9, or 0, 2, 5."""
    inner = sorted(seeds)
    if len(inner) > 2 and inner == list(range(inner[0], inner[-1] + 1)):
        return f"{inner[0]} to {inner[-1]}"
    return ", ".join(map(str, inner)) or "none"
