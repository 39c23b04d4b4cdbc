"""What all models share: targets, views, spread, and what a few steps change."""

import copy

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from tests.pretraining.small import (
    LABELS,
    SMALL_DINO,
    SMALL_SWAV,
    START,
    WITH_OR_WITHOUT,
    make_model,
    make_views,
)
from workbook.data.augmentation import Augmentation
from workbook.pretraining.byol import BYOLChoices
from workbook.pretraining.contrastive import CESelfSupConChoices, SelfSupConChoices, SimCLRChoices, SupConChoices
from workbook.pretraining.dino import DINOChoices
from workbook.pretraining.moco import MoCoChoices
from workbook.pretraining.model import Moment, embedding_spread, local_views
from workbook.pretraining.swav import SwAVChoices

TARGETS = {
    "BYOL": BYOLChoices(momentum=0.9),
    "Moco": MoCoChoices(queue=32, momentum=0.9),
    "DINO": DINOChoices(outputs=20, momentum=0.9, local_count=0),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_follows_and_no_gradient_reaches_it(name):
    model, views = make_model(TARGETS[name]), make_views(16, 16)
    before = copy.deepcopy(model.target)
    model(views, LABELS, START).loss.backward()
    assert model.target.training
    assert not any(p.requires_grad or p.grad is not None for p in model.target.parameters())
    statistics = [m for m in model.target.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.num_batches_tracked > 0 for m in statistics), "its own statistics"
    trained = [p for p in model.parameters() if p.requires_grad]
    torch.optim.SGD(trained, lr=0.1).step()
    model.begin_step(START)
    model.after_step(START)
    online = model._student if name == "DINO" else model._online
    for was, now, leader in zip(before.parameters(), model.target.parameters(), online.parameters(), strict=True):
        torch.testing.assert_close(now, 0.9 * was + 0.1 * leader)
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), model.target.parameters(), strict=True))


@pytest.mark.parametrize("name", ["BYOL", "DINO"])
def test_the_target_s_momentum_rises_to_one(name):
    model = make_model(TARGETS[name])
    with torch.no_grad():
        for p in model.backbone.parameters():
            p.add_(1.0)
    before = copy.deepcopy(model.target)
    model.begin_step(Moment(99, 100, 10))
    model.after_step(Moment(99, 100, 10))
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), model.target.parameters(), strict=True))


EVERY = {
    "BYOL": BYOLChoices(),
    "Moco": MoCoChoices(queue=32),
    "SimCLR": SimCLRChoices(),
    "SupCon": SupConChoices(),
    "SelfSupCon": SelfSupConChoices(),
    "CE+SelfSupCon": CESelfSupConChoices(),
    "SwAV": SMALL_SWAV,
    "DINO": SMALL_DINO,
}


@WITH_OR_WITHOUT
@pytest.mark.parametrize("name", EVERY)
def test_in_a_few_steps_every_part_moves_and_nothing_breaks(name, projector):
    model = make_model(EVERY[name], projector)
    views = make_views(16, 16, 8)[: 3 if name in ("SwAV", "DINO") else 2]
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for step in range(3):
        model.begin_step(Moment(50 + step, 100, 10))
        result = model(views, LABELS, Moment(50 + step, 100, 10))
        result.loss.backward()
        model.after_backward(Moment(50 + step, 100, 10))
        optimizer.step()
        optimizer.zero_grad()
        model.after_step(Moment(50 + step, 100, 10))
        assert result.loss.shape == () and 0.05 < result.spread <= 1
    after = model.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {key.split(".")[0] for key in before}


def test_spread_by_hand():
    assert embedding_spread(torch.ones(5, 3)) == 0
    corners = torch.cat([torch.eye(3), -torch.eye(3)])  # each channel: 1, -1 and four zeros
    torch.testing.assert_close(embedding_spread(7 * corners), torch.tensor((2 / 6) ** 0.5 * 3**0.5))


def test_only_classifiers_classify():
    with pytest.raises(ValueError, match="BYOL has no classifier"):
        make_model(BYOLChoices()).classify(make_views(16)[0])
    assert make_model(CESelfSupConChoices()).classify(make_views(16)[0]).shape == (8, 4)


@pytest.mark.parametrize("objective", [MoCoChoices(queue=65536), SwAVChoices(queue=65536, prototypes=10)])
def test_a_queue_larger_than_the_data_is_refused(objective):
    with pytest.raises(ValueError, match="queue of 65,536 .* is larger than the 1,400 images.*lower the queue"):
        make_model(objective).check(images=1400, batch_size=64)


@pytest.mark.parametrize(("image_size", "small"), [(64, 32), (96, 48), (160, 64), (224, 96)])
def test_small_crops_are_whole_patches_of_a_vit(image_size, small):
    model = VisionTransformer(img_size=image_size, patch_size=16, embed_dim=8, depth=1, num_heads=1)
    views = local_views(model, Augmentation(), image_size, 2, (0.05, 0.4))
    assert [view.size for view in views] == [small, small]


def test_a_backbone_of_one_image_size_is_refused_small_crops():
    with pytest.raises(ValueError, match="got a Swin"):
        local_views(SwinTransformer(img_size=64, depths=(1,), num_heads=(1,)), Augmentation(), 64, 2, (0.05, 0.4))
