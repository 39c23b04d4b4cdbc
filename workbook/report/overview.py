"""The survey as the start page shows it: in words, as a gallery, in a table, and as a list of claims with filters."""

import html
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from workbook.figures.verdicts import SIGNS
from workbook.papers.claims import Claim, claims_of
from workbook.papers.verdicts import quantity
from workbook.report.notebooks import changed_since, main_figure, read_notebook, title_of
from workbook.report.page import render
from workbook.report.record import ReportResult
from workbook.report.survey import START_PAGE, Finding, Survey


def standing(survey: Survey) -> Counter[str]:
    """How many claims have which outcome by the strongest evidence that there is, in the order of `SIGNS`."""
    claims = [claim for listed in survey.topics().values() for claim in listed]
    found = Counter(str(survey.strongest(claim.id).outcome) for claim in claims)
    return Counter({outcome: found[outcome] for outcome in SIGNS if outcome in found})


def known_in_words(survey: Survey) -> str:
    """Markdown: how all claims stand, and on what that rests."""
    counts = standing(survey)
    outcomes = ", ".join(f"{SIGNS[outcome]} {count} {outcome}" for outcome, count in counts.items())
    lines = [f"**Of {counts.total()} claims: {outcomes}**, each by the strongest evidence that there is."]
    if kept := dict.fromkeys(f"**{source.setting}**" for source in survey.sources if source.adopted):
        lines.append(f"Kept with the project as evidence, measured before: the profiles {' and '.join(kept)}.")
    else:
        lines.append("No results that were measured before lie beside the notebooks.")
    return " ".join(lines)


def state(survey: Survey) -> str:
    """Markdown: what was run in this folder, what could not be read, and what to run where there is nothing."""
    own, setting = survey.own, _literal(str(survey.own.setting))
    command = f"`{own.setting.command()}`"
    if not own.records:
        lines = [f"There is no report of the profile **{setting}** yet; {command} makes them."]
    else:
        last = max(record.date for record in own.records)
        noun = "notebook" if len(own.records) == 1 else "notebooks"
        lines = [f"{len(own.records)} {noun} of the profile **{setting}** ran, the last on {_literal(last[:10])}."]
    if failed := sum(record.status == "failed" for record in own.records):
        lines.append(f"**{failed} failed, so without verdicts**; {command} runs them again.")
    if own.setting.profile == "smoke":
        lines.append("Smoke runs are never evidence: their verdicts read *not evaluated*.")
    return " ".join([*lines, *(f"Not shown: {_literal(problem)}." for problem in survey.problems)])


def _literal(text: str) -> str:
    """The text as Markdown shows it, whatever it holds: neither markup nor HTML."""
    return re.sub(r"([\\`*_\[\]$])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def outcome_table(survey: Survey) -> pd.DataFrame:
    """Tidy, one row a claim for what is known and for this run, as `figures.verdicts.verdict_grid` takes it."""
    panels = {"known so far": survey.strongest}
    if survey.own.records:
        panels[f"this run: {survey.own.setting}"] = survey.own.finding
    return pd.DataFrame(
        {
            "panel": panel,
            "paper": claim.paper,
            "topic": topic,
            "claim": claim.id,
            "statement": claim.statement,
            "outcome": finding.outcome,
            "text": f"{quantity(finding.verdict['measured'], claim.unit)}, n = {finding.verdict['counted']}, "
            f"{finding.setting}"
            if finding.verdict
            else "",
        }
        for panel, found in panels.items()
        for topic, claims in survey.topics().items()
        for claim in claims
        for finding in [found(claim.id)]
    )


@dataclass(frozen=True, kw_only=True)
class _Card:
    """A notebook. known: how its claims stand, by the strongest evidence. result: its run in the folder in front, and
    counts: what that said. figure: its main one; where that is no evidence, and `before`, that of what was measured
    before. changed: its code is no longer that which was executed."""

    notebook: str
    title: str
    known: Counter[str]
    counts: Counter[str] = field(default_factory=Counter)
    result: ReportResult | None = None
    figure: dict[str, Any] | None = None
    before: bool = False
    changed: bool = False


def gallery(survey: Survey) -> str:
    """HTML, a card a notebook: question, figure and verdicts; links are relative to the notebooks' folder."""
    cards = {record.notebook: _card_of(record, survey) for record in survey.own.records}
    if survey.is_about_claims:
        names = {path.stem for path in survey.notebooks.glob("*.ipynb")} - {START_PAGE, *cards}
        for name in names:
            title = title_of(read_notebook(survey.notebooks / f"{name}.ipynb"), otherwise=name)
            cards[name] = _Card(notebook=name, title=title, known=_known(name, survey))
    in_order = [cards[name] for name in sorted(cards)]
    return render("gallery.html.j2", cards=in_order, reports=survey.place(survey.own.folder))


def _known(notebook: str, survey: Survey) -> Counter[str]:
    return Counter(str(survey.strongest(claim.id).outcome) for claim in claims_of(notebook))


def _card_of(result: ReportResult, survey: Survey) -> _Card:
    executed = survey.own.folder / f"{result.notebook}.ipynb"
    judged = result.verdicts if result.status == "passed" else []  # a run that failed gives no verdict
    counts = Counter(verdict["status"] for verdict in judged)
    before = main_figure(executed, "known") if set(counts) <= {"not evaluated"} else None
    return _Card(
        notebook=result.notebook,
        title=result.title,
        known=_known(result.notebook, survey),
        counts=counts,
        result=result,
        figure=before or main_figure(executed),
        before=before is not None,
        changed=changed_since(executed, survey.notebooks / executed.name),
    )


def claim_list(survey: Survey) -> str:
    """HTML: every claim with what each source found, and filters; links are relative to the notebooks' folder."""
    listed = {
        topic: [(claim, _worth_saying(claim, survey)) for claim in claims] for topic, claims in survey.topics().items()
    }
    found = [finding for rows in listed.values() for _, findings in rows for finding in findings]
    outcomes, settings = {finding.outcome for finding in found}, {finding.setting for finding in found}
    return render(
        "claims.html.j2",
        topics=listed,
        outcomes=[outcome for outcome in SIGNS if outcome in outcomes],
        settings=[setting for setting in survey.settings if setting in settings],
        address=survey.address,
        detail=_detail,
    )


def _worth_saying(claim: Claim, survey: Survey) -> list[Finding]:
    """The strongest first, then that of the folder in front, and of the others what they tell; what a paper prints is
    the same in all."""
    own, *others = survey.findings(claim.id)
    if own.verdict is not None and own.verdict.get("evidence") == "printed tables":
        return [own]
    strongest = survey.strongest(claim.id)
    shown = [own, *(f for f in others if f.tells or f.record is strongest.record)]
    return sorted(shown, key=lambda f: f.record is not strongest.record)


def _detail(finding: Finding) -> str:
    """What is to be said beside the outcome, which itself says where the interval lies."""
    if finding.verdict is None or finding.record is None:
        return ""
    told = finding.verdict["detail"]
    if finding.tells:
        told = told.partition("; ")[2]
        if finding.outcome == "exploratory":
            told = f"by its interval: {finding.verdict['said']}; {told}"
    elif finding.setting.profile == "smoke":
        told = ""  # the page says it once
    parts = [told, *finding.record.given]
    if finding.source.adopted:
        parts.append(f"run of {finding.record.date[:10]}")
    parts += [f"{name}: {outcome}" for name, outcome in finding.others.items()]
    return " · ".join(part for part in parts if part)
