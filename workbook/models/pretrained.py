"""A network from outside the store, whichever way it came: what it is, how it reads images, what its head says."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from workbook.errors import CheckpointError, first_line
from workbook.models.backbones import Backbone
from workbook.models.heads import weights_digest
from workbook.models.preprocessing import Preprocessing, untagged

WAYS_OUT = (
    "connect to the network once, and they stay in the cache; or name a checkpoint file, or ask for fresh weights "
    "(--fresh)"
)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A backbone whose weights come from outside the store.

    pooling: how its features are made of its last map, in timm's words ("avg", "token"). digest: of every weight and
    its name. notes: what loading did, what of the file it did not use, and how images are read, one sentence each.
    head: the classifier that came with the weights, a module of the pooled features (N, D) that gives logits (N, K);
    None where there is none. fresh: nothing of it is trained. code: a digest of what else makes its features, where
    its architecture's name does not say it: a file of the user's, a model's configuration.
    """

    name: str
    architecture: str
    backbone: Backbone
    preprocessing: Preprocessing
    small_stem: bool
    pooling: str
    digest: str
    notes: tuple[str, ...]
    head: nn.Module | None = None
    fresh: bool = False
    code: str = ""

    def __repr__(self) -> str:
        reads = f"{self.backbone.num_features:,} channels, reads {self.image_size} pixels"
        return f"Pretrained({self.name}: {self.architecture}, {reads})"

    @property
    def image_size(self) -> int:
        return self.preprocessing.image_size

    @property
    def spec(self) -> dict[str, Any]:
        """All that makes its features, for a key in the store; the same weights by another way in have the same."""
        what = {"weights": self.digest, "architecture": untagged(self.architecture), "pooling": self.pooling}
        what |= {"code": self.code} if self.code else {}  # so that keys of before there was any hold
        return what | {"small_stem": self.small_stem} | asdict(self.preprocessing)

    @cached_property
    def head_digest(self) -> str:
        """Of the head's form and weights, for the key of what is computed from its logits; "" without a head."""
        return weights_digest(self.head, repr(self.head)) if self.head else ""

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """(N, K) of its own classifier, K its own classes, from pooled features (N, D), on the head's device.

        Raises CheckpointError where no classifier came with the weights.
        """
        if self.head is None:
            raise CheckpointError(f"{self.name} has no classifier of its own: name weights that come with theirs")
        return self.head(features)


@dataclass(frozen=True, kw_only=True)
class Untrained:
    """A network as it is made, before a file's weights, and without its classifier.

    told: how it reads images, one sentence. classifier: what its library calls the classifier, in a file, too. features
    and code: see `finished` and `Pretrained`.
    """

    architecture: str
    backbone: Backbone
    reading: Preprocessing
    told: str
    classifier: str = ""
    features: str = "features as the architecture pools them"
    code: str = ""

    def finished(self, notes: Sequence[str], **how: Any) -> Pretrained:
        """With the weights that it has now; how: see `finished`."""
        how |= {"architecture": self.architecture, "features": self.features, "code": self.code}
        return finished(self.backbone, self.reading, (*notes, self.told), **how)


def check_accuracy(model: Pretrained, accuracy: float | None) -> None:
    """Raises CheckpointError where the accuracy of trained weights is given for a network that has none."""
    if model.fresh and accuracy is not None:
        raise CheckpointError(
            f"{model.name} is freshly initialised, and an accuracy of {accuracy} % is of trained weights: leave out "
            "accuracy, or fresh"
        )


def finished(
    backbone: Backbone,
    reading: Preprocessing,
    notes: Sequence[str],
    *,
    architecture: str,
    features: str = "features as the architecture pools them",
    averaged: bool = False,
    small_stem: bool = False,
    **fields: Any,
) -> Pretrained:
    """The network as what is scored, after one image has gone through it.

    features: what they are, where timm does not say it. averaged: a ViT's are the mean over its patches, which its
    weights do not say. fields: of `Pretrained`.
    Raises CheckpointError where it gives no features of images of this size.
    """
    pooling, head = _pooling(backbone.model), fields.get("head")
    told = [f'features pooled by timm\'s "{pooling}"'] if pooling else [features]
    told += ["with a small stem"] * small_stem + _check_reading(backbone.eval(), architecture, reading.image_size)
    if head is not None:
        head.eval().requires_grad_(False)
    return Pretrained(
        architecture=architecture,
        backbone=backbone,
        preprocessing=reading,
        small_stem=small_stem,
        pooling=pooling,
        digest=weights_digest(backbone.model, "averaged" if averaged else ""),  # other features of the same weights
        notes=(*notes, *told),
        **fields,
    )


def _pooling(model: Any) -> str:
    pool = getattr(model, "global_pool", "")
    return pool if isinstance(pool, str) else getattr(pool, "pool_type", "")


@torch.inference_mode()
def _check_reading(backbone: Backbone, architecture: str, image_size: int) -> list[str]:
    """What its stages cannot give, one sentence; CheckpointError where it gives no features of such images at all."""
    remarks: list[str] = []
    image = torch.zeros(1, 3, image_size, image_size)
    try:
        maps, features = backbone.stages(image)
        remarks += ["its stages are not known: it has features alone"] * (not maps)
    except Exception as error:  # whatever the layers of one of timm's thousand models raise
        remarks = [f"its stages cannot be read ({first_line(error)})"]
        backbone.without_stages()
        try:
            features = backbone(image)
        except Exception as error:
            raise CheckpointError(
                f"{architecture} cannot read images of {image_size} pixels ({first_line(error)}): name another size"
            ) from error
    if got := no_vectors(features):
        raise CheckpointError(f"{architecture} gives no vector of an image but {got}")
    return remarks


def no_vectors(features: Any) -> str:
    """What they are in place of vectors (N, D), in words; "" where they are that."""
    if not isinstance(features, Tensor):
        return f"a {type(features).__name__}"
    return "" if features.ndim == 2 else f"an array of {tuple(features.shape)}"
