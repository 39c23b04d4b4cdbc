"""Colours that the colour-blind tell apart, on light pages and on dark ones."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from colorspacious import cspace_convert

from tests.figures.examples import EXAMPLES
from workbook.figures.diversity import colours_of
from workbook.figures.look import CLEAR, described, plain
from workbook.figures.maps import CLASSES, COLD, WARM
from workbook.figures.style import COLOURS, SYMBOLS, own_range, panels

PAPER_A = ("SL", "SL-MLP", "BYOL", "MoCo v1", "MoCo v2", "SimCLR", "SupCon")
PAPER_B = ("Supervised", "SupCon", "CE+SelfSupCon", "MoCo-v2", "SwAV", "DINO", "SimCLR")
OWN = tuple(f"model {number}" for number in range(5))
GROUPS = {
    "paper A": list(itertools.combinations([COLOURS[name] for name in PAPER_A], 2)),
    "paper B": list(itertools.combinations([COLOURS[name] for name in PAPER_B], 2)),
    "own models": list(itertools.combinations(colours_of(OWN).values(), 2)),
    "classes": list(itertools.combinations(CLASSES, 2)),
    "sides": list(itertools.product(COLD, WARM)),
}
# Machado's matrices at full severity; None is a reader who sees all colours
SIGHT = (None, "deuteranomaly", "protanomaly", "tritanomaly")


def rgb(colours) -> np.ndarray:
    return np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])


def seen(colours, sight: str | None) -> np.ndarray:
    """CAM02-UCS, in which a distance of 1 is about what is just noticed."""
    space = {"name": "sRGB1+CVD", "cvd_type": sight, "severity": 100} if sight else "sRGB1"
    return cspace_convert(np.clip(cspace_convert(rgb(colours), space, "sRGB1"), 0, 1), "sRGB1", "CAM02-UCS")


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("group", GROUPS)
def test_colours_that_stand_together_are_told_apart(group, sight):
    pairs = GROUPS[group]
    distances = np.linalg.norm(seen([a for a, _ in pairs], sight) - seen([b for _, b in pairs], sight), axis=1)
    assert distances.min() > 10, pairs[distances.argmin()]


def test_the_colours_are_seen_on_white_and_on_black():
    linear = rgb([*COLOURS.values(), *colours_of(OWN).values(), *CLASSES, *COLD, *WARM])
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (1.05 / (luminance + 0.05)).min() > 1.9, "on white"
    assert ((luminance + 0.05) / 0.0556).min() > 1.9, "on #111"


def test_methods_differ_by_their_markers_too():
    for names in (PAPER_A, PAPER_B):
        assert len({SYMBOLS[name] for name in names}) == len(names)
    assert SYMBOLS["BYOL w/o MLP"] == SYMBOLS["BYOL"] and SYMBOLS["mine"] == "circle"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_figure_lies_on_the_page_s_own_ground(name):
    def backgrounds(part, under=""):
        if isinstance(part, dict):
            for key, value in part.items():
                inner = f"{under}.{key}"
                yield from [(inner, value)] if key.endswith("bgcolor") else backgrounds(value, inner)
        elif isinstance(part, list):
            for value in part:
                yield from backgrounds(value, under)

    found = dict(backgrounds(json.loads(EXAMPLES[name]().to_json())))
    assert set(found.values()) == {CLEAR}, found
    assert {".layout.template.layout.paper_bgcolor", ".layout.template.layout.plot_bgcolor"} <= set(found)


def test_an_axis_is_ours_and_takes_in_what_leaves_us_half_of_it():
    ours = pd.Series([10.0, 20.0])
    assert own_range(ours) == pytest.approx((9.2, 20.8))
    assert own_range(ours, [30.0, 31.0]) == pytest.approx((8.4, 31.6))
    assert own_range(ours, [30.1, -5.0]) == pytest.approx((9.2, 20.8))


def test_a_figure_says_in_words_what_is_seen():
    figure, places = panels(2, subplot_titles=["linear", "few-shot"])
    figure.add_scatter(x=["a", "b"], y=[1.0, 3.0], name="SL &lt; x", **places[0])
    figure.add_scatter(x=["a", "b"], y=[0.5, np.nan], name="SL-MLP", **places[1])
    figure = plain(figure, title="A < B", x="set", y="accuracy (%)")
    said = "A < B. linear. few-shot. Across: set. Up: accuracy (%), 0.5 to 3. Shown: SL < x, SL-MLP"
    assert figure.layout.meta["alt"] == said
    assert described(figure).layout.meta["alt"] == said


def test_a_long_title_is_broken_and_takes_nothing_from_the_plot():
    short, long = (plain(panels(1)[0], title=title).layout for title in ("t", "many words " * 12))
    assert long.title.text.count("<br>") == 1
    assert long.height - long.margin.t == short.height - short.margin.t
