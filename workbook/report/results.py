"""Reports that are kept as evidence."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from workbook.errors import ReportError
from workbook.report.record import read_records, write_record
from workbook.report.setting import Setting
from workbook.report.survey import setting_of

_DIGITS = 5
_PATH = re.compile(r"(?<![\w.:/])(?:/[\w.+-]+){2,}/?")


def adopt(name: str, *, reports: Path, results: Path) -> list[Path]:
    """Copy the records of `reports/<name>/` that passed and hold verdicts to `results/<name>/`.

    name: a profile, or a profile and a data set, as in "pocket-tiny-imagenet-32", of which those are copied that were
    measured in it: what reads no images is the profile's own. Numbers are rounded to five digits and paths of this
    machine are cut to their last part.
    Raises ReportError for the smoke profile, whose numbers are no evidence, and if nothing can be adopted.
    """
    profile, _, dataset = name.partition("-")
    if profile == "smoke":
        raise ReportError("smoke results are no evidence and are not adopted; run make reports PROFILE=pocket")
    source = reports / name
    records = read_records(source)
    setting = setting_of(profile, records)
    kept = [r for r in records if r.status == "passed" and r.verdicts and r.setting == setting]
    if not kept or bool(setting.dataset) != bool(dataset):
        told = (f"{r.notebook} {r.status} with {len(r.verdicts)} verdicts ({r.setting})" for r in records)
        found, advice = ", ".join(told) or "no report", Setting(profile, dataset).command()
        raise ReportError(f"nothing to adopt in {source} ({found}); run {advice}")
    target = results / name
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
