"""The index of a folder of reports: notebooks with their main figures, every claim with its verdicts, machines."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbook.papers.verdicts import Claim
from workbook.report.gallery import Picture, changed_since, main_figure, place_plotly
from workbook.report.page import environment, script_json
from workbook.report.record import ReportResult, write_text
from workbook.report.survey import NOTEBOOKS, SIGNS, START_PAGE, Finding, Outcome, Survey, read_survey
from workbook.report.topics import topics_of


@dataclass(frozen=True, kw_only=True)
class _Card:
    """One executed notebook. changed: its code is no longer that which was executed."""

    result: ReportResult
    counts: list[tuple[str, int]]
    picture: Picture | None
    changed: bool


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One claim; `findings` begin with that of this folder."""

    claim: Claim
    findings: list[Finding]


def write_index(out: Path, *, profile: str, note: str = "", notebooks: Path = NOTEBOOKS) -> Path:
    """Write `<out>/index.html` from the records that lie in `out`; the note is shown on top.

    notebooks: their folder, whose `results/` holds what was adopted as evidence; reports of other profiles are
    looked for beside `out`.
    """
    out = out.resolve()  # links are made relative to it
    survey = read_survey(profile, out=out, notebooks=notebooks.resolve())
    cards = [_card(result, out, notebooks) for result in survey.own.records]
    topics = [
        (topic, [_Row(claim=claim, findings=_worth_saying(survey.findings(claim.id))) for claim in claims])
        for topic, claims in (survey.topics() if _is_about_claims(survey) else ())
    ]
    findings = [finding for _, rows in topics for row in rows for finding in row.findings]
    links = _Links(out, notebooks.resolve())
    page = (
        environment()
        .get_template("index.html.j2")
        .render(
            profile=profile,
            note=note,
            cards=cards,
            last=max((card.result.date for card in cards), default=""),
            plotly=place_plotly(out) if any(card.picture for card in cards) else "",
            start_page=START_PAGE if any(card.result.notebook == START_PAGE for card in cards) else "",
            topics=topics,
            signs=SIGNS,
            own_counts=_in_order(Counter(row.findings[0].outcome for _, rows in topics for row in rows)),
            outcomes=[outcome for outcome in SIGNS if any(finding.outcome == outcome for finding in findings)],
            profiles=sorted({finding.source.profile for finding in findings}, key=survey.profiles.index),
            beside=links.indexes_beside(survey),
            links=links,
            detail=_detail,
            problems=survey.problems,
            machines=_machines([card.result for card in cards]),
            script_json=script_json,
        )
    )
    write_text(out / "index.html", page)
    return out / "index.html"


def _card(result: ReportResult, out: Path, notebooks: Path) -> _Card:
    executed = out / f"{result.notebook}.ipynb"
    return _Card(
        result=result,
        counts=verdict_counts(result),
        picture=main_figure(executed),
        changed=changed_since(executed, notebooks / executed.name),
    )


def verdict_counts(result: ReportResult) -> list[tuple[str, int]]:
    """(status, how many), in the order agrees, differs, inconclusive, not evaluated; none of a run that failed."""
    return _in_order(Counter(verdict["status"] for verdict in result.verdicts)) if result.status == "passed" else []


def _in_order(counted: Mapping[Any, int]) -> list[tuple[str, int]]:
    return [(outcome, counted[outcome]) for outcome in SIGNS if counted.get(outcome)]


def _is_about_claims(survey: Survey) -> bool:
    """Not where only tools ran, such as the scoring of a model."""
    records = survey.own.records
    answers = [r.notebook == START_PAGE or bool(r.verdicts or topics_of(r.notebook)) for r in records]
    return any(answers) or not records


def _worth_saying(findings: Sequence[Finding]) -> list[Finding]:
    """That of this folder, and of the others what they decided; what a paper prints is the same in all of them."""
    own, *others = findings
    printed = own.verdict is not None and own.verdict.get("evidence") == "printed tables"
    silent: tuple[Outcome, ...] = ("not evaluated",)
    return [own, *(finding for finding in others if finding.outcome not in silent and not printed)]


def _detail(finding: Finding) -> str:
    """What is to be said beside the outcome, which itself says where the interval lies."""
    if finding.verdict is None or finding.record is None:
        return ""
    told = finding.verdict["detail"]
    if finding.outcome != "not evaluated":
        told = told.partition("; ")[2]
    elif finding.source.profile == "smoke":
        told = ""  # the page says it once, on top
    parts = [told, *finding.record.given]
    if finding.source.adopted:
        parts.append(f"run of {finding.record.date[:10]}")
    parts += [f"{name}: {outcome}" for name, outcome in finding.others.items()]
    return " · ".join(part for part in parts if part)


class _Links:
    """Addresses relative to the index."""

    def __init__(self, out: Path, notebooks: Path) -> None:
        self._out = out
        self._notebooks = notebooks

    def _to(self, path: Path) -> str:
        return quote(Path(os.path.relpath(path, self._out)).as_posix())

    def indexes_beside(self, survey: Survey) -> dict[str, str]:
        """folder name -> its index, of the other reports that hold verdicts."""
        return {
            source.folder.name: self._to(source.folder / "index.html")
            for source in survey.sources[1:]
            if not source.adopted and any(record.verdicts for record in source.records)
        }

    def notebook(self, name: str) -> str:
        """The executed notebook if it lies here, else the notebook itself."""
        executed = self._out / f"{name}.ipynb"
        return self._to(executed if executed.exists() else self._notebooks / executed.name)

    def finding(self, finding: Finding) -> tuple[str, str]:
        """(address, text) of where a finding comes from; empty strings where there is nothing to look at."""
        if finding.record is None:
            return "", ""
        if finding.page is not None:
            return self._to(finding.page), "report"
        return self._to(finding.source.folder / f"{finding.record.notebook}.json"), "adopted"


def _machines(results: Sequence[ReportResult]) -> list[dict[str, Any]]:
    """Hardware and versions, each combination once, with the notebooks that ran on it."""
    machines: list[dict[str, Any]] = []
    for result in results:
        hardware, versions = result.findings.get("hardware"), result.findings.get("versions")
        if not hardware and not versions:
            continue
        same = [m for m in machines if m["hardware"] == hardware and m["versions"] == versions]
        if same:
            same[0]["notebooks"].append(result.notebook)
        else:
            machines.append({"hardware": hardware, "versions": versions, "notebooks": [result.notebook]})
    return machines
