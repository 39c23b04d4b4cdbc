"""Classifiers: the last linear layer of a network, which is taken off it and kept."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn


def take_off(model: nn.Module, within: str = "") -> tuple[str, nn.Linear]:
    """The name of the model's last linear layer, of those that begin with `within`, and the layer; the identity
    replaces it.

    Raises ValueError where there is none.
    """
    named = [(name, module) for name, module in model.named_modules() if name.startswith(within)]
    found = [(name, module) for name, module in named if isinstance(module, nn.Linear)]
    if not found:
        raise ValueError("it has no linear layer as its classifier")
    name, layer = found[-1]
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, nn.Identity())
    return name, layer


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """The layer of these weights, (K, D) or of a 1 x 1 convolution (K, D, 1, 1), and (K,) or None."""
    layer = nn.Linear(weight.shape[1], len(weight), bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().flatten(1).float(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().float(), requires_grad=False)
    return layer


def as_head(classifier: Any) -> nn.Linear | None:
    """A classifier of one linear layer or 1 x 1 convolution as a layer of its own; None for any other."""
    is_conv = isinstance(classifier, nn.Conv2d) and classifier.kernel_size == (1, 1) and classifier.groups == 1
    return linear(classifier.weight, classifier.bias) if is_conv or isinstance(classifier, nn.Linear) else None


@torch.inference_mode()
def reads(head: nn.Linear, features: Tensor, logits: Tensor) -> bool:
    """Whether the head makes these logits of these features: in a few models something stands between, or beside."""
    if (
        features.ndim != 2
        or features.shape[1] != head.in_features
        or logits.shape != (len(features), head.out_features)
    ):
        return False
    return torch.allclose(head(features), logits, rtol=1e-3, atol=1e-4)


def weights_digest(model: nn.Module, about: str) -> str:
    """32 hexadecimal digits that name every weight with its name, and what is said about it."""
    blake = hashlib.blake2b(about.encode(), digest_size=16)
    for name, tensor in model.state_dict().items():
        blake.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        blake.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return blake.hexdigest()
