"""Controlled Label Injection (B 4.1, Algorithm 1): labels reach the backbone once every T steps, the head at each."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from workbook.pretraining.method import Encoder, Moment, StepResult
from workbook.pretraining.recipe import Recipe, classifier_augmentation
from workbook.pretraining.starts import Start
from workbook.pretraining.supervised import CENTROIDS, CrossEntropy, HeadStart, Supervised

CYCLES = (1, 2, 3, 4, 5, 10, 50, 100)  # the control cycles of B 5.3; None, the limit, is linear probing


@dataclass(frozen=True, kw_only=True)
class LabelInjection(CrossEntropy):
    """Cross-entropy whose gradient reaches the backbone at the steps t = T, 2T ... alone, counted from 1.

    control_cycle: T. 1 is finetuning; None never reaches it: a linear probe on what the augmentation shows.
    """

    name: str = field(default="CLI", init=False)
    control_cycle: int | None = 1
    # not in the paper: how Algorithm 1's lines 4 and 6 are computed. 1 = both gradients from one backward pass, which
    # makes T = 1 the finetuning that the paper calls it; 2 = line by line, the backbone's with the head just updated
    backward_passes: int = 1
    # not in the paper: what a skipped step does to the backbone's optimiser. "rest" = nothing; "coast" = a gradient of
    # zero, so that momentum and weight decay go on
    skipped_update: str = "rest"
    # not in the paper: "move" = skipped steps normalise by their own batch and move the running statistics, as
    # training does; "keep" = the backbone is in evaluation mode then
    skipped_statistics: str = "move"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.control_cycle is not None and self.control_cycle < 1:
            raise ValueError(f"control_cycle must be at least 1, or None for never, got {self.control_cycle}")
        if self.backward_passes not in (1, 2):
            raise ValueError(f"backward_passes must be 1 or 2, got {self.backward_passes}")
        if self.skipped_update not in ("rest", "coast"):
            raise ValueError(f'skipped_update must be "rest" or "coast", got {self.skipped_update!r}')
        if self.skipped_statistics not in ("move", "keep"):
            raise ValueError(f'skipped_statistics must be "move" or "keep", got {self.skipped_statistics!r}')

    def create(self, encoder: Encoder, num_classes: int) -> "Injected":
        return Injected(self, encoder, num_classes)


class Injected(Supervised):
    """A backbone that learns at some steps, under a head that learns at all."""

    objective: LabelInjection

    def __init__(self, objective: LabelInjection, encoder: Encoder, num_classes: int) -> None:
        super().__init__(objective, encoder, num_classes)
        self._held: tuple[Tensor, Tensor] | None = None  # features and targets between the two parts of a step

    def reaches_backbone(self, moment: Moment) -> bool:
        cycle = self.objective.control_cycle
        return cycle is not None and (moment.step + 1) % cycle == 0

    def parts(self, moment: Moment) -> tuple[Moment, ...]:
        if self.objective.backward_passes == 2 and self.reaches_backbone(moment):
            return moment._replace(part="head"), moment._replace(part="backbone")
        return (moment,)

    def forward(self, views: list[Tensor], labels: Tensor, moment: Moment) -> StepResult:
        if moment.part == "head":
            images, targets = self.mixed(views[0], labels)
            features = self.backbone(images)
            self._held = features, targets
            return self.result(self.head(features.detach()), targets)
        if moment.part == "backbone" and self._held is not None:
            (features, targets), self._held = self._held, None
            return self.result(F.linear(features, self.head.weight.detach(), self.head.bias.detach()), targets)
        if self.reaches_backbone(moment):
            return super().forward(views, labels, moment)
        images, targets = self.mixed(views[0], labels)
        if self.objective.skipped_statistics == "keep":
            self.backbone.eval()
        with torch.no_grad():
            features = self.backbone(images)
        self.backbone.train()
        return self.result(self.head(features), targets)

    def after_backward(self, moment: Moment) -> None:
        cycle = self.objective.control_cycle
        if self.objective.skipped_update == "coast" and cycle is not None and not self.reaches_backbone(moment):
            for parameter in self.backbone.parameters():
                parameter.grad = torch.zeros_like(parameter)


def injection_recipe(
    base: Recipe,
    start: Start | None,
    control_cycle: int | None,
    *,
    head: HeadStart | None = CENTROIDS,
    epochs: int = 100,
) -> Recipe:
    """B 5.3's label injection for CNNs.

    base: a supervised recipe; gives the data, the image size, crops and flips, the backbone, and the seed. Never the
    start's own where that is self-supervised: see `classifier_augmentation`.
    start: None = at random, for a model to compare with.
    head: where the head starts, by default from class centroids (B App. G, which 5.3 names beside the linear probe);
        None = at random, as Algorithm 1 prints it.
    """
    return replace(
        base,
        start=start,
        objective=LabelInjection(control_cycle=control_cycle, head=head),
        projector=None,
        augmentation=classifier_augmentation(base, policy="randaugment"),
        epochs=epochs,
        checkpoint_epochs=(),
        optimizer="sgd",
        batch_size=200,
        lr=0.1 * 1024 / 200,
        momentum=0.9,
        weight_decay=1e-4,
        warmup_epochs=min(3, epochs),
        clip_norm=None,
        ema=0.9997,  # not in the paper: the decay
    )


def injection_vit_recipe(
    base: Recipe,
    start: Start | None,
    control_cycle: int | None,
    *,
    head: HeadStart | None = CENTROIDS,
    epochs: int = 100,
) -> Recipe:
    """B 5.3's label injection for ViTs; what it does not repeat is of the scripts that it names (MAE's)."""
    return replace(
        injection_recipe(base, start, control_cycle, head=head, epochs=epochs),
        objective=LabelInjection(control_cycle=control_cycle, smoothing=0.1, mixup=0.8, cutmix=1.0, head=head),
        # the paper's "cutout 0.25": in those scripts 0.25 is the probability of random erasing
        augmentation=classifier_augmentation(base, policy="randaugment", erase=0.25),
        optimizer="adamw",
        batch_size=32,
        lr=4 * 5e-4,  # 5e-4 at 256 images, as those scripts scale it
        weight_decay=0.05,
        warmup_epochs=min(5, epochs),
        adam_beta=0.999,
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
