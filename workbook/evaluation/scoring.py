"""Any model to be scored: a run of the store, a checkpoint file, a model of a library by its name, one's own module."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torchvision.models import VisionTransformer as TorchvisionViT

from workbook import metrics
from workbook.data import load_manifest
from workbook.data.images import Images
from workbook.data.sources import class_sides
from workbook.errors import CheckpointError
from workbook.evaluation.extraction import Features
from workbook.keys import is_key
from workbook.metrics.blocks import drawn
from workbook.models import folders, torchvision_models
from workbook.models import huggingface as hub
from workbook.models.backbones import Backbone
from workbook.models.checkpoints import from_checkpoint, from_timm
from workbook.models.own_modules import from_function, is_own
from workbook.models.pretrained import Pretrained
from workbook.pretraining.runs import load_run
from workbook.probes.knn import loo_knn_accuracy
from workbook.store import Store

T = TypeVar("T")
_IMAGES = ("image_size", "mean", "std")
_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")

LOO_KNN = "k-NN, leave one out"
_NEIGHBOURS = 20
_MOST_ROWS = 20_000  # the time of leaving one out grows with their square; as many as `measure_all` takes

# `backbone_diversity` of a model whose layers cannot be told
NO_LAYERS = pd.DataFrame({"kind": [], "matrices": [], "cluster": [], "spectral": []}, pd.Index([], name="layer"))


def open_model(
    model: str,
    store: Store,
    *,
    architecture: str | None = None,
    part: str | None = None,
    prefix: str | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    small_stem: bool = False,
    fresh: bool = False,
) -> Pretrained:
    """The backbone that `model` names, and the classifier that came with its weights.

    The key of a run; a checkpoint file, with its architecture; a name of timm's (resnet50), of torchvision's
    (torchvision/resnet50) or of the Hugging Face hub's (hf/ORG/NAME); a folder as `save_pretrained` or `workbook push`
    writes it; or a function of the user's own code, which is run (path/to/file.py:function, see `own_network`).

    architecture, part, prefix: of a file, see `from_checkpoint`. image_size, mean, std: how images are read, see
    `preprocessing_of`; None = by its rule. small_stem: of a file, or of a fresh model of timm. fresh: a model of timm
    or torchvision without its trained weights.
    Raises CheckpointError where there is no such model, its weights cannot be used, it cannot read such images, or
    something is given that this kind of model does not take.
    """
    given: dict[str, Any] = {"architecture": architecture, "part": part, "prefix": prefix, "image_size": image_size}
    given |= {"mean": mean, "std": std, "small_stem": small_stem or None, "fresh": fresh or None}
    given = {name: value for name, value in given.items() if value is not None}
    if is_key(model):
        _refuse_others(given, ("image_size",), f"a run of the store knows what it is: {model}")
        return load_run(model, store).backbone(image_size=image_size)
    if is_own(model):
        _refuse_others(given, _IMAGES, f"a function says what its model is: {model}")
        return from_function(model, **given)
    path = Path(model).expanduser()
    if folders.is_ours(path):
        _refuse_others(given, _IMAGES, f"a folder that `workbook push` wrote says what it is: {model}")
        return folders.from_folder(path, **given)
    if model.startswith(hub.LIBRARY) or hub.is_folder(path):
        _refuse_others(given, _IMAGES, f"a model of transformers says what it is: {model}")
        return hub.from_huggingface(model if model.startswith(hub.LIBRARY) else str(path), **given)
    if model.startswith(torchvision_models.LIBRARY):
        _refuse_others(given, (*_IMAGES, "fresh"), f"a model of torchvision has no file: {model}")
        return torchvision_models.from_torchvision(model, **given)
    if not path.exists() and path.suffix not in _FILES and path.parent == Path("."):
        _refuse_others(given, (*_IMAGES, "small_stem", "fresh"), f"a model of timm has no file: {model}")
        return from_timm(model, pretrained=not given.pop("fresh", False), **given)
    _refuse_others(given, ("architecture", "part", "prefix", *_IMAGES, "small_stem"), f"a file has weights: {model}")
    if not path.exists():
        raise CheckpointError(f"there is no file {path}: correct its path, or name a model of a library")
    if architecture is None:
        folder = f"; or name its folder, {path.parent}, which says it" if hub.is_folder(path.parent) else ""
        raise CheckpointError(
            f"a file does not say what it is: name the architecture of {model}, as timm calls it, as torchvision does "
            f"(torchvision/resnet50), or a function that makes it (path/to/file.py:function){folder}"
        )
    return from_checkpoint(path, **given)


def _refuse_others(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    if others := sorted(set(given) - set(known)):
        raise CheckpointError(f"{what}; leave out {', '.join(others)}")


def backbone_diversity(backbone: Backbone) -> pd.DataFrame:
    """`model_diversity` as B has it: over a ViT's attention layers (App. J), over all layers of any other model.

    Raises ValueError where no layer counts, or an attention layer cannot be cut into heads.
    """
    model = backbone.model
    is_vit = isinstance(model, VisionTransformer | TorchvisionViT) or getattr(model, "plain_vit", False)
    return metrics.model_diversity(model, metrics.ATTENTION if is_vit else None)


def tried(measure: Callable[[], T], otherwise: T) -> tuple[T, str]:
    """What `measure` gives, and ""; where it does not apply, `otherwise`, and why it does not."""
    try:
        return measure(), ""
    except ValueError as error:
        return otherwise, str(error)


def measure_features(
    features: Features, side_of: Mapping[str, str], *, head: nn.Module | None = None, trained_on: str | None = None
) -> pd.DataFrame:
    """Every measure of the pooled features that there is (`metrics.MEASURES`): one row for each side of the data.

    side_of: class name -> "pre" or "eval", or the same for all classes where there is no concept split. head: the
    classifier that came with the weights, from pooled features to its own classes. trained_on: the side whose classes
    these are, in their order; None = they are others.
    Columns: side, classes, images, the measures, Pi, which is one value for both sides together, and `LOO_KNN`
    (percent), the baseline that a measure must beat; a measure that does not apply is NaN, and `reasons` says of each
    why. Directions and sources: `workbook.metrics`.
    """
    pooled, labels = features.layer("pooled"), features.labels
    sides = pd.Series([side_of[name] for name in features.class_names])

    def mixture() -> float:
        if set(sides) != {"pre", "eval"}:
            raise ValueError("it takes both sides of a concept split")
        return metrics.feature_mixture(pooled, labels, (sides == "eval").tolist())

    rows, (mixed, unmixed) = [], tried(mixture, float("nan"))
    for side in sides.unique():
        chosen = (sides == side).to_numpy()[labels]
        part = pooled if chosen.all() else pooled[chosen]  # a map stays one
        own = _all_measures(part, labels[chosen], _of_head(head, own_classes=side == trained_on))
        found = {name: float("nan") if isinstance(value, str) else value for name, value in own.items()}
        reasons = [f"{name}: {value}" for name, value in own.items() if isinstance(value, str)]
        row = {"side": side, "classes": int((sides == side).sum()), "images": int(chosen.sum())}
        neighbours, alone = tried(partial(_loo_knn, part, labels[chosen]), float("nan"))
        reasons += [f"{name}: {why}" for name, why in (("Pi", unmixed), (LOO_KNN, alone)) if why]
        rows.append({**row, **found, "Pi": mixed, LOO_KNN: neighbours, "reasons": "; ".join(reasons)})
    return pd.DataFrame(rows)


def _loo_knn(pooled: np.ndarray, labels: np.ndarray) -> float:
    rows = drawn(pooled, _MOST_ROWS, seed=0)
    return loo_knn_accuracy(pooled[rows], labels[rows], k=min(_NEIGHBOURS, len(rows) - 1))


def _all_measures(pooled: np.ndarray, labels: np.ndarray, of_head: dict[str, Any]) -> dict[str, float | str]:
    """`metrics.measure_all`; of labels that it refuses, such as a single class, the measures that need none."""
    nothing: dict[str, float | str] = {}
    found, why = tried(partial(metrics.measure_all, pooled, labels, **of_head), nothing)
    if not why:
        return found
    unlabelled = metrics.measure_all(pooled)
    return {name: why if isinstance(value, str) else value for name, value in unlabelled.items()}


def _of_head(head: nn.Module | None, *, own_classes: bool) -> dict[str, Any]:
    """What measures of a source head take."""
    if head is None:
        return {}

    @torch.inference_mode()
    def source(features: Tensor) -> Tensor:
        return head(features.float()).double().softmax(1)

    given: dict[str, Any] = {"source": source}
    if own_classes and isinstance(head, nn.Linear):  # of SL-MLP's, which has a projector, there is no weight a class
        given["head"] = (head.weight.double(), None if head.bias is None else head.bias.double())
    return given


def sides_of(dataset: str, images: Images) -> dict[str, str]:
    """Class name -> "pre" or "eval", by the concept split of the data set; "all" where it has none."""
    manifest = load_manifest(dataset)
    if manifest.concept_split is None:
        return dict.fromkeys(images.class_names, "all")
    sides = class_sides(manifest, images.class_names)
    return {name: side for side, names in sides.items() for name in names}
