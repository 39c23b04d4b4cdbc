"""What is known of a notebook's last run: one JSON file beside its page."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbook.errors import ReportError
from workbook.files import write_atomically

# What a notebook may write into its own part (workbook.papers.verdicts.write_verdicts).
_FINDINGS = ("hardware", "versions", "seeds", "verdicts", "measurements")


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """One executed notebook.

    notebook: file name without suffix. parameters: what it got besides the profile. error: the last line of
    a failure, and the cell (from 1, as in the notebook file) where it happened. findings: what it wrote.
    """

    notebook: str
    title: str
    profile: str
    status: Literal["passed", "failed"]
    date: str
    seconds: float
    parameters: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    cell: int | None = None
    findings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return list(self.findings.get("verdicts", []))

    @property
    def given(self) -> list[str]:
        """Its parameters and overridden fields as text: `epochs = 3`."""
        settings = {name: value for name, value in self.parameters.items() if name != "overrides"}
        settings |= self.parameters.get("overrides", {})
        return [f"{name} = {value}" for name, value in settings.items()]


def write_record(folder: Path, result: ReportResult) -> None:
    """`<folder>/<notebook>.json`: the run and its findings in one flat object."""
    document = asdict(result)
    document |= document.pop("findings")
    write_text(folder / f"{result.notebook}.json", json.dumps(document, indent=1, default=str) + "\n")


def read_records(folder: Path) -> list[ReportResult]:
    """All records in a folder, by notebook name; ReportError names a file that is not one."""
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def readable_records(folder: Path) -> tuple[list[ReportResult], list[str]]:
    """The records in a folder, and for every file that is none what is wrong with it."""
    records, problems = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(_read(path))
        except ReportError as error:
            problems.append(str(error))
    return records, problems


def _read(path: Path) -> ReportResult:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        findings = {name: document.pop(name) for name in _FINDINGS if name in document}
        return ReportResult(**document, findings=findings)
    except (ValueError, TypeError, AttributeError) as error:
        raise ReportError(f"{path} is not a report's record ({error}); delete it and run the report again") from error


def read_findings(path: Path) -> dict[str, Any]:
    """What a notebook wrote of its own part; empty if it wrote nothing."""
    if not path.exists():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    return {name: document[name] for name in _FINDINGS if name in document}


def write_text(path: Path, text: str) -> None:
    """Under a temporary name first, so that nobody meets a half-written page."""
    write_atomically(path, text.encode())
