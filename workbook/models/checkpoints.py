"""Weights that were made elsewhere: timm's, and checkpoint files of whoever wrote them."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch

from workbook.errors import CheckpointError
from workbook.models.backbones import STAGES, Backbone, create_backbone, existing_backbone
from workbook.models.matching import load_weights
from workbook.models.preprocessing import Preprocessing, preprocessing_of, timm_config
from workbook.models.weight_files import first_line, read_weights


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A backbone whose weights come from outside the store.

    pooling: how its features are made of its last map, in timm's words ("avg", "token"). digest: of every weight and
    its name. notes: what loading did, what of the file it did not use, and how images are read, one sentence each.
    """

    name: str
    architecture: str
    backbone: Backbone
    preprocessing: Preprocessing
    small_stem: bool
    pooling: str
    digest: str
    notes: tuple[str, ...]

    @property
    def image_size(self) -> int:
        return self.preprocessing.image_size

    @property
    def spec(self) -> dict[str, Any]:
        """All that makes its features, for a key in the store; the same weights by another way in have the same."""
        architecture = self.architecture.split(".")[0]
        what = {"weights": self.digest, "architecture": architecture, "pooling": self.pooling}
        return what | {"small_stem": self.small_stem} | asdict(self.preprocessing)


def from_timm(architecture: str, *, pretrained: bool = True, image_size: int | None = None, **how: Any) -> Pretrained:
    """timm's model of this name without its classifier: with timm's weights, or freshly initialised.

    how: mean and std, see `preprocessing_of`, and small_stem, of a fresh model, see `create_backbone`.
    Raises CheckpointError for an unknown name, for what the model cannot be or read, and where the weights cannot be
    had.
    """
    small_stem = how.pop("small_stem", False)
    reading, told = preprocessing_of(architecture, of_timm=pretrained, image_size=image_size, **how)
    if not pretrained:
        backbone = _fresh(architecture, reading, small_stem=small_stem)
        notes = ("freshly initialised, not trained", told)
    elif small_stem:
        raise CheckpointError(f"timm's weights of {architecture} have another stem: leave the small one out")
    else:
        model = _timm_model(architecture, reading.image_size, pretrained=True)
        backbone = existing_backbone(model, STAGES.get(architecture.split(".")[0]), mean=reading.mean, std=reading.std)
        notes = ("weights as timm has them", told)
    return _pretrained(backbone, architecture, architecture, reading, notes, small_stem=small_stem)


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
    """A file's weights in the backbone of this architecture (one of ours, or any of timm's, with a tag or without).

    The file is safetensors, or what torch.save wrote; pickled code is never run. Of all that it holds, at any depth,
    those weights are taken that have the architecture's names. part: the way to them ("a.b.c"), where several have.
    prefix: what stands before the backbone's names, such as "module.encoder_q."; None finds it. image_size, mean, std:
    see `preprocessing_of`. small_stem, global_pool: see `create_backbone`.
    Raises CheckpointError for a file that cannot be read, for a weight that is missing, has another shape, is no float
    or not finite, and for images that the architecture cannot read. What the file has besides is listed in the notes.
    """
    path = Path(path)
    reading, told = preprocessing_of(architecture, of_timm=False, image_size=image_size, mean=mean, std=std)
    backbone = _fresh(architecture, reading, small_stem=small_stem, global_pool=global_pool)
    loaded = load_weights(backbone.model, read_weights(path), path, architecture, part=part, prefix=prefix)
    notes = (*loaded, told)
    return _pretrained(backbone, path.stem, architecture, reading, notes, small_stem=small_stem, averaged=global_pool)


def _pretrained(
    backbone: Backbone,
    name: str,
    architecture: str,
    reading: Preprocessing,
    notes: tuple[str, ...],
    *,
    small_stem: bool,
    averaged: bool = False,
) -> Pretrained:
    pooling = _pooling(backbone.model)
    told = [f'features pooled by timm\'s "{pooling}"' if pooling else "features as the architecture pools them"]
    told += ["with a small stem"] * small_stem + _check_reading(backbone.eval(), architecture, reading.image_size)
    return Pretrained(
        name=name,
        architecture=architecture,
        backbone=backbone,
        preprocessing=reading,
        small_stem=small_stem,
        pooling=pooling,
        digest=_digest(backbone, averaged),
        notes=(*notes, *told),
    )


def _pooling(model: Any) -> str:
    pool = getattr(model, "global_pool", "")
    return pool if isinstance(pool, str) else getattr(pool, "pool_type", "")


@torch.inference_mode()
def _check_reading(backbone: Backbone, architecture: str, image_size: int) -> list[str]:
    """What its stages cannot give, one sentence; CheckpointError where it gives no features of such images at all."""
    remarks: list[str] = []
    image = torch.zeros(1, 3, image_size, image_size)
    try:
        features = backbone.stages(image)[1]
    except Exception as error:  # whatever the layers of one of timm's thousand models raise
        remarks = [f"its stages cannot be read ({first_line(error)})"]
        backbone.without_stages()
        try:
            features = backbone(image)
        except Exception as error:
            raise CheckpointError(
                f"{architecture} cannot read images of {image_size} pixels ({first_line(error)}): name another size"
            ) from error
    if features.ndim != 2:
        raise CheckpointError(f"{architecture} gives no vector of an image but an array of {tuple(features.shape)}")
    return remarks


def _fresh(architecture: str, reading: Preprocessing, **shape: Any) -> Backbone:
    """A backbone of this architecture, ours or timm's."""
    name = architecture.split(".")[0]
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


def _timm_model(architecture: str, image_size: int, *, pretrained: bool) -> Any:
    """timm's model without its classifier, for images of this size."""
    known = timm_config(architecture)
    # what reads images of any size takes no size
    sized = {"img_size": image_size} if known.fixed_input_size and image_size != known.input_size[-1] else {}
    try:
        return timm.create_model(architecture, pretrained=pretrained, num_classes=0, **sized)
    except Exception as error:  # whatever the hub's client raises without a network, and models of other sizes
        failed = f"timm cannot {'load its weights of' if pretrained else 'make'} {architecture}"
        ways_out = "connect to the network once, name a checkpoint file, or ask for fresh weights"
        size = f"it is asked for images of {image_size} pixels in place of its {known.input_size[-1]}"
        advice = "; ".join([ways_out] * pretrained + [size] * bool(sized))
        raise CheckpointError(f"{failed} ({first_line(error)}): {advice or 'name another architecture'}") from error


def _digest(backbone: Backbone, averaged: bool) -> str:
    blake = hashlib.blake2b(b"averaged" if averaged else b"", digest_size=16)  # other features of the same weights
    for name, tensor in backbone.model.state_dict().items():
        blake.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        blake.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return blake.hexdigest()
