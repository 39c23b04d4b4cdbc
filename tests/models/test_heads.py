import pytest
import timm
import torch
from torch import nn

from workbook.errors import CheckpointError
from workbook.models.checkpoints import from_checkpoint, from_timm
from workbook.models.heads import as_head, take_off
from workbook.models.pretrained import check_accuracy


@pytest.fixture
def weighted(monkeypatch):
    """timm's networks with weights drawn here in place of trained ones; a ViT's classifier begins at 0."""
    create, made = timm.create_model, []

    def of_timm(name, pretrained=False, **how):
        torch.manual_seed(len(made))
        made.append(create(name, **how))
        if pretrained:
            for layer in (module for module in made[-1].modules() if isinstance(module, nn.Linear)):
                nn.init.normal_(layer.weight, std=0.1)
        return made[-1]

    monkeypatch.setattr(timm, "create_model", of_timm)
    return made


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "convnext_atto", "mobilenetv2_035", "dla46_c"])
def test_timm_s_classifier_is_kept_and_its_backbone_is_that_without_one(weighted, name):
    images, model = torch.rand(2, 3, 160, 160), from_timm(name, image_size=160)
    weighted.clear()
    whole = timm.create_model(name, pretrained=True).eval()
    with torch.inference_mode():
        logits = whole(model.backbone.normalised(images))
        torch.testing.assert_close(model.logits(model.backbone(images)), logits, rtol=1e-4, atol=1e-4)
    assert model.head.out_features == 1000 and not model.fresh
    bare = timm.create_model(name, num_classes=0).state_dict()
    assert [*bare] == [*model.backbone.model.state_dict()], "the weights that a digest has always been of"


@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "crossvit_tiny_240"])
def test_several_classifiers_are_no_head(weighted, name):
    model = from_timm(name)
    assert model.head is None and model.head_digest == ""


def test_a_head_that_reads_other_than_the_features_is_none(weighted, monkeypatch):
    model = timm.create_model("test_resnet")
    model.register_forward_hook(lambda module, inputs, output: 2 * output + 1)
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: model)
    assert from_timm("test_resnet", image_size=64).head is None


def test_the_last_linear_layer_is_taken_off():
    model = nn.ModuleDict({"classifier": nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5)), "z": nn.ReLU()})
    name, layer = take_off(model)
    assert name == "classifier.2" and layer.out_features == 5
    assert isinstance(model["classifier"][2], nn.Identity)
    with pytest.raises(ValueError, match="no linear layer as its classifier"):
        take_off(model, "head")


def test_a_convolution_of_one_pixel_is_a_linear_layer():
    conv = nn.Conv2d(6, 4, 1)
    features = torch.rand(3, 6)
    torch.testing.assert_close(as_head(conv)(features), conv(features[:, :, None, None]).flatten(1))
    assert as_head(nn.Conv2d(6, 4, 3)) is None and as_head(nn.Identity()) is None


def test_a_head_has_a_key_of_its_own_and_features_have_none_of_it(tmp_path):
    torch.manual_seed(1)
    own = timm.create_model("test_resnet", num_classes=10)
    models = []
    for number in range(2):
        nn.init.normal_(own.fc.weight, mean=number)
        torch.save(own.state_dict(), tmp_path / f"{number}.pth")
        models.append(from_checkpoint(tmp_path / f"{number}.pth", "test_resnet", image_size=64))
    first, second = models
    assert first.spec == second.spec and first.head_digest != second.head_digest
    again = from_checkpoint(tmp_path / "0.pth", "test_resnet", image_size=64)
    assert again.head_digest == first.head_digest


def test_an_accuracy_is_of_trained_weights():
    model = from_timm("test_resnet", pretrained=False, image_size=64)
    check_accuracy(model, None)
    with pytest.raises(CheckpointError, match="test_resnet is freshly initialised, and an accuracy of 69.8 %"):
        check_accuracy(model, 69.8)
