import pytest
import torch
from torch import nn

from tests.pretraining.small import make_method
from workbook.pretraining.byol import Byol
from workbook.pretraining.optimizers import create_optimizer

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
    method = make_method(Byol())
    adapted, free = create_optimizer(name, method, **CHOICES).param_groups
    norms = [m for m in method.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    excluded = {p for m in norms for p in m.parameters() if p.requires_grad}
    excluded |= {m.bias for m in method.modules() if isinstance(m, nn.Linear) and m.bias is not None}
    excluded = {p for p in excluded if p.requires_grad}
    assert set(free["params"]) == excluded and free["weight_decay"] == 0
    assert adapted["weight_decay"] == 0.1
    trained = {p for p in method.parameters() if p.requires_grad}
    assert set(adapted["params"]) == trained - excluded
    assert not trained & set(method.target.parameters())


def test_adamw_takes_both_betas():
    assert create_optimizer("adamw", layer(), **CHOICES).param_groups[0]["betas"] == (0.9, 0.95)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="one of sgd, lars, adamw, got 'adam'"):
        create_optimizer("adam", layer(), **CHOICES)
