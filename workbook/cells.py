"""What is read from the source of a notebook's cell."""

import ast


def assigned(source: str) -> list[str]:
    """The names that a cell assigns, in order; SyntaxError or ValueError where it is not plain Python.

    Parsed as Python, because papermill's own inspection matches single lines and overlooks such annotations as
    `int | None`.
    """
    targets: list[ast.expr] = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets.append(statement.target)
    return [target.id for target in targets if isinstance(target, ast.Name)]
