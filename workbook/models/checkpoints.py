"""Weights that were made elsewhere: timm's, and checkpoint files of whoever wrote them."""

import hashlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from workbook.errors import CheckpointError
from workbook.models.backbones import STAGES, Backbone, create_backbone, existing_backbone

# Buffers of batch norm that count steps: no weight, and older files lack them.
_COUNTERS = "num_batches_tracked"
_SHOWN = 5  # names in a message


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A backbone whose weights come from outside the store.

    digest: of every weight and its name. notes: what loading did and what of the file it did not use, one sentence
    each.
    """

    name: str
    architecture: str
    backbone: Backbone
    image_size: int
    digest: str
    notes: tuple[str, ...]


def from_timm(architecture: str, *, pretrained: bool = True, image_size: int | None = None) -> Pretrained:
    """timm's model of this name without its classifier: with timm's weights, or freshly initialised.

    Raises CheckpointError for an unknown name, and where the weights cannot be had.
    """
    name = architecture.split(".")[0]  # timm's names may say which weights: resnet50.a1_in1k
    if pretrained:
        notes: tuple[str, ...] = ("weights as timm has them",)
        backbone = existing_backbone(_timm_model(architecture, pretrained=True), STAGES.get(name))
        size = image_size or backbone.model.pretrained_cfg["input_size"][-1]
    else:
        notes, (backbone, size) = ("freshly initialised, not trained",), _fresh(architecture, image_size)
    return Pretrained(name=architecture, architecture=architecture, notes=notes, **_found(backbone, size))


def from_checkpoint(
    path: Path,
    architecture: str,
    *,
    part: str | None = None,
    prefix: str | None = None,
    image_size: int | None = None,
    **shape: Any,
) -> Pretrained:
    """A file's weights in the backbone of this architecture (one of ours, or any of timm's).

    The file is safetensors, or what torch.save wrote; pickled code is never run. part: the entry that holds the
    weights, where a file has several. prefix: what stands before the backbone's names in the file, such as
    "module.encoder_q."; None finds it. shape: small_stem and global_pool, as in `create_backbone`.
    Raises CheckpointError for a file that cannot be read, for a weight that is missing, has another shape or is not
    finite. What the file has besides is listed in the notes.
    """
    path = Path(path)
    weights = read_checkpoint(path, part)
    backbone, size = _fresh(architecture, image_size, **shape)
    notes = _load(backbone.model, weights, path, architecture, prefix)
    found = _found(backbone, size, averaged=shape.get("global_pool", False))
    return Pretrained(name=path.stem, architecture=architecture, notes=notes, **found)


def _found(backbone: Backbone, image_size: int, *, averaged: bool = False) -> dict[str, Any]:
    return {"backbone": backbone.eval(), "image_size": image_size, "digest": _digest(backbone, averaged)}


def read_checkpoint(path: Path, part: str | None = None) -> dict[str, Tensor]:
    """The weights of a file by name, whatever wrote it; see `from_checkpoint`."""
    path = Path(path)
    try:
        start = path.open("rb").read(1)
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({error.strerror}): name a checkpoint file") from error
    # a zip archive or a bare pickle is torch's; a safetensors file starts with the length of its header
    content = _torch_file(path) if start in (b"P", b"\x80") else _safetensors_file(path)
    return _weights_of(content, path, part)


def _torch_file(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        raise CheckpointError(
            f"{path} is no checkpoint, or holds more than tensors{f' (it asks for {asked[1]})' if asked else ''}, and "
            "code from a file is not run. Save its weights alone: torch.save(model.state_dict(), path)"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        what = f"{path} is not a whole checkpoint"
        raise CheckpointError(f"{what} ({_first_line(error)}): copy or download it again") from error


def _safetensors_file(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        what = f"{path} is neither a whole safetensors file nor one of torch.save"
        raise CheckpointError(f"{what} ({_first_line(error)}): copy or download it again") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()[:120]


def _weights_of(content: Any, path: Path, part: str | None) -> dict[str, Tensor]:
    """The one mapping of names to tensors in what a file holds, at its top or one level below."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__} and no weights by name")
    within = {str(name): _tensors(value) for name, value in content.items() if isinstance(value, Mapping)}
    parts = {name: tensors for name, tensors in within.items() if tensors}
    if part is not None:
        if part not in parts:
            raise CheckpointError(f"{path} has no part {part!r} with weights; it has {', '.join(parts) or 'none'}")
        return parts[part]
    if own := _tensors(content):
        return own
    if len(parts) > 1:
        raise CheckpointError(f"{path} has several sets of weights: choose one as part: {', '.join(parts)}")
    if not parts:
        raise CheckpointError(f"{path} has no weights: its entries are {_some([str(name) for name in content])}")
    return next(iter(parts.values()))


def _tensors(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(name): value for name, value in mapping.items() if isinstance(value, Tensor)}


def _load(
    model: Any, weights: Mapping[str, Tensor], path: Path, architecture: str, prefix: str | None
) -> tuple[str, ...]:
    """Put the weights into the model; what was done, one sentence each."""
    wanted = model.state_dict()
    if prefix is None:
        prefix = _find_prefix(wanted, weights, path, architecture)
    found = {name: weights[prefix + name] for name in wanted if prefix + name in weights}
    missing = [name for name in wanted if name not in found]
    needed = [name for name in missing if not name.endswith(_COUNTERS)]
    if needed:
        raise CheckpointError(
            f"{path} is no whole {architecture}: {len(needed)} of {len(wanted)} weights are missing "
            f"({_some(needed)}); its own are called {_some(list(weights))}. Name another architecture or prefix"
        )
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"{path} is another architecture than {architecture}: {name} has shape {tuple(tensor.shape)}, "
                f"not {tuple(wanted[name].shape)} (of a transformer, the image size may differ)"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            raise CheckpointError(f"{path}: {bad} values of {name} are not finite; this model diverged, or is damaged")
    model.load_state_dict(found, strict=not missing)
    unused = [name for name in weights if name.removeprefix(prefix) not in wanted or not name.startswith(prefix)]
    notes = {
        f"{len(found)} entries of {path.name} are the backbone": True,
        f'"{prefix}" stands before their names': prefix,
        f"not in the file: {len(missing)} step counters of batch norm": missing,
        f"not used: {len(unused)} other entries ({_some(unused)})": unused,
    }
    return tuple(note for note, holds in notes.items() if holds)


def _find_prefix(wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path, architecture: str) -> str:
    """What stands before the names of most of the wanted weights."""
    matches: dict[str, int] = {}
    for name in weights:
        # every way to cut the name where a module's name may begin
        for cut in [0] + [position + 1 for position, letter in enumerate(name) if letter == "."]:
            if name[cut:] in wanted:
                matches[name[:cut]] = matches.get(name[:cut], 0) + 1
    if not matches:
        raise CheckpointError(
            f"{path} has none of the weights of {architecture} ({_some(list(wanted))}); its own are called "
            f"{_some(list(weights))}. Name another architecture"
        )
    best = [prefix for prefix, count in matches.items() if count == max(matches.values())]
    if len(best) > 1:
        raise CheckpointError(f"{path} has several {architecture}: choose one by its prefix: {', '.join(best)}")
    return best[0]


def _fresh(architecture: str, image_size: int | None, **shape: bool) -> tuple[Backbone, int]:
    """A backbone of this architecture, ours or timm's, and the size of its images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what is scored as freshly initialised is the same each time
        if architecture in STAGES:
            size = image_size or 224
            return create_backbone(architecture, image_size=size, **shape), size
        backbone = existing_backbone(_timm_model(architecture, pretrained=False), None)
    return backbone, image_size or backbone.model.pretrained_cfg["input_size"][-1]


def _timm_model(architecture: str, *, pretrained: bool) -> Any:
    if not timm.is_model(architecture):
        near = ", ".join(timm.list_models(f"*{architecture.split('_')[0].split('.')[0]}*")[:_SHOWN])
        raise CheckpointError(f"timm has no model {architecture!r}; its names are like {near or 'resnet50'}")
    try:
        return timm.create_model(architecture, pretrained=pretrained, num_classes=0)
    except Exception as error:  # whatever the hub's client raises without a network
        raise CheckpointError(
            f"timm cannot load its weights of {architecture} ({_first_line(error)}): connect to the network once, "
            "name a checkpoint file, or ask for fresh weights"
        ) from error


def _digest(backbone: Backbone, averaged: bool) -> str:
    blake = hashlib.blake2b(b"averaged" if averaged else b"", digest_size=16)  # other features of the same weights
    for name, tensor in backbone.model.state_dict().items():
        blake.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        blake.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return blake.hexdigest()


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
