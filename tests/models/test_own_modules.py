from pathlib import Path

import pytest
import torch

from workbook.errors import CheckpointError
from workbook.models.checkpoints import from_checkpoint
from workbook.models.own_modules import from_function, is_own

FILE = """
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Shape:
    width: int = 6


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, Shape().width, 3, stride=2)

    def forward(self, images):
        return self.second(self.first(images).relu()).mean((2, 3))


def plain():
    return Net()


def staged():
    net = Net()
    net.stages = ["first", "second"]
    return net


def wrong_stage():
    net = Net()
    net.stages = ["third"]
    return net


def a_map():
    return nn.Conv2d(3, 4, 3)


def no_module():
    return 3


def failing():
    width = 1 / 0
    return Net(width)


class Narrow(Net):
    def forward(self, images):
        return super().forward(images[:, :2])


CONSTANT = 3
"""
FAILING, NARROW = (FILE[: FILE.index(text)].count("\n") + 1 for text in ("width = 1 / 0", "return self.second"))


@pytest.fixture
def file(tmp_path) -> Path:
    (tmp_path / "nets.py").write_text(FILE)
    return tmp_path / "nets.py"


def test_a_name_is_a_file_and_a_function():
    assert is_own("a/b.py:net") and is_own("/a b/c.py:net")
    assert not any(map(is_own, ("a/b.py", "b.yaml:eval", "a.py:", "resnet50", "a.pyc:net")))


def test_features_are_what_its_module_gives_of_normalised_images(file):
    model, images = (
        from_function(f"{file}:plain", image_size=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0)),
        torch.rand(2, 3, 32, 32),
    )
    assert (model.name, model.architecture, model.head, model.fresh) == ("plain", "nets.py:plain", None, False)
    with torch.inference_mode():
        maps, pooled = model.backbone.stages(images)
        seen = (images - 0.5) / torch.tensor([0.25, 0.5, 1.0])[:, None, None]
        torch.testing.assert_close(pooled, model.backbone.model(seen))
    assert maps == [] and pooled.shape == (2, model.backbone.num_features) == (2, 6)
    assert any(note.startswith("its stages are not known") for note in model.notes)
    assert from_function(f"{file}:plain").digest == model.digest, "what it draws is the same each time"


def test_its_stages_are_those_that_it_names(file):
    model = from_function(f"{file}:staged", image_size=32)
    with torch.inference_mode():
        maps, _ = model.backbone.stages(torch.rand(1, 3, 32, 32))
    assert [tuple(stage.shape) for stage in maps] == [(1, 4, 15, 15), (1, 6, 7, 7)]


def test_a_file_of_weights_may_be_of_it_and_the_one_layer_that_is_left_is_the_head(file, tmp_path):
    torch.manual_seed(4)
    own = from_function(f"{file}:plain").backbone.model
    torch.nn.init.normal_(own.first.weight)
    head = {"probe.weight": torch.rand(9, 6), "probe.bias": torch.rand(9)}
    torch.save({"state_dict": {f"net.{name}": t for name, t in own.state_dict().items()} | head}, tmp_path / "a.pth")
    model = from_checkpoint(tmp_path / "a.pth", f"{file}:plain", image_size=32)
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        features = model.backbone(images)
        torch.testing.assert_close(features, own(model.backbone.normalised(images)))
        torch.testing.assert_close(model.logits(features), features @ head["probe.weight"].T + head["probe.bias"])
    assert "kept as the head: probe, 9 classes" in model.notes


def test_other_code_with_the_same_weights_has_another_key(file):
    before = from_function(f"{file}:plain").spec
    assert from_function(f"{file}:staged").spec != before
    file.write_text(FILE.replace(".relu()", ".sigmoid()"))
    after = from_function(f"{file}:plain").spec
    assert after["weights"] == before["weights"] and after["code"] != before["code"]
    assert str(file.parent) not in str(after)


def test_what_lies_beside_is_found_as_python_finds_it(file):
    (file.parent / "beside_nets.py").write_text("WIDTH = 5")
    made = "nn.Sequential(nn.AvgPool2d(224), nn.Flatten(), nn.Linear(3, beside_nets.WIDTH))"
    file.write_text(f"{FILE}\nimport beside_nets\n\ndef beside():\n    return {made}\n")
    assert from_function(f"{file}:beside").backbone.num_features == 5


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("nothing", "has no function 'nothing'; it has .*Net, plain, staged"),
        ("CONSTANT", "has no function 'CONSTANT'"),
        ("no_module", r"no_module\(\) must return a torch.nn.Module, got a int"),
        ("a_map", r"a_map\(\) must give a vector of each image, \(N, D\), got an array of \(1, 4, 30, 30\)"),
        ("wrong_stage", "names of up to five submodules, got 'third'; it has first, second"),
        ("failing", rf"nets.py, line {FAILING}: failing\(\) makes no model \(ZeroDivisionError: division by zero\)"),
        ("Narrow", rf"nets.py, line {NARROW}: Narrow\(\) cannot read images of 32 pixels \(RuntimeError: "),
    ],
)
def test_what_goes_wrong_is_told_with_its_place(file, function, told):
    with pytest.raises(CheckpointError, match=told):
        from_function(f"{file}:{function}", image_size=32)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_of_this_name\n", r"nets.py, line 1: it cannot be run \(ModuleNotFoundError"),
        ("a = 1\ndef net(:\n", r"nets.py, line 2: it cannot be run \(SyntaxError"),
        ("\nraise SystemExit('enough')\n", r"nets.py, line 2: it cannot be run \(SystemExit: enough\)"),
    ],
)
def test_a_file_that_cannot_be_run_is_told_with_its_line(file, text, told):
    file.write_text(text)
    with pytest.raises(CheckpointError, match=told):
        from_function(f"{file}:net")


def test_no_file_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="there is no file .*none.py: name one as path/to/file.py:function"):
        from_function(f"{tmp_path}/none.py:net")
