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


def moco_v3(weights: Weights) -> Any:
    """The base encoder's head is a projection; the momentum encoder lies beside."""
    head = {
        "head.0.weight": torch.ones(8, 64),
        "head.1.running_mean": torch.zeros(8),
        "head.3.weight": torch.ones(4, 8),
    }
    both = under("module.base_encoder.", without_classifier(weights) | head)
    both |= under("module.momentum_encoder.", without_classifier(others(weights)) | head)
    both |= under("module.predictor.", {"0.weight": torch.ones(8, 4)})
    return {"epoch": 300, "arch": "vit_small", "state_dict": both, "optimizer": optimizer(weights), "scaler": {}}


def moco_v1(weights: Weights) -> Any:
    """Its projection is one linear layer, which is called as a classifier is."""
    return {"state_dict": {n: t for n, t in moco(weights)["state_dict"].items() if ".fc." not in n}
            | {f"module.encoder_{which}.fc.weight": torch.ones(8, 1024) for which in "qk"}}  # fmt: skip


def swav(weights: Weights) -> Any:
    """Released as the state dict alone, in DistributedDataParallel."""
    head = {"projection_head.0.weight": torch.ones(8, 1024), "projection_head.1.running_var": torch.ones(8)}
    return under("module.", without_classifier(weights) | head | {"prototypes.weight": torch.ones(30, 8)})


def byol_pytorch(weights: Weights) -> Any:
    """lucidrains' learner holds the network twice, under its own name and within the online encoder."""
    online, target = under("net.", weights), under("net.", others(weights))
    projector = {"projector.0.weight": torch.ones(8, 1024)}
    learner = online | under("online_encoder.", online | projector) | under("target_encoder.", target | projector)
    return learner | {"online_predictor.0.weight": torch.ones(8, 8)}


def byol_numbered(weights: Weights) -> Any:
    """sthalles' PyTorch-BYOL: numbers in place of names, the online and the target network apart."""
    numbered = {n.replace("backbone.", "encoder."): t for n, t in lightly_sequential(weights)["state_dict"].items()}
    numbered = {n.replace("projection_head.layers", "projetion.net"): t for n, t in numbered.items()}
    whole = {"online_network_state_dict": numbered, "target_network_state_dict": others(numbered)}
    return whole | {"optimizer_state_dict": optimizer(weights)}


def byol_released(weights: Weights) -> Any:
    """Ports of DeepMind's release: one whole training by names."""
    return under("online_network.encoder.", weights) | under("target_network.encoder.", others(weights))


def vicreg(weights: Weights) -> Any:
    """And Barlow Twins: the backbone's fc is the identity."""
    model = under("backbone.", without_classifier(weights)) | {"projector.0.weight": torch.ones(8, 1024)}
    model |= {"projector.1.num_batches_tracked": torch.tensor(9), "bn.running_mean": torch.zeros(8)}
    return {"epoch": 100, "model": under("module.", model), "optimizer": optimizer(weights)}


def lightly_momentum(weights: Weights) -> Any:
    names = without_classifier(weights)
    both = under("backbone.", names) | under("backbone_momentum.", others(names))
    return {"state_dict": both | {"projection_head.layers.0.weight": torch.ones(3, 3)}, "epoch": 5}


def lightly_teacher(weights: Weights) -> Any:
    names = without_classifier(weights)
    return {"state_dict": under("student_backbone.", others(names)) | under("teacher_backbone.", names)}


def solo_learn_momentum(weights: Weights) -> Any:
    """With its online classifier, and the encoder of the momentum."""
    names = without_classifier(weights)
    both = under("backbone.", names) | under("momentum_backbone.", others(names))
    both |= {
        "classifier.weight": torch.ones(10, 1024),
        "projector.0.weight": torch.ones(3, 3),
        "queue": torch.ones(2, 3),
    }
    return {"state_dict": both, "epoch": 1, "hyper_parameters": {"args": ARGS}}


def solo_learn_old(weights: Weights) -> Any:
    return {"state_dict": under("encoder.", without_classifier(weights)), "epoch": 1}


def openmmlab(weights: Weights) -> Any:
    """mmselfsup and mmpretrain: a ResNet's names are torchvision's."""
    state = under("backbone.", without_classifier(weights)) | {"neck.fc0.weight": torch.ones(8, 1024)}
    state |= {"head.predictor.fc.weight": torch.ones(8, 8), "data_preprocessor.mean": torch.zeros(3, 1, 1)}
    return {"meta": {"epoch": 200, "seed": 0}, "state_dict": state, "message_hub": {"log_scalars": {}}}


def openmmlab_vit(weights: Weights) -> Any:
    """mmpretrain's ViT has names of its own."""
    names = (("patch_embed.proj.", "patch_embed.projection."), ("blocks.", "layers."), (".norm1.", ".ln1."))
    names += ((".norm2.", ".ln2."), (".mlp.fc1.", ".ffn.layers.0.0."), (".mlp.fc2.", ".ffn.layers.1."))
    state = {}
    for name, tensor in without_classifier(weights).items():
        for ours, theirs in names:
            name = name.replace(ours, theirs)
        state["ln1." + name.removeprefix("norm.") if name.startswith("norm.") else name] = tensor
    head = {"head.layers.head.weight": torch.ones(10, 64), "head.layers.head.bias": torch.ones(10)}
    return {"meta": {}, "state_dict": under("backbone.", state) | head}


def deit(weights: Weights) -> Any:
    return {"model": weights, "model_ema": others(weights), "epoch": 299, "args": ARGS, "scaler": {}}


def deepspeed(weights: Weights) -> Any:
    return {"module": weights, "ds_config": {"zero": 1}, "global_steps": 3, "optimizer": None}


def without_classifier(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(("fc.", "head."))}


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
    "torchvision": (lambda weights: weights, {}),
    "MoCo v1": (moco_v1, {"prefix": "module.encoder_q."}),
    "SwAV": (swav, {}),
    "BYOL of lucidrains": (byol_pytorch, {"prefix": "online_encoder.net."}),
    "BYOL in numbers": (byol_numbered, {"part": "online_network_state_dict"}),
    "BYOL by names": (byol_released, {"prefix": "online_network.encoder."}),
    "VICReg": (vicreg, {}),
    "a backbone alone": (without_classifier, {}),
    "lightly with momentum": (lightly_momentum, {"prefix": "backbone."}),
    "lightly's teacher": (lightly_teacher, {"prefix": "teacher_backbone."}),
    "solo-learn with momentum": (solo_learn_momentum, {"prefix": "backbone."}),
    "solo-learn of old": (solo_learn_old, {}),
    "OpenMMLab": (openmmlab, {}),
    "DeepSpeed": (deepspeed, {}),
}
OF_VIT: dict[str, tuple[Callable[[Weights], Any], dict[str, str]]] = {
    "DINO": (dino, {"part": "teacher"}),
    "MAE": (mae, {}),
    "MoCo v3": (moco_v3, {"prefix": "module.base_encoder."}),
    "OpenMMLab": (openmmlab_vit, {}),
    "DeiT": (deit, {"part": "model"}),
    "timm": (lambda weights: weights, {}),
}
