"""The detector's parts have A's setting, where torchvision's have another."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate
from torchvision.models.detection.image_list import ImageList

from workbook.detection.detector import SMALL, AlignedPool, DetectorSize, Pyramid, _cut, mask_rcnn
from workbook.models.backbones import create_backbone

TINY = replace(SMALL, channels=8, head_width=16, mask_layers=1, candidates=20, proposals=10)


@pytest.fixture(scope="module")
def detector():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return mask_rcnn(create_backbone("narrow_resnet", image_size=64, small_stem=True), 3, TINY)


def target(size: int = 64) -> dict[str, torch.Tensor]:
    masks = torch.zeros(1, size, size, dtype=torch.bool)
    masks[0, 8:24, 8:40] = True
    return {"boxes": torch.tensor([[8.0, 8, 40, 24]]), "labels": torch.tensor([1]), "masks": masks}


@pytest.mark.parametrize(
    ("name", "small_stem", "strides"),
    [
        ("narrow_resnet", True, (1, 2, 4, 8, 16)),
        ("resnet18", False, (4, 8, 16, 32, 64)),
        ("efficientnet_b2", False, (4, 8, 16, 32, 64)),
        ("swin_tiny_patch4_window7_224", False, (4, 8, 16, 32, 64)),
    ],
)
def test_the_pyramid_stands_on_the_last_four_stages(name, small_stem, strides):
    pyramid = Pyramid(create_backbone(name, image_size=64, small_stem=small_stem), 8).eval()
    with torch.inference_mode():
        levels = pyramid(torch.zeros(1, 3, 64, 128))
    assert pyramid.strides == strides
    assert [(*level.shape,) for level in levels.values()] == [(1, 8, 64 // s, 128 // s) for s in strides]


def test_a_vit_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"half the resolution.*sides of \[32, 32, 32, 32\] \(a plain vision transfo"):
        mask_rcnn(create_backbone("tiny_vit", image_size=64, small_stem=True), 3, TINY)


def test_no_classes_are_refused():
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        mask_rcnn(create_backbone("narrow_resnet", image_size=64, small_stem=True), 0, TINY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sides": ()}, "sides must be some"),
        ({"sides": (80,)}, r"none above longest \(64\), got \[80\]"),
        ({"anchor": 0.0}, "anchor must be greater than 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_coco_s_sizes_are_those_of_the_setting():
    size = DetectorSize()
    assert size.sides == tuple(range(640, 801, 32))
    assert (size.longest, size.proposals, size.candidates, size.head_width) == (1333, 1000, 2000, 1024)
    assert [size.anchor * stride for stride in (4, 8, 16, 32, 64)] == [32, 64, 128, 256, 512]


def test_everything_is_trained_and_the_backbone_that_came_stays(detector):
    backbone = create_backbone("narrow_resnet", image_size=64, small_stem=True).eval().requires_grad_(False)
    model = mask_rcnn(backbone, 3, TINY).train()
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    assert not backbone.training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, model.backbone.backbone.state_dict()[name])


def test_norms_are_in_backbone_and_pyramid_and_heads_are_plain(detector):
    normed = [name for name, module in detector.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert {name.split(".")[0] for name in normed} == {"backbone"}
    assert sum(name.startswith("backbone.fpn") for name in normed) == 8  # of four levels, before and after the sum


def test_padding_is_zero_after_the_statistics(detector):
    white = [torch.ones(3, 64, 64), torch.ones(3, 48, 64)]
    images, _ = detector.eval().transform(white)
    assert float(images.tensors[0].min()) > 0
    shorter = images.image_sizes[1][0]
    assert shorter == 48  # the longer side is at most 64
    assert images.tensors[1][:, shorter:].abs().max() == 0


def test_a_box_s_side_is_one_of_the_sides_in_training_and_the_last_elsewhere():
    transform = mask_rcnn(
        create_backbone("narrow_resnet", image_size=64, small_stem=True), 1, replace(TINY, sides=(32, 48, 64))
    ).transform
    images = [torch.rand(3, 40, 40) for _ in range(30)]
    assert {size for size, _ in transform.train()(images)[0].image_sizes} == {32, 48, 64}
    assert {size for size, _ in transform.eval()(images)[0].image_sizes} == {64}


def test_anchors_are_not_rounded_and_stand_at_the_strides(detector):
    maps = [torch.zeros(1, 8, 40 // stride + (40 % stride > 0), 64 // stride) for stride in (1, 2, 4, 8, 16)]
    anchors = detector.rpn.anchor_generator(ImageList(torch.zeros(1, 3, 40, 64), [(40, 64)]), maps)[0]
    counts = [3 * level.shape[2] * level.shape[3] for level in maps]
    first, last = anchors[0], anchors[sum(counts[:4]) + 3]  # the second column of a level of 16 pixels' stride
    assert first.tolist() == pytest.approx(
        [-8 * math.sqrt(2) / 2, -4 / math.sqrt(2), 8 * math.sqrt(2) / 2, 4 / math.sqrt(2)]
    )
    assert float(last[0] + last[2]) / 2 == pytest.approx(16)
    assert [float(a[2] - a[0]) * float(a[3] - a[1]) for a in anchors[:3]] == pytest.approx([64, 64, 64])


def test_pooling_is_aligned():
    """A box of 14 cells on a ramp: each of 7 x 7 outputs is the ramp in the middle of its two cells, exactly."""
    columns = torch.arange(32.0).expand(1, 1, 32, 32)  # the value at the centre of a cell, 0.5 further than its edge
    pool = AlignedPool((4, 8, 16, 32), 7)
    level = interpolate(columns, size=(32, 32))
    out = pool({str(i): level for i in range(4)}, [torch.tensor([[16.0, 16, 72, 72]])], [(128, 128)])
    # 56 pixels a side are read from the level of stride 4: cells 4 to 18
    expected = torch.tensor([4 + 2 * i + 1 - 0.5 for i in range(7)])
    torch.testing.assert_close(out[0, 0], expected.expand(7, 7))


@pytest.mark.parametrize(("side", "level"), [(111, 0), (112, 1), (224, 2), (447, 2), (448, 3), (900, 3)])
def test_a_box_is_read_from_the_level_of_its_size(side, level):
    pool = AlignedPool((4, 8, 16, 32), 1)
    maps = {
        str(at): torch.full((1, 1, 1024 // stride, 1024 // stride), float(at)) for at, stride in enumerate(pool.strides)
    }
    assert float(pool(maps, [torch.tensor([[0.0, 0, side, side]])], [(1024, 1024)])) == level


def test_masks_are_cut_at_one_half():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, :, :3] = True
    cut = _cut(masks, torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([0]), 4)
    assert cut[0].tolist() == [[1, 1, 0, 0]] * 4  # the second cell is covered by half


def test_box_losses_are_absolute_differences(detector):
    """Half a unit away in four numbers is 2: a smooth loss of beta 1/9 would say 1.78."""
    rpn = detector.rpn
    deltas, wanted = torch.zeros(2, 4), [torch.full((2, 4), 0.5)]
    objectness, away = rpn.compute_loss(torch.zeros(2, 1), deltas, [torch.tensor([1.0, 0.0])], wanted)
    assert float(away) == pytest.approx(4 * 0.5 / 2)  # over the two that were drawn
    assert float(objectness) == pytest.approx(math.log(2))


def test_heads_draw_and_keep_what_the_setting_says(detector):
    heads, rpn = detector.roi_heads, detector.rpn
    assert (heads.score_thresh, heads.nms_thresh, heads.detections_per_img) == (0.05, 0.5, 100)
    assert (heads.fg_bg_sampler.batch_size_per_image, heads.fg_bg_sampler.positive_fraction) == (64, 0.25)
    assert (rpn.fg_bg_sampler.batch_size_per_image, rpn.fg_bg_sampler.positive_fraction) == (64, 0.5)
    assert (rpn._pre_nms_top_n, rpn._post_nms_top_n) == (
        {"training": 20, "testing": 10},
        {"training": 10, "testing": 10},
    )
    assert heads.box_coder.weights == (10.0, 10.0, 5.0, 5.0)
    assert heads.box_predictor.bbox_pred.weight.detach().std().item() == pytest.approx(0.001, rel=0.2)


def test_five_losses_come_back_and_reach_every_weight(detector):
    model = mask_rcnn(create_backbone("narrow_resnet", image_size=64, small_stem=True), 3, TINY).train()
    losses = model([torch.rand(3, 64, 64), torch.rand(3, 64, 48)], [target(), target()])
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"}
    sum(losses.values()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_an_image_without_objects_has_losses_that_are_finite(detector):
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "masks": torch.zeros(0, 64, 64)}
    losses = detector.train()([torch.rand(3, 64, 64)], [empty])
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["loss_mask"].item() == losses["loss_box_reg"].item() == 0


def test_what_is_found_has_the_image_s_size(detector):
    with torch.inference_mode():
        (found,) = detector.eval()([torch.rand(3, 40, 100)])
    assert found["masks"].shape == (len(found["boxes"]), 1, 40, 100)
    assert bool((found["labels"] >= 1).all())
