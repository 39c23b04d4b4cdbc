"""What something is called in the store: a key made of everything that made it."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def added(default: Any = MISSING, *, factory: Callable[[], Any] | Any = MISSING) -> Any:
    """A field that came later: it is left out of a key where it has its default, so that older keys hold."""
    return field(default=default, default_factory=factory, metadata={"added": True})


def local(**keywords: Any) -> Any:
    """A field that says where something lies on this machine, which changes nothing: no part of a key."""
    return field(compare=False, metadata={"local": True}, **keywords)


def key_of(spec: Mapping[str, Any]) -> str:
    """20 hexadecimal digits that name this specification."""
    canonical = json.dumps(plain(spec), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=10).hexdigest()


def is_key(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{20}", text) is not None


class Named(str):
    """A digest in a specification that remembers what it is of, though the specification holds the digest alone."""

    stands_for: Any

    def __new__(cls, text: str, stands_for: Any = None) -> "Named":  # without it where a copy is made
        named = super().__new__(cls, text)
        named.stands_for = stands_for
        return named


def keys_in(spec: Any) -> set[str]:
    """Every key that a specification names, and that what its digests are of names: what it was made from."""
    return {str(text) for text in _texts(spec) if is_key(text)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from _texts(value.stands_for) if isinstance(value, Named) else ()
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping) or (is_dataclass(value) and not isinstance(value, type)):
        for item in (value if isinstance(value, Mapping) else _fields_of(value)).values():
            yield from _texts(item)


def plain(value: Any) -> Any:
    """The value as JSON gives it back, so that what is compared is what is stored."""
    return json.loads(json.dumps(value, default=_fields_of))


def restored(kind: Any, value: Any) -> Any:
    """What `plain` was given, of the type `kind`, from what it made of it; local fields are lost.

    A dataclass among several is told by its field `name`, else by its fields; ValueError where none fits.
    """
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, Mapping):
        return value
    kinds: list[Any] = [option for option in options if is_dataclass(option)]
    chosen = next((option for option in kinds if _fits(option, value)), None)
    if chosen is None:
        known = " or ".join(option.__name__ for option in kinds)
        raise ValueError(f"expected the fields of {known}, got {', '.join(f'{k}={v!r}' for k, v in value.items())}")
    hints = get_type_hints(chosen)
    given = [item.name for item in fields(chosen) if item.init and item.name in value]
    return chosen(**{name: restored(hints[name], value[name]) for name in given})


def _fits(option: Any, value: Mapping[str, Any]) -> bool:
    named = {item.name: item for item in fields(option)}
    always = {name for name, item in named.items() if not item.metadata}  # the others may have been left out
    if not always <= set(value) <= set(named):
        return False
    if "name" not in named:
        return True
    choices = get_args(get_type_hints(option)["name"]) if named["name"].init else (named["name"].default,)
    return not choices or value["name"] in choices


def _fields_of(value: object) -> dict[str, Any]:
    """The fields of a dataclass, but not those marked as local, nor those marked as added that have their default."""
    if is_dataclass(value) and not isinstance(value, type):
        named = [item for item in fields(value) if not item.metadata.get("local")]
        kept = [item for item in named if not (item.metadata.get("added") and _is_default(value, item))]
        return {item.name: getattr(value, item.name) for item in kept}
    raise TypeError(f"a specification holds plain values, got {type(value).__name__}")


def _is_default(value: object, item: Field) -> bool:
    default = item.default if item.default_factory is MISSING else item.default_factory()
    return getattr(value, item.name) == default
