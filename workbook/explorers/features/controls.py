"""The controls of the feature explorer."""

from typing import Any

import ipywidgets as widgets
import numpy as np

from workbook.evaluation.embedding import KINDS
from workbook.explorers.features.atlas import Atlas
from workbook.explorers.features.view import View
from workbook.explorers.page import player
from workbook.figures.linked_maps import GLYPHS

CLASS, SIDE, PROBE = "class", "side", "k-NN probe"  # what colours say, besides a drawn factor's name
_STYLE = {"description_width": "48px"}


class FeatureControls:
    """Dropdowns, a slider over the epochs, a list of classes and fields; all take the keyboard."""

    def __init__(self, atlas: Atlas) -> None:
        styles, methods, epochs = atlas.styles, atlas.methods, atlas.epochs
        self._sides, self._names = styles["side"].to_numpy(), styles.index.to_numpy()
        self.left, self.right = _dropdown("Left", methods), _dropdown("Right", methods)
        self.right.value = methods[min(1, len(methods) - 1)]
        self.seed, self.kind = _dropdown("Seed", atlas.seeds), _dropdown("Map", KINDS)
        sides = [(f"{side}-D alone", side) for side in ("pre", "eval") if side in self._sides]
        self.side = _dropdown("Side", [("both sides", "both"), *sides] if sides else ["both"])
        self.epoch = widgets.SelectionSlider(
            description="Epoch", options=epochs, value=epochs[-1], style=_STYLE, layout={"width": "400px"}
        )
        self.play = player(self.epoch, repeat=True)
        # both sides in a row; "pre" is behind "eval" in the alphabet
        by_side = styles.sort_values("side", ascending=False, kind="stable")
        listed = [(f"{GLYPHS[symbol]} {name}", str(name)) for name, symbol in by_side["symbol"].items()]
        every = [name for _, name in listed]
        self.classes = widgets.SelectMultiple(
            options=listed, value=every, tooltip="Classes shown", layout={"width": "250px", "height": "128px"}
        )
        self.search = widgets.Combobox(
            description="Select", placeholder="part of a class's name", options=every, style=_STYLE, layout=_layout(244)
        )
        self.clear = widgets.Button(description="Clear selection", icon="times", layout=_layout(150))
        self.colour = _dropdown("Colour", [CLASS, *([SIDE] if sides else []), PROBE, *atlas.factors])
        how = {"continuous_update": False, "style": _STYLE}
        self.image = widgets.Text(description="Image", placeholder="number, or click", layout=_layout(196), **how)
        self.shared = widgets.Text(description="View", layout=_layout(584), **how)
        # as a shared view calls them: those whose change moves, shows, hides or colours points, and the image
        named: dict[str, Any] = {"left": self.left, "right": self.right, "seed": self.seed, "map": self.kind}
        named |= {"side": self.side, "epoch": self.epoch, "class": self.classes, "colour": self.colour}
        self.drawing, self._named = tuple(named.values()), named | {"image": self.image}

    def view(self) -> View:
        methods = (self.left.value, self.right.value)
        return View(methods=methods, seed=self.seed.value, epoch=self.epoch.value, kind=self.kind.value)

    def shown(self) -> np.ndarray:
        """(C,) bool: the classes that are chosen and of the side that is."""
        return np.isin(self._names, self.classes.value) & (
            (self._sides == self.side.value) | (self.side.value == "both")
        )

    def found(self) -> list[str]:
        """The classes that are searched for: those named so, else those with the text, or a part of it, in the name."""
        texts = [text.strip().lower() for text in self.search.value.split(",") if text.strip()]
        if self.search.value in self._names:
            return [self.search.value]
        return [str(name) for name in self._names if any(text in name.lower() for text in texts)]

    def state(self) -> dict[str, list[str]]:
        """Name -> values of all that says what is drawn; lists that are whole, and empty fields, are left out."""
        values = {name: _listed(control.value) for name, control in self._named.items()}
        if len(self.classes.value) == len(self._names):
            del values["class"]
        return {name: listed for name, listed in values.items() if listed != [""]}

    def restore(self, state: dict[str, list[str]]) -> None:
        """Set the controls as `state` gave them; ValueError, before any is set, for what they do not offer."""
        defaults = {"class": self._names.tolist(), "image": [""]}
        wanted = {}
        for name, control in self._named.items():
            listed = state.get(name, defaults.get(name, _listed(control.value)))
            known = {str(value): value for value in _offered(control, listed)}
            if unknown := [text for text in listed if text not in known]:
                raise ValueError(f"{name} is {unknown[0]!r} in this view, and here one of {', '.join(known)}")
            found = [known[text] for text in listed]
            wanted[control] = tuple(found) if control is self.classes else found[0]
        for control, value in wanted.items():
            control.value = value


def _offered(control: Any, listed: list[str]) -> list[Any]:
    """What the control takes, without the words for it; a field takes any text."""
    return [option[1] if isinstance(option, tuple) else option for option in getattr(control, "options", listed)]


def _listed(value: Any) -> list[str]:
    return [str(part) for part in (value if isinstance(value, tuple) else (value,))]


def _layout(width: int) -> dict[str, str]:
    return {"width": f"{width}px"}


def _dropdown(description: str, options: Any) -> widgets.Dropdown:
    return widgets.Dropdown(description=description, options=options, style=_STYLE, layout=_layout(196))
