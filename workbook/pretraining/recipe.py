"""A recipe: every choice of one pretraining."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from workbook.data.augmentation import Augmentation
from workbook.errors import known_names
from workbook.fields import AtLeastTwo, Count, Decay, NotNegative, Positive, UpToOne, Whole, check_fields, one_of
from workbook.keys import added
from workbook.models.backbones import STAGES
from workbook.pretraining.many_labels import MultiLabel
from workbook.pretraining.methods import SETTINGS, Objective, Setting
from workbook.pretraining.names import Projector, method_name
from workbook.pretraining.optimizers import OPTIMIZERS
from workbook.pretraining.starts import Start
from workbook.pretraining.supervised import CrossEntropy

# not in the papers: below so many images a batch a method keeps the base recipe's optimiser and takes its small form
LARGE_BATCH = 1024


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice of one pretraining; the store's key is made from it and from the data."""

    dataset: str  # a manifest's name or path; in a key, its name
    side: Annotated[str, one_of(("pre", "eval"))] | None = "pre"  # side of the concept split; None = all classes
    classes: AtLeastTwo | None = added(None)  # so many, drawn over the side's; None = all
    images_per_class: Count | None = None  # None = all
    images: Count | None = added(None)  # so many, drawn over all classes; None = all
    image_size: Count = 224
    backbone: Annotated[str, one_of(STAGES)] = "resnet50"
    small_stem: bool = False
    drop_path: Decay = added(0.0)  # see `create_backbone`
    global_pool: bool = added(False)  # the same
    start: Start | None = added(None)  # of the backbone; None = at random
    objective: Objective = added(factory=CrossEntropy)
    projector: Projector | None = None  # None = without an MLP, whatever the objective
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: Count = 100
    checkpoint_epochs: tuple[Whole, ...] = ()  # besides the last; 0 = before the first step
    batch_size: AtLeastTwo = 1024  # over all devices
    # not in the papers: each device normalises a batch by what it has of it, as PyTorch does by itself (of B's 200
    # images 25 on each of 8 devices); True = by all of it, which takes GPUs. One device alone has the whole batch
    sync_norm: bool = added(False)
    optimizer: Annotated[str, one_of(OPTIMIZERS)] = added("sgd")  # or "lars", "adam", "adamw"
    lr: Positive = 0.4  # at batch size 1024, scaled linearly with the batch (A 5.1)
    momentum: Decay = 0.9
    weight_decay: NotNegative = 1e-4  # not in the paper: [20]'s value
    decay_embeddings: bool = added(True)  # see `create_optimizer`
    adam_beta: Decay = added(0.999)  # the second one
    layer_decay: UpToOne = added(1.0)  # of the learning rate, see `create_optimizer`
    warmup_epochs: Whole = 5  # not in the paper: it states a warm-up for BYOL alone
    warmup_lr: NotNegative = added(0.0)  # from which the warm-up rises to `lr`, at batch size 1024 like that
    clip_norm: Positive | None = None  # largest norm of the gradient; None = no clipping
    ema: Decay | None = added(None)  # decay of the moving average of all weights, which is what is kept; None = none
    seed: Whole = 0

    def __post_init__(self) -> None:
        check_fields(self)
        for name, epochs in (("warmup_epochs", (self.warmup_epochs,)), ("checkpoint_epochs", self.checkpoint_epochs)):
            late = [epoch for epoch in epochs if epoch > self.epochs]
            if late:
                raise ValueError(f"{name} must lie in [0, {self.epochs}], got {late[0]}")
        if self.images is not None and self.images_per_class is not None:
            both = f"images ({self.images}) and images_per_class ({self.images_per_class})"
            raise ValueError(f"{both} exclude each other: set one")
        if self.start is not None and not isinstance(self.objective, CrossEntropy):
            raise ValueError(f"a start is for finetuning with labels, got it with the objective {self.objective.name}")

    @property
    def method(self) -> str:
        """The method's name as the papers and our tables write it."""
        return method_name(self.objective.name, self.projector)

    @property
    def title(self) -> str:
        """What progress calls it: "SL-MLP on cifar100, seed 1", "finetuning on digits, seed 1"."""
        return f"{self._what} on {Path(self.dataset).stem}, seed {self.seed}"

    @property
    def name(self) -> str:
        """What its run is called among others of a study: "SL-MLP, seed 1"."""
        return f"{self._what}, seed {self.seed}"

    @property
    def _what(self) -> str:
        finetunes = self.start is not None and self.objective.name in ("SL", MultiLabel.name)
        return "finetuning" if finetunes else self.method

    @property
    def saved_epochs(self) -> tuple[int, ...]:
        """Epochs with a checkpoint, ascending; the last one always among them."""
        return tuple(sorted({*self.checkpoint_epochs, self.epochs}))


def with_method(recipe: Recipe, method: str) -> Recipe:
    """The recipe with the method of this name, one of `METHODS`.

    Other methods than SL and SL-MLP bring their own augmentation; at `LARGE_BATCH` images a batch or more they bring
    their optimiser and batch size, too. SL and SL-MLP keep all that the recipe says.
    """
    return METHODS[_known(method)](recipe)


def _known(method: str) -> str:
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}{known_names(method, METHODS)}")
    return method


def _applied(setting: Setting, projector: Projector | None, base: Recipe) -> Recipe:
    large = base.batch_size >= LARGE_BATCH
    own_small = None if large else setting.small_objective
    changes = dict(setting.large if large else setting.small)
    changes["warmup_epochs"] = min(changes.get("warmup_epochs", base.warmup_epochs), base.epochs)
    return replace(
        base,
        objective=own_small(base.batch_size) if own_small else setting.objective,
        projector=projector,
        augmentation=replace(base.augmentation, **setting.views),
        **changes,
    )


METHODS: dict[str, Callable[[Recipe], Recipe]] = {
    method_name(name, projector): partial(_applied, setting, projector)
    for name, setting in SETTINGS.items()
    for projector in sorted({setting.projector, None}, key=lambda mlp: (mlp is None) != setting.plain)
}


def classifier_augmentation(base: Recipe, **changes: Any) -> Augmentation:
    """The crops and flips of a supervised recipe, such as a profile's, with these changes.

    Raises ValueError for a recipe whose augmentation is its method's: its crops are made to tell images apart, and
    models that were trained further on other crops could not be compared.
    """
    if not isinstance(base.objective, CrossEntropy):
        raise ValueError(
            f"what is trained further takes its crops from a supervised recipe, got one of {base.method}: "
            "give the profile's recipe, with the backbone and the seed of the run"
        )
    kept = base.augmentation
    return Augmentation(crop_scale=kept.crop_scale, crop_ratio=kept.crop_ratio, flip=kept.flip, **changes)


def without_mlp(method: str) -> str:
    """The name of the method without its MLP; ValueError for one that is not in `METHODS`, or has none."""
    plain = "SL" if _known(method) == "SL-MLP" else method.removesuffix(" w/ MLP")
    plain = plain if plain != method else f"{method} w/o MLP"
    if plain not in METHODS:
        raise ValueError(f"{method} has no MLP to take away")
    return plain


def sweep(base: Recipe, methods: Sequence[str], seeds: Sequence[int]) -> list[Recipe]:
    """One recipe for every method and seed, methods in the outer order."""
    return [replace(with_method(base, method), seed=seed) for method in methods for seed in seeds]
