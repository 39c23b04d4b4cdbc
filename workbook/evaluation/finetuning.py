"""Finetuning: the whole network trained on a downstream data set, from the backbone of a run or a file.

A finetuning is a run as any other: a recipe with a start, trained by the one loop.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor

from workbook.data.images import Images
from workbook.evaluation.extraction import head_accuracy
from workbook.evaluation.linear_probe import ProbeRecipe, linear_probe
from workbook.evaluation.logistic import fit_logistic
from workbook.evaluation.parts import standardisation
from workbook.files import write_atomically
from workbook.models.backbones import is_vit
from workbook.pretraining.methods import Projector
from workbook.pretraining.recipe import Recipe, classifier_augmentation
from workbook.pretraining.runs import Run, pretraining_images, train
from workbook.pretraining.starts import Start
from workbook.pretraining.supervised import CENTROIDS, CrossEntropy, HeadStart
from workbook.store import Store

# Part of the key of all accuracies. Raise it when a change of the code alters a result.
FINETUNING_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ProbeHead:
    """A head that starts as the linear probe of the start's features (B 5.3, for label injection).

    c_values: as in `ProbeRecipe`. One is taken as it is; among several the best on a part of the training images.
    """

    name: str = field(default="probe", init=False)
    c_values: tuple[float, ...] = tuple(float(c) for c in np.logspace(-6, 5, 45))
    validation_fraction: float = 0.2

    def weights(self, features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """See `HeadStart`. Raises ValueError where a class has no image: a probe needs one of each."""
        c = self.c_values[0]
        if len(self.c_values) > 1:
            choice = ProbeRecipe(c_values=self.c_values, validation_fraction=self.validation_fraction)
            c = linear_probe(features, labels, features, labels, choice).c
        x = features.double()
        centre, scale = standardisation(x)
        fitted = fit_logistic((x - centre) / scale, labels, c, num_classes=num_classes)
        weight = fitted[:-1] / scale[:, None]
        return weight.T, fitted[-1] - centre @ weight


def finetune_recipe(
    base: Recipe, dataset: str, start: Start, *, side: str | None = None, head: HeadStart | None = CENTROIDS
) -> Recipe:
    """B 5.3: the one recipe for every data set; for a ViT backbone it is `finetune_vit_recipe`.

    base: a supervised recipe; gives the backbone, the image size, crops and flips, and the seed, and nothing else.
    head: where the head starts, by default from class centroids (B App. G); None = at random.
    """
    if is_vit(base.backbone):
        return finetune_vit_recipe(base, dataset, start, side=side, head=head)
    bare = _bare(base, dataset, start, side)
    return replace(
        bare,
        objective=CrossEntropy(smoothing=0.1, head=head),
        augmentation=replace(bare.augmentation, policy="autoaugment", cutout=0.5),
        epochs=60,
        batch_size=128,
        optimizer="adam",
        # not in the paper: 1e-3 at 128 images. On 1,500 images of CIFAR-100's eval-D (SL-MLP, pocket, 10 epochs) it
        # ends 6 points above 2e-4
        lr=8 * 1e-3,
        momentum=0.9,
        weight_decay=1e-4,
        ema=0.9997,  # not in the paper: the decay
    )


def finetune_vit_recipe(
    base: Recipe, dataset: str, start: Start, *, side: str | None = None, head: HeadStart | None = CENTROIDS
) -> Recipe:
    """B 5.3: the recipe for ViTs, "following the finetuning scripts" of MAE (He et al. 2022). See `finetune_recipe`.

    What B does not repeat is of those scripts: warm-up, label smoothing, RandAugment, and the rate at 256 images.
    """
    bare = _bare(base, dataset, start, side)
    return replace(
        bare,
        objective=CrossEntropy(smoothing=0.1, mixup=0.8, cutmix=1.0, head=head),
        # the paper's "cutout 0.25": in those scripts 0.25 is the probability of random erasing
        augmentation=replace(bare.augmentation, policy="randaugment", erase=0.25),
        epochs=100,
        batch_size=128,  # the paper: 4 batches of 32, with their gradients added
        optimizer="adamw",
        lr=4 * 5e-4,
        momentum=0.9,
        weight_decay=0.05,
        warmup_epochs=5,
        layer_decay=0.65,
        drop_path=0.1,
    )


def finetune_1000_recipe(base: Recipe, dataset: str, start: Start, *, side: str | None = None) -> Recipe:
    """A 5.2, Table 4: finetuned with 1,000 training images, drawn over all classes, as Islam et al. 2021 do.

    The head is linear behind a batch norm, as theirs. At one rate for all models that matters: SL-MLP's features vary
    about half as much as SL's. On Omniglot (pocket, three seeds) SL ends at 19 and SL-MLP at 10 % without the norm,
    and both at 36 % with it.

    not in the paper: Islam et al. choose rate, batch size and weight decay for every data set; this is one point of
    their grid, with one cosine for their two steps.
    """
    return replace(
        _bare(base, dataset, start, side),
        images=1000,
        objective=CrossEntropy(),
        projector=Projector(input_fc=False, norm=True, relu=False, output_fc=False),
        epochs=50,
        batch_size=32,
        optimizer="sgd",
        lr=32 * 0.01,
        momentum=0.9,
        weight_decay=1e-4,
    )


def finetune(recipe: Recipe, test: Images, store: Store, fabric: Fabric) -> dict[str, object]:
    """Train the recipe, or take its run from the store, and test its own head on `test`: one row of a table.

    Keys: dataset, seed, images (so many it was trained on), accuracy_before and accuracy (percent, top-1; before the
    first step and after the last), key (of the run). Where there are fewer images than `recipe.batch_size` all of
    them are one batch, and the learning rate is lowered with it as everywhere.
    """
    images = pretraining_images(recipe)
    batch_size = min(recipe.batch_size, len(images) // fabric.world_size * fabric.world_size)
    # not in the paper: a data set smaller than a batch
    recipe = replace(recipe, batch_size=batch_size, checkpoint_epochs=tuple(sorted({0, *recipe.checkpoint_epochs})))
    run = train(recipe, store, fabric)
    return {
        "dataset": recipe.dataset,
        "seed": recipe.seed,
        "images": len(images),
        "accuracy_before": stored_accuracy(run, test, store, fabric, epoch=0),
        "accuracy": stored_accuracy(run, test, store, fabric),
        "key": run.artefact.key,
    }


def stored_accuracy(run: Run, test: Images, store: Store, fabric: Fabric, *, epoch: int | None = None) -> float:
    """`head_accuracy` of the run after `epoch` (None = its last), from the store or computed now."""
    epoch = run.recipe.epochs if epoch is None else epoch
    spec = {
        "run": run.artefact.key,
        "epoch": epoch,
        "test": test.digest,
        "precision": fabric._precision.precision,
        "version": FINETUNING_VERSION,
    }

    def make(folder: Path) -> None:
        row = {"accuracy": head_accuracy(run, test, fabric, epoch=epoch)}
        write_atomically(folder / "result.json", json.dumps(row).encode())

    return json.loads(store.get_or_make("accuracies", spec, make).file("result.json").read_text())["accuracy"]


def _bare(base: Recipe, dataset: str, start: Start, side: str | None) -> Recipe:
    """The base's backbone, image size, crops and seed; nothing else of it is left."""
    return Recipe(
        dataset=dataset,
        side=side,
        image_size=base.image_size,
        backbone=base.backbone,
        small_stem=base.small_stem,
        start=start,
        augmentation=classifier_augmentation(base),
        checkpoint_epochs=(0,),
        warmup_epochs=0,
        seed=base.seed,
    )
