"""Reports that are kept as evidence."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from workbook.errors import ReportError
from workbook.report.record import read_records, write_record

_DIGITS = 5
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
        portable = _portable({"parameters": record.parameters, "findings": record.findings})
        write_record(target, replace(record, **portable))
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
