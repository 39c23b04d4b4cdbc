"""Profiles: how large everything is. One code path, five sizes; a profile is a value."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Any, get_type_hints

from annotated_types import MinLen
from pydantic import AfterValidator

from workbook.data.augmentation import Augmentation
from workbook.data.sources import check_data_set, check_set
from workbook.detection.detector import SMALL
from workbook.detection.probe import DetectionProbeRecipe
from workbook.detection.training import DetectionRecipe
from workbook.devices import DEVICES, PRECISIONS
from workbook.engines import Engine, choose_engine
from workbook.errors import ProfileError, known_names
from workbook.evaluation.extraction import Extraction
from workbook.evaluation.finetuning import finetune_1000_recipe, finetune_recipe
from workbook.evaluation.injection import CKARecipe
from workbook.evaluation.scores import ScoreRecipe
from workbook.evaluation.transfer import FewShot, Finetuning, LinearProbe, NearestNeighbours, SGDProbe, TransferProtocol
from workbook.fields import AtLeastTwo, Count, NotNegative, Positive, Whole, check_fields, checked, one_of
from workbook.models.backbones import STAGES, is_vit
from workbook.papers.sets import SETS_A, SETS_B
from workbook.pretraining.ablations import SWEEPS, TABLE_2, trained
from workbook.pretraining.injection import CYCLES
from workbook.pretraining.recipe import METHODS, Recipe
from workbook.probes.few_shot import FewShotRecipe
from workbook.probes.linear import ProbeRecipe

# how transfer is scored, see notebook 08
PROTOCOLS: dict[str, Callable[["Profile"], TransferProtocol]] = {
    "linear": lambda p: LinearProbe(p.probe),
    "finetuned, 1,000 images": lambda p: Finetuning(finetune_1000_recipe, p.recipe, p.transfer.finetune_epochs),
    "finetuned": lambda p: Finetuning(
        finetune_recipe, p.recipe, p.transfer.finetune_epochs, p.transfer.images_per_class
    ),
    "5-way 5-shot": lambda p: FewShot(p.transfer.few_shot),
    "SGD probe": lambda p: SGDProbe(),
    "k-NN": lambda p: NearestNeighbours(),
}
Method = Annotated[str, one_of(METHODS)]
ProtocolName = Annotated[str, one_of(PROTOCOLS)]
# held where it is given: what is stored may be of a set that is gone
SetName = Annotated[str, AfterValidator(check_set)]
DataSetName = Annotated[str, AfterValidator(check_data_set)]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """How the other methods than SL and SL-MLP, and the ablations, differ from the profile's recipe; None = not."""

    seeds: Count = 2
    images_per_class: Count | None = None
    epochs: Count | None = None
    batch_size: AtLeastTwo | None = None
    lr: Positive | None = None  # of the other methods alone, of those that bring none
    component_epochs: Count | None = None  # of A Table 5's arms
    sweeps: tuple[Annotated[str, one_of(SWEEPS)], ...] = tuple(SWEEPS)
    backbones: tuple[Annotated[str, one_of(TABLE_2)], ...] = ()  # of A Table 2, as printed there

    def __post_init__(self) -> None:
        check_fields(self, ProfileError)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """From which classes to which data sets, and how that is scored.

    A set is a manifest's name, or one side of its split as in "cifar100:eval".
    """

    # what is pretrained for notebooks 07 and 08: all classes, as in both papers, or the recipe's side. A set that
    # holds classes of pretraining is no transfer
    all_classes: bool = False
    sets_a: tuple[str, ...] = ()  # for claims of A
    sets_b: tuple[str, ...] = ()  # for claims of B
    sets_many: tuple[str, ...] = ("generated-multilabel",)  # whose images have many labels; for no claim
    images_per_class: Count | None = None  # that probes are fitted to, and B's finetuning; None = all
    # see notebook 08
    protocols: Annotated[tuple[ProtocolName, ...], MinLen(1)] = ("linear", "finetuned, 1,000 images", "5-way 5-shot")
    few_shot: FewShotRecipe = field(default_factory=FewShotRecipe)
    finetune_epochs: Count | None = None  # None = as many as the papers'

    def __post_init__(self) -> None:
        check_fields(self, ProfileError)

    @property
    def sets(self) -> tuple[str, ...]:
        """Of both papers, each once."""
        return tuple(dict.fromkeys(self.sets_a + self.sets_b))


@dataclass(frozen=True, kw_only=True)
class Injection:
    """Label injection: from which methods, how often labels reach the backbone, and how long."""

    methods: tuple[Method, ...] = ("MoCo v2", "SimCLR", "SwAV", "DINO")  # whose runs it starts from
    vit_methods: tuple[Method, ...] = ("DINO", "MAE")  # the same on `vit`
    vit: Annotated[str, one_of([name for name in STAGES if is_vit(name)])] = "tiny_vit"
    cycles: tuple[Count | None, ...] = (*CYCLES, None)  # control cycles T; None = the head alone
    epochs: Count = 100
    cka: CKARecipe = field(default_factory=CKARecipe)

    def __post_init__(self) -> None:
        check_fields(self, ProfileError)


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Which scenes detectors are trained and tested on, and how; see `load_scenes`."""

    scenes: str = "coco2017"
    train_scenes: Count | None = None  # None = all
    test_scenes: Count | None = None
    recipe: DetectionRecipe = field(default_factory=DetectionRecipe)
    probe: DetectionProbeRecipe = field(default_factory=DetectionProbeRecipe)

    def __post_init__(self) -> None:
        check_fields(self, ProfileError)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The size of a study: what is pretrained, how often, and how it is evaluated."""

    name: str
    recipe: Recipe
    seeds: Count = 3  # runs of SL and SL-MLP
    first_seed: Whole = 0  # the lowest seed of all runs; the protocol of evidence begins where nobody has looked
    ablation: Ablation = field(default_factory=Ablation)
    # the set that is pretrained on where eval-D is asked at several distances, see notebook 15
    distances: str | None = None
    probe_images_per_class: Count | None = None  # of eval-D's training images; None = all
    measured_per_class: Count | None = 100  # images a class that the feature metrics read; None = all
    # of pre-D, whose factors are read off features; a readout costs as the cube of their number
    readout_per_class: Count = 20
    extraction: Extraction = field(default_factory=Extraction)
    probe: ProbeRecipe = field(default_factory=ProbeRecipe)
    transfer: Transfer = field(default_factory=Transfer)
    injection: Injection = field(default_factory=Injection)
    detection: Detection = field(default_factory=Detection)
    device: Annotated[str, one_of(DEVICES)] = "auto"
    precision: Annotated[str, one_of(PRECISIONS)] = "auto"  # see `make_fabric`
    # so many trained each run together, under torchrun: what one process then looks at; None = those that are here
    devices: Count | None = None
    # small networks leave a GPU waiting: so many share it, each with its own part of the memory. See `engines.local`
    runs_at_a_time: Count = 1
    # what a job of WORKBOOK_ENGINE=ray has. It computes with as many threads as CPUs, so that their number decides a
    # sum's last bits. GPUs, or a part of one: None = its share of the one here, of which runs_at_a_time are at work
    cpus_a_job: Count = 1
    gpus_a_job: NotNegative | None = None
    # features that are extracted for probes take most of a store, and are dropped when the probes are in it
    keep_features: bool = False

    def __post_init__(self) -> None:
        check_fields(self, ProfileError)

    @property
    def own_seeds(self) -> range:
        """Of the runs of SL and SL-MLP."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def ablation_seeds(self) -> range:
        """Of the runs of the other methods, and of the ablations."""
        return range(self.first_seed, self.first_seed + self.ablation.seeds)

    @property
    def score(self) -> ScoreRecipe:
        """How models of others are measured, see `evaluation.scores`."""
        how: dict[str, Any] = {
            name: getattr(self, name) for name in ("measured_per_class", "probe_images_per_class", "probe")
        }
        # models of others may be far larger than the profile's own
        smaller = min(self.extraction.stage_budget, Extraction().stage_budget)
        how["extraction"] = replace(self.extraction, stage_budget=smaller)
        return ScoreRecipe(**how, few_shot=self.transfer.few_shot, cka=self.injection.cka)

    def engine(self, device: str) -> Engine:
        """The engine that WORKBOOK_ENGINE names, for jobs on this type of device."""
        gpus = self.gpus_a_job
        if gpus is None:
            gpus = 1 / self.runs_at_a_time if device == "cuda" else 0
        return choose_engine(at_a_time=self.runs_at_a_time, cpus=self.cpus_a_job, gpus=gpus)

    @property
    def values(self) -> dict[str, Any]:
        """Where it lies -> the value of every field that `load_profile` takes."""
        return {path: value for path, _, value in _leaves(self) if path not in _FIXED}

    @property
    def changed(self) -> dict[str, Any]:
        """Where it lies -> the value of every field that is not as in the profile of this name.

        Without seeds, which each verdict has, and without how it is computed, which is no part of a study's design.
        """
        default = {path: value for path, _, value in _leaves(PROFILES[self.name])} if self.name in PROFILES else {}
        fixed = {path: value for path, _, value in _leaves(self) if path not in _FREE}
        return {path: value for path, value in fixed.items() if default.get(path) != value}

    @property
    def ablation_recipe(self) -> Recipe:
        """The recipe that the ablations start from."""
        shorter = trained(self.recipe, min(self.ablation.epochs or self.recipe.epochs, self.recipe.epochs))
        names = ("epochs", "images_per_class", "batch_size")
        return replace(shorter, **{name: getattr(self.ablation, name) or getattr(shorter, name) for name in names})

    @property
    def other_recipe(self) -> Recipe:
        """The recipe that the other methods start from."""
        return replace(self.ablation_recipe, lr=self.ablation.lr or self.recipe.lr)


# what a sweep sets for each of its recipes is not a profile's
_FIXED = (
    *("name", "recipe.seed", "recipe.classes", "recipe.projector", "recipe.objective", "recipe.start"),
    *("detection.recipe.seed", "detection.probe.seed"),
)
# see `Profile.changed`
_FREE = (
    *("seeds", "first_seed", "ablation.seeds", "device", "devices", "precision", "keep_features"),
    *("runs_at_a_time", "cpus_a_job", "gpus_a_job"),
)


def load_profile(name: str, /, **overrides: Any) -> Profile:
    """The profile of this name with some fields replaced; None is a value as any other.

    A field is named by where it lies, "transfer.images_per_class", "recipe.epochs"; by itself where that says enough:
    a field of the profile or of its recipe, one of the recipe's parts, or one that no other part has.
    Raises ProfileError for an unknown profile or field and for a value that the field refuses.
    """
    if name not in PROFILES:
        raise ProfileError(f"unknown profile {name!r}{known_names(name, PROFILES)}")
    profile = PROFILES[name]
    given = {field_path(key): as_tuples(value) for key, value in overrides.items()}
    try:
        given = {path: checked(path, override_fields()[path], value) for path, value in given.items()}
    except ValueError as error:
        raise ProfileError(str(error)) from error
    epochs = given.get("recipe.epochs", profile.recipe.epochs)
    if epochs != profile.recipe.epochs and profile.ablation.epochs is not None:
        # the other methods' epochs follow those of SL where only these are given
        given.setdefault("ablation.epochs", max(1, round(profile.ablation.epochs * epochs / profile.recipe.epochs)))
    try:
        if 0 < epochs < profile.recipe.epochs:  # warm-up and checkpoints fit into fewer epochs
            profile = replace(profile, recipe=trained(profile.recipe, epochs))
        return _replaced(profile, given)
    except (TypeError, ValueError) as error:
        raise ProfileError(f"profile {name} with {overrides}: {error}") from error


@cache
def override_fields() -> Mapping[str, Any]:
    """Every field that `load_profile` takes, by where it lies, with its type."""
    sets = {"recipe.dataset": DataSetName, "distances": DataSetName | None} | dict.fromkeys(
        ("transfer.sets_a", "transfer.sets_b", "transfer.sets_many"), tuple[SetName, ...]
    )
    return {path: kind for path, kind, _ in _leaves(SMOKE) if path not in _FIXED} | sets


def field_path(name: str) -> str:
    """Where the field of this name lies; ProfileError for a name that is none, or of several fields."""
    known = override_fields()
    for path in (name, f"recipe.{name}"):
        if path in known:
            return path
    found = [path for path in known if path.endswith(f".{name}")]
    for several in ([path for path in found if path.startswith("recipe.")], found):
        if len(several) == 1:
            return several[0]
    if found:
        raise ProfileError(f"several fields are called {name!r}: say which of {', '.join(found)}")
    near = known_names(name, field_names(), "`workbook profile`")
    raise ProfileError(f"no profile has a field {name!r}{near}")


def field_names() -> set[str]:
    """What fields are called: by where they lie, and by themselves."""
    return {*override_fields(), *(path.rpartition(".")[2] for path in override_fields())}


def _leaves(part: Any, within: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where each field that holds no part of its own lies, its type, and its value."""
    hints = get_type_hints(type(part), include_extras=True)
    for item in fields(part):
        path, value = within + item.name, getattr(part, item.name)
        if is_dataclass(value) and path not in _FIXED:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, hints[item.name], value


def _replaced(part: Any, given: Mapping[str, Any], within: str = "") -> Any:
    changes = {}
    for item in fields(part):
        path, value = within + item.name, getattr(part, item.name)
        if path in given:
            changes[item.name] = given[path]
        elif any(name.startswith(f"{path}.") for name in given):
            changes[item.name] = _replaced(value, given, f"{path}.")
    return replace(part, **changes)


def as_tuples(value: Any) -> Any:
    """A value of YAML as a field has it."""
    return tuple(map(as_tuples, value)) if isinstance(value, list | tuple) else value


SMOKE = Profile(
    name="smoke",
    recipe=Recipe(
        dataset="generated",
        images_per_class=20,
        image_size=16,
        backbone="narrow_resnet",
        small_stem=True,
        augmentation=Augmentation(crop_scale=(0.5, 1.0)),
        epochs=3,
        checkpoint_epochs=(0, 1, 2),
        batch_size=64,
        warmup_epochs=1,
    ),
    seeds=2,
    # MoCo's queue has 16 batches, and is no longer than the data
    ablation=Ablation(seeds=1, images_per_class=10, batch_size=16, epochs=1, sweeps=("number of projectors",)),
    distances="generated-distances",
    probe_images_per_class=10,
    measured_per_class=20,
    readout_per_class=10,
    extraction=Extraction(stage_budget=1024),
    probe=ProbeRecipe(c_values=(1e-3, 1e-1)),
    transfer=Transfer(
        sets_a=("generated:eval", "digits"),
        sets_b=("generated:eval", "digits"),
        images_per_class=10,
        few_shot=FewShotRecipe(episodes=30),
        finetune_epochs=1,
    ),
    injection=Injection(
        methods=("MoCo v2",),
        vit_methods=("MAE",),
        cycles=(1, 2, None),
        epochs=2,
        cka=CKARecipe(minibatch=100, passes=1, cka_images_per_class=5),
    ),
    detection=Detection(
        scenes="generated",
        train_scenes=24,
        test_scenes=24,
        recipe=DetectionRecipe(
            size=SMALL, steps=16, batch_size=4, warmup_steps=4, precise_steps=2, checkpoint_steps=(8,)
        ),
        probe=DetectionProbeRecipe(epochs=10),
    ),
)
"""Generated images, nothing to download; its verdicts read "not evaluated"."""

SKETCH = replace(
    SMOKE,
    name="sketch",
    recipe=replace(
        SMOKE.recipe,
        dataset="generated-inks",
        images_per_class=50,
        image_size=24,
        epochs=60,
        checkpoint_epochs=(0, 5, 20, 40),
        batch_size=128,
        # not in the paper: as in `pocket`
        lr=0.4,
        weight_decay=5e-4,
        warmup_epochs=2,
    ),
    seeds=3,
    ablation=replace(SMOKE.ablation, component_epochs=1),
    probe_images_per_class=100,
    extraction=Extraction(stage_budget=16_384),  # every stage whole
    probe=ProbeRecipe(c_values=tuple(10.0**power for power in range(-5, 3)), patience=2.0),
)
"""SL's fall in seven minutes on two CPU cores, with nothing to download: SL and SL-MLP on drawn forms, all others as in
`smoke`. It was made so that the fall shows: its verdicts are exploratory."""

POCKET = replace(
    SMOKE,
    name="pocket",
    recipe=replace(
        SMOKE.recipe,
        dataset="cifar100",
        # not in the paper: few images seen often, so that SL's accuracy on eval-D falls after its best epoch, as
        # in A's 300 epochs. With 200 images a class and 30 epochs, as many steps, it ends flat.
        images_per_class=100,
        image_size=32,
        augmentation=Augmentation(crop_scale=(0.6, 1.0)),
        epochs=60,
        checkpoint_epochs=(0, 2, 5, 10, 20, 30, 40, 50),
        batch_size=128,
        # not in the paper: more makes projectors without a norm or a ReLU diverge (Table 5, c)
        lr=0.4,
        weight_decay=5e-4,
        warmup_epochs=2,
    ),
    seeds=5,
    first_seed=5,
    ablation=Ablation(
        seeds=3,
        # not in the papers: chosen by k-NN on pre-D alone, of seed 0, which serves no verdict (untrained 10.4 %).
        # Against SL's rate: MoCo v1 12.8 and 10.5 after 25 of 100 epochs, BYOL with milder crops 19.7 and 17.9 after
        # 50, MoCo v2 16.8 both, SupCon 32.0 and 31.0 after 75. Ablations keep SL's
        lr=1.6,
        sweeps=("number of projectors",),  # the others take a night: overrides={"ablation.sweeps": [...]}
    ),
    distances="cifar100-distances",
    probe_images_per_class=200,
    measured_per_class=100,
    extraction=Extraction(stage_budget=16_384),  # every stage whole
    # a coarser grid than B's 45 values: on these features a stage's C is about 0.01, the projector's 1 or above
    probe=ProbeRecipe(c_values=tuple(10.0**power for power in range(-6, 3)), patience=2.0),
    transfer=Transfer(
        sets_a=("omniglot:eval",),
        # and digits, which neither paper has: log-odds over data sets take two
        sets_b=("cifar100:eval", "digits"),
        images_per_class=100,
        protocols=("linear", "finetuned, 1,000 images", "5-way 5-shot", "SGD probe", "k-NN"),
        finetune_epochs=25,  # so many models are finetuned that the papers' 50 and 60 take days
    ),
    injection=Injection(
        methods=("SimCLR", "MoCo v2", "SwAV", "DINO"),
        vit_methods=(),  # a night for both: overrides={"vit_methods": ["DINO", "MAE"]}
        cycles=(1, 2, 4, 10, 100, None),
        epochs=20,
        cka=CKARecipe(cka_images_per_class=30),
    ),
    detection=Detection(
        scenes="generated",
        train_scenes=1000,
        test_scenes=300,
        # not in the papers: about five views of every scene in six minutes of one CPU core
        recipe=DetectionRecipe(
            size=SMALL, steps=300, warmup_steps=30, precise_steps=20, checkpoint_steps=(50, 100, 200)
        ),
    ),
)
"""Real evidence on a laptop's CPU: CIFAR-100's concept split and a narrow ResNet."""

STUDY = replace(
    POCKET,
    name="study",
    recipe=replace(
        POCKET.recipe,
        images_per_class=None,
        backbone="resnet18",
        epochs=40,  # ours: five seeds of SL and SL-MLP in some minutes of one GPU
        checkpoint_epochs=(0, 5, 13, 26),
        batch_size=256,
        augmentation=Augmentation(crop_scale=(0.3, 1.0)),
        warmup_epochs=5,
    ),
    first_seed=10,
    ablation=Ablation(seeds=3, backbones=("ResNet34", "ResNet50")),
    probe_images_per_class=250,
    measured_per_class=None,
    extraction=Extraction(stage_budget=16_384),  # stages 4 and 5 whole; 1 to 3 on smaller grids
    transfer=Transfer(
        sets_a=SETS_A,
        # CIFAR-10 holds classes that the models were pretrained on
        sets_b=("cifar100:eval", "digits", *(name for name in SETS_B if "cifar" not in name)),
        sets_many=("generated-multilabel", "coco2014-multilabel"),
        protocols=tuple(PROTOCOLS),
    ),
    injection=Injection(),
)
"""The evidence that the README quotes: all of CIFAR-100, ResNet-18, one GPU."""

PAPER = replace(
    STUDY,
    name="paper",
    recipe=Recipe(
        dataset="imagenet1k",
        image_size=224,
        backbone="resnet50",
        epochs=300,
        checkpoint_epochs=(0, 30, 60, 90, 100, 120, 150, 180, 210, 240, 270),
    ),
    probe_images_per_class=None,
    extraction=Extraction(stage_budget=8192),
    probe=ProbeRecipe(patience=2.0),
    transfer=replace(STUDY.transfer, all_classes=True, sets_a=SETS_A, sets_b=SETS_B),
    seeds=1,  # as in the papers; a verdict takes seeds=3 and ablation.seeds=3
    first_seed=0,
    ablation=Ablation(seeds=1, component_epochs=100, backbones=tuple(TABLE_2)),
    distances=None,
    injection=Injection(vit="vit_base_patch16_224"),
    detection=Detection(),
)
"""The papers' own setting: ImageNet-1K 652/348, ResNet-50, many GPUs."""

PROFILES = {profile.name: profile for profile in (SMOKE, SKETCH, POCKET, STUDY, PAPER)}
