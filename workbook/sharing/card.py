"""A model card: what is known of a run, as the README of the folder that holds its weights."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbook.files import without_home
from workbook.models.folders import timm_opens
from workbook.models.pretrained import Pretrained
from workbook.papers.verdicts import interval_text, quantity
from workbook.pretraining.runs import Run
from workbook.report.record import ReportResult, read_records

_PAPERS = """\
- Wang et al., *Revisiting the Transferability of Supervised Pretraining: an MLP Perspective*, arXiv:2112.00496
- Nayman et al., *Diverse ImageNet Models Transfer Better*, arXiv:2204.09134"""
_OF_THE_RUN = ("run", "model", "method", "seed")  # columns that say which run a row is of
_OPENED = """\
{timm}```python
from workbook import Store
from workbook.evaluation.scoring import open_model

model = open_model("FOLDER", Store()).backbone.eval()  # images (N, 3, {size}, {size}) in [0, 1] to (N, {width})
```

`workbook score FOLDER` measures it."""
_BY_TIMM = """\
```python
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()  # of images normalised as config.json says
```

"""
_NOT_BY_TIMM = """\
timm makes no such network by a name: the transferability workbook opens it.

"""


def model_card(run: Run, model: Pretrained, reports: Iterable[Path]) -> str:
    """Markdown: recipe, data, what the reports in these folders measured of the run, provenance, papers.

    model: the run's backbone. A report is about the run where a row of its measurements names the run; its verdicts
    are on several runs, this one among them.
    """
    parts = {
        "How it is opened": _opened(model),
        "Recipe": _listed(_recipe(run)),
        "Data": _listed(_data(run)),
        "Measured": "\n\n".join(_measured(run, reports)) or "No report here is about this run.",
        "Provenance": _listed(_provenance(run)),
        "Papers": _PAPERS,
    }
    head = f"---\nlibrary_name: {'timm' if timm_opens(model) else 'pytorch'}\ntags: [image-feature-extraction]\n---\n\n"
    title = f"# {run.recipe.title}\n\nA {run.recipe.backbone} pretrained by {run.recipe.method}, run `{run.key}`."
    sections = "\n\n".join(f"## {name}\n\n{text}" for name, text in parts.items())
    return f"{head}{title} {_head_told(model)}\n\n{sections}\n"


def _head_told(model: Pretrained) -> str:
    return "" if model.head is None else "Its classifier goes along only where it is one linear layer of the features."


def _opened(model: Pretrained) -> str:
    timm = _BY_TIMM if timm_opens(model) else _NOT_BY_TIMM
    return _OPENED.format(timm=timm, size=model.image_size, width=model.backbone.num_features)


def _recipe(run: Run) -> Iterator[tuple[str, Any]]:
    """Every choice, a nested one by its way."""
    yield from _flat(without_home(run.artefact.spec["recipe"]))


def _flat(values: Mapping[str, Any], way: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{way}{name}.")
        else:
            yield f"{way}{name}", value


def _data(run: Run) -> Iterator[tuple[str, Any]]:
    side = f", the {run.recipe.side} side of its concept split" if run.recipe.side else ""
    yield "data set", f"{run.recipe.dataset}{side}"
    yield "digest", run.artefact.spec["data"]


def _provenance(run: Run) -> Iterator[tuple[str, Any]]:
    yield "precision", run.artefact.spec["precision"]
    yield from _flat(without_home(run.artefact.provenance))


def _listed(facts: Iterable[tuple[str, Any]]) -> str:
    return "\n".join(f"- {name}: `{value}`" for name, value in facts)


def _measured(run: Run, reports: Iterable[Path]) -> Iterator[str]:
    for folder in reports:
        for record in read_records(folder, []):
            if rows := [row for row in record.findings.get("measurements", []) if _is_about(row, run)]:
                yield f"### {record.title}\n\nProfile {record.setting}, {record.date[:10]}."
                yield _table(rows)
                yield from _verdicts(record)


def _is_about(row: Mapping[str, Any], run: Run) -> bool:
    return row.get("run") == run.key


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in _OF_THE_RUN]
    lines = [names, ["---"] * len(names), *([_cell(row.get(name)) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")


def _verdicts(record: ReportResult) -> Iterator[str]:
    if lines := [_verdict(verdict) for verdict in record.verdicts]:
        yield "On all of its runs together:\n\n" + "\n".join(lines)


def _verdict(verdict: Mapping[str, Any]) -> str:
    claim, low = verdict["claim"], verdict["low"]
    interval = "" if low is None else f", {interval_text(low, verdict['high'])}"
    measured = f"{quantity(verdict['measured'], claim['unit'])}{interval}, n = {verdict['counted']}"
    return f"- {claim['statement']} ({claim['paper']}, {claim['place']}): **{verdict['status']}**, {measured}"
