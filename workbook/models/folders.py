"""A backbone as a folder to give away: its weights, and a configuration as timm's models have it on the hub."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from workbook.errors import CheckpointError, first_line
from workbook.files import told, write_atomically
from workbook.models.backbones import arguments, is_timms, is_vit
from workbook.models.checkpoints import classifier_name, from_checkpoint
from workbook.models.pretrained import Pretrained

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_OURS = "workbook"  # the part of the configuration that says what timm's words cannot


def write_folder(model: Pretrained, folder: Path, *, about: Mapping[str, Any]) -> None:
    """Write the weights, and the classifier where it is one linear layer, with their configuration into the folder.

    model: one of ours or of timm's names that the workbook makes itself (`STAGES`). about: plain values that go along.
    Where timm makes the very network, `timm.create_model("local-dir:FOLDER", pretrained=True)` opens it; elsewhere the
    configuration names no model of timm's, so that timm refuses it, and `from_folder` opens it.
    """
    head = _plain_head(model)
    weights = {name: tensor.contiguous() for name, tensor in model.backbone.model.state_dict().items()}
    write_atomically(folder / WEIGHTS, save(weights | _as_classifier(head, model), {"format": "pt"}))
    config = _config(model, len(head.weight) if head else 0) | {_OURS: _shape(model) | dict(about)}
    write_atomically(folder / CONFIG, json.dumps(config, indent=1) + "\n")


def is_ours(folder: Path) -> bool:
    """Whether `write_folder` wrote it."""
    return (folder / CONFIG).is_file() and _OURS in _read(folder)


def from_folder(folder: Path, **how: Any) -> Pretrained:
    """The backbone, and the classifier, of a folder that `write_folder` wrote.

    how: image_size, mean and std in place of its own. Raises CheckpointError where the folder is not whole.
    """
    config = _read(folder)
    try:
        shape = {name: config[_OURS][name] for name in ("architecture", "small_stem", "global_pool")}
        reads = config["pretrained_cfg"]
        reading = {"image_size": reads["input_size"][-1], "mean": tuple(reads["mean"]), "std": tuple(reads["std"])}
    except (KeyError, TypeError, IndexError) as error:
        raise CheckpointError(f"{folder / CONFIG} lacks {error}: copy or push it again") from error
    return replace(from_checkpoint(folder / WEIGHTS, **shape, **reading | how), name=folder.name)


def timm_opens(model: Pretrained) -> bool:
    """Whether the folder of this model is one that timm opens, too."""
    return is_timms(model.architecture, small_stem=model.small_stem)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        with told(CheckpointError, "read", path):
            config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is no configuration ({first_line(error)}): copy or download it again") from error
    return config if isinstance(config, dict) else {}


def _plain_head(model: Pretrained) -> nn.Linear | None:
    """Of a projector and a layer after it neither goes along: timm's models have one layer there."""
    head = model.head
    return head if isinstance(head, nn.Linear) and head.bias is not None else None


def _as_classifier(head: nn.Linear | None, model: Pretrained) -> dict[str, Tensor]:
    name = classifier_name(model.architecture)
    return {f"{name}.{part}": tensor.contiguous() for part, tensor in head.state_dict().items()} if head else {}


def _shape(model: Pretrained) -> dict[str, Any]:
    averaged = is_vit(model.architecture) and model.pooling == "avg"
    return {"architecture": model.architecture, "small_stem": model.small_stem, "global_pool": averaged}


def _config(model: Pretrained, classes: int) -> dict[str, Any]:
    """In the hub's form of timm's models; the reading is `Images.as_array`'s: the shorter side, then the centre."""
    size, shape = model.image_size, _shape(model)
    reading = {"input_size": [3, size, size], "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 1.0}
    reading |= {"mean": list(model.preprocessing.mean), "std": list(model.preprocessing.std), "num_classes": classes}
    name = shape.pop("architecture")
    # a name that timm does not know where the network is not timm's: it must not load the weights into another one
    called = name if timm_opens(model) else f"{name}_of_the_workbook"
    config = {"architecture": called, "num_classes": classes, "num_features": model.backbone.num_features}
    config |= {"global_pool": model.pooling, "model_args": arguments(name, image_size=size, **shape)}
    return config | {"pretrained_cfg": reading | {"classifier": classifier_name(name), "custom_load": False}}
