"""What a package loads on demand is what it says to type checkers."""

import ast
import importlib
from pathlib import Path

import pytest

PACKAGES = ("workbook", "workbook.data", "workbook.metrics")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_that_is_promised_is_loaded_from_where_it_says(name):
    package = importlib.import_module(name)
    tree = ast.parse(Path(str(package.__file__)).read_text())
    promised = {
        alias.name: statement.module
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert promised
    for promise, home in promised.items():
        assert getattr(package, promise) is getattr(importlib.import_module(str(home)), promise)


def test_every_package_that_loads_on_demand_is_among_them():
    root = Path(str(importlib.import_module("workbook").__file__)).parent
    found = {path for path in root.rglob("__init__.py") if "loaded_on_demand(" in path.read_text()}
    assert found == {Path(str(importlib.import_module(name).__file__)) for name in PACKAGES}
