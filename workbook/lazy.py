"""Names of a package that are loaded when they are asked for: what needs none of them does not wait for torch."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def loaded_on_demand(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package. homes: a name -> the module of the package that it lives in."""

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"{package} has no {name!r}; at the top are {', '.join(homes)}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return get
