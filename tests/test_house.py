"""Data flows one way, and so do the imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "workbook"
# from the ground floor up: a room, and exactly those that it imports
IMPORTS = {
    "cells": "",
    "errors": "",
    "figures": "",
    "keys": "",
    "sizes": "",
    "lazy": "",
    "progress": "",
    "plain_yaml": "",
    "seeding": "",
    "devices": "errors",
    "fields": "errors",
    "files": "errors",
    "locks": "progress",
    "metrics": "lazy",
    "models": "errors files",
    "probes": "errors fields keys metrics progress",
    "artefacts": "errors files keys",
    "data": "errors fields files keys lazy plain_yaml seeding",
    "papers": "files",
    "provenance": "files",
    "store": "artefacts errors files keys locks provenance",
    "engines": "artefacts devices errors keys progress provenance store",
    "lab": "devices engines errors store",
    "pretraining": "data engines errors fields files keys lab models probes progress provenance seeding store",
    "evaluation": "data errors fields files keys lab metrics models plain_yaml pretraining probes progress store",
    "detection": "data errors fields files keys lab models pretraining progress seeding store",
    "profiles": "data detection devices engines errors evaluation fields models papers pretraining probes",
    "parameters": "cells errors fields pretraining profiles",
    "report": "cells data errors figures files papers parameters plain_yaml profiles sizes",
    "study": "data detection devices errors evaluation lab models papers parameters pretraining profiles provenance "
    "store",
    "sweep": "data errors keys lab pretraining provenance report store study",
    "sharing": "artefacts errors files models papers pretraining progress report store",
    "explorers": "data errors evaluation figures files lab metrics models papers pretraining probes progress "
    "provenance store study",
    "bench": "data errors evaluation files lab metrics papers pretraining profiles provenance report study",
    "commands": "artefacts data errors evaluation files keys papers pretraining report sharing sizes store sweep",
    "cli": "commands data devices engines errors explorers files keys profiles report sweep",
}
ROOMS = {room: set(imports.split()) for room, imports in IMPORTS.items()}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The modules of this package that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "workbook":
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if file_of(name).exists() or folder_of(name).exists()}
            found |= modules or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.partition(".")[0] == "workbook"}
    return found


def folder_of(module: str) -> Path:
    return PACKAGE.joinpath(*module.split(".")[1:])


def file_of(module: str) -> Path:
    return folder_of(module).with_suffix(".py")


@pytest.mark.parametrize("room", sorted({room_of(path) for path in MODULES} | set(ROOMS)))
def test_a_room_imports_exactly_what_the_table_says(room):
    files = [path for path in MODULES if room_of(path) == room]
    assert files, f"there is no room {room}: take it out of the table"
    assert room in ROOMS, f"{room} is a new room: give it a floor in the table"
    modules = set().union(*map(imported, files))
    assert {module.split(".")[1] for module in modules if module != "workbook"} - {room} == ROOMS[room]


def test_the_floors_are_in_order():
    floor: dict[str, int] = {}
    for room, imports in ROOMS.items():
        assert imports <= set(floor), f"{room} imports what lies above it, {imports - set(floor)}"
        floor[room] = 1 + max((floor[other] for other in imports), default=-1)
    assert list(floor.values()) == sorted(floor.values())


def test_no_module_imports_itself_over_others():
    graph = {path: {file_of(module) for module in imported(path)} & set(MODULES) for path in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("room", ["metrics", "probes", "figures"])
def test_what_is_pure_knows_of_no_run_and_no_store(room):
    known, new = set(), ROOMS[room]
    while new - known:
        known |= new
        new = set().union(*(ROOMS[other] for other in known))
    assert not known & {"pretraining", "store", "lab", "study"}


def test_nothing_imports_the_command_line():
    assert not any("cli" in imports for imports in ROOMS.values())
