"""torchvision's classifiers as backbones: `torchvision/resnet50`."""

from collections.abc import Iterator
from typing import Any

import torch
import torchvision.models
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer, get_model, get_model_weights, list_models

from workbook.errors import CheckpointError, did_you_mean, first_line
from workbook.models.backbones import RESNET_STAGES, Backbone, recorded, spread
from workbook.models.heads import take_off
from workbook.models.preprocessing import Preprocessing, Usual, reading_of
from workbook.models.pretrained import WAYS_OUT, Pretrained, Untrained, finished

LIBRARY = "torchvision/"
_FEATURES = "features are what torchvision's last linear layer reads"


def from_torchvision(architecture: str, *, fresh: bool = False, **how: Any) -> Pretrained:
    """torchvision's model of this name, "torchvision/resnet50", without its classifier: with torchvision's newest
    weights, or freshly initialised. how: image_size, mean and std, see `reading_of`.

    Raises CheckpointError for an unknown name, for one whose classifier is no linear layer, for images that it cannot
    read, and where the weights cannot be had.
    """
    if fresh:
        untrained = torchvision_network(architecture, **how)
        return untrained.finished(("freshly initialised, not trained",), name=architecture, fresh=True)
    name = _known(architecture)
    weights = get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    usual = Usual(transforms.crop_size[0], (*transforms.mean,), (*transforms.std,), f"torchvision's of {weights}")
    reading, told = reading_of(usual, **how)
    model, _, head = _made(name, reading, weights=weights)
    notes = (f"weights as torchvision has them, {weights}", told)
    backbone = _backbone(model, head.in_features, reading)
    return finished(
        backbone, reading, notes, name=architecture, architecture=architecture, features=_FEATURES, head=head
    )


def torchvision_network(architecture: str, **how: Any) -> Untrained:
    """The same, before any weights."""
    name = _known(architecture)
    size = get_model_weights(name).DEFAULT.transforms().crop_size[0]
    reading, told = reading_of(Usual(size), **how)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what is scored as freshly initialised is the same each time
        model, classifier, head = _made(name, reading)
    backbone = _backbone(model, head.in_features, reading)
    what: dict[str, Any] = {"architecture": architecture, "features": _FEATURES, "classifier": classifier}
    return Untrained(backbone=backbone, reading=reading, told=told, **what)


def _known(architecture: str) -> str:
    name, known = architecture.removeprefix(LIBRARY), list_models(module=torchvision.models)
    if name not in known:
        raise CheckpointError(f"torchvision has no classifier {name!r}{did_you_mean(name, known)}")
    return name


def _made(name: str, reading: Preprocessing, **weights: Any) -> tuple[nn.Module, str, nn.Linear]:
    """torchvision's model without its classifier, the classifier's name, and the classifier."""
    size = reading.image_size
    sized: dict[str, Any] = {"image_size": size} if name.startswith("vit") else {}
    sized |= {"input_size": (size, size)} if name.startswith("maxvit") else {}
    try:
        model = get_model(name, **weights, **sized)
        return (model, *take_off(model))
    except Exception as error:  # what the network raises, and models of other sizes
        advice = WAYS_OUT if weights else "name another size, or timm's model of the name"
        raise CheckpointError(f"torchvision cannot make {name} ({first_line(error)}): {advice}") from error


def _backbone(model: nn.Module, width: int, reading: Preprocessing) -> Backbone:
    last = isinstance(model, SwinTransformer)
    stages = _stages(model.eval(), reading.image_size, last)
    return Backbone(model, stages, num_features=width, channels_last=last, mean=reading.mean, std=reading.std)


def _stages(model: nn.Module, image_size: int, channels_last: bool) -> tuple[str, ...]:
    """ResNets as timm's; ViT after its patches and each quarter of its blocks; of all else the last part that gives
    maps of each size, of more than five sizes the last of each fifth."""
    names = {name for name, _ in model.named_modules()}
    if names.issuperset(RESNET_STAGES):
        return RESNET_STAGES
    if isinstance(model, VisionTransformer):
        blocks = [f"encoder.layers.{name}" for name, _ in model.encoder.layers.named_children()]
        return ("conv_proj", *spread(blocks, 4))
    try:
        sides = _sides(model, image_size, channels_last)
    except Exception:  # whatever images of another size make its layers raise: `finished` tells it
        return ()
    # not in the papers: where a stage ends in the models that they do not name
    last = {side: name for name, side in sides.items()}
    return spread([name for name in sides if name in last.values()], 5)


@torch.inference_mode()
def _sides(model: nn.Module, image_size: int, channels_last: bool) -> dict[str, int]:
    """The model's parts in the order in which they run -> the side of the square maps that they give."""
    with recorded(model, _parts(model)) as outputs:
        model(torch.zeros(1, 3, image_size, image_size))
    height, width = (1, 2) if channels_last else (2, 3)
    maps = {name: output.shape for name, output in outputs.items() if output.ndim == 4}
    return {name: shape[height] for name, shape in maps.items() if shape[height] == shape[width]}


def _parts(model: Any) -> Iterator[str]:
    """The parts that a stage may end with: those of `features`; else the model's own up to the pooling."""
    if hasattr(model, "features"):
        yield from (f"features.{name}" for name, _ in model.features.named_children())
        return
    for name, child in model.named_children():
        inner = [f"{name}.{own}" for own, _ in child.named_children()]
        if any(isinstance(module, nn.AdaptiveAvgPool2d) for module in (child, *list(child.children())[:1])):
            return
        yield from inner if isinstance(child, nn.Sequential | nn.ModuleList) else [name]
