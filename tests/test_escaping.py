"""No text from outside is read as markup: names of files, models, classes, data sets and what records say."""

import inspect
import json
import re
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from typer.testing import CliRunner

from tests.conftest import make_images
from tests.data.copies import FOLDER, encode, manifest, pixels, write_folders
from tests.figures.examples import EXAMPLES
from tests.report.conftest import house, index  # noqa: F401
from tests.report.records import put, verdict
from workbook.cli import app
from workbook.data import load_manifest
from workbook.data.images import Images
from workbook.errors import CorruptDataError, ManifestError, StoreError, harmless
from workbook.explorers.diversity.collection import COLUMNS, Collection
from workbook.explorers.diversity.explorer import DiversityExplorer
from workbook.explorers.features.explorer import FeatureExplorer
from workbook.explorers.features.words import legend_html
from workbook.figures.colourings import by_answer
from workbook.figures.linked_maps import class_styles
from workbook.figures.look import literal
from workbook.figures.trajectories import MapView
from workbook.papers.verdicts import in_words
from workbook.report.overview import claim_list, gallery, state
from workbook.report.page import render_page
from workbook.report.record import ReportResult
from workbook.report.survey import read_survey

BAD = '<img src=x onerror=alert(1)>"\'<a href="https://example.org">%{x}</a>&'
SECOND = BAD + "2"
HOUSE = Path(__file__).parents[1]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def harmless_page(page: str) -> str:
    """The page, once it is sure that nothing of BAD became an element."""
    tags = _Tags()
    tags.feed(page)
    for tag, attributes in tags.found:
        assert "onerror" not in attributes and attributes.get("src") != "x", (tag, attributes)
        assert attributes.get("href") != "https://example.org", (tag, attributes)
    return page


def strings(value):
    """Every text of a figure's JSON that plotly shows."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            # ids are not shown, and meta is an attribute of the page; of the others see `shown_customdata`
            if name not in ("ids", "args", "customdata", "meta"):
                yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def harmless_figure(figure) -> None:
    content = json.loads(figure.to_json())
    shown = list(strings(content))
    for trace in content["data"]:
        if "customdata" in (trace.get("hovertemplate") or ""):
            shown += strings({"told": trace.get("customdata")})
    assert any("&lt;img" in text for text in shown), "the name is to be seen"
    for text in shown:
        assert "<img" not in text and "<a " not in text, text
        assert "%{x}</a" not in text and "%{x}&lt;" not in text, text


def _class_maps(module):
    rows = [{"method": BAD, "epoch": 0, "image": i, "x": i, "y": 0.0, "class_name": BAD} for i in range(4)]
    rows += [row | {"method": SECOND, "x": np.nan} for row in rows]
    return module.class_maps(pd.DataFrame(rows), colours=["#000"], title=BAD)


def _linked_maps(module):
    points = pd.DataFrame({"text": [BAD] * 3, "colour": "#000", "symbol": "circle"})
    return module.linked_maps(["a"], [np.zeros((3, 2))], points)


def _seeds(**columns):
    rows = [{"method": name, "seed": seed, "value": 1.0 + seed} | columns for name in (BAD, SECOND) for seed in (0, 1)]
    return pd.DataFrame(rows)


def _layers(module):
    table = pd.DataFrame({"cluster": [0.1, 0.2], "spectral": [0.2, 0.3]}, index=[BAD, SECOND])
    return module.layer_panel(module.layer_traces(table, None, colour="#000"))


def _map(module):
    models = module.with_looks(_models())
    view = MapView(measure="cluster", transfer="linear", step="", families=[BAD, SECOND], chosen=BAD)
    figure = module.trajectory_map(module.trajectory_traces(models, view, slots=2))
    return figure.update_layout(module.map_axes(models, measure="cluster", accuracy_title=BAD))


def _models():
    rows = [(name, name, "", 40.0, 0.7, 0.3, 0.1, 0.2, BAD) for name in (BAD, SECOND)]
    return pd.DataFrame(rows, columns=[*COLUMNS, "weights"], index=[BAD, SECOND])


CURVES = pd.DataFrame({"model": [BAD, SECOND], "layer": BAD, "diversity": 0.5, "x": 0.0, "y": 1.0})
CHANGES = ("none", "column order", "a model left out", "a family left out", "families drawn")
INTERVALS = {"coefficient": BAD, "score": "Cluster CIS", "value": 0.1, "low": 0.0, "high": 0.2, "printed": 0.1}
_RANGES = dict.fromkeys(("value", "low", "high", "without_low", "without_high"), 0.1)
PREDICTOR = {"panel": BAD, "measure": BAD, **_RANGES}
# every public figure function with BAD for every text that may come from outside
FIGURES = {
    "ablations.arm_ranges": lambda m: m.arm_ranges(
        _seeds(arm=BAD, accuracy=50.0), title=BAD, paper={BAD: 1.0}, paper_setting=BAD
    ),
    "ablations.over_scales": lambda m: m.over_scales(
        _seeds(scale=BAD, step=10, accuracy=50.0), "accuracy", y=BAD, title=BAD, levels={BAD: 1.0}
    ),
    "correlation.correlation_maps": lambda m: m.correlation_maps({BAD: np.eye(4)}, title=BAD),
    "diversity.layer_curves": lambda m: m.layer_curves(CURVES, x="x", y="y", title=BAD),
    "diversity.diversity_by_layer": lambda m: m.diversity_by_layer(CURVES.assign(cluster=0.5, spectral=0.5), title=BAD),
    "diversity.score_contours": lambda m: m.score_contours(
        pd.DataFrame({"name": [BAD], "group": BAD, "accuracy": 40.0, "diversity": 0.5}), diversity_title=BAD, title=BAD
    ),
    "epochs.measures_over": lambda m: m.measures_over(
        _seeds(epoch=0), {"value": BAD}, title=BAD, over=("epoch", BAD), levels={BAD: 1.0}
    ),
    "epochs.trajectories": lambda m: m.trajectories(
        _seeds(epoch=0, other=1.0), {"value": BAD, "other": BAD}, title=BAD
    ),
    "injection.measures_over_cycles": lambda m: m.measures_over_cycles(
        _seeds(control_cycle=4), {"value": BAD}, title=BAD, starred=["value"]
    ),
    "injection.cka_maps": lambda m: m.cka_maps({BAD: np.eye(2)}, ["a", "b"], x_title=BAD, title=BAD),
    "kept.readouts_by_layer": lambda m: m.readouts_by_layer(
        _seeds(layer=BAD, factor=BAD), {BAD: BAD}, value="value", y=BAD, title=BAD
    ),
    "kept.difference_map": lambda m: m.difference_map(
        pd.DataFrame([{"factor": BAD, "layer": BAD, "measured": 0.1, "low": 0.0, "high": 0.2}]), {BAD: BAD}, title=BAD
    ),
    "linked_maps.linked_maps": _linked_maps,
    "maps.class_maps": _class_maps,
    "prediction.transfer_against": lambda m: m.transfer_against(
        pd.DataFrame({"base": [BAD], "control_cycle": [np.nan], "t": 1.0, "s": 1.0}),
        {"s": BAD}, transfer="t", transfer_title=BAD, title=BAD,
    ),
    "prediction.residuals_against_bounds": lambda m: m.residuals_against_bounds(
        pd.DataFrame({"table": [BAD], "model": BAD, "residual": 2.0, "bound": 1.0}), title=BAD
    ),
    "prediction.correlation_intervals": lambda m: m.correlation_intervals(
        pd.DataFrame([INTERVALS | {"panel": BAD}]), titles=[BAD], x_title=BAD, title=BAD
    ),
    "prediction.importance_ranges": lambda m: m.importance_ranges(
        pd.DataFrame([{"panel": BAD, "input": BAD, "change": change, "value": 0.5} for change in CHANGES]),
        measure="value", measure_title=BAD, title=BAD,
    ),
    "prediction.predictors": lambda m: m.predictors(
        pd.DataFrame([PREDICTOR | {"baseline": baseline} for baseline in (False, True)]),
        titles=[BAD], x_title=BAD, title=BAD,
    ),
    "semantic_gap.ratios_by_distance": lambda m: m.ratios_by_distance(
        _seeds(epoch=0, distance=BAD, phi_pre=1.0, phi_eval=1.0),
        pd.DataFrame([{"distance": BAD, "turns": BAD, "mean": 1.0, "low": 0.5, "high": 1.5}]), title=BAD,
    ),
    "semantic_gap.model_and_simulation": lambda m: m.model_and_simulation(
        pd.DataFrame([{"case": BAD, "name": BAD} | dict.fromkeys(("phi_pre", "phi_eval", "simulated", "turn"), 1.0)]),
        title=BAD,
    ),
    "stagewise.stages_side_by_side": lambda m: m.stages_side_by_side(
        pd.DataFrame([{"model": BAD, "dataset": BAD, "layer": "stage1", "accuracy": 50.0}]), title=BAD
    ),
    "stagewise.stagewise_curves": lambda m: m.stagewise_curves(
        _seeds(layer="stage1", accuracy=50.0), paper={literal(BAD): 1.0}, paper_setting=BAD, title=BAD
    ),
    "detection.boxes_on_images": lambda m: m.boxes_on_images(
        [np.zeros((4, 4, 3), np.uint8)],
        pd.DataFrame([{"image": 0, "what": "found", "text": BAD, "left": 0, "top": 0, "right": 2, "bottom": 2}]),
        title=BAD,
    ),
    "trajectories.trajectory_map": _map,
    "trajectories.layer_panel": _layers,
    "transfer.transfer_points": lambda m: m.transfer_points(
        _seeds(dataset=BAD, protocol=BAD, accuracy=50.0), title=BAD
    ),
    "transfer.gains": lambda m: m.gains(_seeds(protocol=BAD, gain=1.0), {BAD: 1.0}, title=BAD, axis=BAD),
    "verdicts.verdict_grid": lambda m: m.verdict_grid(
        pd.DataFrame([dict.fromkeys(("panel", "topic", "paper", "claim", "statement", "text"), BAD)
                      | {"outcome": "agrees"}]), title=BAD
    ),
    "verdicts.effect_intervals": lambda m: m.effect_intervals(
        pd.DataFrame([{"claim": BAD, "measured": 1.0, "low": 0.0, "high": 2.0, "outcome": "agrees"}]), title=BAD, x=BAD
    ),
}  # fmt: skip


def test_every_figure_function_is_among_them():
    found = set()
    for path in (HOUSE / "workbook" / "figures").glob("*.py"):
        module = import_module(f"workbook.figures.{path.stem}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__ and not name.startswith("_")
            own = own and path.stem not in ("look", "style")
            if own and function.__annotations__.get("return") in ("go.Figure", go.Figure):
                found.add(f"{path.stem}.{name}")
    assert found == set(FIGURES) == {name.partition(",")[0] for name in EXAMPLES}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_names_as_they_are(name):
    harmless_figure(FIGURES[name](import_module(f"workbook.figures.{name.partition('.')[0]}")))


def test_a_literal_text_is_what_plotly_turns_back():
    assert literal("a < b & c, %{x}") == "a &lt; b &amp; c, %&#123;x}"
    assert literal("SL-MLP, T = ∞") == "SL-MLP, T = ∞"


def widgets_html(widget) -> list[str]:
    """What all HTML widgets within a widget hold."""
    own = [widget.value] if type(widget).__name__ in ("HTML", "HTMLMath") else []
    return own + [page for child in getattr(widget, "children", ()) for page in widgets_html(child)]


def test_the_diversity_explorer():
    layers = pd.DataFrame({"cluster": [0.1, 0.2], "spectral": [0.2, 0.3]}, index=[BAD, SECOND])
    shown = Collection(
        name=BAD, about=BAD, accuracy_title=BAD, transfer_unit={"linear": BAD, "finetune": BAD}, models=_models(),
        layers={BAD: layers}, no_layers=BAD, notes=(BAD,),
    )  # fmt: skip
    explorer = DiversityExplorer([shown])
    for model in (BAD, SECOND):
        explorer.model.value = model
        pages = [harmless_page(page) for page in widgets_html(explorer)]
        assert sum("&lt;img" in page for page in pages) >= 2
        harmless_figure(explorer.map)
    explorer.model.value = BAD
    harmless_figure(explorer.layers)


def test_the_feature_explorer():
    names = (BAD, SECOND, "c")
    images = make_images(30, 3, size=8, class_names=names)
    place = np.random.default_rng(0).uniform(-1, 1, (30, 2)).astype(np.float32)
    sides = {BAD: "pre", SECOND: "eval", "c": "pre"}
    atlas = SimpleNamespace(
        images=images, side_of=sides, styles=class_styles(sides), methods=(BAD, SECOND), seeds=(0,), epochs=(0, 1),
        features=lambda *key: np.eye(30, 5) + place[:, :1], has_maps=lambda *key: True,
        maps=lambda *key: {0: place, 1: place}, factors=pd.DataFrame({BAD: place[:, 0]}),
    )  # fmt: skip
    explorer = FeatureExplorer(atlas)
    harmless_figure(explorer.figure)
    explorer.select([0, 1, 2])
    explorer._hovered(np.arange(30), None, SimpleNamespace(point_inds=[0]), None)
    explorer.controls.image.value = "0"
    pages = [harmless_page(page) for page in widgets_html(explorer)]
    assert sum("&lt;img" in page for page in pages) >= 5, "legend, pointed, readings, sheet and neighbours"
    answers = [by_answer(np.arange(3) > number) for number in (0, 1)]
    assert "&lt;img" in harmless_page(legend_html(atlas.styles, atlas.methods, answers))
    explorer.controls.search.value = "zebra<img src=x>"
    assert "&lt;img" in harmless_page(explorer.status.value)
    explorer.atlas.maps = lambda *key: (_ for _ in ()).throw(StoreError(BAD))
    explorer.controls.epoch.value = 0
    assert "&lt;img" in harmless_page(explorer.status.value)


def bad_verdict() -> dict:
    found = verdict("A.stages.sl-drops") | {"detail": f"{BAD}; {BAD}", "counted": BAD}
    return found | {"claim": dict.fromkeys(found["claim"], BAD) | {"number": 1.0}}


def test_pages_of_records(house, index):  # noqa: F811
    folder = house / "reports" / "pocket"
    given = {"parameters": {BAD: BAD, "overrides": {BAD: BAD}}, "title": BAD}
    put(folder, "01_stagewise_evaluation", [bad_verdict(), verdict("A.stages.sl-drops")], **given)
    put(folder, "own", [], status="failed", error=BAD, cell=1, **given)
    put(house / "reports" / "pocket2", "own", [bad_verdict()], profile=BAD, **given)
    (folder / "<img src=x onerror=alert(1)>.json").write_text("[1")
    survey = read_survey("pocket", folder)
    told = state(survey)
    assert "<img" not in told and "&lt;img" in told
    for page in (gallery(survey), claim_list(survey), index(note=BAD)):
        assert "&lt;img" in harmless_page(page)


def test_a_report_s_page(tmp_path):
    error = new_output("error", ename="ValueError", evalue=BAD, traceback=[BAD])
    table = pd.DataFrame({BAD: [BAD]})
    shown = new_output("display_data", data={"text/html": table.to_html(), "text/plain": BAD})
    words = in_words(pd.DataFrame({"claim": [BAD], "verdict": ["differs"], "measured": [BAD]}))
    said = new_output("display_data", data={"text/markdown": words})
    outputs = [new_output("stream", text=BAD), shown, said, error]
    cells = [new_markdown_cell("# T"), new_code_cell(repr(BAD), outputs=outputs)]
    result = ReportResult(
        notebook=BAD, title=BAD, profile=BAD, status="failed", date=BAD, seconds=1.0, error=BAD, cell=2
    )
    page = render_page(new_notebook(cells=cells), result, source=tmp_path / "a.ipynb", out=tmp_path)
    body = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert harmless_page(body).count("&lt;img") >= 8


STEERING = "\x1b]0;owned\x07\x9b2J"


def test_a_message_steers_no_terminal():
    error = StoreError(f"{STEERING} of\ttwo\nlines, é and \udcff")
    assert str(error) == "\\x1b]0;owned\\x07\\x9b2J of\ttwo\nlines, é and \\udcff"
    assert str(StoreError(f"{error}")) == str(error) and harmless("T = ∞") == "T = ∞"


@pytest.mark.parametrize("place", ["title", "obtain", "classes", "sources"])
def test_a_manifest_holds_no_control_characters(tmp_path, place):
    facts = manifest(FOLDER).model_dump(mode="json")
    facts[place] = {"classes": [STEERING, "b", "c"], "sources": [FOLDER | {"rename": {"a": STEERING}}]}.get(
        place, STEERING
    )
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(facts, allow_unicode=False))
    with pytest.raises(ManifestError, match=f"{place}.*holds control characters"):
        load_manifest(tmp_path / "bad.yaml")
    result = CliRunner().invoke(app, ["data", "show", str(tmp_path / "bad.yaml")])
    assert result.exit_code == 1 and "\x1b" not in result.output


def test_a_file_s_name_steers_no_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    write_folders(tmp_path)
    (tmp_path / "set" / "train" / "car" / "0.png").rename(tmp_path / "set" / "train" / "car" / f"{STEERING}.png")
    (tmp_path / "set" / "train" / "car" / f"{STEERING}.png").write_bytes(encode(pixels(0, 0))[:40])
    facts = manifest(FOLDER).model_dump(mode="json")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(facts))
    result = CliRunner().invoke(app, ["data", "verify", str(tmp_path / "tiny.yaml")], color=True)
    assert result.exit_code == 1 and "\\x1b]0;owned" in result.output and "\x1b]" not in result.output


def test_an_image_of_a_hostile_name_is_only_named():
    def broken(row):
        raise CorruptDataError(BAD)

    images: Images = make_images(decode=broken)
    with pytest.raises(CorruptDataError, match="squares, train: <img"):
        images[0]
