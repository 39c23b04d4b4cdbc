"""What has been measured so far: every claim of both papers, in every profile of which there is a run."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from workbook.files import HOME, shipped
from workbook.papers.claims import CLAIMS, Claim, topics
from workbook.report.record import ReportResult, read_records
from workbook.report.setting import Setting

REPORTS = HOME / "reports"
NOTEBOOKS = shipped("notebooks")
START_PAGE = "00_start_here"
DECIDES = {"agrees", "differs", "inconclusive"}
"""The verdicts that the protocol lets decide."""
Outcome = Literal["agrees", "differs", "inconclusive", "exploratory", "not evaluated", "failed run", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Records of one setting in one folder: of reports, or of results adopted as evidence, not all of which have pages.

    A folder of reports that stands in front may hold others beside them: of notebooks that read no images.
    """

    setting: Setting
    folder: Path
    adopted: bool = False
    records: tuple[ReportResult, ...]

    def finding(self, claim: str) -> "Finding":
        """What it says of one claim; of two notebooks that judge it, the one with more seeds counts, and an exploratory
        one last."""
        judged = [
            (record, verdict)
            for record in self.records
            for verdict in record.verdicts
            if verdict["claim"]["id"] == claim
        ]
        passed = sorted((pair for pair in judged if pair[0].status == "passed"), key=_weakness)
        if passed:
            (record, verdict), *rest = passed
            others = {other.notebook: found["status"] for other, found in rest}
            return Finding(source=self, outcome=verdict["status"], record=record, verdict=verdict, others=others)
        answering = {record.notebook for record, _ in judged}
        answering |= set(CLAIMS[claim].notebooks if claim in CLAIMS else ())
        for record in self.records:
            if record.status == "failed" and record.notebook in answering:
                return Finding(source=self, outcome="failed run", record=record)
        return Finding(source=self, outcome="not measured")


def _weakness(judged: tuple[ReportResult, Mapping[str, Any]]) -> tuple[bool, int]:
    _, verdict = judged
    return verdict["status"] == "exploratory", -verdict["n"]


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
    others: Mapping[str, Outcome] = field(default_factory=dict)

    @property
    def setting(self) -> Setting:
        return self.record.setting if self.record else self.source.setting

    @property
    def tells(self) -> bool:
        """Whether it is more than a number without evidence."""
        return self.verdict is not None and self.outcome != "not evaluated"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Sources, the folder in front first and then from the strongest setting to the weakest.

    notebooks: their folder, which links start from. problems: files that could not be read, and why.
    """

    sources: tuple[Source, ...]
    notebooks: Path
    problems: tuple[str, ...] = ()

    @property
    def own(self) -> Source:
        return self.sources[0]

    @property
    def settings(self) -> list[Setting]:
        """That in front and those that hold a verdict, the weakest first."""
        judged = {
            record.setting
            for source in self.sources
            for record in source.records
            if record.status == "passed" and record.verdicts
        }
        return sorted(judged | {self.own.setting}, key=lambda setting: setting.strength)

    @property
    def is_about_claims(self) -> bool:
        """Not where only tools ran, such as the scoring of a model."""
        answering = {notebook for claim in CLAIMS.values() for notebook in claim.notebooks}
        records = self.own.records
        return not records or any(record.verdicts or record.notebook in answering for record in records)

    def findings(self, claim: str) -> list[Finding]:
        """What the folder in front says of a claim, even if it is nothing, and the verdicts of all other sources.

        An adopted result whose very report is among the sources is not told twice.
        """
        found: list[Finding] = []
        seen: set[tuple[Setting, str, str]] = set()
        for source in self.sources:
            finding = source.finding(claim)
            record = finding.record
            run = (record.setting, record.notebook, record.date) if record else None
            if source is self.own or (finding.verdict is not None and run not in seen):
                found.append(finding)
            if run is not None:
                seen.add(run)
        return found

    def strongest(self, claim: str) -> Finding:
        """See `strongest`; what the folder in front says where nothing is known."""
        found = self.findings(claim)
        return strongest(found) or found[0]

    def topics(self) -> dict[str, list[Claim]]:
        """topic -> its claims; last, those of the folder in front that are of no paper's list."""
        other: dict[str, Claim] = {}
        for record in self.own.records:
            for stated in (verdict["claim"] for verdict in record.verdicts):
                if stated["id"] not in CLAIMS:
                    known = {name: stated[name] for name in ("id", "paper", "place", "statement", "number", "unit")}
                    other[stated["id"]] = Claim(**known, notebooks=(record.notebook,))
        return topics() | ({"Other claims": list(other.values())} if other else {})

    def address(self, finding: Finding) -> str:
        """A link, from the notebooks' folder, to where a finding is shown: a row of an executed report, or, where no
        page of it was kept, of what the notebook says was measured before (see `known`); "" where nothing ran."""
        if finding.record is None:
            return ""
        source, notebook = finding.source, finding.record.notebook
        has_page = not source.adopted or (source.folder / f"{notebook}.html").exists()
        page = f"{self.place(source.folder)}/{quote(notebook)}.html" if has_page else f"{quote(notebook)}.ipynb"
        if finding.verdict is None:
            return page
        row = "" if has_page else known_row(finding.setting)
        return f"{page}#{quote(row + finding.verdict['claim']['id'])}"

    def place(self, folder: Path) -> str:
        """A link to a folder, from the notebooks' folder."""
        return quote(Path(os.path.relpath(folder, self.notebooks)).as_posix())


def strongest(findings: Iterable[Finding]) -> Finding | None:
    """That of the strongest setting among those that tell, an exploratory one only where no other decides; where none
    tells, a number of too few seeds, say, but of no smoke run; None where there is none."""
    known = (f for f in findings if f.tells or (f.verdict is not None and f.setting.profile != "smoke"))
    return max(known, key=lambda f: (f.tells, f.outcome != "exploratory", f.setting.strength), default=None)


def known_row(setting: Setting) -> str:
    """What the mark of a row begins with in a table of results that are kept with the project.

    No name of a profile or of a set holds the slashes, so that no two rows have one mark.
    """
    return f"known-{setting.profile}/{setting.dataset}/" if setting.dataset else f"known-{setting.profile}-"


def read_adopted(results: Path | None = None, problems: list[str] | None = None) -> list[Source]:
    """Results adopted as evidence, of the strongest setting first. results: their folder, None = beside the notebooks;
    problems: see `read_records`."""
    folders = [found for found in sorted((results or NOTEBOOKS / "results").glob("*")) if found.is_dir()]
    return _by_strength(source for folder in folders for source in _sources(folder, problems, adopted=True))


def kept_runs(notebook: str, results: Path | None = None, problems: list[str] | None = None) -> list[ReportResult]:
    """The adopted runs of a notebook, what weighs most first; see `read_adopted`."""
    adopted = [record for source in read_adopted(results, problems) for record in source.records]
    return sorted((record for record in adopted if record.notebook == notebook), key=weight, reverse=True)


def _by_strength(sources: Iterable[Source]) -> list[Source]:
    """Those of one setting stay in their order."""
    return sorted(sources, key=lambda source: source.setting.strength, reverse=True)


def _sources(folder: Path, problems: list[str] | None, *, adopted: bool = False) -> list[Source]:
    """A source for each setting of which the folder has records."""
    found: dict[Setting, list[ReportResult]] = {}
    for record in read_records(folder, problems):
        found.setdefault(record.setting, []).append(record)
    return [Source(setting=of, folder=folder, adopted=adopted, records=tuple(found[of])) for of in found]


def read_survey(profile: str, folder: str | Path | None = None) -> Survey:
    """The reports in `folder` (None = those of the profile), those in the folders beside it, and adopted results.

    A record that cannot be read becomes a problem: it stops neither the reports that run nor their index.
    """
    own = Path(folder or REPORTS / profile).resolve()
    problems: list[str] = []
    records = [record for record in read_records(own, problems) if record.notebook != START_PAGE]
    front = Source(setting=setting_of(profile, records), folder=own, records=tuple(records))
    beside = [index.parent for index in sorted(own.parent.glob("*/index.html")) if index.parent != own]
    reports = [source for folder in beside for source in _sources(folder, problems)]
    others = _by_strength([*reports, *read_adopted(problems=problems)])  # reports stay before adopted results
    return Survey(sources=(front, *others), notebooks=NOTEBOOKS, problems=tuple(problems))


def setting_of(profile: str, records: Iterable[ReportResult]) -> Setting:
    """Of a folder of reports: with the set that its notebooks were given, where it is one."""
    given = {record.setting.dataset for record in records} - {""}
    return Setting(profile, given.pop() if len(given) == 1 else "")


def weight(record: ReportResult) -> tuple[bool, tuple[int, bool]]:
    """What the protocol lets decide counts more than what a larger study only explored."""
    decides = DECIDES & {verdict["status"] for verdict in record.verdicts}
    return bool(decides), record.setting.strength
