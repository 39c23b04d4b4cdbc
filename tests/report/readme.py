"""The README's table of results, from the notebooks and what was adopted: python -m tests.report.readme"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbook.errors import ReportError
from workbook.files import CHECKOUT, write_atomically
from workbook.papers.claims import claims_of
from workbook.papers.verdicts import interval_text, printed, quantity
from workbook.report.notebooks import read_notebook, title_of
from workbook.report.record import ReportResult, read_records
from workbook.report.survey import strength

_BEGIN, _END = "<!-- results:begin -->", "<!-- results:end -->"
_SHOWN = 6  # claims of a notebook


def update_readme(readme: Path, *, notebooks: Path, results: Path) -> bool:
    """Rewrite the table between the two results comments of the README; True if it changed.

    Raises ReportError if the README lacks them.
    """
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ReportError(f"{readme} has no place for the results; add the lines {_BEGIN} and {_END}")
    new = f"{before}{_BEGIN}\n{results_table(notebooks, results)}\n{_END}{after}"
    if new == text:
        return False
    write_atomically(readme, new)
    return True


def results_table(notebooks: Path, results: Path) -> str:
    """Markdown, a row a claim: question, notebook, paper's number, ours, hardware, minutes.

    A notebook that answers no claim is a tool and has no row.
    """
    records = [record for folder in results.glob("*") if folder.is_dir() for record in read_records(folder)]
    strongest = {record.notebook: record for record in sorted(records, key=_weight)}
    rows = [["Question", "Notebook", "The paper's number", "Ours", "Hardware", "Minutes"], ["---"] * 5 + ["---:"]]
    for path in sorted(path for path in notebooks.glob("*.ipynb") if claims_of(path.stem)):
        head = [title_of(read_notebook(path), otherwise=path.stem), f"[{path.stem}]({notebooks.name}/{path.name})"]
        record = strongest.get(path.stem)
        if record is None:
            rows.append([*head, "", "not measured yet", "", ""])
            continue
        where = f"{results.relative_to(notebooks.parent)}/{record.profile}/{path.stem}.json"
        tail = [f"{record.findings.get('hardware') or 'not stated'}; {_size(record)}", f"{record.seconds / 60:.0f}"]
        for number, (paper, ours) in enumerate(_pairs(record, where)):
            rows.append([*head, paper, ours, *tail] if number == 0 else ["", "", paper, ours, "", ""])
    return _markdown_table(rows)


def _weight(record: ReportResult) -> tuple[bool, int]:
    """What the protocol lets decide counts more than what a larger study only explored."""
    decides = {"agrees", "differs", "inconclusive"} & {verdict["status"] for verdict in record.verdicts}
    return bool(decides), strength(record.profile)


def _pairs(record: ReportResult, where: str) -> list[tuple[str, str]]:
    """What the paper says and what was measured, of the first claims; last, how the others came out."""
    pairs = [(_paper(verdict["claim"]), _ours(verdict)) for verdict in record.verdicts[:_SHOWN]]
    if rest := Counter(verdict["status"] for verdict in record.verdicts[_SHOWN:]):
        counted = ", ".join(f"{count} {status}" for status, count in sorted(rest.items()))
        pairs.append((f"[{rest.total()} more]({where})", counted))
    return pairs


def _markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, the second the alignment, as a table of Markdown."""
    cells = ([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _size(record: ReportResult) -> str:
    """The profile, and what was overridden in it."""
    return ", ".join([record.profile, *record.given])


def _paper(claim: Mapping[str, Any]) -> str:
    number = "" if claim["number"] is None else f": {printed(claim['number'], claim['unit'])}"
    return f"{claim['statement']} ({claim['paper']}, {claim['place']}){number}"


def _ours(verdict: Mapping[str, Any]) -> str:
    measured = quantity(verdict["measured"], verdict["claim"]["unit"])
    spread = interval_text(verdict["low"], verdict["high"])
    status = f"**{verdict['status']}**" + (f" ({verdict['said']})" if verdict["status"] == "exploratory" else "")
    return f"{status}: {measured}, {spread}, n = {verdict['counted']}"


if __name__ == "__main__":
    notebooks = CHECKOUT / "notebooks"
    changed = update_readme(CHECKOUT / "README.md", notebooks=notebooks, results=notebooks / "results")
    print("README.md rewritten" if changed else "README.md is up to date")
