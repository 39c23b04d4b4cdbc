"""The optimisers that a recipe can name."""

from typing import Any

import torch
from timm.models import group_parameters
from timm.optim.lars import Lars
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

OPTIMIZERS = ("sgd", "lars", "adam", "adamw")


def create_optimizer(
    name: str,
    module: Any,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    adam_beta: float,
    decay_embeddings: bool = True,
    layer_decay: float = 1.0,
    recorded: bool = False,
) -> Optimizer:
    """An optimiser of all that is trained in `module`.

    "sgd" and "adam" decay every weight. "lars" (You et al. 2017) neither adapts nor decays biases and norm parameters
    (Grill et al. 2020, section 3.3); "adamw" does not decay them. `momentum` is Adam's first beta. "adam" adds the
    decay to the gradient, as Kingma and Ba's does; "adamw" shrinks the weights themselves.
    decay_embeddings: else "lars" and "adamw" leave out too what timm's model of `module.backbone` names in its
    `no_weight_decay`: a ViT's class token and positions, a Swin's position biases.
    layer_decay: a group's `lr_scale`, by which whoever sets its rate multiplies it, falls by this factor from one
    layer of `module.backbone` to the one before it (Clark et al. 2020), and is 1 for what follows the backbone.
    recorded: its step will be a part of a CUDA graph (see `replay`), for which a rate is a number on the device.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {name!r}")
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": trained, "weight_decay": weight_decay}]
    if name in ("lars", "adamw"):
        # what multiplies features, and the biases and norm parameters, which stay free. LARS adapts a group where
        # `always_adapt` says so (Adam does not read it)
        free = set() if decay_embeddings else _embeddings(module.backbone.model)
        matrices, vectors = ([p for p in trained if (p.ndim > 1 and p not in free) == wide] for wide in (True, False))
        groups = [
            {"params": matrices, "weight_decay": weight_decay, "always_adapt": True},
            {"params": vectors, "weight_decay": 0.0, "always_adapt": False},
        ]
    if layer_decay != 1:
        groups = _by_layer(groups, module.backbone.model, layer_decay)
    if recorded:
        groups = [group | {"lr": torch.tensor(lr, device=trained[0].device)} for group in groups]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, fused=recorded or None)
    if name == "lars":
        return Lars(groups, lr=lr, momentum=momentum, trust_coeff=0.001)
    adam = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return adam(groups, lr=lr, betas=(momentum, adam_beta), capturable=recorded)


def _embeddings(model: Any) -> set[Parameter]:
    named = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    return {parameter for name, parameter in model.named_parameters() if name in named}


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """In place where a rate is a number on the device: a recorded step reads it there."""
    for group in optimizer.param_groups:
        rate = lr * group.get("lr_scale", 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _by_layer(groups: list[dict[str, Any]], model: Any, layer_decay: float) -> list[dict[str, Any]]:
    """The same groups, each divided by the layer of `model` that a parameter belongs to, as timm counts layers."""
    layers = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    count = max(layers.values()) + 1
    depths = {parameter: count - layers[name] for name, parameter in model.named_parameters()}
    divided = []
    for group in groups:
        for depth in sorted({depths.get(parameter, 0) for parameter in group["params"]}):
            chosen = [parameter for parameter in group["params"] if depths.get(parameter, 0) == depth]
            divided.append({**group, "params": chosen, "lr_scale": layer_decay**depth})
    return divided
