"""An ONNX file gives our features for every batch size, or there is none."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from workbook.cli import app
from workbook.errors import SharingError
from workbook.models.backbones import Backbone
from workbook.models.checkpoints import from_timm
from workbook.models.pretrained import Pretrained
from workbook.sharing import onnx_file
from workbook.sharing.onnx_file import export_onnx


@pytest.fixture(scope="module")
def model() -> Pretrained:
    return from_timm("narrow_resnet", pretrained=False, image_size=16, small_stem=True, mean=(0.1, 0.2, 0.3))


@pytest.mark.parametrize("architecture", ["narrow_resnet", "tiny_vit"])
def test_the_file_normalises_and_takes_any_number_of_images(tmp_path, architecture):
    model = from_timm(architecture, pretrained=False, image_size=16, mean=(0.1, 0.2, 0.3))
    assert "images agree to" in export_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [put.name for put in session.get_inputs()] == ["images"]
    for count in (1, 3):
        images = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        (features,) = session.run(["features"], {"images": images.numpy()})
        with torch.inference_mode():
            np.testing.assert_allclose(features, model.backbone(images).numpy(), atol=1e-4)


class Deciding(nn.Module):
    """Looks at the numbers and then decides what to do: no graph says it."""

    def forward(self, images):
        pooled = images.mean((2, 3))
        return pooled if float(pooled.sum()) > 0 else -pooled


def test_a_network_that_onnx_cannot_say_is_refused_and_leaves_no_file(tmp_path, model):
    deciding = replace(model, name="mine", backbone=Backbone(Deciding(), (), num_features=3))
    with pytest.raises(SharingError, match="^mine cannot be put into ONNX .*name another"):
        export_onnx(deciding, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_features_that_differ_leave_no_file(tmp_path, model, monkeypatch):
    monkeypatch.setattr(onnx_file, "_CLOSE", -1.0)
    with pytest.raises(SharingError, match="gives other features"):
        export_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_its_libraries_the_extra_is_named(tmp_path, model, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(SharingError, match=r"needs onnx and onnxscript: pip install '.*\[onnx\]'"):
        export_onnx(model, tmp_path / "model.onnx")


def test_the_command_exports(tmp_path):
    words = ["export", "mobilenetv2_035", "--fresh", "--image-size", "32", "--onnx", str(tmp_path / "model.onnx")]
    exported = CliRunner().invoke(app, words)
    assert exported.exit_code == 0, exported.output
    assert "images of 32 pixels" in exported.output and "images agree to" in exported.output
    assert (tmp_path / "model.onnx").stat().st_size > 100_000
