"""The tables of results, of the README and of the site, from what was adopted: python -m tests.report.readme"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.report.ledger import best, markdown_table, measured_and_status, standing
from workbook.errors import ReportError
from workbook.files import CHECKOUT, write_atomically
from workbook.papers.claims import CLAIMS, claims_of
from workbook.papers.verdicts import printed
from workbook.report.notebooks import read_notebook, title_of
from workbook.report.record import ReportResult
from workbook.report.survey import kept_runs, read_adopted

_BEGIN, _END = "<!-- results:begin -->", "<!-- results:end -->"
# what a visitor asks first -> the claim that answers; the papers' answer to each is yes
QUESTIONS = {
    "Does supervised pretraining (SL) lose transferability in a network's last stage?": "A.stages.sl-drops",
    "Does an MLP projector before the classifier (SL-MLP) help on classes never seen?": "A.pooled.slmlp-above",
    "Does it by keeping variation within classes (smaller φ)?": "A.variation.phi",
    "Does it mix the features of seen and unseen classes (larger Π)?": "A.mixture.pi",
    "Does it make features less redundant (smaller R)?": "A.redundancy.sl",
    "Do unsupervised methods owe their transfer to such an MLP (MoCo v2)?": "A.mlp.mocov2",
    "Does SL-MLP also help on other data sets, by linear evaluation?": "A.transfer.linear",
    "Are self-supervised networks more diverse than supervised ones (by spectrum)?": "B.diversity.ssl-spectral",
    "Does accuracy × spectral diversity (CIS) predict transfer better than accuracy?": "B.cis.linear.spectral.kendall",
    "Is the dose of labels with the best CIS that with the best transfer?": "B.injection.best",
}


def update(page: Path, table: str) -> bool:
    """Rewrite what stands between the two results comments of a page; True if it changed.

    Raises ReportError if the page lacks them.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ReportError(f"{page} has no place for the results; add the lines {_BEGIN} and {_END}")
    new = f"{before}{_BEGIN}\n{table}\n{_END}{after}"
    if new == text:
        return False
    write_atomically(page, new)
    return True


def short_table(results: Path) -> str:
    """Markdown, a row a question: what the paper says, what was measured, the verdict."""
    rows = [["Question", "Paper", "Measured here", "Verdict"], ["---"] * 4]
    sources = read_adopted(results)
    for question, claim_id in QUESTIONS.items():
        claim, found = CLAIMS[claim_id], best(sources, claim_id)
        number = "" if claim.number is None else f", {printed(claim.number, claim.unit)}"
        row = [question, f"yes{number} ({claim.paper}, {claim.place})"]
        rows.append([*row, *(measured_and_status(found.verdict) if found else ("", "not measured yet"))])
    return markdown_table(rows)


def long_tables(notebooks: Path, results: Path) -> str:
    """Markdown, a section a notebook, a row a claim: paper's number, measured, verdict.

    Of a notebook's strongest profile each set that it was measured in has a table, after what it was run on. A notebook
    that answers no claim is a tool and has no section.
    """
    parts = []
    for path in sorted(path for path in notebooks.glob("*.ipynb") if claims_of(path.stem)):
        parts.append(f"## {title_of(read_notebook(path), otherwise=path.stem)}\n")
        records, link = kept_runs(path.stem, results), f"[{path.stem}](../{path.name})"
        for record in (record for record in records if record.profile == records[0].profile):
            page = f"{record.setting.folder}/{path.stem}.html"
            kept = f", [as it ran](../results/{page})" if (results / page).exists() else ""
            parts += [f"{link}{kept}. {_how(record)}.\n", markdown_table(_rows(record)) + "\n"]
        if not records:
            parts.append(f"{link}. Not measured yet.\n")
    return "\n".join(parts).rstrip()


def _how(record: ReportResult) -> str:
    """The profile and another set than its own, what was overridden in it, hardware, time, day."""
    hardware = record.findings.get("hardware") or "hardware not stated"
    minutes = f"{record.seconds / 60:.0f} minutes"
    return ", ".join([f"Profile `{record.setting}`", *record.given, hardware, minutes, record.date[:10]])


def _rows(record: ReportResult) -> Iterator[Sequence[str]]:
    yield from (["Claim", "The paper's number", "Measured here", "Verdict"], ["---"] * 4)
    for verdict in record.verdicts:
        claim = verdict["claim"]
        number = "" if claim["number"] is None else printed(claim["number"], claim["unit"])
        yield [f"{claim['statement']} ({claim['paper']}, {claim['place']})", number, *measured_and_status(verdict)]


if __name__ == "__main__":
    notebooks, results = CHECKOUT / "notebooks", CHECKOUT / "notebooks" / "results"
    tables = {
        CHECKOUT / "README.md": short_table(results),
        notebooks / "docs" / "results.md": f"{standing(results)}\n\n{long_tables(notebooks, results)}",
    }
    for page, table in tables.items():
        print(f"{page.name} {'rewritten' if update(page, table) else 'is up to date'}")
