"""YAML as people write it in manifests and parameters: facts, never more work than the text is long.

The scalars are those of YAML 1.2: `no`, `1:30`, `007` and `2020-01-31` are text. What a plain document of facts does
not need is refused before anything is built from it: tags, a key that stands twice, more depth or more copies of a
part than any manifest has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml

_LONGEST = 2 * 2**20  # characters: all names of ImageNet's 21,841 classes are a third of it
_DEEPEST = 32
_MOST = 1_000_000  # nodes, each as often as aliases repeat it


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The scalars of YAML 1.2's core schema, numbers no longer than Python reads; no key stands twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, list]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line, named = key.start_mark.line + 1, (key.tag, key.value)
                if named in lines:
                    again = f"{key.value!r} stands here and in line {lines[named]}; keep one of them"
                    raise yaml.MarkedYAMLError(None, None, again, key.start_mark)
                lines[named] = line
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"-?(0|[1-9][0-9]{0,17})", "-0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", "<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


class _Dumper(yaml.SafeDumper):
    """Quotes what the loader would take for something else than text, and writes every part out."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True)
class Document:
    """What a text says, and where in it a part stands."""

    value: Any
    root: yaml.Node | None

    def line(self, place: Sequence[str | int]) -> int | None:
        """The line, from 1, of what lies at this place: keys and positions from the outside in.

        Steps that the text does not have are passed over; None where it has none of them.
        """
        node, found = self.root, None
        for step in place:
            inner = _entry(node, step)
            if inner is not None:
                node, found = inner, inner.start_mark.line + 1
        return found


def read_yaml(text: str, where: str) -> Document:
    """The one document in a text; ValueError says `where`, the line, and what is wrong there."""
    if len(text) > _LONGEST:
        raise ValueError(f"{where} is {len(text):,} characters long, at most {_LONGEST:,} are read")
    try:
        _check_events(text)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            return Document(None if root is None else loader.construct_document(root), root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"{where}{line}: {said}") from error
    except yaml.YAMLError as error:  # a character that YAML does not have
        raise ValueError(f"{where}: {' '.join(str(error).split())}") from error


def write_yaml(value: Any) -> str:
    """A text of which `read_yaml` makes the same plain value."""
    layout = {"sort_keys": False, "allow_unicode": True, "width": 120, "default_flow_style": None}
    return yaml.dump(value, Dumper=_Dumper, **layout)


def _check_events(text: str) -> None:
    """Refuses what a plain document of facts has no use for, from the events of the text alone."""
    sizes: dict[str, int] = {}  # nodes under each anchor, aliases written out
    open_parts: list[tuple[str | None, int]] = [(None, 0)]

    def grow(size: int, event: Any) -> None:
        anchor, before = open_parts[-1]
        if before + size > _MOST:
            raise yaml.MarkedYAMLError(None, None, "aliases repeat more than a million entries", event.start_mark)
        open_parts[-1] = anchor, before + size

    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise yaml.MarkedYAMLError(None, None, f"*{event.anchor} names no part before it", event.start_mark)
            grow(sizes[event.anchor], event)
        elif isinstance(event, yaml.NodeEvent):
            _check_node(event)
            if isinstance(event, yaml.CollectionStartEvent):
                open_parts.append((event.anchor, 1))
                if len(open_parts) > _DEEPEST:
                    raise yaml.MarkedYAMLError(None, None, f"more than {_DEEPEST} levels deep", event.start_mark)
            else:
                sizes |= {event.anchor: 1} if event.anchor else {}
                grow(1, event)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_parts.pop()
            sizes |= {anchor: size} if anchor else {}
            grow(size, event)


def _check_node(event: yaml.NodeEvent) -> None:
    if tag := getattr(event, "tag", None):
        told = f"tags such as {tag.replace('tag:yaml.org,2002:', '!!')} are not read; write the value without it"
        raise yaml.MarkedYAMLError(None, None, told, event.start_mark)
    if isinstance(event, yaml.ScalarEvent) and re.search("[\0\ud800-\udfff]", event.value):
        told = "a character that no file name and no page can hold (NUL, or half of a pair)"
        raise yaml.MarkedYAMLError(None, None, told, event.start_mark)


def _entry(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None
