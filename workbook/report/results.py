"""Reports that are kept as evidence, and the table that the README makes of them."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from workbook.errors import ReportError
from workbook.papers.verdicts import interval_text, printed, quantity
from workbook.report.overview import markdown_table
from workbook.report.parameters import read_notebook, title_of
from workbook.report.record import ReportResult, read_records, write_record, write_text
from workbook.report.survey import records_by_strength

_BEGIN, _END = "<!-- results:begin -->", "<!-- results:end -->"
_DIGITS = 5
_SHOWN = 6  # claims of a notebook in the README
_PATH = re.compile(r"(?<![\w.:/])(?:/[\w.+-]+){2,}/?")


def adopt(profile: str, *, reports: Path, results: Path) -> list[Path]:
    """Copy the records of `reports/<profile>/` that passed and hold verdicts to `results/<profile>/`.

    Numbers are rounded to five digits and paths of this machine are cut to their last part.
    Raises ReportError for the smoke profile, whose numbers are no evidence, and if nothing can be adopted.
    """
    if profile == "smoke":
        raise ReportError("smoke results are no evidence and are not adopted; run make reports PROFILE=pocket")
    source = reports / profile
    records = read_records(source)
    kept = [record for record in records if record.status == "passed" and record.verdicts]
    if not kept:
        found = ", ".join(f"{r.notebook} {r.status} with {len(r.verdicts)} verdicts" for r in records) or "no report"
        raise ReportError(f"nothing to adopt in {source} ({found}); run make reports PROFILE={profile}")
    target = results / profile
    target.mkdir(parents=True, exist_ok=True)
    for record in kept:
        write_record(
            target,
            replace(record, **_portable({"parameters": record.parameters, "findings": record.findings})),
        )
    return [target / f"{record.notebook}.json" for record in kept]


def _portable(value: Any) -> Any:
    """Rounded, and without paths of this machine."""
    if isinstance(value, Mapping):
        return {str(_portable(name)): _portable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_portable(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, str):
        return _PATH.sub(lambda found: PurePath(found.group()).name, value)
    return value


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
    write_text(readme, new)
    return True


def results_table(notebooks: Path, results: Path) -> str:
    """Markdown, a row a claim: question, notebook, paper's number, ours, hardware, minutes.

    A notebook that judges no claim is a tool and has no row.
    """
    strongest = records_by_strength(results)
    rows = []
    for path in sorted(notebooks.glob("*.ipynb")):
        notebook = read_notebook(path)
        if not any("CLAIMS" in cell.source for cell in notebook.cells):
            continue
        title = title_of(notebook, otherwise=path.stem)
        link = f"[{path.stem}]({notebooks.name}/{path.name})"
        record = strongest.get(path.stem)
        if record is None:
            rows.append([title, link, "", "not measured yet", "", ""])
            continue
        machine = f"{record.findings.get('hardware') or 'not stated'}; {_size(record)}"
        for number, verdict in enumerate(record.verdicts[:_SHOWN]):
            head = [title, link] if number == 0 else ["", ""]
            tail = [machine, f"{record.seconds / 60:.0f}"] if number == 0 else ["", ""]
            rows.append([*head, _paper(verdict["claim"]), _ours(verdict), *tail])
        if rest := Counter(verdict["status"] for verdict in record.verdicts[_SHOWN:]):
            counted = ", ".join(f"{count} {status}" for status, count in sorted(rest.items()))
            where = (
                f"[{rest.total()} more]({(results / record.profile).relative_to(notebooks.parent)}/{path.stem}.json)"
            )
            rows.append(["", "", where, counted, "", ""])
    header = [
        ["Question", "Notebook", "The paper's number", "Ours", "Hardware", "Minutes"],
        ["---"] * 5 + ["---:"],
    ]
    return markdown_table(header + rows)


def _size(record: ReportResult) -> str:
    """The profile, and what was overridden in it."""
    return ", ".join([record.profile, *record.given])


def _paper(claim: Mapping[str, Any]) -> str:
    number = "" if claim["number"] is None else f": {printed(claim['number'], claim['unit'])}"
    return f"{claim['statement']} ({claim['paper']}, {claim['place']}){number}"


def _ours(verdict: Mapping[str, Any]) -> str:
    measured = quantity(verdict["measured"], verdict["claim"]["unit"])
    spread = interval_text(verdict["low"], verdict["high"])
    return f"**{verdict['status']}**: {measured}, {spread}, n = {verdict['n']}"
