"""What has been measured so far: every claim of both papers, in every profile of which there is a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbook.files import CHECKOUT
from workbook.papers.claims import CLAIMS
from workbook.papers.verdicts import Claim
from workbook.report.record import ReportResult, read_records, readable_records
from workbook.report.topics import TOPICS, Topic

REPORTS = CHECKOUT / "reports"
NOTEBOOKS = CHECKOUT / "notebooks"
START_PAGE = "00_start_here"
Outcome = Literal["agrees", "differs", "inconclusive", "not evaluated", "failed run", "not measured"]
# Signs stand beside every colour: nobody has to tell blue from orange.
SIGNS: dict[Outcome, str] = {
    "agrees": "✓",
    "differs": "✗",
    "inconclusive": "≈",
    "not evaluated": "○",
    "failed run": "!",
    "not measured": "·",
}
_WEAKEST_FIRST = ("smoke", "pocket", "study", "paper")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Records of one profile in one folder: of reports, or of results adopted as evidence, which have no pages."""

    profile: str
    folder: Path
    adopted: bool
    records: tuple[ReportResult, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one source says of one claim.

    record: the run that says it; None where there is none. verdict: as recorded; None unless the run passed and
    judged the claim. others: the outcome in further notebooks of the source that judged it, by name.
    """

    source: Source
    outcome: Outcome
    record: ReportResult | None = None
    verdict: Mapping[str, Any] | None = None
    others: Mapping[str, Outcome]

    @property
    def page(self) -> Path | None:
        """The executed report; None where there is none to look at."""
        if self.record is None or self.source.adopted:
            return None
        return self.source.folder / f"{self.record.notebook}.html"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Sources, the folder in front first and then from the strongest profile to the weakest.

    problems: folders that could not be read, and why.
    """

    sources: tuple[Source, ...]
    problems: tuple[str, ...] = ()

    @property
    def own(self) -> Source:
        return self.sources[0]

    @property
    def profiles(self) -> list[str]:
        """Those in front and those that hold a verdict, the weakest first."""
        judged = {
            source.profile
            for source in self.sources
            for record in source.records
            if record.status == "passed" and record.verdicts
        }
        return sorted(judged | {self.own.profile}, key=_strength)

    def findings(self, claim: str) -> list[Finding]:
        """What the folder in front says of a claim, even if it is nothing, and the verdicts of all other sources.

        An adopted result whose very report is among the sources is not told twice.
        """
        found: list[Finding] = []
        seen: set[tuple[str, str, str]] = set()
        for source in self.sources:
            finding = _finding(source, claim)
            record = finding.record
            run = (record.profile, record.notebook, record.date) if record else None
            if source is self.own or (finding.verdict is not None and run not in seen):
                found.append(finding)
            if run is not None:
                seen.add(run)
        return found

    def in_profile(self, claim: str, profile: str) -> Finding | None:
        """The first verdict of a profile, else what else is known; None for nothing."""
        found = [finding for finding in self.findings(claim) if finding.source.profile == profile]
        return next((finding for finding in found if finding.verdict is not None), found[0] if found else None)

    def strongest(self, claim: str) -> Finding:
        """The verdict of the strongest profile that is one; else what the folder in front says."""
        found = self.findings(claim)
        decided = [f for f in found if f.verdict is not None and f.outcome != "not evaluated"]
        return max(decided, key=lambda finding: _strength(finding.source.profile), default=found[0])

    def topics(self) -> Iterator[tuple[Topic, Sequence[Claim]]]:
        """Every topic with its claims; last, claims of the folder in front that are of no paper's list."""
        for topic in TOPICS:
            yield topic, topic.claims
        other = {
            verdict["claim"]["id"]: (Claim(**verdict["claim"]), record.notebook)
            for record in self.own.records
            for verdict in record.verdicts
            if verdict["claim"]["id"] not in CLAIMS
        }
        if other:
            notebooks = tuple(dict.fromkeys(notebook for _, notebook in other.values()))
            yield Topic(name="Other claims", prefixes=tuple(other), notebooks=notebooks), [c for c, _ in other.values()]


def read_survey(profile: str, *, out: Path | None = None, notebooks: Path = NOTEBOOKS) -> Survey:
    """The reports in `out` (by default those of the profile), those in the folders beside it, and adopted results.

    A record that cannot be read becomes a problem: it stops neither the reports that run nor their index.
    """
    out = out or REPORTS / profile
    records, problems = readable_records(out)
    own = Source(profile=profile, folder=out, adopted=False, records=tuple(records))
    others: list[Source] = []
    beside = [folder.parent for folder in sorted(out.parent.glob("*/index.html")) if folder.parent != out]
    adopted = [folder for folder in sorted((notebooks / "results").glob("*")) if folder.is_dir()]
    for folder in beside + adopted:
        found, wrong = _sources(folder, adopted=folder in adopted)
        others, problems = others + found, problems + wrong
    others.sort(key=lambda source: -_strength(source.profile))  # stable: reports stay before adopted results
    return Survey(sources=(own, *others), problems=tuple(problems))


def _sources(folder: Path, *, adopted: bool) -> tuple[list[Source], list[str]]:
    records, problems = readable_records(folder)
    sources = [
        Source(
            profile=profile,
            folder=folder,
            adopted=adopted,
            records=tuple(record for record in records if record.profile == profile),
        )
        for profile in sorted({record.profile for record in records})
    ]
    return sources, problems


def _finding(source: Source, claim: str) -> Finding:
    judged: list[tuple[ReportResult, Mapping[str, Any]]] = [
        (record, verdict)
        for record in source.records
        if record.status == "passed"
        for verdict in record.verdicts
        if verdict["claim"]["id"] == claim
    ]
    if judged:
        # Of two notebooks that judge the same claim the one with more seeds counts; records stand by their names.
        judged.sort(key=lambda pair: -pair[1]["n"])
        (record, verdict), *rest = judged
        others: dict[str, Outcome] = {other.notebook: found["status"] for other, found in rest}
        return Finding(source=source, outcome=verdict["status"], record=record, verdict=verdict, others=others)
    names = [name for topic in TOPICS if claim.startswith(topic.prefixes) for name in topic.notebooks]
    for record in source.records:
        stated = any(verdict["claim"]["id"] == claim for verdict in record.verdicts)
        if record.status == "failed" and (record.notebook in names or stated):
            return Finding(source=source, outcome="failed run", record=record, others={})
    return Finding(source=source, outcome="not measured", others={})


def _strength(profile: str) -> int:
    """Of the evidence; a profile of a user's own counts most."""
    return _WEAKEST_FIRST.index(profile) if profile in _WEAKEST_FIRST else len(_WEAKEST_FIRST)


def records_by_strength(results: Path) -> dict[str, ReportResult]:
    """notebook -> its record of the strongest profile, from a folder with a folder a profile."""
    folders = sorted((folder for folder in results.glob("*") if folder.is_dir()), key=lambda f: _strength(f.name))
    return {record.notebook: record for folder in folders for record in read_records(folder)}
