"""Finetuning: the whole network trained on a downstream data set, from the backbone of a run or a file.

A finetuning is a run as any other: a recipe with a start, trained by the one loop.
"""

from dataclasses import replace
from typing import Any

from workbook.data.images import Images
from workbook.data.manifests import load_manifest
from workbook.evaluation.extraction import head_accuracy, head_average_precision
from workbook.lab import Lab
from workbook.models.backbones import is_vit
from workbook.pretraining.heads import CENTROIDS, LabelCentroids
from workbook.pretraining.many_labels import MultiLabel
from workbook.pretraining.names import Projector
from workbook.pretraining.recipe import Recipe, classifier_augmentation
from workbook.pretraining.runs import pretraining_images, train
from workbook.pretraining.starts import Start
from workbook.pretraining.supervised import CrossEntropy


def finetune_recipe(base: Recipe, dataset: str, start: Start, *, side: str | None = None) -> Recipe:
    """B 5.3: the one recipe for every data set; for a ViT backbone it is `finetune_vit_recipe`.

    base: a supervised recipe; gives the backbone, the image size, crops and flips, and the seed, and nothing else.
    The head starts from class centroids (B App. G). Where images have many labels, a decision for each of them takes
    the place of the one among classes; nothing else differs, and the image size, which B does not state, is the base's.
    """
    if is_vit(base.backbone):
        return finetune_vit_recipe(base, dataset, start, side=side)
    bare = _bare(base, dataset, start, side)
    return replace(
        bare,
        objective=_objective(dataset, smoothing=0.1),
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


def finetune_vit_recipe(base: Recipe, dataset: str, start: Start, *, side: str | None = None) -> Recipe:
    """B 5.3: the recipe for ViTs, "following the finetuning scripts" of MAE (He et al. 2022). See `finetune_recipe`.

    What B does not repeat is of those scripts: warm-up, label smoothing, RandAugment, the rate at 256 images, the mean
    over patches, and what is not decayed.
    """
    bare = _bare(base, dataset, start, side)
    return replace(
        bare,
        objective=_objective(dataset, smoothing=0.1, mixup=0.8, cutmix=1.0),
        # the paper's "cutout 0.25": in those scripts 0.25 is the probability of random erasing
        augmentation=replace(bare.augmentation, policy="rand-m9", erase=0.25),
        epochs=100,
        batch_size=128,  # the paper: 4 batches of 32, with their gradients added
        optimizer="adamw",
        lr=4 * 5e-4,
        momentum=0.9,
        weight_decay=0.05,
        warmup_epochs=5,
        decay_embeddings=False,
        global_pool=True,
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


def fitted(recipe: Recipe, lab: Lab) -> Recipe:
    """The finetuning as it is trained: with a checkpoint before its first step, and in batches that its images fill.

    Where there are fewer images than `recipe.batch_size` all of them are one batch, and the learning rate is lowered
    with it as everywhere.
    """
    images, devices = pretraining_images(recipe), lab.device_count
    # not in the paper: a data set smaller than a batch
    batch_size = min(recipe.batch_size, len(images) // devices * devices)
    return replace(recipe, batch_size=batch_size, checkpoint_epochs=tuple(sorted({0, *recipe.checkpoint_epochs})))


def finetune(recipe: Recipe, test: Images, lab: Lab) -> dict[str, object]:
    """Train the recipe, `fitted`, or take its run from the store, and test its own head on `test`: one row of a table.

    Keys: dataset, seed, images (so many it was trained on), accuracy_before and accuracy (percent, top-1; before the
    first step and after the last), key (of the run). Where images have many labels these two are mAP_before and mAP
    (percent).
    """
    recipe = fitted(recipe, lab)
    run, images = train(recipe, lab), pretraining_images(recipe)
    measure, score = ("mAP", head_average_precision) if test.many_labels else ("accuracy", head_accuracy)
    scores = {f"{measure}_before": score(run, test, lab, epoch=0), measure: score(run, test, lab)}
    return {"dataset": images.name, "seed": recipe.seed, "images": len(images), **scores, "key": run.key}


def _objective(dataset: str, **choices: Any) -> CrossEntropy:
    """Of the task of the data set, its head from centroids."""
    if load_manifest(dataset).task == "multilabel":
        return MultiLabel(head=LabelCentroids(), **choices)
    return CrossEntropy(head=CENTROIDS, **choices)


def _bare(base: Recipe, dataset: str, start: Start, side: str | None) -> Recipe:
    """The base's backbone, image size, crops and seed; nothing else of it is left."""
    kept = {name: getattr(base, name) for name in ("image_size", "backbone", "small_stem", "seed")}
    kept |= {"augmentation": classifier_augmentation(base)}
    return Recipe(dataset=dataset, side=side, start=start, checkpoint_epochs=(0,), warmup_epochs=0, **kept)
