"""What a notebook trains is told by itself, before anything is trained; then it is trained."""

import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from workbook.errors import MissingDataError, NotStoredError, ReportError
from workbook.evaluation.transfer import load_present
from workbook.metrics import feature_redundancy
from workbook.report.survey import NOTEBOOKS
from workbook.study import Study
from workbook.sweep.notebooks import sweep_of

CELLS = [
    """
    from workbook import Study
    from workbook.pretraining.recipe import sweep
    study = Study.of(profile, **overrides)
    starts = study.train(*study.starts(methods, []))
    """,
    """
    table = study.stagewise(starts, ("pooled",))
    assert False, "what does not hang on the study is not run"
    recipe = study.profile.recipe
    """,
    """
    print(table)
    longest = {}
    longest |= {"SL": study.profile.recipe}
    names = [name for name in ("SL", "SL-MLP")]
    """,
    """
    best = {name: table for name in names}
    seeds = [0]
    """,
    """
    if len(names) == 2:
        seeds += [1]
    models = study.injections(starts, [1])
    shown = [run.history for run in starts]
    """,
    """
    again = study.train(*sweep(longest["SL"], names, seeds))
    """,
]
TINY = {"epochs": "1", "images_per_class": "8", "checkpoint_epochs": "[]", "ablation.images_per_class": "8"}
TINY |= {"injection.epochs": "1"}


def notebook(folder: Path, cells: list[str]) -> Path:
    first = 'profile: str = "smoke"\nmethods: list = ["SimCLR"]\noverrides: dict = {}'
    made = [new_code_cell(first, metadata={"tags": ["parameters"]})]
    made += [new_code_cell(textwrap.dedent(cell)) for cell in cells]
    path = folder / "made.ipynb"
    nbformat.write(new_notebook(cells=made), path)
    return path


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WORKBOOK_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("WORKBOOK_DATA", raising=False)
    return tmp_path


def test_what_is_planned_is_trained_and_nothing_else_is_made(home):
    """Past what measures, and past names that would hold measurements; injections after their start."""
    planned = sweep_of([notebook(home, CELLS)], "smoke", TINY)
    told = [(run.recipe.method, run.recipe.seed) for run in planned.runs.values()]
    assert told == [("SimCLR", 0), ("CLI", 0), ("SL", 0), ("SL", 1), ("SL-MLP", 0), ("SL-MLP", 1)]
    assert not (home / "store").exists() and planned.stored == planned.absent == set()
    planned.train()
    assert planned.lab is not None
    found = planned.lab.store.artefacts()
    assert {artefact.key for artefact in found if artefact.kind == "runs"} == planned.stored == set(planned.runs)
    assert {artefact.kind for artefact in found} == {"runs"}


MEASURING = [
    """
    from workbook import Study
    from workbook.metrics import feature_redundancy
    study = Study.of(profile, **overrides)
    runs = study.train(*methods)
    """,
    """
    import plotly.graph_objects as go
    table = study.stagewise(runs, ("pooled",))
    go.Figure(go.Scatter(x=table["epoch"], y=table["accuracy"])).show()
    print(table)
    """,
    """
    measured = study.measures(runs, study.measured("pre"), {"R": feature_redundancy})
    found = study.verdicts({}, measured)
    """,
]


def test_what_is_measured_stays_and_what_goes_wrong_stops_no_other(home, monkeypatch, capfd):
    monkeypatch.setenv("WORKBOOK_REPORT", str(home / "part.json"))
    (home / "broken").mkdir()
    broken = notebook(home / "broken", [*MEASURING[:1], "assert table is None"]).rename(home / "broken.ipynb")
    planned = sweep_of([broken, notebook(home, MEASURING)], "smoke", TINY | {"methods": "[SL]"})
    planned.train()
    assert planned.measure() == {"broken": "NameError: name 'table' is not defined"}
    store = planned.lab.store
    assert {artefact.kind for artefact in store.artefacts()} == {"runs", "probes", "features", "measures"}
    assert (home / "part.json").exists(), "the last cell ran, too"
    assert "accuracy" not in capfd.readouterr().out
    study = replace(Study.of("smoke", epochs=1, images_per_class=8, checkpoint_epochs=[]), lab=planned.lab.reading())
    runs = study.train("SL")
    assert len(study.stagewise(runs, ("pooled",))) == 2, "from the store"
    assert len(study.measures(runs, study.measured("pre"), {"R": feature_redundancy})) == 2


def test_several_processes_do_not_each_measure(home):
    planned = sweep_of([notebook(home, MEASURING)], "smoke", TINY | {"methods": "[SL]"})
    planned.lab = replace(planned.lab, fabric=SimpleNamespace(world_size=2))
    with pytest.raises(ReportError, match="2 processes would each measure: call this without torchrun"):
        planned.measure()


def test_a_run_that_is_planned_says_so_where_its_files_are_read(home):
    planned = sweep_of([notebook(home, CELLS[:1])], "smoke", TINY)
    ((key, run),) = planned.runs.items()
    with pytest.raises(NotStoredError, match=f"the run {key} is planned and not yet trained: `workbook sweep`"):
        run.unmade(planned.lab).model()


def test_what_scores_its_runs_is_planned_without_a_word_of_those_that_are_not_there(home):
    chosen = TINY | {"methods": "[SL, SL-MLP]", "seeds": "2"}
    planned = sweep_of([NOTEBOOKS / "13_which_measure_predicts.ipynb"], "smoke", chosen)
    assert planned.problems == {}
    told = sorted((run.recipe.method, run.recipe.seed) for run in planned.runs.values())
    assert told == [("SL", 0), ("SL", 1), ("SL-MLP", 0), ("SL-MLP", 1)]
    with pytest.raises(NotStoredError, match="planned and not yet trained"):
        replace(Study.of("smoke"), lab=planned.lab.planning([])).scores([*planned.runs], [])


def test_what_is_given_wrongly_is_told_and_no_empty_plan(home):
    with pytest.raises(ReportError, match="unknown parameter 'epoch'.*did you mean 'epochs'"):
        sweep_of([notebook(home, CELLS)], "smoke", {"epoch": "1"})
    refused = sweep_of([NOTEBOOKS / "15_semantic_gap.ipynb", notebook(home, CELLS[:1])], "paper", {"distances": "null"})
    assert refused.problems["15_semantic_gap"].startswith("imagenet1k has one eval-D.") and refused.runs
    with pytest.raises(ReportError, match="there is no notebook"):
        sweep_of([home / "none.ipynb"], "smoke", {})


def test_data_that_is_not_here_is_planned_by_its_manifest(home, monkeypatch):
    """ImageNet-1K: 652 of 1,000 classes of one size; what is trained with it says what is missing."""
    monkeypatch.setenv("WORKBOOK_DATA", str(home))
    plain = 'study = Study.of(profile, **overrides)\nruns = study.train("SL")\nstudy.tasks(["dtd"])\n'
    planned = sweep_of([notebook(home, ["from workbook import Study\n" + plain])], "paper", {})
    ((key, run),) = planned.runs.items()
    assert len(run.images) == pytest.approx(1_281_167 * 0.652, rel=1e-3) and len(run.images.class_names) == 652
    assert planned.absent == {key}
    with pytest.raises(MissingDataError, match="imagenet1k, train: the data is not on this machine"):
        planned.train()
    with pytest.raises(MissingDataError):
        run.images[0]
    assert load_present(["dtd"])[0] == [], "outside of a plan nothing stands for what is not here"
