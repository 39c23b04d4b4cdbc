import pytest
import torch
import torchvision
from torch import nn

from workbook.errors import CheckpointError
from workbook.models.checkpoints import from_checkpoint
from workbook.models.torchvision_models import from_torchvision

SIDE = 64


def fresh(name: str, **how):
    return from_torchvision(f"torchvision/{name}", fresh=True, image_size=SIDE, **how)


def torchvision_s(name: str, **how) -> nn.Module:
    """torchvision's own network with weights that are not those of a fresh one here."""
    torch.manual_seed(3)
    return torchvision.models.get_model(name, num_classes=7, **how).eval()


@pytest.mark.parametrize(
    ("name", "classifier", "how"),
    [
        ("resnet18", "fc", {}),
        ("vit_b_32", "heads.head", {"image_size": SIDE}),
        ("mobilenet_v3_small", "classifier.3", {}),
    ],
)
def test_features_and_logits_of_a_file_are_those_of_torchvision_s_own_model(tmp_path, name, classifier, how):
    own, images = torchvision_s(name, **how), torch.rand(2, 3, SIDE, SIDE)
    nn.init.normal_(own.get_submodule(classifier).weight)  # a ViT's begins at 0
    torch.save(own.state_dict(), tmp_path / "model.pth")
    model = from_checkpoint(tmp_path / "model.pth", f"torchvision/{name}", image_size=SIDE)
    with torch.inference_mode():
        seen = model.backbone.normalised(images)
        logits = own(seen)
        features = model.backbone(images)
        torch.testing.assert_close(model.logits(features), logits)
        parent, _, layer = classifier.rpartition(".")
        setattr(own.get_submodule(parent), layer, nn.Identity())
        torch.testing.assert_close(features, own(seen))
    assert features.shape == (2, model.backbone.num_features)
    assert f"kept as the head: {classifier}, 7 classes" in model.notes and not model.fresh


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet18", [(64, 16), (64, 16), (128, 8), (256, 4), (512, 2)]),
        ("vit_b_32", [(768, 2)] * 5),
        ("swin_t", [(96, 16), (192, 8), (384, 4), (768, 2)]),
        ("efficientnet_b0", [(16, 32), (24, 16), (40, 8), (112, 4), (1280, 2)]),
        ("shufflenet_v2_x0_5", [(24, 32), (24, 16), (48, 8), (96, 4), (1024, 2)]),
        ("regnet_x_400mf", [(32, 32), (32, 16), (64, 8), (160, 4), (400, 2)]),
    ],
)
def test_a_stage_ends_with_the_last_map_of_its_size(name, shapes):
    model = fresh(name)
    with torch.inference_mode():
        maps, pooled = model.backbone.stages(torch.rand(1, 3, SIDE, SIDE))
    assert [tuple(stage.shape[1:]) for stage in maps] == [(channels, side, side) for channels, side in shapes]
    assert pooled.shape == (1, model.backbone.num_features)


def test_trained_weights_bring_their_head_and_how_they_read_images(monkeypatch):
    own = torchvision_s("resnet18")
    monkeypatch.setattr("workbook.models.torchvision_models.get_model", lambda name, weights: own)
    images = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        logits = own((images - mean[:, None, None]) / std[:, None, None])
        model = from_torchvision("torchvision/resnet18")
        torch.testing.assert_close(model.logits(model.backbone(images)), logits)
    assert not model.fresh
    told = "images of 224 pixels, mean 0.485 0.456 0.406, std 0.229 0.224 0.225 "
    assert told + "(torchvision's of ResNet18_Weights.IMAGENET1K_V1)" in model.notes
    assert model.spec["architecture"] == "torchvision/resnet18"


def test_a_fresh_one_says_so_and_has_no_head():
    model = fresh("resnet18")
    assert model.fresh and model.head is None and model.head_digest == ""
    with pytest.raises(CheckpointError, match="torchvision/resnet18 has no classifier of its own"):
        model.logits(torch.rand(1, 512))
    assert fresh("resnet18").spec == model.spec


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet19", r"no classifier 'resnet19' \(did you mean 'resnet1"),
        ("squeezenet1_1", "no linear layer as its classifier"),
        ("vit_b_16", "torchvision cannot make vit_b_16"),
    ],
)
def test_what_cannot_be_made_is_refused(name, told):
    with pytest.raises(CheckpointError, match=told):
        from_torchvision(f"torchvision/{name}", fresh=True, image_size=65)


def test_weights_that_cannot_be_had_are_an_error(monkeypatch):
    def offline(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("workbook.models.torchvision_models.get_model", offline)
    with pytest.raises(CheckpointError, match="Name or service not known.*connect to the network once"):
        from_torchvision("torchvision/resnet18")


def test_a_small_stem_is_not_of_torchvision(tmp_path):
    torch.save(torchvision_s("resnet18").state_dict(), tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="are of timm's models and ours, not torchvision/resnet18"):
        from_checkpoint(tmp_path / "model.pth", "torchvision/resnet18", small_stem=True)


def test_a_densenet_as_torchvision_s_old_files_have_it(tmp_path):
    new = torchvision_s("densenet121").state_dict()
    old = dict(new)
    for kind in ("norm", "conv"):
        old = {n.replace(f".{kind}1.", f".{kind}.1.").replace(f".{kind}2.", f".{kind}.2."): t for n, t in old.items()}
    torch.save(old, tmp_path / "model.pth")
    model = from_checkpoint(tmp_path / "model.pth", "torchvision/densenet121", image_size=SIDE)
    weights = model.backbone.model.state_dict()
    assert all(torch.equal(weights[name], new[name]) for name in weights)
    assert model.head.out_features == 7
