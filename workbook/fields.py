"""What a field may hold: its range stands in its type, once, and is held wherever a value comes in."""

from collections.abc import Collection
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Interval, Lt
from pydantic import AfterValidator, AllowInfNan, Strict, TypeAdapter, ValidationError

from workbook.errors import known_names

# strict: a yes is not 1
Count = Annotated[int, Strict(), Ge(1)]
AtLeastTwo = Annotated[int, Strict(), Ge(2)]
Whole = Annotated[int, Strict(), Ge(0)]
Finite = Annotated[float, AllowInfNan(False)]
Positive = Annotated[Finite, Gt(0)]
NotNegative = Annotated[Finite, Ge(0)]
Probability = Annotated[Finite, Interval(ge=0, le=1)]
Decay = Annotated[Finite, Ge(0), Lt(1)]
Share = Annotated[Finite, Interval(gt=0, lt=1)]
UpToOne = Annotated[Finite, Interval(gt=0, le=1)]

_WORDS = {
    "Input should": "must",
    "Tuple should": "must",
    " after validation": "",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}


def one_of(known: Collection[str]) -> AfterValidator:
    """A name among those that are known; the message about another has the nearest of them."""

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"{name!r} is unknown{known_names(name, known)}")
        return name

    return AfterValidator(check)


def _check_ascending(values: tuple[float, ...]) -> tuple[float, ...]:
    if list(values) != sorted(values):
        raise ValueError(f"must ascend, got {list(values)}")
    return values


ASCENDING = AfterValidator(_check_ascending)


def checked(name: str, kind: Any, value: Any) -> Any:
    """The value in the type of its field: 1 is taken for 1.0, "2" is refused for 3.

    Raises ValueError, which says what of the value is wrong: "c_values[1] must be greater than 0, got -1".
    """
    try:
        return _adapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
    # of the types in `int | None` one may be right, and the value out of its range
    problem = next((one for one in found if not one["type"].endswith(("_type", "_required", "missing"))), None)
    if problem is None:
        raise ValueError(f"{name} takes {_in_words(kind)}, got {value!r:.200}")
    where = name + "".join(f"[{place}]" for place in problem["loc"])
    if problem["type"] == "value_error":  # a rule of ours, which shows what came
        raise ValueError(f"{where}: {problem['ctx']['error']}")
    rule = problem["msg"]
    for word, ours in _WORDS.items():
        rule = rule.replace(word, ours)
    raise ValueError(f"{where} {rule}, got {problem['input']!r:.200}")


def check_fields(part: Any, error: type[Exception] = ValueError) -> None:
    """Hold every field of a dataclass to its type; those that are dataclasses themselves hold their own."""
    hints = _hints(part.__class__)
    for item in fields(part):
        value = getattr(part, item.name)
        if not is_dataclass(value):
            try:
                checked(item.name, hints[item.name], value)
            except ValueError as problem:
                raise error(str(problem)) from problem


@cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind)  # it takes longer to make than to ask


@cache
def _hints(part: type) -> dict[str, Any]:
    return get_type_hints(part, include_extras=True)


def _in_words(kind: Any) -> str:
    """`list[int, ...] | None`: without the ranges, and as YAML calls a tuple."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _in_words(inner[0])
    if origin in (Union, UnionType):
        return " | ".join(map(_in_words, inner))
    if origin is Literal:
        return " | ".join(map(repr, inner))
    if origin is tuple:
        return f"list[{', '.join('...' if one is ... else _in_words(one) for one in inner)}]"
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))
