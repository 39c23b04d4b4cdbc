"""The survey as the start page shows it: in words, as a gallery, in a table, and as a list of claims with filters."""

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbook.figures.verdicts import SIGNS
from workbook.papers.claims import claims_of
from workbook.papers.verdicts import quantity
from workbook.report.notebooks import changed_since, main_figure, read_notebook, title_of
from workbook.report.page import render
from workbook.report.record import ReportResult
from workbook.report.survey import START_PAGE, Finding, Survey


def state(survey: Survey) -> str:
    """Markdown: what the page is made from, what could not be read, and what to run where there is nothing."""
    own, profile = survey.own, _literal(survey.own.profile)
    command = f"`make reports PROFILE={profile}`"
    if not own.records:
        lines = [f"There is no report of the profile **{profile}** yet; {command} makes them."]
    else:
        last = max(record.date for record in own.records)
        noun = "notebook" if len(own.records) == 1 else "notebooks"
        lines = [f"{len(own.records)} {noun} of the profile **{profile}** ran, the last on {_literal(last[:10])}."]
    if failed := sum(record.status == "failed" for record in own.records):
        lines.append(f"**{failed} failed, so without verdicts**; {command} runs them again.")
    if own.profile == "smoke":
        lines.append("Smoke runs are never evidence: their verdicts read *not evaluated*.")
    if adopted := [source.profile for source in survey.sources if source.adopted]:
        lines.append(f"Results kept with the project as evidence: {_literal(', '.join(adopted))}.")
    return " ".join([*lines, *(f"Not shown: {_literal(problem)}." for problem in survey.problems)])


def _literal(text: str) -> str:
    """The text as Markdown shows it, whatever it holds: neither markup nor HTML."""
    return re.sub(r"([\\`*_\[\]$])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def outcome_table(survey: Survey) -> pd.DataFrame:
    """Tidy, one row a profile and claim, as `figures.verdicts.verdict_grid` takes it."""
    return pd.DataFrame(
        {
            "profile": profile,
            "paper": claim.paper,
            "topic": topic,
            "claim": claim.id,
            "statement": claim.statement,
            "outcome": finding.outcome if finding else "not measured",
            "text": f"{quantity(finding.verdict['measured'], claim.unit)}, n = {finding.verdict['counted']}"
            if finding and finding.verdict
            else "",
        }
        for profile in survey.profiles
        for topic, claims in survey.topics().items()
        for claim in claims
        for finding in [survey.in_profile(claim.id, profile)]
    )


@dataclass(frozen=True, kw_only=True)
class _Card:
    """A notebook. result: its run in the folder in front; without one, `counts` is what is known from elsewhere.
    figure: its main one. changed: its code is no longer that which was executed."""

    notebook: str
    title: str
    counts: Counter[str]
    result: ReportResult | None = None
    figure: dict[str, Any] | None = None
    changed: bool = False


def gallery(survey: Survey) -> str:
    """HTML, a card a notebook: question, figure and verdicts; links are relative to the notebooks' folder."""
    cards = {record.notebook: _card_of(record, survey) for record in survey.own.records}
    if survey.is_about_claims:
        names = {path.stem for path in survey.notebooks.glob("*.ipynb")} - {START_PAGE, *cards}
        for name in names:
            title = title_of(read_notebook(survey.notebooks / f"{name}.ipynb"), otherwise=name)
            known = Counter(str(survey.strongest(claim.id).outcome) for claim in claims_of(name))
            cards[name] = _Card(notebook=name, title=title, counts=known)
    in_order = [cards[name] for name in sorted(cards)]
    return render("gallery.html.j2", cards=in_order, reports=survey.address(survey.own.folder))


def _card_of(result: ReportResult, survey: Survey) -> _Card:
    executed = survey.own.folder / f"{result.notebook}.ipynb"
    judged = result.verdicts if result.status == "passed" else []  # a run that failed gives no verdict
    return _Card(
        notebook=result.notebook,
        title=result.title,
        counts=Counter(verdict["status"] for verdict in judged),
        result=result,
        figure=main_figure(executed),
        changed=changed_since(executed, survey.notebooks / executed.name),
    )


def claim_list(survey: Survey) -> str:
    """HTML: every claim with what each source found, and filters; links are relative to the notebooks' folder."""
    listed = {
        topic: [(claim, _worth_saying(survey.findings(claim.id))) for claim in claims]
        for topic, claims in survey.topics().items()
    }
    found = [finding for rows in listed.values() for _, findings in rows for finding in findings]
    outcomes, profiles = {finding.outcome for finding in found}, {finding.source.profile for finding in found}
    return render(
        "claims.html.j2",
        topics=listed,
        outcomes=[outcome for outcome in SIGNS if outcome in outcomes],
        profiles=[profile for profile in survey.profiles if profile in profiles],
        address=survey.address,
        detail=_detail,
    )


def _worth_saying(findings: Sequence[Finding]) -> list[Finding]:
    """That of the folder in front, and of the others what they tell; what a paper prints is the same in all."""
    own, *others = findings
    printed = own.verdict is not None and own.verdict.get("evidence") == "printed tables"
    return [own, *(finding for finding in others if finding.tells and not printed)]


def _detail(finding: Finding) -> str:
    """What is to be said beside the outcome, which itself says where the interval lies."""
    if finding.verdict is None or finding.record is None:
        return ""
    told = finding.verdict["detail"]
    if finding.tells:
        told = told.partition("; ")[2]
        if finding.outcome == "exploratory":
            told = f"by its interval: {finding.verdict['said']}; {told}"
    elif finding.source.profile == "smoke":
        told = ""  # the page says it once
    parts = [told, *finding.record.given]
    if finding.source.adopted:
        parts.append(f"run of {finding.record.date[:10]}")
    parts += [f"{name}: {outcome}" for name, outcome in finding.others.items()]
    return " · ".join(part for part in parts if part)
