"""Which notebook gets which of the parameters given on the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbook.errors import ReportError, known_names
from workbook.files import named_file
from workbook.plain_yaml import read_yaml

_GIVEN_OTHERWISE = {
    "profile": "use --profile NAME (PROFILE=NAME with make)",
    "overrides": "name its fields one by one: -p epochs=3 -p transfer.images_per_class=null",
}

_LISTED = "a notebook's first code cell has its own parameters, `workbook profile` those of all"


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """["epochs=3", "ablation.seeds=2"] -> {"epochs": "3", "ablation.seeds": "2"}; the last of a name counts."""
    parsed = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        name = name.strip()
        if not equals or not all(part.isidentifier() for part in name.split(".")):
            raise ReportError(f"a parameter is given as -p name=value, got {assignment!r}")
        parsed[name] = value
    return parsed


def parse_value(name: str, text: str) -> Any:
    """A value as YAML; what Python users type, None, is understood as well.

    What is quoted stays text: a run's key may look like a number.
    """
    if text == "None":
        return None
    if not text.strip():
        raise ReportError(f"{name} has no value: -p {name}=null is none, -p {name}='\"\"' an empty text")
    try:
        value = read_yaml(text, name).value
    except ValueError as error:
        raise ReportError(f"{error}; it is given as YAML: -p '{name}=[1, 2]'") from error
    return _with_paths(value)


def _with_paths(value: Any) -> Any:
    """Files named by their absolute paths: notebooks run in their own folder, where a relative one leads nowhere."""
    if isinstance(value, list):
        return [_with_paths(item) for item in value]
    return named_file(value) if isinstance(value, str) else value


def route(
    declared: Mapping[str, Sequence[str]], given: Mapping[str, str], *, profile: str
) -> dict[str, dict[str, Any]]:
    """What each notebook gets: {notebook: parameters to inject}.

    declared: notebook -> the names in its parameters cell. given: name -> value as text. A name that a notebook
    declares is injected as it is; a field of the profile goes into the notebook's `overrides`, under the name given.
    A notebook gets only the names that it knows. Raises ReportError for a name that no notebook knows, and
    ProfileError for a value that a field refuses.
    """
    fields = {name for name in given if _is_field(name, declared)}
    values = {name: parse_value(name, text) for name, text in given.items()}
    from workbook.parameters import check_parameters  # here, because torch comes with it

    check_parameters({name: values[name] for names in declared.values() for name in names if name in values})
    routed = {}
    for notebook, names in declared.items():
        injected = {name: value for name, value in values.items() if name in names}
        overrides = {name: value for name, value in values.items() if name in fields and name not in names}
        if overrides and "overrides" in names:
            from workbook.profiles import load_profile  # here, because torch comes with it

            load_profile(profile, **overrides)  # what it refuses is told now, not by every notebook in turn
            injected["overrides"] = overrides
        if "profile" in names:
            injected["profile"] = profile
        routed[notebook] = injected
    return routed


def _is_field(name: str, declared: Mapping[str, Sequence[str]]) -> bool:
    """True for a field of the profile, False for a parameter of a notebook alone; ReportError for neither."""
    if name in _GIVEN_OTHERWISE:
        raise ReportError(f"{name} is not given with -p; {_GIVEN_OTHERWISE[name]}")
    from workbook.profiles import field_names, field_path  # here, because torch comes with it

    known = {parameter for names in declared.values() for parameter in names}
    takes_fields = "overrides" in known
    if name in field_names():
        if takes_fields:
            field_path(name)  # which of several it is, is told now
            return True
    elif name not in known:
        own = known - _GIVEN_OTHERWISE.keys()
        near = known_names(name, own | field_names() if takes_fields else own)
        raise ReportError(f"unknown parameter {name!r}{near}; {_LISTED}")
    if name not in known:
        raise ReportError(f"{name!r} is a field of the profile, and none of these notebooks takes one; {_LISTED}")
    return False
