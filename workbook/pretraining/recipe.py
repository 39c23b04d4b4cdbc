"""A recipe: every choice of one pretraining."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from workbook.data.augmentation import Augmentation


@dataclass(frozen=True, kw_only=True)
class Projector:
    """The MLP between backbone and head; the defaults are A 4.1's."""

    hidden_dim: int = 4096
    out_dim: int = 256
    input_fc: bool = True
    norm: bool = True
    relu: bool = True
    output_fc: bool = True


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice of one pretraining; the store's key is made from it and from the data."""

    dataset: str
    side: str | None = "pre"  # side of the concept split; None = all classes
    images_per_class: int | None = None  # None = all
    image_size: int = 224
    backbone: str = "resnet50"
    small_stem: bool = False
    projector: Projector | None = None  # None = SL; a projector = SL-MLP
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 100
    checkpoint_epochs: tuple[int, ...] = ()  # besides the last; 0 = before the first step
    batch_size: int = 1024  # over all devices
    lr: float = 0.4  # at batch size 1024, scaled linearly with the batch (A 5.1)
    momentum: float = 0.9
    weight_decay: float = 1e-4  # not in the paper: [20]'s value
    warmup_epochs: int = 5  # not in the paper: it states a warm-up for Byol alone
    clip_norm: float | None = None  # largest norm of the gradient; None = no clipping
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise ValueError(
                f"epochs must be at least 1 and batch_size at least 2, got {self.epochs} and {self.batch_size}"
            )
        if not 0 <= self.warmup_epochs <= self.epochs:
            raise ValueError(f"warmup_epochs must lie in [0, {self.epochs}], got {self.warmup_epochs}")
        late = [epoch for epoch in self.checkpoint_epochs if not 0 <= epoch <= self.epochs]
        if late:
            raise ValueError(f"checkpoint_epochs must lie in [0, {self.epochs}], got {late[0]}")

    @property
    def method(self) -> str:
        """The method's name as the papers and our tables write it."""
        return "SL" if self.projector is None else "SL-MLP"

    @property
    def saved_epochs(self) -> tuple[int, ...]:
        """Epochs with a checkpoint, ascending; the last one always among them."""
        return tuple(sorted({*self.checkpoint_epochs, self.epochs}))


def with_method(recipe: Recipe, method: str) -> Recipe:
    """The recipe with the method of this name: "SL" or "SL-MLP"."""
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    return replace(recipe, projector=METHODS[method])


METHODS: dict[str, Projector | None] = {"SL": None, "SL-MLP": Projector()}


def sweep(base: Recipe, methods: Sequence[str], seeds: Sequence[int]) -> list[Recipe]:
    """One recipe for every method and seed, methods in the outer order."""
    return [replace(with_method(base, method), seed=seed) for method in methods for seed in seeds]
