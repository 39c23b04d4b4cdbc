"""Reports that are kept as evidence."""

from dataclasses import replace
from pathlib import Path

from workbook.errors import ReportError
from workbook.report.kept import keep_page, portable
from workbook.report.record import read_records, write_record
from workbook.report.setting import Setting
from workbook.report.survey import setting_of


def adopt(name: str, *, reports: Path, results: Path) -> list[Path]:
    """Copy the records of `reports/<name>/` that passed and hold verdicts to `results/<name>/`, with their pages.

    name: a profile, or a profile and a data set, as in "pocket-tiny-imagenet-32", of which those are copied that were
    measured in it: what reads no images is the profile's own. Both are made portable, see `workbook.report.kept`.
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
    written: list[Path] = []
    for record in kept:
        record = replace(record, parameters=portable(record.parameters), findings=portable(record.findings))
        write_record(target, record)
        page = keep_page(record, reports=source, target=target)
        written += [target / f"{record.notebook}.json", *([page] if page else [])]
    return written
