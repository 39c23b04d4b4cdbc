import os
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from workbook.errors import CheckpointError
from workbook.models.backbones import create_backbone
from workbook.models.checkpoints import from_checkpoint, from_timm
from workbook.models.weight_files import read_weights


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    """Weights that no fresh model has, with the classifier that checkpoints bring."""
    torch.manual_seed(7)
    return timm.create_model("resnet18", num_classes=10)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_loaded(model, resnet):
    expected = resnet.state_dict()
    for name, tensor in model.backbone.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def save(folder: Path, content, name="model.pt") -> Path:
    path = folder / name
    torch.save(content, path)
    return path


def test_what_plain_pytorch_writes(tmp_path, resnet):
    model = from_checkpoint(save(tmp_path, resnet.state_dict()), "resnet18")
    assert_loaded(model, resnet)
    assert model.image_size == 224
    assert model.notes == (
        "120 entries of model.pt are the backbone",
        "kept as the head: fc, 10 classes",
        "images of 224 pixels, mean 0.485 0.456 0.406, std 0.229 0.224 0.225 (ImageNet's, as no tag of timm is named)",
        'features pooled by timm\'s "avg"',
    )


def test_old_and_new_formats_of_torch_and_safetensors_hold_the_same(tmp_path, resnet):
    old = tmp_path / "old.pth"
    torch.save(resnet.state_dict(), old, _use_new_zipfile_serialization=False)
    safe = tmp_path / "weights.bin"  # the name does not decide
    save_file(weights_of(resnet), safe)
    models = [from_checkpoint(path, "resnet18") for path in (save(tmp_path, resnet.state_dict()), old, safe)]
    for model in models:
        assert_loaded(model, resnet)
    assert len({model.digest for model in models}) == 1


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "module.encoder_q.", "state_dict.model."])
def test_prefixes_are_found_and_told(tmp_path, resnet, prefix):
    content = {prefix + name: tensor for name, tensor in weights_of(resnet).items()}
    content["projection_head.0.weight"] = torch.ones(2)
    model = from_checkpoint(save(tmp_path, content), "resnet18")
    assert_loaded(model, resnet)
    assert f'"{prefix}" stands before their names' in model.notes
    assert f"kept as the head: {prefix}fc, 10 classes" in model.notes
    assert "not used: 1 other entries (projection_head.0.weight)" in model.notes


def test_weights_one_level_below_beside_an_optimiser(tmp_path, resnet):
    content = {"epoch": 3, "state_dict": resnet.state_dict(), "optimizer": {"lr": 0.1, "state": {}}}
    assert_loaded(from_checkpoint(save(tmp_path, content), "resnet18"), resnet)


def test_several_sets_of_weights_have_to_be_chosen_from(tmp_path, resnet):
    other = {name: torch.zeros_like(tensor) for name, tensor in weights_of(resnet).items()}
    path = save(tmp_path, {"student": other, "teacher": resnet.state_dict()})
    with pytest.raises(CheckpointError, match="choose one as part: student, teacher"):
        from_checkpoint(path, "resnet18")
    with pytest.raises(CheckpointError, match="no part 'ema'"):
        from_checkpoint(path, "resnet18", part="ema")
    assert_loaded(from_checkpoint(path, "resnet18", part="teacher"), resnet)


def test_two_encoders_in_one_set_have_to_be_chosen_from(tmp_path, resnet):
    content = {f"encoder_k.{name}": torch.zeros_like(tensor) for name, tensor in weights_of(resnet).items()}
    content |= {f"encoder_q.{name}": tensor for name, tensor in weights_of(resnet).items()}
    path = save(tmp_path, content)
    with pytest.raises(CheckpointError, match=r"choose one by its prefix: encoder_k\., encoder_q\."):
        from_checkpoint(path, "resnet18")
    assert_loaded(from_checkpoint(path, "resnet18", prefix="encoder_q."), resnet)


def test_our_own_backbones_are_architectures_too(tmp_path):
    torch.manual_seed(3)
    backbone = create_backbone("narrow_resnet", image_size=32, small_stem=True)
    path = save(tmp_path, {f"backbone.{name}": tensor for name, tensor in backbone.state_dict().items()})
    model = from_checkpoint(path, "narrow_resnet", image_size=32, small_stem=True)
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.backbone(images), backbone.eval()(images))


def test_missing_step_counters_of_batch_norm_are_told_and_forgiven(tmp_path, resnet):
    content = {name: value for name, value in weights_of(resnet).items() if "num_batches" not in name}
    model = from_checkpoint(save(tmp_path, content), "resnet18")
    assert "not in the file: 20 step counters of batch norm" in model.notes


def test_a_missing_weight_is_refused(tmp_path, resnet):
    content = weights_of(resnet)
    del content["layer3.0.conv1.weight"]
    with pytest.raises(CheckpointError, match=r"1 of 120 weights are missing \(layer3.0.conv1.weight\)"):
        from_checkpoint(save(tmp_path, content), "resnet18")


def test_another_architecture_is_refused(tmp_path, resnet):
    path = save(tmp_path, resnet.state_dict())
    with pytest.raises(CheckpointError, match="no whole resnet34: 80 of 216 weights are missing"):
        from_checkpoint(path, "resnet34")
    with pytest.raises(CheckpointError, match="has none of the weights of vit_tiny_patch16_224"):
        from_checkpoint(path, "vit_tiny_patch16_224")
    narrow = weights_of(resnet) | {"conv1.weight": torch.ones(32, 3, 7, 7)}
    with pytest.raises(CheckpointError, match=r"conv1.weight has shape \(32, 3, 7, 7\), not \(64, 3, 7, 7\)"):
        from_checkpoint(save(tmp_path, narrow, "narrow.pt"), "resnet18")


def test_weights_that_are_not_finite_are_refused(tmp_path, resnet):
    content = weights_of(resnet)
    content["layer1.0.conv1.weight"][0, 0] = float("nan")
    with pytest.raises(CheckpointError, match="9 values of layer1.0.conv1.weight are not finite"):
        from_checkpoint(save(tmp_path, content), "resnet18")


class _Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path, new_format):
    path, target = tmp_path / "bad.pt", tmp_path / "made by the file"
    torch.save({"state_dict": _Payload(target)}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"it asks for \w+\.mkdir\), and code from a file is not run"):
        read_weights(path)
    assert not target.exists()


@pytest.mark.parametrize("kind", ["torch", "old torch", "safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, resnet, kind, kept):
    path = tmp_path / "cut"
    if kind == "safetensors":
        save_file(weights_of(resnet), path)
    else:
        torch.save(resnet.state_dict(), path, _use_new_zipfile_serialization=kind == "torch")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CheckpointError, match="cut "):
        read_weights(path)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {"epoch": 3}}])
def test_files_without_weights_are_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match="weights"):
        read_weights(save(tmp_path, content))


def test_no_file_and_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        read_weights(tmp_path / "nothing.pt")
    with pytest.raises(CheckpointError, match="is a folder: name the file in it"):
        read_weights(tmp_path)
    (tmp_path / "notes.txt").write_text("no weights in here, but a line of text that is long enough")
    with pytest.raises(CheckpointError, match="neither a whole safetensors file nor"):
        read_weights(tmp_path / "notes.txt")


def test_unknown_architectures_are_refused_with_names_that_are_near():
    with pytest.raises(CheckpointError, match="timm has no model 'resnet19'; its names are like "):
        from_timm("resnet19", pretrained=False)


def test_weights_that_cannot_be_had_are_an_error(monkeypatch):
    def offline(*_, **__):
        raise OSError("We couldn't connect")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(CheckpointError, match=r"cannot load its weights of resnet18 \(We couldn't connect\)"):
        from_timm("resnet18", pretrained=True)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_035", "vit_tiny_patch16_224", "convnext_atto"])
def test_fresh_models_of_timm_have_stages_and_one_digest(name):
    model = from_timm(name, pretrained=False)
    size = 32 if "vit" not in name else 224
    with torch.inference_mode():
        maps, pooled = model.backbone.stages(torch.rand(1, 3, size, size))
    assert 4 <= len(maps) <= 5
    assert all(map.ndim == 4 for map in maps)
    assert pooled.shape == (1, model.backbone.num_features)
    assert from_timm(name, pretrained=False).digest == model.digest


def test_stages_that_a_model_names_and_never_calls_are_left_out():
    model = from_timm("coat_tiny", pretrained=False)
    with torch.inference_mode():
        maps, pooled = model.backbone.stages(torch.rand(1, 3, 224, 224))
    assert maps == []
    assert pooled.shape == (1, model.backbone.num_features)
