"""What the parameters of notebooks may hold: a name means the same in all of them.

Held before a notebook is started by the command, and by a study where a notebook is run by whatever else runs them.
"""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import timm
from annotated_types import Ge, Interval, MinLen
from pydantic import AfterValidator, Strict

from workbook.cells import assigned
from workbook.errors import ProfileError, ReportError, did_you_mean, known_names
from workbook.fields import AtLeastTwo, Count, Positive, Probability, checked
from workbook.pretraining.recipe import without_mlp
from workbook.profiles import Method, SetName, as_tuples, field_path, override_fields

_INJECTED = "# Parameters"  # the first line of the cell that papermill puts after that of the parameters


def _check_pair(method: str) -> str:
    without_mlp(method)
    return method


def _check_architecture(name: str) -> str:
    if not timm.is_model(name):
        raise ValueError(f"timm has no model {name!r}{did_you_mean(name, timm.list_models())}")
    return name


_OWN: dict[str, Any] = {
    "others": tuple[Method, ...],
    "pairs": tuple[Annotated[Method, AfterValidator(_check_pair)], ...],
    "ssl": tuple[Method, ...] | None,
    "sets": tuple[SetName, ...] | None,
    "models": tuple[Annotated[str, MinLen(1)], ...] | None,
    "datasets": tuple[SetName, ...] | None,
    "architectures": tuple[Annotated[str, AfterValidator(_check_architecture)], ...],
    "k": Count,
    "num_classes": Count,
    "resamples": Annotated[int, Strict(), Ge(100)],  # for a 95 % interval
    "refits": AtLeastTwo,
    "accuracy": Annotated[float, Interval(gt=1, le=100)] | None,  # top-1 in percent
    "mean": tuple[Probability, Probability, Probability] | None,
    "std": tuple[Positive, Positive, Positive] | None,
    "fresh": bool,
    **dict.fromkeys(("architecture", "part", "prefix", "folder"), str | None),
}


def type_of(name: str) -> Any:
    """The type of a notebook's parameter: its own, or that of the field of the profile that it stands for, or None.

    None also for a name that is nobody's.
    """
    if name in _OWN:
        return _OWN[name]
    try:
        return override_fields()[field_path(name)] | None
    except ProfileError:
        return None


def check_parameters(given: Mapping[str, Any]) -> None:
    """Raises ReportError for a value that the parameter of its name does not take, ManifestError for a data set that
    there is not."""
    for name, value in given.items():
        if kind := type_of(name):
            try:
                checked(name, kind, as_tuples(value))
            except ValueError as error:
                raise ReportError(str(error)) from error


def check_notebook() -> None:
    """In the kernel of a notebook: its parameters, and that whoever ran it gave none that it does not declare.

    papermill tells of an unknown parameter in its log alone, and the notebook would run for hours without it. Outside a
    kernel nothing is checked.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return
    cells: list[str] = shell.user_ns.get("In", [])
    own = [i for i, cell in enumerate(cells) if "profile" in _assigned(cell) and not cell.startswith(_INJECTED)]
    if not own:
        return
    declared, after = _assigned(cells[own[-1]]), "".join(cells[own[-1] + 1 : own[-1] + 2])
    unknown = [name for name in _assigned(after) if name not in declared] if after.startswith(_INJECTED) else []
    if unknown:
        raise ReportError(_undeclared(unknown[0], declared))
    check_parameters({name: shell.user_ns[name] for name in declared if name in shell.user_ns})


def _undeclared(name: str, declared: list[str]) -> str:
    told = f"this notebook has no parameter {name!r} and would run without it{known_names(name, declared)}"
    try:
        field_path(name)
    except ProfileError:
        return told
    return f"{told}. A field of the profile is given to papermill as -y 'overrides: {{{name}: ...}}'"


def _assigned(cell: str) -> list[str]:
    try:
        return assigned(cell)
    except (SyntaxError, ValueError):
        return []
