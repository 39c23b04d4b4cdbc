"""The recipes of label injection (B 5.3), for CNNs and for ViTs."""

from collections.abc import Sequence
from dataclasses import replace

from workbook.pretraining.heads import CENTROIDS
from workbook.pretraining.label_injection import LabelInjection
from workbook.pretraining.recipe import Recipe, classifier_augmentation
from workbook.pretraining.starts import Start
from workbook.pretraining.supervised import CrossEntropy

CYCLES = (1, 2, 3, 4, 5, 10, 50, 100)  # the control cycles of B 5.3; None, the limit, is linear probing


def injection_recipe(base: Recipe, start: Start | None, control_cycle: int | None, *, epochs: int = 100) -> Recipe:
    """B 5.3's label injection for CNNs; the head starts from class centroids (B App. G).

    base: a supervised recipe; gives the data, the image size, crops and flips, the backbone, and the seed. Never the
    start's own where that is self-supervised: see `classifier_augmentation`.
    start: None = at random, for a model to compare with. Another head (5.3 names the linear probe too, Algorithm 1
    prints it at random) is a change of the objective: see `pretraining.heads`.
    """
    return replace(
        base,
        start=start,
        objective=LabelInjection(control_cycle=control_cycle, head=CENTROIDS),
        projector=None,
        augmentation=classifier_augmentation(base, policy="rand-m9"),
        epochs=epochs,
        checkpoint_epochs=(),
        optimizer="sgd",
        batch_size=200,
        lr=0.1 * 1024 / 200,
        momentum=0.9,
        weight_decay=1e-4,
        warmup_epochs=min(3, epochs),
        warmup_lr=1e-4 * 1024 / 200,
        clip_norm=None,
        ema=0.9997,  # not in the paper: the decay
    )


def injection_vit_recipe(base: Recipe, start: Start | None, control_cycle: int | None, *, epochs: int = 100) -> Recipe:
    """B 5.3's label injection for ViTs; what it does not repeat is of the scripts that it names (MAE's)."""
    return replace(
        injection_recipe(base, start, control_cycle, epochs=epochs),
        objective=LabelInjection(control_cycle=control_cycle, smoothing=0.1, mixup=0.8, cutmix=1.0, head=CENTROIDS),
        # the paper's "cutout 0.25": in those scripts 0.25 is the probability of random erasing
        augmentation=classifier_augmentation(base, policy="rand-m9", erase=0.25),
        optimizer="adamw",
        batch_size=32,
        lr=4 * 5e-4,  # 5e-4 at 256 images, as those scripts scale it
        weight_decay=0.05,
        warmup_epochs=min(5, epochs),
        warmup_lr=0.0,
        adam_beta=0.999,
        decay_embeddings=False,
        global_pool=True,
        layer_decay=0.65,
        drop_path=0.1,
        ema=None,
    )


def supervised_vit_recipe(base: Recipe) -> Recipe:
    """A ViT that learns from labels alone, by the same scripts: what injected ones are compared with (Fig. 6)."""
    with_labels = injection_vit_recipe(base, None, 1, epochs=base.epochs)
    return replace(
        with_labels,
        objective=CrossEntropy(smoothing=0.1, mixup=0.8, cutmix=1.0),
        layer_decay=1.0,  # no layer knows anything yet
        checkpoint_epochs=base.checkpoint_epochs,
    )


def over_cycles(recipe: Recipe, cycles: Sequence[int | None]) -> list[Recipe]:
    """One recipe for every control cycle; the rest of the label injection stays."""
    if not isinstance(recipe.objective, LabelInjection):
        raise ValueError(f"a control cycle is of a label injection, got a recipe of {recipe.method}")
    return [replace(recipe, objective=replace(recipe.objective, control_cycle=cycle)) for cycle in cycles]
