"""Whether a method learns: trained for less than a minute of one core, does it beat its own untrained backbone?

A linear probe asks which of twelve shapes (seven outlines, five layouts) a generated image shows, and k-NN which of
the two families: the classes themselves, 48 of 100 images, take longer than a minute.
"""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from workbook.data.batches import plain_batches
from workbook.data.generated import FAMILIES
from workbook.data.images import Images
from workbook.data.sources import load_images
from workbook.models.backbones import Backbone
from workbook.pretraining.loop import checkpoint_name, create_model, pretrain
from workbook.pretraining.recipe import METHODS, Recipe, with_method
from workbook.probes.knn import knn_accuracy
from workbook.probes.linear import ProbeRecipe, linear_probe

BASE = Recipe(
    dataset="generated",
    side=None,
    image_size=16,
    backbone="narrow_resnet",
    small_stem=True,
    epochs=6,
    checkpoint_epochs=(0,),
    batch_size=64,
    lr=0.8,
    weight_decay=5e-4,
    warmup_epochs=1,
)
# heads and crops that suit 4,800 drawings of 16 pixels and a minute: the papers' are made for photographs
_OBJECTIVES: dict[str, dict[str, Any]] = {
    "BYOL": {"predictor_dim": 512, "momentum": 0.9},
    "SwAV": {"prototypes": 48, "epsilon": 0.05},
    "DINO": {"outputs": 256, "local_count": 0, "momentum": 0.9},
}
_PROBE = ProbeRecipe(c_values=(1e-4, 1e-3, 1e-2))
OWN_METHODS = [name for name in METHODS if not name.endswith(("w/o MLP", "w/ MLP"))]  # each as its authors have it


@dataclass(frozen=True, kw_only=True)
class Learned:
    """One run: accuracy in percent on test images before and after training, and how the training went."""

    method: str
    backbone: str
    seed: int
    shape_untrained: float
    shape_trained: float
    family_untrained: float
    family_trained: float
    spread: float | None  # of the embeddings in the last epoch; None where they cannot collapse
    cpu_seconds: float  # of the training


def recipe_of(method: str, seed: int) -> Recipe:
    base = replace(BASE, seed=seed, **({"backbone": "tiny_vit", "epochs": 14} if method == "MAE" else {}))
    recipe = with_method(base, method)
    objective = replace(recipe.objective, **_OBJECTIVES.get(recipe.objective.name, {}))
    augmentation = replace(recipe.augmentation, crop_scale=(0.5, 1.0))
    projector = recipe.projector and replace(recipe.projector, hidden_dim=512, out_dim=128)
    return replace(recipe, objective=objective, augmentation=augmentation, projector=projector)


def learn(recipe: Recipe, fabric: Fabric) -> Learned:
    train, test = (load_images(recipe.dataset, split, side=recipe.side) for split in ("train", "test"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        started = time.process_time()
        pretrain(recipe, train, folder, fabric)
        seconds = time.process_time() - started
        history = pd.read_json(folder / "history.json", orient="records")
        untrained, trained = (_scores(recipe, folder, epoch, train, test) for epoch in (0, recipe.epochs))
    return Learned(
        method=recipe.method,
        backbone=recipe.backbone,
        seed=recipe.seed,
        shape_untrained=untrained[0],
        shape_trained=trained[0],
        family_untrained=untrained[1],
        family_trained=trained[1],
        spread=float(history["spread"].iloc[-1]) if "spread" in history else None,
        cpu_seconds=seconds,
    )


def _scores(recipe: Recipe, folder: Path, epoch: int, train: Images, test: Images) -> tuple[float, float]:
    """Linear probe of the shape and k-NN of the family, in percent."""
    with torch.random.fork_rng():
        model = create_model(recipe, len(train.class_names))
    model.load_state_dict(load_file(folder / checkpoint_name(epoch)))
    (x, y), (test_x, test_y) = (_features(model.eval().backbone, images) for images in (train, test))
    shapes = [name.rpartition("-")[0] for name in train.class_names]
    shape = torch.tensor([sorted(set(shapes)).index(name) for name in shapes])
    family = torch.tensor([name in FAMILIES["organic"] for name in train.class_names]).long()
    probed = linear_probe(x, shape[y], test_x, shape[test_y], _PROBE).accuracy
    return probed, knn_accuracy(x, family[y], test_x, family[test_y])


@torch.inference_mode()
def _features(backbone: Backbone, images: Images) -> tuple[Tensor, Tensor]:
    batches = plain_batches(images, BASE.image_size, 256, torch.device("cpu"))
    # of a ViT the mean of the patch tokens: MAE's loss never reads the class token
    mean = isinstance(backbone.model, VisionTransformer)
    rows = [
        (backbone.stages(batch)[0][-1].mean((2, 3)) if mean else backbone(batch), labels) for batch, labels in batches
    ]
    return torch.cat([features for features, _ in rows]), torch.cat([labels for _, labels in rows])
