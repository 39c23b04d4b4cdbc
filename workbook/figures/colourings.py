"""What else than its class the points of linked maps can be coloured by; a shape still tells the side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from plotly.colors import get_colorscale, sample_colorscale

# Okabe and Ito's, apart for colour-blind readers: pre-D and what is right, eval-D and what is wrong
_FIRST, _SECOND = "#0072B2", "#D55E00"
_UNKNOWN = "#999999"
_LEVELS = 64
_IN_LEGEND = 5


@dataclass(frozen=True, kw_only=True)
class Colouring:
    """The colour of every point, (N,), and what the legend says: a colour and words for it."""

    colours: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]


def by_class(colours: Sequence[str]) -> Colouring:
    """colours: (N,); what they mean stands with the shapes of the classes."""
    return Colouring(colours=tuple(colours), legend=())


def by_side(sides: Sequence[str]) -> Colouring:
    """sides: (N,) "pre" or "eval"."""
    colours = {"pre": _FIRST, "eval": _SECOND}
    legend = tuple((colour, f"{side}-D") for side, colour in colours.items())
    return Colouring(colours=tuple(colours[side] for side in sides), legend=legend)


def by_answer(right: np.ndarray) -> Colouring:
    """right: (N,) bool, whether a probe gives the image its class."""
    found = ((_FIRST, "right", right.mean()), (_SECOND, "wrong", 1 - right.mean()))
    legend = tuple((colour, f"{word}, {100 * share:.1f} %") for colour, word, share in found)
    return Colouring(colours=tuple(np.where(right, _FIRST, _SECOND).tolist()), legend=legend)


def by_number(values: np.ndarray, *, period: float | None = None) -> Colouring:
    """values: (N,) float, NaN is grey. period: of a circular number, whose ends have one colour."""
    known = values[np.isfinite(values)]
    low, high = (0.0, period) if period else (known.min(initial=np.inf), known.max(initial=-np.inf))
    scale = sample_colorscale(get_colorscale("Phase" if period else "Viridis"), _LEVELS)
    width = high - low if high > low else 1.0
    place = np.mod(values - low, width) / width if period else (values - low) / width
    level = np.where(np.isfinite(place), place * (_LEVELS - 1), -1).round().astype(int)
    colours = tuple(np.array([*scale, _UNKNOWN])[level].tolist())  # level -1 is the last
    ticks = np.linspace(low, high, _IN_LEGEND) if len(known) else ()
    legend = [(scale[round((tick - low) / width * (_LEVELS - 1))], f"{tick:.3g}") for tick in ticks]
    return Colouring(colours=colours, legend=(*legend, *([(_UNKNOWN, "not known")] * (len(known) < len(values)))))
