"""Label-injected models measured: what paper B's Figs. 3, 5 to 7, 11, 13 and 15 show of each."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor

from workbook.data.images import Images
from workbook.evaluation.extraction import Extraction, extract
from workbook.evaluation.finetuning import stored_accuracy
from workbook.evaluation.linear_probe import ProbeRecipe
from workbook.evaluation.scoring import MEASURES
from workbook.evaluation.stagewise import probe_layers
from workbook.files import write_atomically
from workbook.metrics import calibrated_imagenet_score, mean_diversity, minibatch_cka_matrix, model_diversity
from workbook.pretraining.injection import LabelInjection
from workbook.pretraining.runs import Run, pretraining_images
from workbook.progress import progress_bar
from workbook.store import Store

# Part of the key of every CKA map. Raise it when a change of the code alters one.
CKA_VERSION = 1
_POOLED = Extraction(layers=("pooled",))


@dataclass(frozen=True, kw_only=True)
class CKARecipe:
    """How two models are compared (B App. D): minibatches of this size, so many passes over shuffled images."""

    minibatch: int = 600
    passes: int = 3
    cka_images_per_class: int | None = 60  # not in the paper
    seed: int = 0


@dataclass(frozen=True)
class Injected:
    """One model of a sweep: `start`, the self-supervised run, and `run`, what label injection made of it.

    The start itself is a member of its sweep, with run = start.
    """

    start: Run
    run: Run

    @property
    def method(self) -> str:
        """Of the start, and whether that is a ViT: "DINO (ViT)"."""
        return self.start.recipe.method + (" (ViT)" if "vit" in self.start.recipe.backbone else "")

    @property
    def control_cycle(self) -> int | None:
        objective = self.run.recipe.objective
        return objective.control_cycle if isinstance(objective, LabelInjection) else None

    @property
    def stage(self) -> str:
        """ "start", or "T = 4"; "T = ∞" for a head alone."""
        if self.run is self.start:
            return "start"
        return f"T = {self.control_cycle or '∞'}"


def injection_table(
    models: Sequence[Injected], test: Images, *, probe: ProbeRecipe, store: Store, fabric: Fabric
) -> pd.DataFrame:
    """One row a model: what it is, its upstream accuracy, its diversity, and how its features vary.

    test: test images of the classes that the models were trained on. probe: of a start, which has no head.
    Columns: method and seed (of the start), stage (see `Injected`), control_cycle (NaN for the start and for never),
    accuracy (percent, upstream: of the model's own head, of a start by linear probe), cluster, spectral (diversity),
    cluster_cis, spectral_cis, and V_intra, S_inter, MSC of the pooled features of `test`.
    """
    rows = []
    with progress_bar("injected models", len(models), unit="models") as bar:
        for model in models:
            title = f"{model.start.recipe.method}, {model.stage}, seed {model.start.recipe.seed}"
            bar.set_description_str(f"injected models: {title}", refresh=False)
            features = extract(model.run, test, _POOLED, store, fabric)
            if model.run is model.start:
                fitted = extract(model.run, pretraining_images(model.run.recipe), _POOLED, store, fabric)
                (row,) = probe_layers(fitted, features, probe, store, fabric)
                accuracy = float(str(row["accuracy"]))
            else:
                accuracy = stored_accuracy(model.run, test, store, fabric)
            diversity = mean_diversity(model_diversity(model.run.method().backbone.model))
            pooled, labels = features.layer("pooled"), features.labels
            rows.append(
                {
                    "method": model.method,
                    "seed": model.start.recipe.seed,
                    "stage": model.stage,
                    "control_cycle": model.control_cycle or float("nan"),
                    "accuracy": accuracy,
                    **{name: float(diversity[name]) for name in ("cluster", "spectral")},
                    **{
                        f"{name}_cis": calibrated_imagenet_score(accuracy, float(diversity[name]))
                        for name in ("cluster", "spectral")
                    },
                    **{name: MEASURES[name](pooled, labels) for name in ("V_intra", "S_inter", "MSC")},
                }
            )
            bar.update()
    return pd.DataFrame(rows)


def stage_cka(x: Run, y: Run, images: Images, recipe: CKARecipe, store: Store, fabric: Fabric) -> np.ndarray:
    """(stages, stages) CKA of every stage of `x` with every stage of `y` on these images, from the store or made now.

    In [-1, 1]; higher = more alike. B App. D, Fig. 6: `recipe.minibatch` images at a time, the whole feature maps.
    """
    images = images.per_class(recipe.cka_images_per_class, seed=recipe.seed)
    spec = {
        "x": x.artefact.key,
        "y": y.artefact.key,
        "data": images.digest,
        "recipe": asdict(recipe),
        "precision": fabric._precision.precision,
        "version": CKA_VERSION,
    }

    def make(folder: Path) -> None:
        found = minibatch_cka_matrix(_stage_batches(x, y, images, recipe, fabric))
        write_atomically(folder / "cka.json", json.dumps(found.tolist()).encode())

    return np.array(json.loads(store.get_or_make("cka", spec, make).file("cka.json").read_text()))


def _stage_batches(
    x: Run, y: Run, images: Images, recipe: CKARecipe, fabric: Fabric
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    backbones = [run.method().backbone.to(fabric.device) for run in (x, y)]
    title = f"CKA of {x.recipe.title} with {y.recipe.title}"
    orders = [
        torch.randperm(len(images), generator=torch.Generator().manual_seed(recipe.seed + number))
        for number in range(recipe.passes)
    ]
    with progress_bar(title, sum(map(len, orders))) as bar:
        for rows in (rows for order in orders for rows in order.split(recipe.minibatch)):
            bar.update(len(rows))
            if len(rows) < 4 or (len(rows) < recipe.minibatch and len(images) >= recipe.minibatch):
                continue  # every minibatch counts alike, and a small one is noise
            pixels = images.select(rows.numpy()).tensor(x.recipe.image_size)
            batch = pixels.to(fabric.device).float().div_(255).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode(), fabric.autocast():
                stages = [[stage.float() for stage in backbone.stages(batch)[0]] for backbone in backbones]
            yield stages[0], stages[1]
