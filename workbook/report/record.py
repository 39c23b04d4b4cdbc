"""What is known of a notebook's last run: one JSON file beside its page."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import TypeAdapter

from workbook.errors import ReportError
from workbook.files import told, write_atomically
from workbook.report.setting import DATASET, Setting

# Ends the names of page, notebook and record of a run that failed after one that passed, which stays where it is.
LATER_FAILURE = ".failed"
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
    def setting(self) -> Setting:
        return Setting.of(self.profile, self.parameters)

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return list(self.findings.get("verdicts", []))

    @property
    def given(self) -> list[str]:
        """Its parameters and overridden fields as text, without the set that its setting says: `epochs = 3`."""
        values = {**self.parameters, **self.parameters.get("overrides", {})}
        return [f"{name} = {value}" for name, value in values.items() if name not in ("overrides", *DATASET)]


_RESULT = TypeAdapter(ReportResult)
# what pages rely on
_NUMBER = (int, float, type(None))
_VERDICT: dict[str, Any] = {"claim": Mapping, "n": int, "seeds": list}
_VERDICT |= dict.fromkeys(("status", "detail", "said", "counted"), str)
_VERDICT |= dict.fromkeys(("measured", "low", "high"), _NUMBER)
_CLAIM: dict[str, Any] = dict.fromkeys(("id", "paper", "place", "statement", "unit"), str) | {"number": _NUMBER}


def write_record(folder: Path, result: ReportResult) -> None:
    """`<folder>/<notebook>.json`: the run and its findings in one flat object; see `place_of`."""
    document = asdict(result)
    document |= document.pop("findings")
    write_atomically(folder / f"{place_of(folder, result)}.json", json.dumps(document, indent=1, default=str) + "\n")


def write_table(folder: Path, result: ReportResult) -> None:
    """`<folder>/<notebook>.csv`: the run's measurements, one row each, in whole; none is left where it has none."""
    path = folder / f"{place_of(folder, result)}.csv"
    if rows := result.findings.get("measurements"):
        write_atomically(path, pd.DataFrame(rows).to_csv(index=False))
    else:
        path.unlink(missing_ok=True)


def place_of(folder: Path, result: ReportResult) -> str:
    """The name, without suffix, under which the run lies in the folder: a failure does not take that of a success."""
    if result.status == "passed":
        return result.notebook
    try:
        before = _read(folder / f"{result.notebook}.json").status
    except ReportError:
        before = "failed"
    return result.notebook + (LATER_FAILURE if before == "passed" else "")


def later_failures(folder: Path) -> list[ReportResult]:
    """The runs that failed since the one whose page stands there passed."""
    found = []
    for path in sorted(folder.glob(f"*{LATER_FAILURE}.json")):
        with suppress(ReportError):
            found.append(_read(path))
    return found


def read_records(folder: Path, problems: list[str] | None = None) -> list[ReportResult]:
    """All records in a folder, by notebook name; what is wrong with a file that is none is added to the problems.

    Without problems to add to, such a file raises ReportError.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        if path.stem.endswith(LATER_FAILURE):
            continue
        try:
            records.append(_read(path))
        except ReportError as error:
            if problems is None:
                raise
            problems.append(str(error))
    return records


def _read(path: Path) -> ReportResult:
    try:
        with told(ReportError, "read", path):
            document = json.loads(path.read_text(encoding="utf-8"))
        findings = {name: document.pop(name) for name in _FINDINGS if name in document}
        if "verdicts" in findings:
            findings["verdicts"] = [_checked(_after_the_protocol(verdict)) for verdict in findings["verdicts"]]
        result = ReportResult(**document, findings=findings)
        _RESULT.validate_python(vars(result))
        return result
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ReportError(f"{path} is not a report's record ({why}); delete it and run the report again") from error


def _checked(verdict: dict[str, Any]) -> dict[str, Any]:
    for part, kinds in ((verdict, _VERDICT), (verdict["claim"], _CLAIM)):
        for name, kind in kinds.items():
            if not isinstance(part[name], kind):
                raise ValueError(f"a verdict's {name} is {part[name]!r}")
    return verdict


def _after_the_protocol(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict as it is recorded now; one on runs from before there was a protocol is exploratory."""
    if "seeds" in verdict:
        return dict(verdict)
    runs, status = verdict.get("evidence", "runs") == "runs", verdict["status"]
    counted = f"{verdict['n']} {'seeds' if runs else 'models'}"
    told = dict(verdict) | {"seeds": [], "said": status, "counted": counted}
    if runs and status != "not evaluated":
        said, _, rest = verdict["detail"].partition("; ")
        detail = "; ".join(filter(None, [said, "its runs are from before the protocol", rest]))
        told |= {"status": "exploratory", "detail": detail}
    return told


def read_findings(path: Path) -> dict[str, Any]:
    """What a notebook wrote of its own part; empty if it wrote nothing."""
    document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {name: document[name] for name in _FINDINGS if name in document}
