"""The controls of the feature explorer, and what they ask for."""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np

from workbook.evaluation.embedding import KINDS
from workbook.explorers.features.atlas import Atlas
from workbook.explorers.page import player
from workbook.figures.linked_maps import GLYPHS
from workbook.figures.look import literal

NO_CLASS = ""
_STYLE = {"description_width": "48px"}


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


class FeatureControls:
    """Dropdowns for methods, seed, map and side, a slider over the epochs, lists of classes; all take the keyboard."""

    def __init__(self, atlas: Atlas) -> None:
        styles, methods, epochs = atlas.styles, atlas.methods, atlas.epochs
        self._sides, self._names = styles["side"].to_numpy(), styles.index.to_numpy()
        self.left, self.right = _dropdown("Left", methods), _dropdown("Right", methods)
        self.right.value = methods[min(1, len(methods) - 1)]
        self.seed, self.kind = _dropdown("Seed", atlas.seeds), _dropdown("Map", KINDS)
        sides = [(f"{side}-D alone", side) for side in ("pre", "eval") if side in self._sides]
        self.side = _dropdown("Side", [("both sides", "both"), *sides] if sides else ["both"])
        self.epoch = widgets.SelectionSlider(
            description="Epoch", options=epochs, value=epochs[-1], style=_STYLE, layout={"width": "430px"}
        )
        self.play = player(self.epoch, repeat=True)
        # both sides in a row; "pre" is behind "eval" in the alphabet
        by_side = styles.sort_values("side", ascending=False, kind="stable")
        listed = [(f"{GLYPHS[symbol]} {name}", str(name)) for name, symbol in by_side["symbol"].items()]
        every = [name for _, name in listed]
        self.classes = widgets.SelectMultiple(options=listed, value=every, layout={"width": "250px", "height": "128px"})
        self.class_picker = _dropdown("Select", [("a class ...", NO_CLASS), *listed])
        self.clear = widgets.Button(description="Clear selection", icon="times", layout={"width": "150px"})
        # those whose change moves, shows or hides points
        self.drawing = (self.left, self.right, self.seed, self.kind, self.side, self.epoch, self.classes)

    def view(self) -> View:
        methods = (self.left.value, self.right.value)
        return View(methods=methods, seed=self.seed.value, epoch=self.epoch.value, kind=self.kind.value)

    def shown(self) -> np.ndarray:
        """(C,) bool: the classes that are chosen and of the side that is."""
        return np.isin(self._names, self.classes.value) & (
            (self._sides == self.side.value) | (self.side.value == "both")
        )


def _dropdown(description: str, options: Any) -> widgets.Dropdown:
    return widgets.Dropdown(description=description, options=options, style=_STYLE, layout={"width": "196px"})
