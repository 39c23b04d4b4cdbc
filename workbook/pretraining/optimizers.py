"""The optimisers that a recipe can name."""

from collections.abc import Iterable
from typing import Any

import torch
from timm.optim.lars import Lars
from torch import nn
from torch.optim import Optimizer

OPTIMIZERS = ("sgd", "lars", "adamw")


def create_optimizer(
    name: str, module: nn.Module, *, lr: float, momentum: float, weight_decay: float, adam_beta: float
) -> Optimizer:
    """An optimiser of all that is trained in `module`.

    "sgd" decays every weight. "lars" (You et al. 2017) neither adapts nor decays biases and norm parameters
    (Grill et al. 2020, section 3.3); "adamw" does not decay them. `momentum` is Adam's first beta.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if name == "sgd":
        return torch.optim.SGD(trained, lr=lr, momentum=momentum, weight_decay=weight_decay)
    groups = _matrices_and_vectors(trained, weight_decay)
    if name == "lars":
        return Lars(groups, lr=lr, momentum=momentum, trust_coeff=0.001)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=(momentum, adam_beta))
    raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {name!r}")


def _matrices_and_vectors(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: what multiplies features, and the biases and norm parameters, which stay free.

    The second number is LARS's: it adapts a group where this says so (Adam does not read it).
    """
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay, "always_adapt": True},
        {"params": vectors, "weight_decay": 0.0, "always_adapt": False},
    ]
