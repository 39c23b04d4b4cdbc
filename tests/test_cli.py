import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from urllib.error import HTTPError
from urllib.request import urlopen

import pandas as pd
import psutil
import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file
from typer.testing import CliRunner

import workbook
from tests.conftest import make_images
from tests.in_process import scoring_here, write_set
from workbook.cli import app
from workbook.commands.models import _echo_scores
from workbook.data import list_manifests
from workbook.errors import PathError
from workbook.evaluation.extraction import Extraction, extract
from workbook.files import CHECKOUT, write_atomically
from workbook.keys import Named
from workbook.lab import Lab
from workbook.models.backbones import create_backbone
from workbook.models.checkpoints import from_timm
from workbook.profiles import PROFILES, load_profile, override_fields
from workbook.report.parameters import parse_value
from workbook.report.record import ReportResult
from workbook.sizes import SIZES
from workbook.store import Store


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("workbook.report.survey.REPORTS", tmp_path / "reports")
    return lambda *words: CliRunner().invoke(app, words)


def _rows(result) -> list[dict]:
    """What a command printed with --json; nothing else is on its standard output."""
    return json.loads(result.stdout)


LISTS = """
import sys
from workbook.cli import app
for words in ("--help", "--version", "data list", "data list --json", "store list", "store verify"):
    app(words.split(), standalone_mode=False)
print("LOADED", *{name.partition(".")[0] for name in sys.modules})
"""
HEAVY = {"torch", "ray", "pandas", "sklearn", "scipy", "timm", "torchvision", "plotly", "papermill", "nbformat"}
HEAVY |= {"fsspec"}


def test_what_only_lists_waits_for_no_library(run):
    """Nor for the one that names a run."""
    recipe = {"projector": None, "dataset": "digits", "backbone": "resnet18", "seed": 0}
    Store().get_or_make("runs", {"recipe": recipe}, lambda folder: write_atomically(folder / "x", b"1"))
    told = subprocess.run([sys.executable, "-c", LISTS], capture_output=True, text=True, check=True).stdout
    assert "SL on digits, resnet18, seed 0" in told and "tiny-imagenet-200" in told
    assert not HEAVY & set(told.rpartition("LOADED")[2].split())


def test_the_store_is_listed_and_cleared(run):
    spec = {"run": "abc", "epoch": 3}
    artefact = Store().get_or_make("features", spec, lambda folder: write_atomically(folder / "x.npy", b"123"))
    listed = run("store", "list")
    assert artefact.key in listed.output
    assert "of run abc, epoch 3" in listed.output
    assert re.search(r"1  features +together +0\.0 MB", listed.output)
    assert run("store", "remove", artefact.key).exit_code == 0
    assert Store().artefacts() == []


def test_features_are_cleared_together(run):
    for epoch in (1, 2):
        Store().get_or_make("features", {"epoch": epoch}, lambda folder: write_atomically(folder / "x.npy", b"123"))
    assert "removed 2 features" in run("store", "clear", "features").output
    assert Store().artefacts() == []


def test_features_of_a_scored_model_are_listed(run, fabric):
    images = make_images(8, size=32)
    model = from_timm("mobilenetv2_035", pretrained=False, image_size=32)
    extract(model, images, Extraction(layers=("pooled",)), Lab(Store(), fabric))
    listed = run("store", "list")
    assert listed.exit_code == 0, listed.output
    assert f"of weights from outside, mobilenetv2_035, {model.digest}" in listed.output


def test_a_set_is_shrunk_to_one_that_is_whole(run, tmp_path):
    shrunk = run("data", "shrink", str(write_set(tmp_path)), "--side", "8")
    assert shrunk.exit_code == 0, shrunk.output
    *files, said = shrunk.output.split()
    path = tmp_path / "data" / "small-8" / "small-8.yaml"
    assert str(path) in files and said == f"dataset={path}"
    assert run("data", "verify", str(path), "--all").exit_code == 0


def test_an_artefact_of_a_kind_that_came_later_is_listed_too(run):
    spec = {"flavour": "sweet", "parts": [1, 2], "version": 3}
    Store().get_or_make("cakes", spec, lambda folder: write_atomically(folder / "x.npy", b"123"))
    listed = run("store", "list")
    assert listed.exit_code == 0, listed.output
    assert "cakes" in listed.output and "flavour sweet, version 3" in listed.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("store", "remove", "0" * 20), "holds nothing under"),
        (("profile", "pockt"), "did you mean 'pocket'"),
        (("explore", "--profile", "pockt"), "did you mean 'pocket'"),
        (("explore", "explore_feature"), "did you mean 'explore_features'"),
        (("explore", "--port=8900", "explore_feature"), "did you mean 'explore_features'"),
        (("lab", "gone"), "`workbook new FOLDER`"),
        (("report", "nope"), "there is no notebook nope; the nearest of "),
        (("report", "01_stagewise_evaluatio"), "did you mean '01_stagewise_evaluation'"),
        (("sweep", "gone/07_label_injection.ipynb.ipynb"), "did you mean '07_label_injection'"),
        (("report", "--profile", "pockt"), "did you mean 'pocket'"),
        (("report", "-p", "epoch=3"), "did you mean"),
        (("report", "-p", "epochs=three"), "epochs takes int, got 'three'"),
        (("report", "-p", "transfer.image_per_class=3"), "did you mean 'transfer.images_per_class'"),
        (("report", "-p", "ablation.seeds=null"), "ablation.seeds takes int, got None"),
        (("report", "-p", "dataset=cifar-100"), "cifar100"),
        (("report", "-p", "lr=-1"), "recipe.lr must be greater than 0, got -1"),
        (("report", "-p", "lr=.nan"), "recipe.lr must be a finite number, got nan"),
        (("report", "-p", "epochs=1:30"), "recipe.epochs takes int, got '1:30'"),
        (("report", "-p", "epochs=2020-99-99"), "recipe.epochs takes int"),
        (("report", "-p", "epochs=!!int abc"), "epochs, line 1: tags such as !!int are not read"),
        (("report", "-p", "crop_scale=[5, -1]"), "crop_scale[0] must be at most 1, got 5"),
        (("report", "-p", "c_values=[]"), "probe.c_values must have at least 1 item"),
        (("report", "-p", "sets=[digits, nope]"), "there is no manifest 'nope'"),
        (("report", "-p", "others=[BYOLL]"), "others[0]: 'BYOLL' is unknown (did you mean 'BYOL'?)"),
        (("report", "-p", "image_size=0"), "image_size must be at least 1, got 0"),
        (("report", "-p", "precision=float8"), "'float8' is unknown"),
        (("report", "-p", "device=tpu"), "'tpu' is unknown"),
        (("report", "-p", "backbone=resnet9999"), "'resnet9999' is unknown"),
        (("data", "verify", "cifar-100"), "cifar100"),
        (("data", "verify", "cifar100"), "WORKBOOK_DATA"),
        (("data", "shrink", "cifar100"), "are 32 pixels wide, so none gets smaller"),
        (("data", "shrink", "imagenet1k"), "WORKBOOK_DATA"),
        (("data", "get", "imagenet1k"), "by hand alone: register at https://image-net.org"),
        (("data", "get", "cifar-100"), "cifar100"),
        (("data", "new", "gone"), "it is not there"),
        (("data", "croissant", "digits", "--out", "gone/digits.json"), "gone/digits.json cannot be written"),
        (("push", "0" * 20, "--to", "here"), "no run 00000000000000000000"),
        (("export", "resnet51", "--onnx", "x.onnx"), "timm has no model 'resnet51'"),
        (("export", "mobilenetv2_035", "--fresh", "--image-size", "32", "--onnx", "gone/x.onnx"), "cannot be written"),
        (("results", "adopt", "smoke"), "no evidence"),
        (("score", "mobilenetv2_035", "--fresh", "--profile", "pockt"), "did you mean 'pocket'"),
        (("score", "resnet51"), "timm has no model 'resnet51'"),
        (("score", "weights.pt"), "there is no file weights.pt: correct its path"),
        (("score", str(CHECKOUT / "pyproject.toml")), "name the architecture of"),
        (("score", "mobilenetv2_035", "--fresh", "--dataset", "cifar100"), "WORKBOOK_DATA"),
        (("score", "mobilenetv2_035", "--fresh", "--mean", "123", "116", "103"), "not in [0, 255]"),
        (("score", "mobilenetv2_035", "--fresh", "--image-size", "4096"), "from 1 to 2,048"),
        (("score", "mobilenetv2_035", "--fresh", "--small-stem"), "a small stem is known of"),
        (("score", "resnet18", "--fresh", "--accuracy", "69.8"), "resnet18 is freshly initialised, and an accuracy"),
        (("score", "torchvision/resnet19"), "torchvision has no classifier 'resnet19'"),
        (("score", "gone.py:network"), "there is no file"),
        (("score", "0" * 20), "no run 00000000000000000000"),
        (("score", "mobilenetv2_035", "--fresh", "--dataset", "cifar-100"), "cifar100"),
    ],
)
def test_a_user_s_mistake_is_told_without_a_traceback(run, words, message):
    result = run(*words)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_an_unknown_engine_is_told_once_and_not_by_every_notebook(run, monkeypatch):
    monkeypatch.setenv("WORKBOOK_ENGINE", "rai")
    result = run("report")
    assert result.exit_code == 1 and "WORKBOOK_ENGINE=rai (did you mean 'ray'?)" in result.output


@pytest.fixture
def trained(monkeypatch):
    """timm's weights are fresh ones, since tests have no network."""
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **how: create(name, **how))


def test_a_model_is_scored_and_a_failed_score_leaves_its_page(run, tmp_path, trained):
    scored = run("score", "mobilenetv2_035", "--accuracy", "50")
    assert scored.exit_code == 0, scored.output
    numbers = dict(line.split(maxsplit=1) for line in scored.output.splitlines() if " " in line.strip())
    assert float(numbers["cluster_cis"]) == pytest.approx(50 * float(numbers["cluster_diversity"]), abs=0.01)
    page = tmp_path / "reports" / "score" / "mobilenetv2_035" / "score_your_models.html"
    before = page.read_bytes()
    assert run("score", "mobilenetv2_035", "--accuracy", "500").exit_code == 1
    assert page.read_bytes() == before


def test_several_are_scored_and_one_that_cannot_be_read_is_told(run, tmp_path, trained):
    (tmp_path / "short.pth").write_bytes(b"PK\x03\x04 cut short")
    rows = ["model,name,accuracy,architecture", "mobilenetv2_035,one,50,", "short.pth,,,mobilenetv2_035"]
    (tmp_path / "list.csv").write_text("\n".join([*rows, "mobilenetv2_050,two,60,"]))
    written = tmp_path / "out.csv"
    scored = run("score", str(tmp_path / "list.csv"), "--csv", str(written))
    assert scored.exit_code == 1, scored.output
    assert "not scored: " in scored.output and "short.pth" in scored.output
    table = pd.read_csv(written).set_index("model")
    assert table.loc[["one", "two"], "accuracy"].tolist() == [50, 60]
    assert table.loc["one", "cluster_cis"] == pytest.approx(50 * table.loc["one", "cluster_diversity"])
    assert "short.pth" in table[table["problem"].notna()].index.item()
    assert [row["problem"] is None for row in _rows(run("score", str(tmp_path / "list.csv"), "--json"))].count(
        True
    ) == 2
    pages = list((tmp_path / "reports" / "score").glob("list-*/score_your_models.html"))
    assert len(pages) == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "list.csv").write_text((tmp_path / "list.csv").read_text().replace("60", "61"))
    run("score", str(tmp_path / "other" / "list.csv"))
    assert len(list((tmp_path / "reports" / "score").glob("list-*/score_your_models.html"))) == 2
    assert run("score", "mobilenetv2_035", "resnet18", "--accuracy", "50").exit_code == 2


def test_the_workbook_s_own_file_is_scored_and_the_page_says_how_images_are_read(run, tmp_path, monkeypatch):
    scoring_here(monkeypatch, tmp_path)
    backbone = create_backbone("narrow_resnet", image_size=32, small_stem=True)
    path = tmp_path / "epoch_0001.safetensors"
    save_file({f"backbone.model.{name}": tensor for name, tensor in backbone.model.state_dict().items()}, path)
    how = ("--architecture", "narrow_resnet", "--image-size", "16", "--small-stem", "--mean", "0.5", "0.5", "0.5")
    scored = run("score", str(path), *how, "--dataset", str(write_set(tmp_path, classes=3, eval_classes=(2,))))
    assert scored.exit_code == 0, scored.output
    told = "images of 16 pixels, mean 0.5 0.5 0.5, std 0.229 0.224 0.225 (ImageNet's"
    assert scored.output.count(told) == 2  # before the notebook runs, and in it
    # one class of eval-D has nothing to be told apart from: the page gives the rest, and the reasons
    assert re.search("stages: .*at least two", scored.output) and re.search("R +0", scored.output)


def test_a_model_without_diversity_is_scored_by_the_rest(run, tmp_path, monkeypatch, trained):
    """Of a GC-ViT's attention some layers hold K and V alone."""
    scoring_here(monkeypatch, tmp_path)
    manifest = str(write_set(tmp_path, classes=3, eval_classes=(2,)))
    how = ("--accuracy", "50", "--image-size", "32", "--dataset", manifest)
    scored = run("score", "gcvit_xxtiny", *how)
    assert scored.exit_code == 0, scored.output
    assert re.search("reasons_of_weights +diversity: layer .* cannot be shared by 2 heads", scored.output)
    assert re.search(r"R +0\.", scored.output) and "cluster_cis" not in scored.output


def test_what_cannot_be_scored_is_told_before_a_page_is_made_wherever_that_lies(run, tmp_path):
    told = run("score", "mobilenetv2_035", "--fresh", "--accuracy", "50", "--out", str(tmp_path / "page"))
    assert told.exit_code == 1 and "leave out accuracy, or fresh" in told.output
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize("words", [("--accuracy", "0.76"), ("--accuracy", "101"), ("--image-size", "0")])
def test_numbers_out_of_range_are_refused_before_anything_is_made(run, words):
    result = run("score", "mobilenetv2_035", "--fresh", *words)
    assert result.exit_code == (2 if words[0] == "--image-size" else 1)
    assert words[0].strip("-").replace("-", "")[:5] in result.output.replace("-", "")


def test_what_is_damaged_and_unfinished_is_listed_and_verified(run):
    def made(epoch: int):
        write = lambda folder: write_atomically(folder / "x.npy", b"123")  # noqa: E731
        return Store().get_or_make("features", {"run": "abc", "epoch": epoch}, write)

    whole, torn, changed = map(made, range(3))
    (torn.path / "artefact.json").write_text("null")
    with Store().workdir("runs", {"a": 1}) as unfinished:
        (unfinished / "epoch_0001.safetensors").write_bytes(bytes(200_000))
    listed = run("store", "list")
    assert listed.exit_code == 0, listed.output
    assert f"{whole.key}  features   20" in listed.output
    assert re.search(rf"{torn.key}  features   DAMAGED .*artefact.json cannot be read", listed.output)
    assert re.search(rf"{unfinished.name}  runs       unfinished +0\.2 MB", listed.output)
    (changed.path / "x.npy").write_bytes(b"124")
    verified = run("store", "verify")
    assert verified.exit_code == 1
    assert f"ok     {whole.key}" in verified.output and f"note   {unfinished.name}" in verified.output
    assert f"WRONG  {torn.key}  features: " in verified.output
    assert re.search(rf"WRONG  {changed.key}  features: .*x.npy is not what was written", verified.output)
    for key in (torn.key, changed.key):
        assert run("store", "remove", key).exit_code == 0
    assert run("store", "verify").exit_code == 0


def test_a_record_of_another_version_is_listed(run):
    for kind, spec in (("runs", {"recipe": 3}), ("scores", {"a": "b"}), ("probes", {"layer": "x"})):
        Store().get_or_make(kind, spec, lambda folder: write_atomically(folder / "x", b"1"))
    listed = run("store", "list")
    assert listed.exit_code == 0 and "layer x" in listed.output


def test_the_version_is_told(run):
    assert run("--version").output == f"workbook {workbook.__version__}\n"


def test_names_of_profiles_that_are_known_without_torch_are_those_that_there_are():
    assert tuple(PROFILES) == SIZES


def test_a_profile_is_listed_as_its_fields_are_given(run):
    listed = dict(line.split(maxsplit=1) for line in run("profile", "pocket").stdout.splitlines())
    assert listed["recipe.epochs"] == "60" and listed["probe_images_per_class"] == "200"
    assert listed["transfer.sets_b"] == '["cifar100:eval", "digits"]' and listed["distances"] == '"cifar100-distances"'
    values = _rows(run("profile", "pocket", "--json"))
    assert list(listed) == sorted(values) and set(values) == set(override_fields())
    given = {name: parse_value(name, text) for name, text in listed.items()}
    assert load_profile("smoke", **given) == replace(load_profile("pocket"), name="smoke")


@pytest.fixture
def terminal(monkeypatch):
    """Standard output is a terminal of so many columns."""

    def of(columns: int) -> None:
        monkeypatch.setattr("workbook.commands.options._width", lambda: columns)

    return of


def test_the_list_of_data_sets_says_what_is_here_and_fits_the_terminal(run, tmp_path, terminal):
    (tmp_path / "data" / "cifar-100-python").mkdir(parents=True)
    (tmp_path / "data" / "omniglot").mkdir()  # without its files
    terminal(80)
    listed = run("data", "list").stdout.splitlines()
    assert max(map(len, listed[:-2])) <= 80 and listed[0].split()[:2] == ["NAME", "HERE"]
    here = {line.split()[0] for line in listed[1:-2] if line.split()[1] == "yes"}
    drawn = {name for name in list_manifests() if name.startswith("generated")} | {"digits"}
    assert here == drawn | {"cifar100", "cifar100-distances"}
    terminal(300)
    wide = run("data", "list").stdout.splitlines()
    assert wide[0].endswith("TITLE") and max(map(len, wide)) <= 300
    rows = {row["name"]: row for row in _rows(run("data", "list", "--json"))}
    assert {name for name, row in rows.items() if row["here"]} == here
    assert rows["food101"]["paper_sizes"] == {"B": {"train": 80_800, "test": 20_200}}
    assert re.search(r"^dtd .* A, B\b", "\n".join(wide), re.M) and "B (other sizes)" in "\n".join(listed)


def test_runs_have_names_in_the_list_of_the_store(run):
    def make(kind: str, spec: dict) -> str:
        return Store().get_or_make(kind, spec, lambda folder: write_atomically(folder / "x", b"1")).key

    recipe = {"projector": None, "dataset": "digits", "backbone": "resnet18", "seed": 0}
    key = make("runs", {"recipe": recipe})
    features = {"run": key, "epoch": 3, "extraction": {"layers": ["pooled"]}}
    later = recipe | {"seed": 1, "start": {"run": key}}
    gone = Named("1" * 20, {"run": key})  # features that were dropped when their probes were stored
    made = {
        key: "SL on digits, resnet18, seed 0",
        (of := make("features", features)): "pooled of SL, seed 0, epoch 3",
        make("probes", {"layer": "pooled", "train": gone}): "pooled of SL, seed 0",
        make("scores", {"protocol": "k-NN", "features": [of, of]}): "k-NN of SL, seed 0, epoch 3",
        make("diversity", {"weights": {"architecture": "resnet18", "weights": Named("d" * 32, key)}}): "of SL, seed 0",
        make("diversity", {"run": key, "epoch": 3}): "of SL, seed 0, epoch 3",
        make("measures", {"features": of, "measure": "feature_redundancy"}): "feature_redundancy of SL, seed 0, "
        "epoch 3",
        make("measures", {"features": of, "sides": {}}): "all measures of SL, seed 0, epoch 3",
        make("diversity", {"weights": {"architecture": "resnet18", "weights": "d"}}): "of weights from outside, "
        "resnet18, d",
        make("cka", {"x": key, "y": "2" * 20}): f"of SL, seed 0 with run {'2' * 20}",
        make("runs", {"recipe": later}): "SL on digits, resnet18, seed 1, from SL, seed 0",
    }
    assert {row["key"]: row["about"] for row in _rows(run("store", "list", "--json"))} == made


def test_an_empty_store_says_so(run, tmp_path):
    assert run("store", "list").output == f"nothing yet: reports and scores fill it\nin {tmp_path}/store\n"
    assert _rows(run("store", "list", "--json")) == []


def test_a_small_number_is_not_shown_as_none_at_all(capsys):
    _echo_scores(pd.DataFrame({"model": ["one"], "alignment": [0.00001234], "accuracy": [76.123456]}))
    assert capsys.readouterr().out.split() == ["model", "one", "alignment", "1.234e-05", "accuracy", "76.123"]


def test_jupyterlab_opens_on_the_start_page_for_this_machine_alone(run, tmp_path):
    assert run("new", str(tmp_path / "mine")).exit_code == 0
    assert not (tmp_path / "mine" / "README.md").exists(), "its links lead to pages that are not copied"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    words = ["lab", "--no-browser", f"--port={port}", str(tmp_path / "mine")]
    command = [sys.executable, "-c", "from workbook.cli import app; app()", *words]
    address = re.compile(rf"http://127\.0\.0\.1:{port}/lab/tree/00_start_here\.ipynb\?token=(\w+)")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            (token,) = next(filter(None, map(address.search, server.stderr))).groups()
            while server.poll() is None and socket.socket().connect_ex(("127.0.0.1", port)):
                time.sleep(0.1)  # the address is told before it is open
            page = f"http://127.0.0.1:{port}/api/contents/00_start_here.ipynb?content=0"
            with pytest.raises(HTTPError, match="403"):
                urlopen(page)
            assert json.load(urlopen(f"{page}&token={token}"))["name"] == "00_start_here.ipynb"
            open_to = [at.laddr.ip for at in psutil.Process(server.pid).net_connections("tcp") if at.status == "LISTEN"]
            assert set(open_to) == {"127.0.0.1"}
        finally:
            server.terminate()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("data show cifar100", "cifar100-distances"),
        ("report --profile po", "pocket"),
        ("explore explore_", "explore_diversity"),
        ("store remove ", "KEY"),
        ("push ", "KEY"),
        ("report mine", "mine.ipynb"),
    ],
)
def test_a_shell_completes_names(run, tmp_path, monkeypatch, words, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.ipynb").touch()
    key = Store().get_or_make("runs", {"a": 1}, lambda folder: write_atomically(folder / "x", b"1")).key
    asked = {
        "_WORKBOOK_COMPLETE": "complete_bash",
        "COMP_WORDS": f"workbook {words}",
        "COMP_CWORD": str(words.count(" ") + 1),
    }
    told = CliRunner().invoke(app, [], prog_name="workbook", env=asked).output.split()
    assert expected.replace("KEY", key) in told


@pytest.fixture
def reported(monkeypatch):
    """What the command asks `run_reports` for, in the place of running it."""
    asked = {}

    def run_reports(notebooks, *, out, **given):
        asked.update(out=out, **given)
        findings = {"measurements": [{"model": "one"}]}
        return [
            ReportResult(notebook="n", title="", status="passed", date="", seconds=0, profile="", findings=findings)
        ]

    monkeypatch.setattr("workbook.report.runner.run_reports", run_reports)
    return asked


def test_reports_of_another_data_set_lie_in_a_folder_of_their_own(run, reported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = yaml.safe_load((CHECKOUT / "data_manifests" / "digits.yaml").read_text()) | {"name": "my digits"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own))
    for words, folder in (
        ((), "reports/smoke"),
        (("-p", "dataset=generated"), "reports/smoke"),
        (("-p", "dataset=digits"), "reports/smoke-digits"),
        (("-p", "dataset=mine.yaml"), "reports/smoke-my-digits"),
        (("-p", "dataset=mine.yaml", "--out", "elsewhere"), "elsewhere"),
    ):
        result = run("report", *words)
        assert result.exit_code == 0, result.output
        assert reported["out"].absolute() == tmp_path / folder
    assert reported["parameters"]["dataset"] == "mine.yaml", "made absolute where it is routed"


def test_scores_of_two_models_and_of_two_data_sets_lie_apart(run, reported, tmp_path):
    model, files = from_timm("mobilenetv2_035", pretrained=False, image_size=32).backbone.model, []
    for number in range(2):
        files.append(tmp_path / f"run{number}" / "checkpoint.pth")
        files[-1].parent.mkdir()
        with torch.no_grad():
            model.conv_stem.weight += 1
        torch.save(model.state_dict(), files[-1])
    asked = [(str(file), "--architecture", "mobilenetv2_035") for file in files]
    asked += [(*asked[0], "--dataset", name) for name in ("digits", "generated", "generated:eval")]
    asked.append((*asked[0], "--out", str(tmp_path / "here")))
    folders = []
    for words in asked:
        result = run("score", *words)
        assert result.exit_code == 0, result.output
        folders.append(reported["out"])
    assert len(set(folders)) == 6
    assert all(
        re.fullmatch(r"checkpoint-[0-9a-f]{8}(-digits|-generated|-generated-eval)?", folder.name)
        for folder in folders[:5]
    )
    assert folders[5] == tmp_path / "here"


def test_a_store_is_one_place_however_it_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    seen = set()
    for given in ("~/store", "store", "./store", str(tmp_path / "store")):
        monkeypatch.setenv("WORKBOOK_STORE", given)
        assert run("store", "list").output.splitlines()[-1] == f"in {tmp_path}/store"
        seen.add(Store().root)
        assert os.environ["WORKBOOK_STORE"] == f"{tmp_path}/store", "kernels are started with it"
    assert seen == {tmp_path / "store"}
    monkeypatch.setenv("WORKBOOK_STORE", "store")
    with pytest.raises(PathError, match="depends on the folder that a notebook runs in"):
        Store()
    monkeypatch.setenv("WORKBOOK_STORE", "~nosuchuser/store")
    result = run("store", "list")
    assert result.exit_code == 1 and "is no path on this machine" in result.output and "Traceback" not in result.output
