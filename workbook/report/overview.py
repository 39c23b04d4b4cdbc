"""The survey as tables: for the start page, and for the figure of all verdicts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from workbook.papers.verdicts import printed, quantity
from workbook.report.parameters import read_notebook, title_of
from workbook.report.survey import NOTEBOOKS, SIGNS, START_PAGE, Finding, Survey
from workbook.report.topics import topics_of


def state(survey: Survey) -> str:
    """Markdown: what the tables below are made from, what failed, and what to run where there is nothing."""
    own = survey.own
    command = f"`make reports PROFILE={own.profile}`"
    if not own.records:
        lines = [f"There is no report of the profile **{own.profile}** yet; {command} makes them."]
    else:
        index = f"../reports/{own.folder.name}/index.html"
        last = max(record.date for record in own.records)
        lines = [f"{len(own.records)} notebooks of the profile **{own.profile}** have run, the last on {last[:10]}."]
        lines.append(f"Their [index]({index}) shows what has been run since this page.")
    if failed := [record.notebook for record in own.records if record.status == "failed"]:
        lines.append(f"**Failed, so without verdicts: {', '.join(failed)}**; {command} runs them again.")
    adopted = [source for source in survey.sources if source.adopted]
    if adopted:
        lines.append(f"Results kept with the project as evidence: {', '.join(source.profile for source in adopted)}.")
    return " ".join([*lines, *(f"Not shown: {problem}." for problem in survey.problems)])


def question_table(survey: Survey, notebooks: Path = NOTEBOOKS) -> str:
    """Markdown, a row a notebook: the question, linked, and how many of its claims have which verdict by now.

    Links go to the notebooks; in a report's page they go to the pages beside it.
    """
    rows = [["Question", "Paper", "Claims", "Verdicts of the strongest profile so far"], ["---", "---", "---:", "---"]]
    for path in sorted(notebooks.glob("*.ipynb")):
        if path.stem == START_PAGE:
            continue
        topics = topics_of(path.stem)
        found = [survey.strongest(claim.id) for topic in topics for claim in topic.claims]
        papers = sorted({claim.paper for topic in topics for claim in topic.claims})
        title = title_of(read_notebook(path), otherwise=path.stem)
        count = str(len(found)) if found else ""
        rows.append([f"[{title}]({path.name})", " ".join(papers), count, counts_text(found) or "a tool"])
    return markdown_table(rows)


def counts_text(findings: Iterable[Finding]) -> str:
    """✓ 2 agrees, ✗ 1 differs; in the order of SIGNS."""
    counted = Counter(finding.outcome for finding in findings)
    return ", ".join(f"{sign} {counted[outcome]} {outcome}" for outcome, sign in SIGNS.items() if counted[outcome])


def claim_table(survey: Survey, notebooks: Path = NOTEBOOKS) -> str:
    """Markdown, a row a claim and a column a profile: verdict, linked to its report, and measurement.

    Links lead from `notebooks` to `reports/` beside it; in a report's page to the reports beside that.
    """
    profiles = survey.profiles
    rows = [["Claim", "Paper", *profiles], ["---"] * (2 + len(profiles))]
    for topic, claims in survey.topics():
        where = ", ".join(f"[{name}]({name}.ipynb)" for name in topic.notebooks) or "no notebook yet"
        rows.append([f"**{topic.name}**: {where}", "", *([""] * len(profiles))])
        for claim in claims:
            number = "" if claim.number is None else f": {printed(claim.number, claim.unit)}"
            cells = [_cell_of(survey.in_profile(claim.id, profile), claim.unit) for profile in profiles]
            rows.append([claim.statement, f"{claim.paper}, {claim.place}{number}", *cells])
    return markdown_table(rows)


def _cell_of(finding: Finding | None, unit: str) -> str:
    if finding is None or finding.outcome == "not measured":
        return SIGNS["not measured"]
    outcome = f"{SIGNS[finding.outcome]} {finding.outcome}"
    if finding.page is not None and finding.page.exists():
        outcome = f"[{outcome}](../reports/{finding.source.folder.name}/{finding.page.name})"
    if finding.verdict is None or finding.outcome == "not evaluated":
        return outcome  # a number that is no evidence is not shown beside those that are
    return f"{outcome}: {quantity(finding.verdict['measured'], unit)}, n = {finding.verdict['n']}"


def outcome_table(survey: Survey) -> pd.DataFrame:
    """Tidy, one row a profile and claim, as `figures.verdicts.verdict_grid` takes it."""
    return pd.DataFrame(
        {
            "profile": profile,
            "paper": claim.paper,
            "topic": topic.name,
            "claim": claim.id,
            "statement": claim.statement,
            "outcome": finding.outcome if finding else "not measured",
            "text": f"{quantity(finding.verdict['measured'], claim.unit)}, n = {finding.verdict['n']}"
            if finding and finding.verdict
            else "",
        }
        for profile in survey.profiles
        for topic, claims in survey.topics()
        for claim in claims
        for finding in [survey.in_profile(claim.id, profile)]
    )


def markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, the second the alignment, as a table of Markdown."""
    cells = ([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)
