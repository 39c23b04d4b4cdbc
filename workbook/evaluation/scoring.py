"""Any model to be scored: a run of the store, a checkpoint file, or a model of timm by its name."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from timm.models.vision_transformer import VisionTransformer

from workbook import metrics
from workbook.data import load_manifest
from workbook.data.images import Images
from workbook.data.sources import class_sides
from workbook.errors import CheckpointError
from workbook.evaluation.extraction import Features
from workbook.keys import is_key
from workbook.models.backbones import Backbone
from workbook.models.checkpoints import Pretrained, from_checkpoint, from_timm
from workbook.pretraining.runs import load_run
from workbook.store import Store

_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".tar")

# What every class split is measured by; Pi needs both sides of a concept split besides.
MEASURES: dict[str, Callable[..., float]] = {
    "phi": metrics.discriminative_ratio,
    "V_intra": metrics.intra_class_variance,
    "S_inter": metrics.inter_class_separation,
    "MSC": metrics.mean_silhouette,
}


def open_model(
    model: str,
    store: Store,
    *,
    architecture: str | None = None,
    part: str | None = None,
    prefix: str | None = None,
    image_size: int | None = None,
    fresh: bool = False,
) -> Pretrained:
    """The backbone that `model` names: the key of a run, a checkpoint file (with its architecture), or a timm name.

    part, prefix: see `from_checkpoint`. image_size: the side of the images that the backbone reads, None = its own.
    fresh: a timm model without its trained weights.
    Raises CheckpointError where there is no such model, or its weights cannot be used.
    """
    if is_key(model):
        return load_run(model, store).backbone()
    path = Path(model).expanduser()
    if not path.exists() and path.suffix not in _FILES and path.parent == Path("."):
        return from_timm(model, pretrained=not fresh, image_size=image_size)
    if architecture is None:
        raise CheckpointError(f"a file does not say what it is: name the architecture of {model}, as timm calls it")
    return from_checkpoint(path, architecture, part=part, prefix=prefix, image_size=image_size)


def backbone_diversity(backbone: Backbone) -> pd.DataFrame:
    """`model_diversity` as B has it: over a ViT's attention layers (App. J), over all layers of any other model."""
    is_transformer = isinstance(backbone.model, VisionTransformer)
    return metrics.model_diversity(backbone.model, metrics.ATTENTION if is_transformer else None)


def measure_features(features: Features, side_of: dict[str, str]) -> pd.DataFrame:
    """Every feature metric of both papers on the pooled features: one row for each side of the data.

    side_of: class name -> "pre" or "eval", or the same for all classes where there is no concept split.
    Columns: side, classes, images, phi, V_intra, S_inter, MSC, R, and Pi, which is one value for both sides together
    (NaN without a concept split). Directions and sources: see `workbook.metrics`.
    """
    pooled, labels = features.layer("pooled"), features.labels
    sides = pd.Series([side_of[name] for name in features.class_names])
    mixture = float("nan")
    if set(sides) == {"pre", "eval"}:
        mixture = metrics.feature_mixture(pooled, labels, (sides == "eval").tolist())
    rows = []
    for side in sides.unique():
        chosen = (sides == side).to_numpy()[labels]
        part, own = pooled[chosen], labels[chosen]
        row = {"side": side, "classes": int((sides == side).sum()), "images": len(part)}
        row |= {name: measure(part, own) for name, measure in MEASURES.items()}
        rows.append(row | {"R": metrics.feature_redundancy(part), "Pi": mixture})
    return pd.DataFrame(rows)


def sides_of(dataset: str, images: Images) -> dict[str, str]:
    """Class name -> "pre" or "eval", by the concept split of the data set; "all" where it has none."""
    manifest = load_manifest(dataset)
    if manifest.concept_split is None:
        return dict.fromkeys(images.class_names, "all")
    sides = class_sides(manifest, images.class_names)
    return {name: side for side, names in sides.items() for name in names}
