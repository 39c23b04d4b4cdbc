"""Which notebook gets which of the parameters given on the command line."""

import ast
import difflib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from workbook.errors import ReportError

_GIVEN_OTHERWISE = {
    "profile": "use --profile NAME (PROFILE=NAME with make)",
    "overrides": "name its fields one by one: -p epochs=3",
}


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """["epochs=3", "dataset=digits"] -> {"epochs": "3", "dataset": "digits"}; the last of a name counts."""
    parsed = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ReportError(f"a parameter is given as -p name=value, got {assignment!r}")
        parsed[name.strip()] = value
    return parsed


def parse_value(name: str, text: str) -> Any:
    """A value as YAML; what YAML 1.1 misses and Python users type (None, 1e-3) is understood as well.

    What is quoted stays text: a run's key may look like a number.
    """
    if text == "None":
        return None
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ReportError(f"the value of {name} is not YAML: {text!r}; quote it as -p '{name}=[1, 2]'") from error
    return _number_or_path(value) if isinstance(value, str) and value == text.strip() else value


def _number_or_path(text: str) -> float | str:
    if any(character.isdigit() for character in text):
        try:
            return float(text)
        except ValueError:
            pass
    # A manifest of the user's own: notebooks run in their own folder, where a relative path leads nowhere.
    path = Path(text).expanduser()
    return str(path.resolve()) if path.suffix in (".yaml", ".yml") and path.exists() else text


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in the current format; ReportError if there is none, or none that can be read."""
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError as error:
        raise ReportError(f"there is no notebook {path}; those there are: ls {path.parent}/*.ipynb") from error
    # nbformat stumbles over what is JSON but no notebook with whatever its converters happen to raise.
    except (OSError, ValueError, TypeError, AttributeError, KeyError, nbformat.ValidationError) as error:
        raise ReportError(
            f"{path} cannot be read as a notebook ({error}); open it in JupyterLab and save it"
        ) from error


def title_of(notebook: NotebookNode, otherwise: str) -> str:
    """The first heading of the Markdown cells."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    return line.lstrip("#").strip()
    return otherwise


def parameters_cell(notebook: NotebookNode) -> int:
    """Index of the cell tagged `parameters`; -1 if there is none."""
    tagged = (i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    return next(tagged, -1)


def declared_parameters(notebook: NotebookNode, name: str) -> list[str]:
    """The names that the cell tagged `parameters` assigns, in order.

    Parsed as Python, because papermill's own inspection matches single lines and overlooks such
    annotations as `int | None`.
    """
    index = parameters_cell(notebook)
    if index < 0:
        return []
    try:
        statements = ast.parse(notebook.cells[index].source).body
    except SyntaxError as error:
        raise ReportError(f"the parameters cell of {name} is not plain Python ({error}); mend it first") from error
    targets: list[ast.expr] = []
    for statement in statements:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets.append(statement.target)
    return [target.id for target in targets if isinstance(target, ast.Name)]


def route(
    declared: Mapping[str, Sequence[str]],
    given: Mapping[str, str],
    *,
    profile: str,
    override_fields: AbstractSet[str] = frozenset(),
) -> dict[str, dict[str, Any]]:
    """What each notebook gets: {notebook: parameters to inject}.

    declared: notebook -> the names in its parameters cell. given: name -> value as text. A name that a
    notebook declares is injected as it is; a field of the profile goes into the notebook's `overrides`.
    A notebook gets only the names that it knows. Raises ReportError for a name that no notebook knows.
    """
    takes_fields = any("overrides" in names for names in declared.values())
    known = {name for names in declared.values() for name in names} | (override_fields if takes_fields else set())
    _refuse_unknown(given, known - _GIVEN_OTHERWISE.keys())
    values = {name: parse_value(name, text) for name, text in given.items()}
    routed = {}
    for notebook, names in declared.items():
        injected = {name: value for name, value in values.items() if name in names}
        fields = {name: value for name, value in values.items() if name in override_fields and name not in names}
        if fields and "overrides" in names:
            injected["overrides"] = fields
        if "profile" in names:
            injected["profile"] = profile
        routed[notebook] = injected
    return routed


def _refuse_unknown(given: Mapping[str, str], known: AbstractSet[str]) -> None:
    for name in given:
        if name in _GIVEN_OTHERWISE:
            raise ReportError(f"{name} is not given with -p; {_GIVEN_OTHERWISE[name]}")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            listed = ", ".join(sorted(known)) or "none: these notebooks declare no parameter"
            raise ReportError(f"unknown parameter {name!r}; {hint}known are: {listed}")
