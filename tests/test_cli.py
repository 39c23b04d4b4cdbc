import re

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from tests.conftest import make_images
from tests.in_process import scoring_here, write_set
from workbook.cli import app
from workbook.evaluation.extraction import Extraction, extract
from workbook.files import write_atomically
from workbook.lab import Lab
from workbook.models.backbones import create_backbone
from workbook.models.checkpoints import from_timm
from workbook.store import Store


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("workbook.cli.REPORTS", tmp_path / "reports")
    return lambda *words: CliRunner().invoke(app, words)


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
        (("report", "--profile", "pockt"), "did you mean 'pocket'"),
        (("report", "-p", "epoch=3"), "did you mean"),
        (("report", "-p", "epochs=three"), "epochs takes int, got 'three'"),
        (("report", "-p", "transfer.image_per_class=3"), "did you mean 'transfer.images_per_class'"),
        (("report", "-p", "ablation.seeds=null"), "ablation.seeds takes int, got None"),
        (("report", "-p", "dataset=cifar-100"), "cifar100"),
        (("data", "verify", "cifar-100"), "cifar100"),
        (("data", "verify", "cifar100"), "WORKBOOK_DATA"),
        (("results", "adopt", "smoke"), "no evidence"),
        (("score", "mobilenetv2_035", "--fresh", "--profile", "pockt"), "did you mean 'pocket'"),
        (("score", "resnet51"), "timm has no model 'resnet51'"),
        (("score", "weights.pt"), "name the architecture of weights.pt"),
        (("score", "weights.pt", "--architecture", "resnet18"), "No such file"),
        (("score", "mobilenetv2_035", "--fresh", "--dataset", "cifar100"), "WORKBOOK_DATA"),
        (("score", "mobilenetv2_035", "--fresh", "--mean", "123", "116", "103"), "not in [0, 255]"),
        (("score", "mobilenetv2_035", "--fresh", "--image-size", "4096"), "from 1 to 2,048"),
        (("score", "mobilenetv2_035", "--fresh", "--small-stem"), "a small stem is known of"),
        (("score", "0" * 20), "no run 00000000000000000000"),
        (("score", "mobilenetv2_035", "--fresh", "--dataset", "cifar-100"), "cifar100"),
    ],
)
def test_a_user_s_mistake_is_told_without_a_traceback(run, words, message):
    result = run(*words)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_model_is_scored_and_a_failed_score_leaves_its_page(run, tmp_path):
    scored = run("score", "mobilenetv2_035", "--fresh", "--accuracy", "50")
    assert scored.exit_code == 0, scored.output
    numbers = dict(line.split(maxsplit=1) for line in scored.output.splitlines() if " " in line)
    assert float(numbers["cluster_cis"]) == pytest.approx(50 * float(numbers["cluster_diversity"]), abs=0.01)
    page = tmp_path / "reports" / "score" / "mobilenetv2_035" / "score_your_model.html"
    before = page.read_bytes()
    assert run("score", "mobilenetv2_035", "--fresh", "--accuracy", "500").exit_code == 2
    assert page.read_bytes() == before


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
    assert re.search("probes +.*at least two", scored.output) and re.search("R +0", scored.output)


def test_a_model_without_diversity_is_scored_by_the_rest(run, tmp_path, monkeypatch):
    """Of a GC-ViT's attention some layers hold K and V alone."""
    scoring_here(monkeypatch, tmp_path)
    manifest = str(write_set(tmp_path, classes=3, eval_classes=(2,)))
    how = ("--fresh", "--accuracy", "50", "--image-size", "32", "--dataset", manifest)
    scored = run("score", "gcvit_xxtiny", *how)
    assert scored.exit_code == 0, scored.output
    assert re.search("diversity +layer .* cannot be shared by 2 heads", scored.output)
    assert re.search(r"R +0\.", scored.output) and "cis" not in scored.output


@pytest.mark.parametrize("words", [("--accuracy", "0.76"), ("--accuracy", "101"), ("--image-size", "0")])
def test_numbers_out_of_range_are_refused_before_anything_is_made(run, words):
    result = run("score", "mobilenetv2_035", "--fresh", *words)
    assert result.exit_code == 2 and words[0].strip("-").replace("-", "")[:5] in result.output.replace("-", "")
