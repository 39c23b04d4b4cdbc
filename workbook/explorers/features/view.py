"""What the feature explorer shows, and the same as a text that can be pasted, or stands in a link after the `?`."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

import numpy as np

from workbook.figures.look import literal

# what tells a shared view from any other query
OF = "of"


@dataclass(frozen=True, kw_only=True)
class View:
    """What is asked for: two methods, each under the same seed, epoch and kind of map."""

    methods: tuple[str, str]  # left, right
    seed: int
    epoch: int
    kind: str

    @property
    def titles(self) -> list[str]:
        return [f"<b>{literal(method)}</b>, epoch {self.epoch}" for method in self.methods]


def shared(of: str, state: Mapping[str, list[str]], selected: np.ndarray | None) -> str:
    """of: which images, a digest. state: name -> values of the controls. selected: (n,) int, ascending."""
    chosen = {} if selected is None else {"selected": [_ranges(selected)]}
    return urlencode({OF: of[:8]} | {**state} | chosen, doseq=True)


def opened(text: str, of: str, count: int) -> tuple[dict[str, list[str]], np.ndarray | None]:
    """What `shared` was given: of `count` images with the digest `of`.

    Raises ValueError for a text that is none, and for one of other images.
    """
    state = parse_qs(text.strip().rpartition("?")[2])
    if OF not in state:
        raise ValueError("this is no view: paste a whole line of the field View, or the link of a page")
    if state.pop(OF) != [of[:8]]:
        raise ValueError("this view is of other images: open it with the profile and parameters that it was made with")
    ranges = state.pop("selected", None)
    return state, None if ranges is None else _members(ranges[0], count)


def _ranges(numbers: np.ndarray) -> str:
    """ "0-2.7" of 0, 1, 2 and 7: many images in few characters, none of which a link would have to escape."""
    ends = np.flatnonzero(np.diff(numbers) > 1)
    pairs = zip(numbers[[0, *(ends + 1)]], numbers[[*ends, -1]], strict=True)
    return ".".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)


def _members(ranges: str, count: int) -> np.ndarray:
    found: set[int] = set()
    for part in ranges.split("."):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first) < count):
            raise ValueError(f"this view selects {part!r}, and the images are numbered from 0 to {count - 1}")
        found |= set(range(int(first), int(last or first) + 1))
    return np.array(sorted(found), dtype=np.int64)
