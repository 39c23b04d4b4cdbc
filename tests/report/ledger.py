"""How the claims stand by what was adopted, as Markdown: totals, and what the protocol changed."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbook.figures.verdicts import SIGNS
from workbook.papers.claims import CLAIMS
from workbook.papers.statistics import STATISTICS
from workbook.papers.verdicts import interval_text, quantity
from workbook.report.survey import DECIDES, Finding, Source, read_adopted, strongest

PROFILE = "pocket"  # at which every claim on own runs is to be evaluated
EARLIER = "exploratory.csv"
"""What was said at pocket before there was a protocol, one row a claim: its id `then`, and today's `claim`, empty where
that asks something else or is gone."""


def standing(results: Path) -> str:
    """Two sections for the page of results."""
    sources = read_adopted(results)
    first, second = totals(sources), changes(sources, results / EARLIER)
    return f"## How do the claims stand?\n\n{first}\n\n## What did the protocol change?\n\n{second}"


def totals(sources: Sequence[Source]) -> str:
    """A table of verdicts, each claim once by its strongest evidence, and how many own runs decide at `PROFILE`."""
    on_runs = {name for name, claim in CLAIMS.items() if STATISTICS[claim.statistic].evidence == "runs"}
    found = {name: best(sources, name) for name in CLAIMS}
    counts = Counter((name in on_runs, of.outcome if of else "not measured") for name, of in found.items())
    rows = [["Verdict", "On own runs", "On printed tables"], ["---", "---:", "---:"]]
    for outcome in SIGNS:
        columns = [counts[kind, outcome] for kind in (True, False)]
        rows += [[outcome, *map(str, columns)]] if any(columns) else []
    rows.append(["together", str(len(on_runs)), str(len(CLAIMS) - len(on_runs))])
    at_profile = [source for source in sources if source.setting.profile == PROFILE]
    decided = [found.setting for name in on_runs if _decides(found := best(at_profile, name))]
    second = Counter(setting.dataset for setting in decided if setting.dataset)
    elsewhere = "".join(f", {count} of them on {name} alone" for name, count in sorted(second.items()))
    told = f"Of the {len(on_runs)} claims on own runs {len(decided)} ({100 * len(decided) / len(on_runs):.0f} %)"
    return f"{markdown_table(rows)}\n\n{told} are evaluated by the protocol at `{PROFILE}`{elsewhere}."


def changes(sources: Sequence[Source], earlier: Path) -> str:
    """A sentence of counts, and a table of the claims that the protocol decides otherwise than was said before it."""
    with earlier.open(encoding="utf-8", newline="") as file:
        before = list(csv.DictReader(file))
    same = {row["claim"]: row for row in before if row["claim"]}
    judged = {name: row for name, row in same.items() if row["outcome"] in DECIDES}
    decided = {name: found for name in judged if _decides(found := best(sources, name))}
    changed = {name: found for name, found in decided.items() if found.outcome != judged[name]["outcome"]}
    ways = Counter(f"{judged[name]['outcome']} → {found.outcome}" for name, found in changed.items())
    told = (
        f"Of {len(before)} claims that `{PROFILE}` [had measured](../results/{EARLIER}) before there was a protocol, "
        f"by seeds that were looked at, {len(same)} still ask the same; {len(same) - len(judged)} of them had too few "
        f"seeds, and an interval was judged for {len(judged)}. Of these the protocol decides {len(decided)} by now, "
        f"{len(changed)} otherwise"
    )
    told += f": {', '.join(f'{count} {way}' for way, count in ways.items())}." if ways else "."
    rows = [["Claim", "Before the protocol", "By the protocol"], ["---"] * 3]
    for name, found in changed.items():
        claim, row = CLAIMS[name], judged[name]
        measured = {number: float(row[number]) for number in ("measured", "low", "high")}
        then = f"**{row['outcome']}**: {_in_numbers(measured, claim.unit)}, n = {row['n']} seeds, {row['date']}"
        now = f"**{found.outcome}**: {_in_numbers(found.verdict, claim.unit)}, n = {found.verdict['counted']}"
        rows.append([f"{claim.statement} ({claim.paper}, {claim.place})", then, f"{now}, `{found.setting}`"])
    return f"{told}\n\n{markdown_table(rows)}" if changed else told


def best(sources: Sequence[Source], claim: str) -> Finding | None:
    """What is known of a claim by the strongest evidence that there is; None where nothing judged it."""
    return strongest(source.finding(claim) for source in sources)


def _decides(found: Finding | None) -> bool:
    return found is not None and found.outcome in DECIDES


def measured_and_status(verdict: Mapping[str, Any]) -> tuple[str, str]:
    """Two cells of a table: the effect with its interval and n, and the verdict."""
    status = f"**{verdict['status']}**" + (f" ({verdict['said']})" if verdict["status"] == "exploratory" else "")
    return f"{_in_numbers(verdict, verdict['claim']['unit'])}, n = {verdict['counted']}", status


def _in_numbers(found: Mapping[str, Any], unit: str) -> str:
    return f"{quantity(found['measured'], unit)}, {interval_text(found['low'], found['high'])}"


def markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, the second the alignment, as a table of Markdown."""
    cells = ([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows)
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)
