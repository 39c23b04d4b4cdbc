"""Data flows one way, and so do the imports."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "workbook"
# what a room imports besides itself
MAY_IMPORT = {
    "errors": set(),
    "files": set(),
    "seeding": set(),
    "machine": set(),
    "provenance": {"machine"},
    "progress": set(),
    "devices": set(),
    "store": {"errors", "files", "progress", "provenance"},
    "data": {"errors", "seeding"},
    "models": {"errors"},
    "metrics": set(),
    "figures": set(),
    "papers": {"errors", "files", "metrics"},
    "pretraining": {"files", "data", "models", "store", "errors", "progress", "seeding"},
    "evaluation": {"metrics", "files", "pretraining", "data", "models", "store", "errors", "progress", "seeding"},
    "profiles": {"evaluation", "pretraining", "data", "errors"},
    "explorers": {"evaluation", "figures", "metrics", "papers", "pretraining", "profiles", "data", "store", "errors"}
    | {"progress"},
    "report": {"papers", "errors", "files", "machine"},
    "cli": {
        "devices",
        "machine",
        "evaluation",
        "report",
        "profiles",
        "pretraining",
        "papers",
        "store",
        "data",
        "errors",
    },
}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("workbook."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("workbook.")}
    return rooms


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = room_of(path)
    assert imported_rooms(path) - {room} <= MAY_IMPORT[room]


def test_every_room_of_the_plan_exists():
    assert {room_of(path) for path in MODULES} == set(MAY_IMPORT)
