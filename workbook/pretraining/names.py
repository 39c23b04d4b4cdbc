"""What a method is called: by its objective and its projector. Whoever lists runs needs no torch for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbook.keys import added


@dataclass(frozen=True, kw_only=True)
class Projector:
    """The MLP between backbone and loss; the defaults are A 4.1's, which BYOL shares (A Table 2)."""

    hidden_dim: int = 4096
    out_dim: int = 256
    input_fc: bool = True
    norm: bool = True
    relu: bool = True
    output_fc: bool = True
    count: int = added(1)  # so many, one after the other (A Fig. 10a)
    # of later work, see `MLPProjector`
    hidden_layers: int = added(1)
    gelu: bool = added(False)
    unit_input: bool = added(False)
    kappa: float | None = added(None)


# A gives sizes for SL-MLP and BYOL alone; the others' are from their own papers. Without a bias in the output FC
# (Table 5) and, for SimCLR, without its last batch norm
_PLAIN_MLP = Projector(hidden_dim=2048, out_dim=128, norm=False)
_NORMED_MLP = Projector(hidden_dim=2048, out_dim=128)
_TREX_MLP = Projector(hidden_dim=2048, out_dim=256, hidden_layers=3, gelu=True, unit_input=True)
# objective -> its MLP, where it can have one
PROJECTORS: dict[str, Projector | None] = {
    **dict.fromkeys(("SL", "BYOL"), Projector()),
    **dict.fromkeys(("MoCo v1", "MoCo v2", "SupCon", "SelfSupCon", "CE+SelfSupCon"), _PLAIN_MLP),
    **dict.fromkeys(("SimCLR", "SwAV"), _NORMED_MLP),
    "DINO": Projector(hidden_dim=2048, out_dim=256),
    "MAE": None,
    "t-ReX": _TREX_MLP,
}
PLAIN = ("SL", "MoCo v1", "MAE")  # by themselves they have none


def method_name(objective: str, projector: Projector | None) -> str:
    """What tables call this objective with this projector.

    "SL", "SL-MLP", "BYOL w/o MLP"; a projector that lacks a component of the method's own is named by those it has,
    as in A Table 5: "SL-MLP (BN, ReLU)"; two projectors: "SL-MLP x 2". Of later work, one that weights the channels
    and nothing else, "SL, reweighted", and another number of hidden layers than its own, "t-ReX, hidden layers: 1".
    """
    if objective not in PROJECTORS:  # a label injection: no method of pretraining, but what follows one
        return objective
    plain = objective in PLAIN
    if projector is None:
        return objective if plain else f"{objective} w/o MLP"
    if projector.kappa:
        return f"{objective}, reweighted"
    name = "SL-MLP" if objective == "SL" else f"{objective} w/ MLP" if plain else objective
    if _components(projector) != _components(PROJECTORS[objective]):
        name += f" ({', '.join(_components(projector))})"
    if projector.hidden_layers != getattr(PROJECTORS[objective], "hidden_layers", 1):
        name += f", hidden layers: {projector.hidden_layers}"
    return name if projector.count == 1 else f"{name} x {projector.count}"


def recipe_name(recipe: Mapping[str, Any]) -> str:
    """The method's name of a recipe as the store holds it."""
    projector = recipe["projector"]
    objective = recipe.get("objective", {"name": "SL"})["name"]
    return method_name(objective, None if projector is None else Projector(**projector))


def _components(projector: Projector | None) -> list[str]:
    titles = {"input_fc": "Input FC", "norm": "BN", "relu": "ReLU", "output_fc": "Output FC"}
    return [title for name, title in titles.items() if projector is not None and getattr(projector, name)]
