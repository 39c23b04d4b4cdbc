import pytest
import timm
import torch

from workbook.errors import CheckpointError
from workbook.models.checkpoints import from_checkpoint, from_timm
from workbook.models.preprocessing import preprocessing_of

IMAGENET, HALF = (0.485, 0.456, 0.406), (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("architecture", "of_timm", "mean", "whose"),
    [
        ("vit_base_patch16_224", True, HALF, "timm's of vit_base_patch16_224.augreg2_in21k_ft_in1k"),
        ("vit_base_patch16_224", False, IMAGENET, "ImageNet's, as no tag of timm is named"),
        ("vit_base_patch16_224.augreg_in21k", False, HALF, "timm's of vit_base_patch16_224.augreg_in21k"),
        ("vit_base_patch16_224.augreg_in21k", True, HALF, "timm's of vit_base_patch16_224.augreg_in21k"),
        ("vit_small_patch16_224", False, IMAGENET, "ImageNet's, as no tag of timm is named"),
        ("vit_small_patch16_224.dino", False, IMAGENET, "timm's of vit_small_patch16_224.dino"),
        ("narrow_resnet", False, IMAGENET, "ImageNet's, as no tag of timm is named"),
    ],
)
def test_one_rule_for_both_ways_in(architecture, of_timm, mean, whose):
    reading, told = preprocessing_of(architecture, of_timm=of_timm)
    assert reading.mean == mean and reading.image_size == 224
    assert whose in told and f"mean {' '.join(map(str, mean))}" in told


def test_what_is_given_is_taken_and_said():
    how = {"of_timm": False, "image_size": 64, "mean": [0.1, 0.2, 0.3]}
    reading, told = preprocessing_of("resnet18", **how)
    assert (reading.image_size, reading.mean) == (64, (0.1, 0.2, 0.3))
    assert told.endswith("(ImageNet's, as no tag of timm is named; as given)")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"mean": (123.7, 116.3, 103.5)}, "mean is three numbers of pixels in .0, 1., not in .0, 255."),
        ({"mean": (0.5, 0.5)}, "mean is three numbers"),
        ({"mean": (0.5, 0.5, float("nan"))}, "mean is three numbers"),
        ({"std": (0.5, 0.0, 0.5)}, "std must not be 0"),
        ({"image_size": 0}, "from 1 to 2,048, got 0"),
        ({"image_size": 10**6}, "from 1 to 2,048"),
    ],
)
def test_numbers_out_of_range_are_refused(how, told):
    with pytest.raises(CheckpointError, match=told):
        preprocessing_of("resnet18", of_timm=False, **how)


def test_an_unknown_tag_is_refused_with_those_that_there_are():
    with pytest.raises(CheckpointError, match="no weights 'resnet50.nonsense'; it has .*resnet50.a1_in1k"):
        preprocessing_of("resnet50.nonsense", of_timm=False)


def test_the_same_weights_have_one_key_by_both_ways_in_and_another_where_they_read_otherwise(tmp_path, monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **how: create(name, **how))
    ours = from_timm("test_vit.r160_in1k")
    torch.save(ours.backbone.model.state_dict(), tmp_path / "same.pth")
    theirs = from_checkpoint(tmp_path / "same.pth", "test_vit.r160_in1k")
    assert theirs.spec == ours.spec
    assert torch.equal(theirs.backbone.mean, ours.backbone.mean)
    other = from_checkpoint(tmp_path / "same.pth", "test_vit.r160_in1k", mean=(0.1, 0.1, 0.1))
    assert other.digest == ours.digest and other.spec != ours.spec


def test_sizes_are_applied_or_refused_at_once(tmp_path):
    vit = from_timm("test_vit", pretrained=False, image_size=64)
    with torch.inference_mode():
        assert vit.backbone(torch.rand(1, 3, 64, 64)).shape == (1, vit.backbone.num_features)
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "vit.pth")
    with pytest.raises(CheckpointError, match="pos_embed has shape.*of a transformer, the image size may differ"):
        from_checkpoint(tmp_path / "vit.pth", "test_vit", image_size=64)
    with pytest.raises(CheckpointError, match="swin_tiny_patch4_window7_224 cannot"):
        from_timm("swin_tiny_patch4_window7_224", pretrained=False, image_size=3)


def test_a_small_stem_is_of_any_plain_resnet_and_else_refused(tmp_path):
    model = from_timm("resnet26", pretrained=False, image_size=32, small_stem=True)
    with torch.inference_mode():
        assert model.backbone.stages(torch.rand(1, 3, 32, 32))[0][0].shape[2:] == (32, 32)
    assert model.spec["small_stem"] and "with a small stem" in model.notes
    torch.save(model.backbone.model.state_dict(), tmp_path / "cifar.pth")
    with pytest.raises(CheckpointError, match=r"conv1.weight has shape \(64, 3, 3, 3\).*is a small stem"):
        from_checkpoint(tmp_path / "cifar.pth", "resnet26", image_size=32)
    with pytest.raises(CheckpointError, match="a small stem is known of narrow_resnet"):
        from_timm("mobilenetv2_035", pretrained=False, image_size=32, small_stem=True)


def test_stages_that_cannot_be_read_are_left_out_and_told():
    model = from_timm("crossvit_tiny_240", pretrained=False)
    named = hasattr(model.backbone.model, "feature_info")  # by newer versions of timm
    assert any("its stages cannot be read" in note for note in model.notes) == named
    with torch.inference_mode():
        assert model.backbone.stages(torch.rand(1, 3, 240, 240))[0] == []
