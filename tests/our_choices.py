"""The page `notebooks/our_choices.md`, made of what the sources say is ours: `python -m tests.our_choices`.

A comment says it by "not in the paper", "not in the papers" or "ours:"; so does a sentence of a docstring.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from workbook.files import CHECKOUT, write_atomically

PAGE = CHECKOUT / "notebooks" / "our_choices.md"
MARK = re.compile(r"not in the papers?\b|\bours:|\b(?:is|are) ours\b", re.IGNORECASE)
ROOMS = {
    "profiles": "Profiles",
    "data": "Data",
    "models": "Models",
    "pretraining": "Pretraining",
    "probes": "Probes",
    "evaluation": "Evaluation",
    "detection": "Detection",
    "metrics": "Metrics",
    "papers": "Statistics and tables of the papers",
    "explorers": "Explorers",
}
INTRODUCTION = """# Our choices

Neither paper has published code, and no text says everything that a program has to decide. This page lists what the workbook decides where the papers are silent, so that whoever disagrees with a number can see at one look what it may hang on.

A *choice* is a value, a rule or a reading that no paper prints. It stands in the code with a comment that begins with `not in the paper`; this page is made of these comments by `python -m tests.our_choices`, and a test holds it against them. What a paper does print is no choice, and stands in the notebooks with its section and table.

To change one: a field of a recipe, of a profile, of a method's choices or of a probe takes another value, in code by `dataclasses.replace`, in a notebook or a report as a parameter (`-p lr=0.2`); it is part of the key under which a run is stored, so that nothing made with the old value is taken for new. Any other line is changed in its file; then make this page anew.
"""  # noqa: E501

_MEASURED = re.compile(r"\d %|\bpoints\b|\bends\b|\bdiverge\b")  # a sentence that tells what came out
_SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z0-9])")
_LONGEST = 90  # characters of code that a table shows


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A choice: the code that makes it, where that stands, and the whole comment or passage about it."""

    file: str  # below workbook/
    name: str
    code: str
    text: str

    @property
    def room(self) -> str:
        return self.file.partition("/")[0].removesuffix(".py")

    def row(self) -> str:
        """Of the table: what, where, why, what was measured."""
        said = re.sub(r"^(?:not in the papers?|ours)(?:: |$)", "", self.text, flags=re.IGNORECASE)
        sentences = _SENTENCE.split(said)
        measured = [sentence for sentence in sentences if _MEASURED.search(sentence)]
        why = " ".join(sentence for sentence in sentences if sentence not in measured)
        link = f"[{self.file}](../workbook/{self.file})" + (f", `{self.name}`" if self.name else "")
        cells = (f"`{self.code}`", link, why or "—", " ".join(measured) or "—")
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def all_choices(sources: Path = CHECKOUT / "workbook") -> list[Choice]:
    """Of all files, in their order."""
    files = sorted(sources.rglob("*.py"))
    return [found for path in files for found in choices(path.relative_to(sources).as_posix(), path.read_text("utf-8"))]


def choices(file: str, source: str) -> Iterator[Choice]:
    """Of one file, in the order of its lines, those of docstrings first."""
    tree = ast.parse(source)
    for names, node in _named(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            for text in _passages(ast.get_docstring(node) or ""):
                yield Choice(file=file, name=".".join(names), code=_code(node, source), text=text)
    for line, text in _comments(source):
        if MARK.search(text):
            names, node = _node_at(tree, line)
            yield Choice(file=file, name=".".join(names), code=_code(node, source), text=text)


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """The line of code that a comment is about, and its text; lines of comment under each other are one."""
    lines = source.splitlines()
    block: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        number, text = token.start[0], token.string.lstrip("# ")
        if lines[number - 1].strip() != token.string:
            yield number, text
            continue
        block.append(text)
        if number == len(lines) or not lines[number].lstrip().startswith("#"):
            yield number + 1, " ".join(block)
            block = []


def _passages(docstring: str) -> Iterator[str]:
    """From a sentence that bears the mark to the end of its paragraph; the first sentence where that says only so."""
    joined = re.sub(r"(?<![.:\n])\n+", " ", docstring)  # a paragraph that ends within a sentence goes on
    first, *_ = _SENTENCE.split(" ".join(docstring.split()))
    for paragraph in re.split(r"\n{2,}", joined):
        sentences = _SENTENCE.split(" ".join(paragraph.split()))
        for number, sentence in enumerate(sentences):
            if found := MARK.search(sentence):
                alone = found.group() == sentence.partition(". ")[0].rstrip(".")
                yield f"{found.group()}: {first}" if alone else " ".join(sentences[number:])
                break


def _named(node: ast.AST, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], ast.AST]]:
    """Every node below this one, itself included, with the names of the definitions that it stands in."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    name = getattr(node, "name", None) if isinstance(node, ast.ClassDef | ast.FunctionDef) else None
    if isinstance(target, ast.Name) and not any(part.endswith("()") for part in names):
        name = target.id  # a field or a constant, not a variable of a function
    inside = (*names, name + "()" if isinstance(node, ast.FunctionDef) else name) if name else names
    yield inside, node
    for child in ast.iter_child_nodes(node):
        yield from _named(child, inside)


def _node_at(tree: ast.Module, line: int) -> tuple[tuple[str, ...], ast.AST]:
    """The largest statement, parameter or argument that begins at this line, else the smallest that holds it."""
    nodes = [(names, node) for names, node in _named(tree) if isinstance(node, ast.stmt | ast.keyword | ast.arg)]
    holding = [(names, node) for names, node in nodes if node.lineno <= line <= (node.end_lineno or 0)]
    return next((found for found in holding if found[1].lineno == line), holding[-1])


def _code(node: ast.AST, source: str) -> str:
    if isinstance(node, ast.Module):
        return "the whole file"
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return f"{'class' if isinstance(node, ast.ClassDef) else 'def'} {node.name}"
    code = " ".join((ast.get_source_segment(source, node) or "").split())
    if isinstance(node, ast.arg):
        code = source.splitlines()[node.lineno - 1].strip().rstrip(",")  # with its default
    return code if len(code) <= _LONGEST else code[:_LONGEST].rsplit(" ", 1)[0] + " …"


def page(found: list[Choice]) -> str:
    """The whole page in Markdown, a table a room."""
    order = {room: number for number, room in enumerate(ROOMS)}
    parts = [INTRODUCTION]
    for room, rows in groupby(sorted(found, key=lambda choice: order[choice.room]), lambda choice: choice.room):
        head = "| Choice | Where | Why | Measured |\n| --- | --- | --- | --- |\n"
        parts.append(f"## {ROOMS[room]}\n\n{head}" + "\n".join(choice.row() for choice in rows) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    write_atomically(PAGE, page(all_choices()).encode())
