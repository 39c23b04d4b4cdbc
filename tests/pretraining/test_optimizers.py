import pytest
import torch
from torch import nn

from tests.pretraining.small import make_model
from workbook.pretraining.byol import BYOLChoices
from workbook.pretraining.optimizers import create_optimizer
from workbook.pretraining.supervised import CrossEntropy

CHOICES = {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.1, "adam_beta": 0.95}


def layer() -> nn.Linear:
    linear = nn.Linear(2, 2)
    nn.init.constant_(linear.weight, 3.0)
    nn.init.constant_(linear.bias, 2.0)
    linear.weight.grad = torch.full((2, 2), 4.0)
    linear.bias.grad = torch.full((2,), 4.0)
    return linear


def test_lars_by_hand():
    """The weight's step has the length lr * 0.001 * |w| / (|g| + 0.1 |w|) * |g + 0.1 w|; the bias takes a plain one."""
    linear = layer()
    create_optimizer("lars", linear, **CHOICES).step()
    rate = 0.5 * 0.001 * 6 / (8 + 0.1 * 6)
    torch.testing.assert_close(linear.weight.data, torch.full((2, 2), 3 - rate * (4 + 0.1 * 3)))
    torch.testing.assert_close(linear.bias.data, torch.full((2,), 2 - 0.5 * 4.0))


def test_lars_adapts_without_weight_decay_too():
    linear = layer()
    create_optimizer("lars", linear, **(CHOICES | {"weight_decay": 0.0})).step()
    torch.testing.assert_close(linear.weight.data, torch.full((2, 2), 3 - 0.5 * 0.001 * 6 / 8 * 4))


def test_sgd_decays_every_weight():
    linear = layer()
    create_optimizer("sgd", linear, **CHOICES).step()
    torch.testing.assert_close(linear.weight.data, torch.full((2, 2), 3 - 0.5 * (4 + 0.1 * 3)))
    torch.testing.assert_close(linear.bias.data, torch.full((2,), 2 - 0.5 * (4 + 0.1 * 2)))


@pytest.mark.parametrize("name", ["lars", "adamw"])
def test_biases_and_norm_parameters_are_left_out_and_the_target_altogether(name):
    model = make_model(BYOLChoices())
    adapted, free = create_optimizer(name, model, **CHOICES).param_groups
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    excluded = {p for m in norms for p in m.parameters() if p.requires_grad}
    excluded |= {m.bias for m in model.modules() if isinstance(m, nn.Linear) and m.bias is not None}
    excluded = {p for p in excluded if p.requires_grad}
    assert set(free["params"]) == excluded and free["weight_decay"] == 0
    assert adapted["weight_decay"] == 0.1
    trained = {p for p in model.parameters() if p.requires_grad}
    assert set(adapted["params"]) == trained - excluded
    assert not trained & set(model.target.parameters())


@pytest.mark.parametrize("name", ["lars", "adamw"])
@pytest.mark.parametrize(("backbone", "free"), [("tiny_vit", {"cls_token", "pos_embed"}), ("narrow_resnet", set())])
def test_class_token_and_positions_are_left_out_where_asked(name, backbone, free):
    """MAE's scripts of finetuning leave them out, those of pretraining do not."""
    model = make_model(CrossEntropy(), None, backbone)
    for asked, expected in ((True, set()), (False, free)):
        groups = create_optimizer(name, model, **CHOICES, decay_embeddings=asked, layer_decay=0.5).param_groups
        decay = {parameter: group["weight_decay"] for group in groups for parameter in group["params"]}
        named = model.backbone.model.named_parameters()
        assert {name for name, parameter in named if parameter.ndim > 1 and decay[parameter] == 0} == expected


def test_adamw_takes_both_betas():
    assert create_optimizer("adamw", layer(), **CHOICES).param_groups[0]["betas"] == (0.9, 0.95)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="one of sgd, lars, adam, adamw, got 'adamax'"):
        create_optimizer("adamax", layer(), **CHOICES)


def test_adam_adds_the_decay_to_the_gradient():
    """The first step is lr * g / |g| whatever the decay; the second shows it, by hand for one number."""
    linear = layer()
    optimizer = create_optimizer("adam", linear, **CHOICES)
    optimizer.step()
    torch.testing.assert_close(linear.weight.data, torch.full((2, 2), 3 - 0.5))
    optimizer.step()
    g1, g2 = 4 + 0.1 * 3, 4 + 0.1 * 2.5
    mean = (0.9 * 0.1 * g1 + 0.1 * g2) / (1 - 0.9**2)
    square = (0.95 * 0.05 * g1**2 + 0.05 * g2**2) / (1 - 0.95**2)
    torch.testing.assert_close(linear.weight.data, torch.full((2, 2), 2.5 - 0.5 * mean / square**0.5))
    assert len(optimizer.param_groups) == 1, "biases are decayed, too"


@pytest.mark.parametrize("name", ["sgd", "lars", "adam", "adamw"])
def test_layer_decay_falls_from_the_head_to_the_patches(name):
    model = make_model(CrossEntropy(), None, "tiny_vit")
    groups = create_optimizer(name, model, **CHOICES, layer_decay=0.5).param_groups
    scale = {parameter: group["lr_scale"] for group in groups for parameter in group["params"]}
    assert set(scale) == set(model.parameters())
    vit = model.backbone.model
    assert scale[model.head.weight] == scale[model.head.bias] == 1
    assert [scale[block.attn.qkv.weight] for block in vit.blocks] == [0.5**4, 0.5**3, 0.5**2, 0.5]
    assert scale[vit.patch_embed.proj.weight] == scale[vit.cls_token] == scale[vit.pos_embed] == 0.5**5
    plain = create_optimizer(name, model, **CHOICES).param_groups
    decay = {parameter: group["weight_decay"] for group in plain for parameter in group["params"]}
    assert all(group["weight_decay"] == decay[parameter] for group in groups for parameter in group["params"])


def test_layer_decay_knows_the_stages_of_a_resnet():
    model = make_model(CrossEntropy(), None)
    groups = create_optimizer("sgd", model, **CHOICES, layer_decay=0.5).param_groups
    scale = {parameter: group["lr_scale"] for group in groups for parameter in group["params"]}
    resnet = model.backbone.model
    scales = [scale[layer[0].conv1.weight] for layer in (resnet.layer1, resnet.layer2, resnet.layer3)]
    assert scale[resnet.conv1.weight] < scales[0] < scales[1] < scales[2] < scale[model.head.weight] == 1
