"""The controls of the feature explorer, and what they ask for."""

from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np

from workbook.evaluation.embedding import METHODS
from workbook.explorers.atlas import Atlas
from workbook.figures.linked_maps import GLYPHS

NO_CLASS = ""
_FIELD = {"style": {"description_width": "48px"}, "layout": {"width": "196px"}}
_COLUMN = {"width": "250px"}


@dataclass(frozen=True, kw_only=True)
class View:
    """What is asked for: two methods, each under the same seed, epoch and kind of map."""

    methods: tuple[str, str]  # left, right
    seed: int
    epoch: int
    kind: str


class FeatureControls:
    """Dropdowns for methods, seed, map and side, a slider over the epochs, lists of classes; all take the keyboard."""

    def __init__(self, atlas: Atlas) -> None:
        styles = atlas.styles
        methods, last = list(atlas.methods), len(atlas.epochs) - 1
        second = methods[min(1, len(methods) - 1)]
        self.left = widgets.Dropdown(description="Left", options=methods, value=methods[0], **_FIELD)
        self.right = widgets.Dropdown(description="Right", options=methods, value=second, **_FIELD)
        self.seed = widgets.Dropdown(description="Seed", options=list(atlas.seeds), **_FIELD)
        self.kind = widgets.Dropdown(description="Map", options=list(METHODS), **_FIELD)
        present = [side for side in ("pre", "eval") if side in set(styles["side"])]
        sides = [("both sides", "both"), *((f"{side}-D alone", side) for side in present)]
        self.side = widgets.Dropdown(description="Side", options=sides if present else ["both"], **_FIELD)
        self.epoch = widgets.SelectionSlider(
            description="Epoch",
            options=list(atlas.epochs),
            value=atlas.epochs[-1],
            style=_FIELD["style"],
            layout={"width": "430px"},
        )
        self.play = widgets.Play(min=0, max=last, value=last, interval=900, repeat=True, show_repeat=False)
        widgets.jslink((self.play, "value"), (self.epoch, "index"))
        # both sides in a row; "pre" is behind "eval" in the alphabet
        by_side = styles.sort_values("side", ascending=False, kind="stable")
        listed = [(f"{GLYPHS[symbol]} {name}", str(name)) for name, symbol in by_side["symbol"].items()]
        names = [name for _, name in listed]
        self.classes = widgets.SelectMultiple(options=listed, value=names, layout={**_COLUMN, "height": "128px"})
        picked = [("a class ...", NO_CLASS), *listed]
        self.class_picker = widgets.Dropdown(description="Select", options=picked, **_FIELD)
        self.clear = widgets.Button(description="Clear selection", icon="times", layout={"width": "150px"})
        self._sides = styles["side"].to_numpy()
        self._names = styles.index.to_numpy()

    @property
    def drawing(self) -> tuple[widgets.Widget, ...]:
        """Those whose change moves, shows or hides points."""
        return self.left, self.right, self.seed, self.kind, self.side, self.epoch, self.classes

    def view(self) -> View:
        return View(
            methods=(self.left.value, self.right.value),
            seed=self.seed.value,
            epoch=self.epoch.value,
            kind=self.kind.value,
        )

    def shown(self) -> np.ndarray:
        """(C,) bool: the classes that are chosen and of the side that is."""
        of_side = np.isin(self._sides, [self.side.value]) | (self.side.value == "both")
        return np.isin(self._names, self.classes.value) & of_side

    def rows(self) -> list[widgets.Widget]:
        """What stands over the maps."""
        fields = [self.left, self.right, self.seed, self.kind, self.side]
        return [
            widgets.HBox(fields, layout={"flex_flow": "row wrap"}),
            widgets.HBox([self.epoch, self.play, self.class_picker, self.clear], layout={"flex_flow": "row wrap"}),
        ]

    def column(self) -> list[widgets.Widget]:
        """What stands beside them."""
        return [
            widgets.HTML("<b class='fx'>Classes shown</b> <span class='fx note'>several with Ctrl</span>"),
            self.classes,
        ]
