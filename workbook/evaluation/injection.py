"""Label-injected models measured: what paper B's Figs. 3, 5 to 7, 11, 13 and 15 show of each."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from annotated_types import Ge
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from workbook.data.images import Images
from workbook.evaluation.extraction import POOLED, Features, head_accuracy
from workbook.evaluation.measures import diversity_of, measures_of
from workbook.evaluation.stagewise import pooled_accuracy
from workbook.fields import Count, Whole, check_fields
from workbook.keys import Named, key_of
from workbook.lab import Lab
from workbook.metrics import MEASURES, calibrated_imagenet_score, minibatch_cka_matrix
from workbook.models.backbones import Backbone
from workbook.models.pretrained import Pretrained
from workbook.pretraining.label_injection import LabelInjection
from workbook.pretraining.runs import Run, pretraining_images
from workbook.probes.linear import ProbeRecipe
from workbook.progress import progress_bar

# Part of the key of every CKA map. Raise it when a change of the code alters one.
CKA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class CKARecipe:
    """How two models are compared (B App. D): minibatches of this size, so many passes over shuffled images."""

    minibatch: Annotated[int, Ge(4)] = 600  # fewer have no unbiased estimate
    passes: Count = 3
    cka_images_per_class: Count | None = 60  # not in the paper
    seed: Whole = 0

    def __post_init__(self) -> None:
        check_fields(self)


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

    @property
    def title(self) -> str:
        return f"{self.start.recipe.method}, {self.stage}, seed {self.start.recipe.seed}"


def upstream_accuracy(run: Run, test: Images, probe: ProbeRecipe, lab: Lab) -> float:
    """Percent on `test`, images of the classes that were trained on, of a linear probe of the pooled features.

    not in the paper: it prints the accuracy of each model's own head, and of a start, which has none, a linear
    probe's; along a trajectory one measure serves all points.
    """
    train = pretraining_images(run.recipe)
    fitted = Features(run, train, POOLED, lab, kept=())
    return pooled_accuracy(fitted, Features(run, test, POOLED, lab), probe, lab)


def injection_table(models: Sequence[Injected], test: Images, probe: ProbeRecipe, lab: Lab) -> pd.DataFrame:
    """One row a model: what it is, its upstream accuracy, its diversity, and how its features vary.

    test: test images of the classes that the models were trained on.
    Columns: method and seed (of the start), stage (see `Injected`), control_cycle (NaN for the start and for never),
    accuracy (percent, see `upstream_accuracy`), head (of the model's own head; NaN for a start), cluster, spectral
    (diversity), cluster_cis, spectral_cis, V_intra, S_inter and MSC of the pooled features of `test`, and run, its key.
    """
    todo = partial(_of_model, test, probe)
    with progress_bar("injected models", len(models), unit="models") as bar:
        done = lab.map(todo, models, bar, title=lambda model: f"injected models: {model.title}")
        return pd.DataFrame([row for _, row in done])


def _of_model(test: Images, probe: ProbeRecipe, model: Injected, lab: Lab, bar: tqdm) -> dict[str, Any]:
    """A row of `injection_table`."""
    run = model.run.at(lab)
    features = Features(run, test, POOLED, lab)
    accuracy = upstream_accuracy(run, test, probe, lab)
    head = float("nan") if model.run is model.start else head_accuracy(run, test, lab)
    diversity = diversity_of(run, run.recipe.epochs, lab)
    variation = measures_of(features, {name: MEASURES[name].function for name in ("V_intra", "S_inter", "MSC")})
    bar.update()
    return (
        {"method": model.method, "seed": model.start.recipe.seed, "stage": model.stage}
        | {"control_cycle": model.control_cycle or float("nan"), "accuracy": accuracy, "head": head}
        | diversity
        | {f"{name}_cis": calibrated_imagenet_score(accuracy, value) for name, value in diversity.items()}
        | variation
        | {"run": run.key}
    )


def stage_cka(x: Run | Pretrained, y: Run | Pretrained, images: Images, recipe: CKARecipe, lab: Lab) -> np.ndarray:
    """(stages, stages) CKA of every stage of `x` with every stage of `y` on these images, from the store or made now.

    In [-1, 1]; higher = more alike. B App. D, Fig. 6: `recipe.minibatch` images at a time, the whole feature maps.
    """
    images = images.per_class(recipe.cka_images_per_class, seed=recipe.seed)
    spec: dict[str, Any] = {"x": _key_of(x), "y": _key_of(y), "data": images.digest, "recipe": asdict(recipe)}
    spec |= {"precision": lab.precision, "version": CKA_VERSION}

    def compute() -> list[list[float]]:
        return minibatch_cka_matrix(_stage_batches((x, y), images, recipe, lab.fabric)).tolist()

    return np.array(lab.store.remember("cka", spec, compute))


def _key_of(source: Run | Pretrained) -> str:
    return source.key if isinstance(source, Run) else Named(f"{source.digest} as {key_of(source.spec)}", source.spec)


def _opened(source: Run | Pretrained) -> tuple[Backbone, int, str]:
    """Its backbone, the side of its images, and what it is called."""
    if isinstance(source, Run):
        return source.model().backbone, source.recipe.image_size, source.recipe.title
    return source.backbone, source.image_size, source.name


def _stage_batches(
    pair: tuple[Run | Pretrained, Run | Pretrained], images: Images, recipe: CKARecipe, fabric: Fabric
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    opened, sizes, names = zip(*map(_opened, pair), strict=True)
    backbones = [backbone.to(fabric.device) for backbone in opened]
    title = f"CKA of {names[0]} with {names[1]}"
    generators = [torch.Generator().manual_seed(recipe.seed + number) for number in range(recipe.passes)]
    orders = [torch.randperm(len(images), generator=generator) for generator in generators]
    with progress_bar(title, sum(map(len, orders))) as bar:
        for rows in (rows for order in orders for rows in order.split(recipe.minibatch)):
            bar.update(len(rows))
            if len(rows) < 4 or (len(rows) < recipe.minibatch and len(images) >= recipe.minibatch):
                continue  # every minibatch counts alike, and a small one is noise
            pixels = images.at(rows.numpy(), sizes[0])
            batch = pixels.to(fabric.device).float().div_(255).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode(), fabric.autocast():
                stages = [[stage.float() for stage in backbone.stages(batch)[0]] for backbone in backbones]
            yield stages[0], stages[1]
