"""Image classifiers of the Hugging Face hub as backbones: `hf/ORG/NAME`, or a folder as `save_pretrained` writes it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workbook.errors import CheckpointError, first_line
from workbook.files import file_digest
from workbook.models.backbones import Backbone, recorded, spread
from workbook.models.heads import take_off
from workbook.models.hub import asked_once
from workbook.models.preprocessing import Usual, reading_of
from workbook.models.pretrained import Pretrained, finished
from workbook.models.weight_files import some

LIBRARY = "hf/"
_CONFIG, _READING = "config.json", "preprocessor_config.json"
_PLAIN_VITS = ("vit", "deit", "dinov2", "dinov2_with_registers")  # `model_type` of plain vision transformers


class Classifier(nn.Module):
    """transformers' image classifier without its last layer: images (N, 3, H, W), normalised, to features (N, D)."""

    def __init__(self, model: Any, *, class_token: bool) -> None:
        super().__init__()
        self.model, self.class_token = model, class_token
        self.plain_vit = model.config.model_type in _PLAIN_VITS

    def forward(self, images: Tensor) -> Tensor:
        if self.class_token:
            return self.model.base_model(images).last_hidden_state[:, 0]
        return self.model(images).logits


def is_folder(path: Path) -> bool:
    """Whether it is a folder with a configuration, as `save_pretrained` writes it."""
    return (path / _CONFIG).is_file()


def from_huggingface(name: str, **how: Any) -> Pretrained:
    """The image classifier "hf/ORG/NAME" of the hub, or in a local folder, without its last layer.

    Features are what its own classifier reads: of a ViT the class token after the last norm, of a ResNet the pooled
    map, of DINOv2 the class token and the mean over its patches, one after the other; of a DINOv2 without a
    classifier, the class token alone. Stages are its hidden states, the first and the last of each quarter of the
    others. Images are read as its preprocessor_config.json says. how: image_size, mean and std, see `reading_of`.
    Code that comes with a model is never run. What the hub gave once is taken from its cache.
    Raises CheckpointError where the library `transformers` is missing or knows no such classifier, the model cannot be
    had, or its weights are not whole and finite.
    """
    folder = _fetched(name.removeprefix(LIBRARY)) if name.startswith(LIBRARY) else Path(name)
    model, last, missing = _loaded(folder, name)
    reading, told = reading_of(_usual(folder, model.config), **how)
    # not in the papers: of DINOv2 what a classifier of its own reads, or else what its authors compare neighbours by
    token = missing and last.in_features == 2 * getattr(model.config, "hidden_size", 0)
    network = Classifier(model, class_token=token).eval()
    width = last.in_features // 2 if token else last.in_features
    shape: dict[str, Any] = {"num_features": width, "mean": reading.mean, "std": reading.std}
    return finished(
        Backbone(network, _stages(network, reading.image_size), **shape),
        reading,
        ("weights as transformers reads them", told),
        name=name if name.startswith(LIBRARY) else folder.name,
        architecture=LIBRARY + model.config.model_type,
        features="features are its class token" if token else "features are what its image classifier reads",
        head=None if missing else last,
        code=file_digest(folder / _CONFIG).hex(),
    )


def _loaded(folder: Path, name: str) -> tuple[Any, nn.Linear, bool]:
    """transformers' image classifier with the folder's weights, its last layer, which is taken off, and whether the
    folder has no weights of that."""
    try:
        from transformers import AutoModelForImageClassification
    except ImportError as error:
        raise CheckpointError(f"{name} needs transformers: pip install 'transferability-workbook[hf]'") from error
    safe = {"trust_remote_code": False, "local_files_only": True, "dtype": torch.float32}
    try:
        with _quiet():
            model, found = AutoModelForImageClassification.from_pretrained(folder, output_loading_info=True, **safe)
            _, last = take_off(model, "classifier")
    except Exception as error:  # no such classifier, code of its own, spoilt files: whatever transformers makes of it
        raise CheckpointError(
            f"transformers cannot load an image classifier from {name} ({first_line(error)}): name timm's model, or "
            "save one with save_pretrained"
        ) from error
    absent = [key for key in found["missing_keys"] if not key.startswith("classifier.")]
    spoilt = [key for key, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
    if absent or spoilt:
        what = f"lacks {len(absent)} weights" if absent else f"has {len(spoilt)} weights that are not finite"
        raise CheckpointError(f"{name} {what} ({some(sorted(absent or spoilt))}): copy or download it again")
    return model, last, bool(found["missing_keys"])


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers reports on what it loads; what matters of that stands in the notes."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


def _fetched(repository: str) -> Path:
    """The folder of the hub's cache that holds it; what is there is not asked for again."""
    with suppress(Exception):  # or the name is none: the hub says so
        return _with_weights(repository, local_files_only=True)
    try:
        with asked_once():
            return _with_weights(repository)
    except Exception as error:
        raise CheckpointError(
            f"{LIBRARY}{repository} is not in the hub's cache and cannot be had ({first_line(error)}): "
            "correct its name, connect to the network once, or name a folder with its files"
        ) from error


def _with_weights(repository: str, **how: Any) -> Path:
    from huggingface_hub import snapshot_download

    for weights in ("model*.safetensors*", "pytorch_model*.bin*"):
        folder = Path(snapshot_download(repository, allow_patterns=[_CONFIG, _READING, weights], **how))
        if any(folder.glob(weights)):
            return folder
    raise FileNotFoundError("it has no weights as save_pretrained writes them")


def _usual(folder: Path, config: Any) -> Usual:
    if not (folder / _READING).exists():
        size = _side(getattr(config, "image_size", None)) or Usual().image_size
        return Usual(size, whose=f"ImageNet's, as there is no {_READING}")
    try:
        said = json.loads((folder / _READING).read_text())
        cropped = said.get("do_center_crop", True) and said.get("crop_size")
        size = _side(cropped or said.get("size")) or Usual().image_size
        # of pixels in [0, 1]; most multiply those in [0, 255] by 1 / 255 first
        scale = 255 * (said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1)
        named = (said["image_mean"], said["image_std"]) if said.get("do_normalize", True) else ([0] * 3, [1] * 3)
        mean, std = (tuple(value / scale for value in values) for values in named)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{folder / _READING} cannot be read ({first_line(error)}): mend or remove it") from error
    return Usual(size, mean, std, f"its own, of {_READING}")


def _side(size: Any) -> int | None:
    """224, [224, 224], {"height": 224, "width": 224} or {"shortest_edge": 224}."""
    if isinstance(size, dict):
        return size.get("height") or size.get("shortest_edge")
    return size[0] if isinstance(size, list | tuple) else size


@torch.inference_mode()
def _stages(network: Classifier, image_size: int) -> tuple[str, ...]:
    """Which modules give the hidden states, the first and the last of each quarter of the others."""
    named = [name for name, module in network.named_modules() if not isinstance(module, nn.Identity)]
    with recorded(network, named) as outputs:
        try:
            states = network.model(torch.zeros(1, 3, image_size, image_size), output_hidden_states=True).hidden_states
        except Exception:  # of images that it cannot read: `finished` tells it
            return ()
    given = {id(output[0] if isinstance(output, tuple) else output): name for name, output in outputs.items()}
    names = [given[id(state)] for state in states or () if id(state) in given]
    # not in the papers: which hidden states are the stages
    return (*names[:1], *spread(names[1:], 4))
