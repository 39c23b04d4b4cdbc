"""What was measured of a notebook's question before it ran: the results that are kept with the project as evidence."""

import html
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from workbook.papers.claims import Claim
from workbook.papers.verdicts import Verdict, verdict_table
from workbook.report.record import ReportResult
from workbook.report.survey import kept_runs, known_row


@dataclass(frozen=True)
class Known:
    """The kept runs of one notebook, what weighs most first; each is shown as a table of its verdicts."""

    records: tuple[ReportResult, ...]

    @property
    def most(self) -> ReportResult | None:
        """The run that measured most; None where none has measurements."""
        measured = [record for record in self.records if record.findings.get("measurements")]
        return max(measured, key=lambda record: len(record.findings["measurements"]), default=None)

    def figure(self, draw: Callable[..., go.Figure]) -> go.Figure | None:
        """draw(measurements, title=...) of the run that measured most; None where nothing is known."""
        record = self.most
        if record is None:
            return None
        return draw(pd.DataFrame(record.findings["measurements"]), title=f"Measured before: {_told(record)}")

    def _repr_html_(self) -> str:
        if not self.records:
            return "<p>Nothing that is kept as evidence was measured here before: what stands below is this run.</p>"
        return "".join(f"<p>Measured before: <b>{_told(record)}</b></p>{_verdicts(record)}" for record in self.records)


def known(notebook: str) -> Known:
    """What is kept of the notebook of this name, without suffix; nothing where no results lie beside the notebooks."""
    problems: list[str] = []  # the index tells them
    return Known(tuple(kept_runs(notebook, problems=problems)))


def _told(record: ReportResult) -> str:
    """Profile, another set than its own, hardware and day of a run, as HTML."""
    seeds = len(record.findings.get("seeds", []))
    parts = [str(record.setting), f"{seeds} seeds" if seeds else "", record.findings.get("hardware"), record.date[:10]]
    return html.escape(", ".join(part for part in parts if part))


def _verdicts(record: ReportResult) -> str:
    verdicts = [Verdict(**verdict | {"claim": Claim(**verdict["claim"])}) for verdict in record.verdicts]
    return verdict_table(verdicts, anchor=known_row(record.setting))._repr_html_()
