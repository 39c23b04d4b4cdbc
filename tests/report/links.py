"""Where the links of a folder of pages lead."""

import html
import re
from pathlib import Path
from urllib.parse import unquote

_LINK = re.compile(r'<a\b[^>]*\bhref="([^"]+)"[^>]*>(.*?)</a>', re.DOTALL)
_MARK = re.compile(r'\bid="([^"]+)"')
_RAW = (".json", ".ipynb")  # what a reader does not expect to be shown


def dead_links(folder: Path) -> list[str]:
    """`page: link: why` for links of pages in the folder that lead nowhere, or to a source without saying so."""
    found = []
    for page in sorted(folder.rglob("*.html")):
        for link, shown in _LINK.findall(page.read_text(encoding="utf-8")):
            if why := _fault(page, html.unescape(link), re.sub("<[^>]+>", "", shown)):
                found.append(f"{page.relative_to(folder)}: {link}: {why}")
    return found


def _fault(page: Path, link: str, shown: str) -> str:
    if "://" in link:
        return ""
    path, _, mark = link.partition("#")
    target = (page.parent / unquote(path)).resolve() if path else page
    if not target.is_file():
        return "there is no such file"
    if target.suffix in _RAW and not shown.endswith(target.suffix):
        return f"a source that is called {shown!r}"
    # a mark with "=" is a choice of the filters
    if (
        mark
        and "=" not in mark
        and unquote(mark) not in map(html.unescape, _MARK.findall(target.read_text(encoding="utf-8")))
    ):
        return "there is no such mark"
    return ""
