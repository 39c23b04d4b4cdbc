"""What MkDocs asks while it makes the site: pages of the docstrings, a gallery, executed reports, links that lead on.

`make docs`, after `make reports`: the reports of the profile smoke become part of the site.
"""

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, InclusionLevel

from workbook.errors import ReportError
from workbook.files import CHECKOUT
from workbook.report.known import known
from workbook.report.notebooks import read_notebook, title_of

PACKAGE, NOTEBOOKS, REPORTS = (CHECKOUT / name for name in ("workbook", "notebooks", "reports/smoke"))
_TOP = "foundations"  # the page of the modules that lie in no room
_OUT_OF_REPORTS = re.compile(r'href="\.\./\.\./(?P<path>[^"#]+)(?P<anchor>#[^"]*)?"')
_LINK = re.compile(r"\[(?P<text>[^]]*)\]\((?!\w+:|#)(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def rooms() -> dict[str, list[str]]:
    """Room -> its public modules, by their dotted names."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(CHECKOUT).with_suffix("").parts
        if not parts[-1].startswith("_"):
            found.setdefault(parts[1] if len(parts) > 2 else _TOP, []).append(".".join(parts))
    return dict(sorted(found.items()))


def on_files(files: Any, config: Any) -> Any:
    """Added are a page a room, from its docstrings, and the executed reports as they are."""
    if not (REPORTS / "index.html").exists():
        raise ReportError(f"there is no {REPORTS / 'index.html'}: run make reports first")
    for room, modules in rooms().items():
        listed = "\n\n".join([f"# {_title(room)}", _docstring(room), *(f"::: {module}" for module in modules)])
        files.append(File.generated(config, f"docs/api/{room}.md", content=listed))
    for path in sorted(found for found in REPORTS.iterdir() if found.suffix in {".html", ".ipynb", ".js", ".csv"}):
        of_page = {"content": _report(path, config.repo_url)} if path.suffix == ".html" else {"abs_src_path": str(path)}
        files.append(File.generated(config, f"reports/{path.name}", inclusion=InclusionLevel.INCLUDED, **of_page))
    return files


def _report(path: Path, repository: str | None) -> str:
    """The page, whose links out of its folder lead to what the site has of it, into the repository, or nowhere."""

    def led_on(link: re.Match[str]) -> str:
        within = link["path"].removeprefix("notebooks/")
        if within.startswith("results/"):  # a page that is kept
            return f'href="../{within}{link["anchor"] or ""}"'
        target = _source(link["path"], "reports", repository)
        return f'href="{target.replace(".md", ".html")}"' if target else ""

    return _OUT_OF_REPORTS.sub(led_on, path.read_text(encoding="utf-8"))


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The lists are filled in, and links to notebooks and sources lead to what the site has of them."""
    folder = posixpath.dirname(page.file.src_uri)
    markdown = markdown.replace("<!-- cards -->", _cards()).replace("<!-- rooms -->", _rooms())
    return _LINK.sub(lambda link: _led_on(link, folder, config.repo_url), markdown)


def _title(room: str) -> str:
    return "workbook" if room == _TOP else f"workbook.{room}"


def _docstring(room: str) -> str:
    path = PACKAGE / ("" if room == _TOP else room) / "__init__.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _rooms() -> str:
    rows = (f"| [{_title(room)}](api/{room}.md) | {_docstring(room).partition(chr(10) * 2)[0]} |" for room in rooms())
    return "\n".join(["| room | what it does |", "|---|---|", *(" ".join(row.split()) for row in rows)])


def _cards() -> str:
    """A card a notebook: its picture where one was kept, its question, its report."""
    cards = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        most = known(path.stem).most  # of which `pictures` draws one; those of the explorers lie above
        picture = NOTEBOOKS / "results" / (most.setting.folder if most else "") / f"{path.stem}.png"
        title = title_of(read_notebook(path), otherwise=path.stem)
        shown = f"![{title}](../{picture.relative_to(NOTEBOOKS)})\n\n    " if picture.exists() else ""
        cards.append(f"-   {shown}**{title}**\n\n    [{path.stem}](../{path.name})\n")
    return '<div class="cards" markdown>\n\n' + "\n".join(cards) + "\n</div>"


def _led_on(link: re.Match[str], folder: str, repository: str | None) -> str:
    """A link on a page in this folder as the site has it: to an executed notebook, to what `_source` says, its text
    alone where that is nothing, or as it is."""
    path = posixpath.normpath(posixpath.join("notebooks", folder, link["path"]))
    target: str | None = f"{link['path']}{link['anchor'] or ''}"
    if path.endswith(".ipynb"):
        executed = "index" if path.endswith("00_start_here.ipynb") else Path(path).stem
        target = posixpath.relpath(f"reports/{executed}.html", folder or ".")
    elif not path.startswith("notebooks/"):
        target = _source(path, folder or ".", repository)
    return f"[{link['text']}]({target})" if target else link["text"]


def _source(path: str, folder: str, repository: str | None) -> str | None:
    """Where a file of the repository is to be seen, from this folder of the site: a module's docstrings on its room's
    page, else the repository; None where that is not known."""
    module = path.removesuffix(".py").replace("/", ".")
    for room, modules in rooms().items():
        if path.endswith(".py") and module in modules:
            return f"{posixpath.relpath(f'docs/api/{room}.md', folder)}#{module}"
    return f"{repository.rstrip('/')}/blob/main/{path}" if repository else None
