"""The score's notebook in this process, which has torch already: a kernel would take half a minute to start."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import plotly.io as pio
import pytest

from workbook.report.notebooks import declared_parameters, parameters_cell, read_notebook
from workbook.report.parameters import parse_value
from workbook.report.record import read_findings


def write_set(folder: Path, classes: int = 7, eval_classes: Sequence[int] = (5, 6), size: int = 16) -> Path:
    """A manifest of a small set with a concept split, beside its arrays: 6 training and 2 test images a class."""
    generator, manifest = np.random.default_rng(0), folder / "small.yaml"
    splits = {"train": 6, "test": 2}
    for split, count in splits.items():
        labels = np.repeat(np.arange(classes), count)
        noise = generator.integers(0, 60, (len(labels), size, size, 3)) + 25 * labels[:, None, None, None]
        np.savez(folder / f"{split}.npz", x=noise.clip(0, 255).astype(np.uint8), y=labels)
    where = {split: {"images": f"{split}.npz:x", "labels": f"{split}.npz:y"} for split in splits}
    manifest.write_text(
        f"""
        name: small
        title: Small
        task: classification
        image_size: {size}
        classes: [{", ".join(f'"{number}"' for number in range(classes))}]
        splits: {{train: {6 * classes}, test: {2 * classes}}}
        sources: [{{kind: array, root: {folder}, splits: {where}}}]
        licence: none
        citation: none
        url: none
        obtain: make it
        concept_split:
          {{eval_classes: [{", ".join(f'"{number}"' for number in eval_classes)}], rule: none, official: false}}
        """.replace("'", "")
    )
    return manifest


def scoring_here(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """`workbook score` runs its notebook in this process, in the smoke profile, with store and reports in `folder`."""

    def run(notebooks: Sequence[Path], *, parameters: Mapping[str, str], **_: Any) -> list[Any]:
        (path,) = notebooks
        notebook = read_notebook(path)
        given = {name: parse_value(name, text) for name, text in parameters.items()}
        assert set(given) <= set(declared_parameters(notebook, path.stem))
        findings = folder / "findings.json"
        patch.setenv("WORKBOOK_REPORT", str(findings))
        names: dict[str, Any] = {}
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                exec(cell.source, names)
                names |= given | {"profile": "smoke"} if index == parameters_cell(notebook) else {}
        return [SimpleNamespace(status="passed", findings=read_findings(findings))]

    patch.setattr("workbook.report.runner.run_reports", run)
    patch.setattr("workbook.report.survey.REPORTS", folder / "reports")
    patch.setattr(pio.renderers, "default", "")
    patch.setenv("WORKBOOK_STORE", os.fspath(folder / "store"))
    patch.setenv("WORKBOOK_DATA", os.fspath(folder))
