"""Checkpoints as the scripts of others write them: every entry that theirs have, with small contents."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Weights = dict[str, Tensor]
ARGS = Namespace(arch="resnet18", lr=0.1, betas=(0.9, 0.95), resume=None, warmup=np.float64(0.5))


def under(prefix: str, weights: Weights) -> Weights:
    return {prefix + name: tensor for name, tensor in weights.items()}


def others(weights: Weights) -> Weights:
    """The same names and shapes with other values."""
    return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


def optimizer(weights: Weights) -> dict[str, Any]:
    state = {number: {"step": torch.tensor(7.0), "exp_avg": torch.zeros(3)} for number in range(len(weights))}
    return {"state": state, "param_groups": [{"lr": 0.1, "params": list(range(len(weights)))}]}


def imagenet_example(weights: Weights) -> Any:
    """PyTorch's examples/imagenet: best_acc1 is a tensor."""
    whole = {"epoch": 90, "arch": "resnet18", "state_dict": under("module.", weights), "best_acc1": torch.tensor(69.8)}
    return whole | {"optimizer": optimizer(weights), "scheduler": {"last_epoch": 90}}


def moco(weights: Weights) -> Any:
    """MoCo v1 and v2: the key encoder and the queue are in their files of whole trainings too."""
    names = {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}
    both = under("module.encoder_q.", names) | under("module.encoder_k.", others(names))
    both |= {"module.encoder_q.fc.0.weight": torch.ones(8, 8), "module.queue": torch.zeros(8, 16)}
    both |= {"module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    return {"epoch": 200, "arch": "resnet18", "state_dict": both, "optimizer": optimizer(weights)}


def dino(weights: Weights) -> Any:
    head = {"head.mlp.0.weight": torch.ones(4, 4), "head.last_layer.weight_g": torch.ones(4, 1)}
    student = under("module.", under("backbone.", others(weights)) | head)
    whole = {"student": student, "teacher": under("backbone.", weights) | head, "epoch": 100, "args": ARGS}
    return whole | {"optimizer": optimizer(weights), "dino_loss": {"center": torch.zeros(1, 4)}}


def mae(weights: Weights) -> Any:
    decoder = {"mask_token": torch.zeros(1, 1, 4), "decoder_blocks.0.attn.qkv.weight": torch.ones(12, 4)}
    whole = {"model": weights | decoder, "optimizer": optimizer(weights), "epoch": 799, "args": ARGS}
    return whole | {"scaler": {"scale": 65536.0, "_growth_tracker": 0}}


def vissl(weights: Weights) -> Any:
    trunk = under("_feature_blocks.", weights)
    model = {"model": {"trunk": trunk, "heads": {"0.clf.0.weight": torch.ones(3, 3)}}}
    state = {"base_model": model, "losses": [0.1], "meters": {"train": {"total": torch.zeros(3)}}}
    return {"phase_idx": 3, "classy_state_dict": state, "type": "checkpoint"}


def timm_script(weights: Weights) -> Any:
    whole = {"epoch": 3, "arch": "resnet18", "state_dict": others(weights), "state_dict_ema": weights, "version": 2}
    return whole | {"args": ARGS, "amp_scaler": {"scale": 1.0}, "metric": np.float64(71.2), "optimizer": {}}


def lightning(weights: Weights) -> Any:
    callbacks = {"ModelCheckpoint": {"best_model_score": torch.tensor(0.7), "best_k_models": {"a.ckpt": torch.ones(1)}}}
    whole = {"state_dict": under("model.", weights) | {"criterion.weight": torch.ones(10)}, "callbacks": callbacks}
    whole |= {"hyper_parameters": {"lr": 0.1, "args": ARGS}, "loops": {"fit_loop": {"state_dict": {}}}}
    return whole | {"pytorch-lightning_version": "2.4.0", "optimizer_states": [optimizer(weights)], "lr_schedulers": []}


def solo_learn(weights: Weights) -> Any:
    return {"state_dict": under("backbone.", weights) | {"projector.0.weight": torch.ones(3, 3)}, "epoch": 1}


def lightly_sequential(weights: Weights) -> Any:
    """nn.Sequential(*list(resnet.children())[:-1]): numbers in place of names."""
    modules = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    numbers = {name: str(number) for number, name in enumerate(modules)}
    split = [(name.partition("."), tensor) for name, tensor in weights.items() if not name.startswith("fc.")]
    backbone = {f"backbone.{numbers[first]}.{rest}": tensor for (first, _, rest), tensor in split}
    return {"state_dict": backbone | {"projection_head.layers.0.weight": torch.ones(3, 3)}, "epoch": 5}


def compiled(weights: Weights) -> Any:
    return {"model": under("_orig_mod.", weights), "rng_state": torch.zeros(16, dtype=torch.uint8)}


def wrapped_within(weights: Weights) -> Any:
    """Activation checkpointing and FSDP wrap blocks: their names stand in the middle."""
    inside = {name.replace("layer1.0.", "layer1.0._checkpoint_wrapped_module."): t for name, t in weights.items()}
    return {n.replace("layer2.", "layer2._fsdp_wrapped_module."): t for n, t in inside.items()}


def averaged(weights: Weights) -> Any:
    """torch.optim.swa_utils.AveragedModel."""
    return under("module.", weights) | {"n_averaged": torch.tensor(5)}


def shortcut(weights: Weights) -> Any:
    """kuangliu's pytorch-cifar and what came of it, in DataParallel."""
    net = {name.replace("downsample", "shortcut").replace("fc.", "linear."): t for name, t in weights.items()}
    return {"net": under("module.", net), "acc": 93.02, "epoch": 199}


def queue_beside(weights: Weights) -> Any:
    return {"queue": torch.zeros(4, 8), "rng": torch.zeros(8, dtype=torch.uint8), "runner": {"net": {"ema": weights}}}


# of a ResNet; what is asked for besides, so that one set of weights is meant
OF_RESNET: dict[str, tuple[Callable[[Weights], Any], dict[str, str]]] = {
    "ImageNet example": (imagenet_example, {}),
    "MoCo": (moco, {"prefix": "module.encoder_q."}),
    "VISSL": (vissl, {}),
    "timm's script": (timm_script, {"part": "state_dict_ema"}),
    "Lightning": (lightning, {}),
    "solo-learn": (solo_learn, {}),
    "lightly": (lightly_sequential, {}),
    "torch.compile": (compiled, {}),
    "wrapped within": (wrapped_within, {}),
    "SWA": (averaged, {}),
    "pytorch-cifar": (shortcut, {}),
    "a queue beside": (queue_beside, {}),
}
OF_VIT: dict[str, tuple[Callable[[Weights], Any], dict[str, str]]] = {
    "DINO": (dino, {"part": "teacher"}),
    "MAE": (mae, {}),
}
