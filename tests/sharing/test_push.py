"""What is pushed is opened elsewhere: by timm where timm makes the network, by the workbook always."""

import json
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub
import pytest
import timm
import torch
from typer.testing import CliRunner

from tests.pretraining.small import FEW, PROJECTOR
from workbook.cli import app
from workbook.errors import CheckpointError, SharingError
from workbook.evaluation.scoring import open_model
from workbook.lab import Lab
from workbook.models.folders import CONFIG, WEIGHTS
from workbook.pretraining.runs import Run, train
from workbook.sharing.push import push
from workbook.store import Store

PLAIN = replace(FEW, image_size=32, checkpoint_epochs=())
RECIPES = {
    "a ResNet of timm's": replace(PLAIN, backbone="resnet18", small_stem=False),
    "a small stem": replace(PLAIN, backbone="resnet18"),
    "ours": replace(PLAIN, projector=PROJECTOR),
    "a ViT of ours": replace(PLAIN, backbone="tiny_vit", global_pool=True),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, fabric) -> Lab:
    return Lab(Store(tmp_path_factory.mktemp("store")), fabric)


@pytest.fixture(scope="module")
def run(lab) -> Run:
    return train(RECIPES["a ResNet of timm's"], lab)


IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", RECIPES)
def test_the_workbook_opens_what_it_pushed_by_the_folder_alone(lab, tmp_path, kind):
    run = train(RECIPES[kind], lab)
    folder = push(run.key, str(tmp_path / "new" / "model"), lab.store)
    own, opened = run.backbone(), open_model(folder, lab.store)
    with torch.inference_mode():
        features = own.backbone(IMAGES)
        assert torch.equal(opened.backbone(IMAGES), features)
    assert opened.name == "model" and opened.spec == own.spec, "features of it that the store has are found again"
    if kind == "ours":
        assert opened.head is None, "a projector stays with the recipe that needs it"
    else:
        assert torch.equal(opened.logits(features), own.logits(features))
    assert sorted(path.name for path in (tmp_path / "new" / "model").iterdir()) == ["README.md", CONFIG, WEIGHTS]
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "model"]


def test_timm_makes_the_same_features_and_logits_of_normalised_images(lab, run, tmp_path):
    folder = push(run.key, str(tmp_path / "model"), lab.store)
    own = run.backbone()
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    said = model.pretrained_cfg
    mean, std = (torch.tensor(said[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    assert said["input_size"] == [3, 32, 32]
    headless = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    with torch.inference_mode():
        normalised, features = (IMAGES - mean) / std, own.backbone(IMAGES)
        torch.testing.assert_close(model(normalised), own.logits(features), atol=1e-5, rtol=0)
        torch.testing.assert_close(headless(normalised), features, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["a small stem", "ours", "a ViT of ours"])
def test_timm_refuses_what_it_would_make_otherwise(lab, tmp_path, kind):
    folder = push(train(RECIPES[kind], lab).key, str(tmp_path / "model"), lab.store)
    with pytest.raises(RuntimeError, match="Unknown model"):
        timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert "timm makes no such network" in (tmp_path / "model" / "README.md").read_text()


def test_the_card_says_what_is_known_of_the_run(lab, run, tmp_path):
    rows = [{"run": run.key, "dataset": "digits", "accuracy": 41.8333333, "note": None}, {"run": "x", "accuracy": 7}]
    claim = {"id": "A.x", "paper": "A", "place": "3.2", "statement": "SL rises", "unit": "points", "number": None}
    verdict = {
        "claim": claim,
        "n": 5,
        "seeds": [0],
        "status": "differs",
        "detail": "",
        "said": "",
        "counted": "5 seeds",
    }
    record = {"notebook": "n", "title": "Does it?", "profile": "pocket", "status": "passed", "date": "2024-05-01"}
    record |= {"seconds": 1, "measurements": rows, "verdicts": [verdict | {"measured": 1.5, "low": 1.0, "high": 2.0}]}
    (tmp_path / "n.json").write_text(json.dumps(record))
    card = (tmp_path / "model" / "README.md", push(run.key, str(tmp_path / "model"), lab.store, reports=[tmp_path]))[0]
    text = card.read_text()
    assert "- batch_size: `16`" in text and f"- digest: `{run.artefact.spec['data']}`" in text
    assert "| dataset | accuracy | note |" in text and "| digits | 41.833 |  |" in text and "| 7 |" not in text
    assert "SL rises (A, 3.2): **differs**, 1.50 points, [1.00, 2.00], n = 5 seeds" in text
    assert "libraries.torch" in text and "- hardware: " in text and "arXiv:2112.00496" in text


def test_the_hub_gets_the_same_folder(lab, run, monkeypatch):
    got = {}

    def upload_folder(*, repo_id, folder_path, **_):
        got[repo_id] = sorted(path.name for path in folder_path.iterdir())

    api = SimpleNamespace(create_repo=lambda name, exist_ok: got.setdefault(name), upload_folder=upload_folder)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda **_: api)
    assert push(run.key, "hf:me/mine", lab.store) == "https://huggingface.co/me/mine"
    assert got == {"me/mine": ["README.md", CONFIG, WEIGHTS]}


def test_a_hub_that_refuses_is_told_in_one_line(lab, run, monkeypatch):
    def create_repo(*_, **__):
        raise huggingface_hub.errors.LocalTokenNotFoundError("Token is required\nto call this")

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda **_: SimpleNamespace(create_repo=create_repo))
    with pytest.raises(SharingError, match=r"^hf:me/mine cannot be written \(Token is required\): log in.*$"):
        push(run.key, "hf:me/mine", lab.store)


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(lab, run, tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(SharingError, match="nothing is overwritten"):
        push(run.key, str(tmp_path), lab.store)
    monkeypatch.setattr("workbook.sharing.push.model_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        push(run.key, str(tmp_path / "model"), lab.store)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_not_whole_is_refused(lab, run, tmp_path):
    folder = tmp_path / "model"
    push(run.key, str(folder), lab.store)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"pretrained_cfg": {}}))
    with pytest.raises(CheckpointError, match="lacks 'input_size'"):
        open_model(str(folder), lab.store)
    (folder / CONFIG).write_text("{")
    with pytest.raises(CheckpointError, match="is no configuration"):
        open_model(str(folder), lab.store)


def test_the_command_pushes(lab, run, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_STORE", str(lab.store.root))
    pushed = CliRunner().invoke(app, ["push", run.key, "--to", str(tmp_path / "model")])
    assert pushed.exit_code == 0 and str(tmp_path / "model") in pushed.output
    refused = CliRunner().invoke(app, ["push", "0" * 20, "--to", str(tmp_path / "other")])
    assert refused.exit_code == 1 and "has no run" in refused.output
