"""Weights that were made elsewhere: timm's, and checkpoint files of whoever wrote them."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from workbook.errors import CheckpointError, first_line
from workbook.models.backbones import STAGES, Backbone, create_backbone, existing_backbone, is_vit
from workbook.models.heads import as_head, reads
from workbook.models.hub import asked_once
from workbook.models.matching import load_weights
from workbook.models.own_modules import is_own, own_network
from workbook.models.preprocessing import Preprocessing, preprocessing_of, timm_config, untagged
from workbook.models.pretrained import WAYS_OUT, Pretrained, Untrained, finished
from workbook.models.torchvision_models import LIBRARY, torchvision_network
from workbook.models.weight_files import read_weights


def from_timm(architecture: str, *, pretrained: bool = True, image_size: int | None = None, **how: Any) -> Pretrained:
    """timm's model of this name without its classifier: with timm's weights, or freshly initialised.

    how: mean and std, see `preprocessing_of`, and small_stem, of a fresh model, see `create_backbone`.
    Raises CheckpointError for an unknown name, for what the model cannot be or read, and where the weights cannot be
    had.
    """
    small_stem = how.pop("small_stem", False)
    if not pretrained:
        untrained = _of_timm(architecture, small_stem=small_stem, image_size=image_size, **how)
        how = {"name": architecture, "small_stem": small_stem, "fresh": True}
        return untrained.finished(("freshly initialised, not trained",), **how)
    reading, told = preprocessing_of(architecture, of_timm=True, image_size=image_size, **how)
    if small_stem:
        raise CheckpointError(f"timm's weights of {architecture} have another stem: leave the small one out")
    model, head = _timm_classifier(architecture, reading.image_size)
    backbone = existing_backbone(model, STAGES.get(untagged(architecture)), mean=reading.mean, std=reading.std)
    notes = ("weights as timm has them", told)
    return finished(backbone, reading, notes, name=architecture, architecture=architecture, head=head)


def from_checkpoint(
    path: Path,
    architecture: str,
    *,
    part: str | None = None,
    prefix: str | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    small_stem: bool = False,
    global_pool: bool = False,
) -> Pretrained:
    """A file's weights in the backbone of this architecture: one of ours, any of timm's, with a tag or without, one of
    torchvision's ("torchvision/resnet50"), or a function of the user's, see `own_network`.

    The file is safetensors, or what torch.save wrote; pickled code is never run. Of all that it holds, at any depth,
    those weights are taken that have the architecture's names. part: the way to them ("a.b.c"), where several have.
    prefix: what stands before the backbone's names, such as "module.encoder_q."; None finds it. image_size, mean, std:
    see `preprocessing_of`. small_stem, global_pool: of ours and timm's, see `create_backbone`. A classifier in the file
    that reads the architecture's features becomes the head.
    Raises CheckpointError for a file that cannot be read, for a weight that is missing, has another shape, is no float
    or not finite, and for images that the architecture cannot read. What the file has besides is listed in the notes.
    """
    path = Path(path)
    how: dict[str, Any] = {"image_size": image_size, "mean": mean, "std": std}
    if architecture.startswith(LIBRARY) or is_own(architecture):
        if small_stem or global_pool:
            raise CheckpointError(f"a small stem and a global pool are of timm's models and ours, not {architecture}")
        untrained = (own_network if is_own(architecture) else torchvision_network)(architecture, **how)
    else:
        untrained = _of_timm(architecture, small_stem=small_stem, global_pool=global_pool, **how)
    notes, head = load_weights(untrained, read_weights(path), path, part=part, prefix=prefix)
    return untrained.finished(notes, name=path.stem, head=head, small_stem=small_stem, averaged=global_pool)


def _of_timm(architecture: str, *, small_stem: bool, global_pool: bool = False, **how: Any) -> Untrained:
    """A network of this architecture, ours or timm's."""
    reading, told = preprocessing_of(architecture, of_timm=False, **how)
    backbone = _fresh(architecture, reading, small_stem=small_stem, global_pool=global_pool)
    what: dict[str, Any] = {"reading": reading, "told": told, "classifier": classifier_name(architecture)}
    return Untrained(architecture=architecture, backbone=backbone, **what)


def classifier_name(architecture: str) -> str:
    """What this architecture, ours or timm's, calls its classifier; "" where it has several."""
    known = timm_config(architecture)
    name = known.classifier if known else "head" if is_vit(architecture) else "fc"
    return name if isinstance(name, str) else ""


def _fresh(architecture: str, reading: Preprocessing, **shape: Any) -> Backbone:
    """A backbone of this architecture, ours or timm's."""
    name = untagged(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what is scored as freshly initialised is the same each time
        try:
            if name in STAGES:
                return create_backbone(name, image_size=reading.image_size, **shape, mean=reading.mean, std=reading.std)
            if shape.pop("global_pool", False):
                raise ValueError(f"global_pool is known of {', '.join(STAGES)} alone")
            model = _timm_model(architecture, reading.image_size, pretrained=False)
            return existing_backbone(model, None, **shape, mean=reading.mean, std=reading.std)
        except (ValueError, AssertionError) as error:  # timm asserts that patches fit into the image
            raise CheckpointError(
                f"{architecture} cannot be made for images of {reading.image_size} pixels ({first_line(error)})"
            ) from error


def _timm_classifier(architecture: str, image_size: int) -> tuple[Any, nn.Module | None]:
    """timm's model with its weights, without its classifier, and this, where it is one layer of the pooled features."""
    model = _timm_model(architecture, image_size, pretrained=True).eval()
    if not hasattr(model, "get_classifier"):  # an encoder alone
        return model, None
    head, logits = as_head(model.get_classifier()), _of_one_image(model, image_size)
    model.reset_classifier(0)
    kept = head is not None and logits is not None and reads(head, _of_one_image(model, image_size), logits)
    return model, head if kept else None


@torch.inference_mode()
def _of_one_image(model: nn.Module, image_size: int) -> Any:
    """What the model gives of an image of noise; None where it cannot read it, which `finished` tells."""
    try:
        return model(torch.rand(1, 3, image_size, image_size, generator=torch.Generator().manual_seed(0)))
    except Exception:  # whatever the layers of one of timm's thousand models raise
        return None


def _timm_model(architecture: str, image_size: int, *, pretrained: bool) -> Any:
    """timm's model for images of this size: with its weights and classifier, or without both."""
    known = timm_config(architecture)
    # what reads images of any size takes no size
    sized: dict[str, Any] = {}
    if known.fixed_input_size and image_size != known.input_size[-1]:
        sized["img_size"] = image_size
    if architecture.startswith("swin"):  # as `arguments` has it
        sized["strict_img_size"] = False
    sized |= {} if pretrained else {"num_classes": 0}
    try:
        with asked_once() if pretrained else nullcontext():
            return timm.create_model(architecture, pretrained=pretrained, **sized)
    except Exception as error:  # what there is without a network, and models of other sizes
        failed = f"timm cannot {'load its weights of' if pretrained else 'make'} {architecture}"
        size = f"it is asked for images of {image_size} pixels in place of its {known.input_size[-1]}"
        advice = "; ".join([WAYS_OUT] * pretrained + [size] * ("img_size" in sized)) or "name another architecture"
        raise CheckpointError(f"{failed} ({first_line(error)}): {advice}") from error
