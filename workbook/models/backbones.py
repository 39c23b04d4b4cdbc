"""Backbones: networks without their classifier, with five stages exposed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import isqrt, prod
from typing import Any

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from workbook.errors import known_names

# timm's name -> the five modules whose outputs are the stages 1 ... 5 of A Fig. 1. Where an architecture has no
# five stages of its own the cut is ours: EfficientNet after each change of resolution, ViT after the patch
# embedding and each quarter of the blocks.
RESNET_STAGES = ("maxpool", "layer1", "layer2", "layer3", "layer4")
_SWIN = ("patch_embed", "layers.0", "layers.1", "layers.2", "layers.3")
# our narrow ResNet, and the same with a quarter of the channels in its pooled features and with four times as many
NARROW = {"narrow_resnet_256": 256, "narrow_resnet": 1024, "narrow_resnet_4096": 4096}
STAGES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((*NARROW, "resnet18", "resnet34", "resnet50", "resnet101"), RESNET_STAGES),
    "swin_tiny_patch4_window7_224": _SWIN,
    "efficientnet_b2": ("blocks.0", "blocks.1", "blocks.2", "blocks.4", "blocks.6"),
    "tiny_vit": ("patch_embed", "blocks.0", "blocks.1", "blocks.2", "blocks.3"),
    "vit_base_patch16_224": ("patch_embed", "blocks.2", "blocks.5", "blocks.8", "blocks.11"),
}


class Backbone(nn.Module):
    """The encoder f: images in [0, 1] (N, 3, H, W) to pooled features (N, num_features).

    Normalisation is part of it, so that whoever loads a checkpoint cannot get it wrong.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: Any,
        stage_modules: tuple[str, ...],
        *,
        num_features: int | None = None,  # None: as timm's models say it themselves
        channels_last: bool = False,  # the stages' maps come as (N, H, W, C)
        # not in the paper: ImageNet's channel statistics, on every data set
        mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        std: Sequence[float] = IMAGENET_DEFAULT_STD,
    ) -> None:
        super().__init__()
        self.model = model
        self.num_features: int = model.num_features if num_features is None else num_features
        self._stage_modules = stage_modules
        self._channels_last = channels_last
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(self.normalised(images))

    def normalised(self, images: Tensor) -> Tensor:
        """What the network itself sees of images in [0, 1]."""
        return (images - self.mean) / self.std

    def stages(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The feature maps of the stages, each (N, C, H, W), and the pooled features, in one pass.

        Five stages, 1 to 5; a model that is not in `STAGES` may have fewer, the last of which are meant.
        Raises ValueError where a stage is no map.
        """
        return self.stages_of_normalised(self.normalised(images))

    def stages_of_normalised(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """The same of what the network itself sees: a detector normalises, resizes, and only then pads with zeros."""
        with recorded(self.model, self._stage_modules) as maps:
            pooled = self.model(inputs)
        # a few models of timm name a stage that they only hold and never call: they have fewer
        named = [name for name in self._stage_modules if name in maps]
        return [self._as_map(maps[name], name, inputs.shape[2:]) for name in named], pooled

    def without_stages(self) -> None:
        """From now on it has features alone: its stages cannot be read."""
        self._stage_modules = ()

    def _as_map(self, output: Any, name: str, image: Sequence[int]) -> Tensor:
        output = output[0] if isinstance(output, tuple) else output  # attention may come after it
        if output.ndim == 3:  # a ViT's tokens (N, prefix + H * W, C)
            rows, columns = self._grid(output.shape[1], image)
            return output[:, -rows * columns :].transpose(1, 2).unflatten(2, (rows, columns))
        if output.ndim != 4:
            raise ValueError(f"stage {name} gives no map but an array of {tuple(output.shape)}")
        return output.permute(0, 3, 1, 2) if self._channels_last else output

    def _grid(self, tokens: int, image: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of patches among the tokens of an image (H, W); timm's patch embedding knows its own."""
        embedding: Any = getattr(self.model, "patch_embed", None)
        if hasattr(embedding, "dynamic_feat_size"):
            rows, columns = embedding.dynamic_feat_size(tuple(image))
            if rows * columns <= tokens:  # else they were merged since
                return rows, columns
        return token_grid(tokens, image)


def token_grid(tokens: int, image: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the largest grid with the shape of an image (H, W) that so many tokens can fill.

    Right where the patches are squares that tile the image, and no more tokens than a row and a column together stand
    before them, as class tokens and registers do. Raises ValueError for fewer tokens than the smallest grid has.
    """
    short, long = sorted(image)
    grids = [(side, round(side * long / short)) for side in range(1, isqrt(tokens) + 1)]
    fitting = [grid for grid in grids if prod(grid) <= tokens]
    if not fitting:
        raise ValueError(f"{tokens} tokens are no map of an image of {tuple(image)} pixels")
    few, many = fitting[-1]
    return (few, many) if image[0] <= image[1] else (many, few)


@contextmanager
def recorded(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What the modules of these names give while it is open, in the order in which they first end."""
    outputs: dict[str, Any] = {}

    def keep(name: str):
        return lambda module, inputs, output: outputs.__setitem__(name, output)

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def existing_backbone(
    model: Any, stage_modules: tuple[str, ...] | None, *, small_stem: bool = False, **statistics: Sequence[float]
) -> Backbone:
    """A timm model; where its stages are not given, those that timm names. statistics: mean and std, see `Backbone`.

    Of more than five the last of each fifth is taken. A few models name modules that they have not, or none: no stage.
    Raises ValueError for a small stem of what is no ResNet with one convolution as its stem.
    """
    if stage_modules is None:
        modules = dict(model.named_modules())
        named = [info["module"] for info in getattr(model, "feature_info", ()) if info["module"] in modules]
        stage_modules = spread(named, 5)
    if small_stem:
        _shrink_stem(model)
    return _of_timm(model, stage_modules, **statistics)


def spread(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Of more than so many names the last of each of so many equal parts; else all of them."""
    return (
        tuple(names[-(-len(names) * i // count) - 1] for i in range(1, count + 1)) if len(names) > count else (*names,)
    )


def _of_timm(model: Any, stage_modules: tuple[str, ...], **statistics: Any) -> Backbone:
    # the patches of a ViT, and all stages of a Swin
    last = stage_modules[:1] == ("patch_embed",) or getattr(model, "output_fmt", "NCHW") == "NHWC"
    return Backbone(model, stage_modules, channels_last=last, **statistics)


def is_vit(name: str) -> bool:
    """Whether the backbone of this name is a plain vision transformer, for which the papers have recipes of its own."""
    return name == "tiny_vit" or name.startswith("vit")


def create_backbone(
    name: str,
    *,
    image_size: int,
    small_stem: bool = False,
    drop_path: float = 0.0,
    global_pool: bool = False,
    **statistics: Sequence[float],
) -> Backbone:
    """A randomly initialised backbone; weights come from torch's global generator.

    `small_stem` keeps the resolution of small images: a 3 x 3 convolution of stride 1 without max-pooling for
    ResNets, a first stride of 1 for EfficientNet, patches a quarter as long for ViT (16 -> 4) and half as long
    for Swin (4 -> 2). `drop_path`: with this probability the last residual branch is left out in training, earlier
    ones more rarely (Huang et al. 2016). `global_pool`: the features of a ViT are the mean over its patches in place of
    its class token, as MAE's scripts finetune. `statistics`: mean and std, see `Backbone`.
    """
    if name not in STAGES:
        raise ValueError(f"unknown backbone {name!r}{known_names(name, STAGES)}")
    how: dict[str, Any] = {"num_classes": 0, "drop_path_rate": drop_path}
    how |= arguments(name, image_size=image_size, small_stem=small_stem, global_pool=global_pool)
    own: dict[str, Any] = {narrow: partial(_narrow_resnet, channels) for narrow, channels in NARROW.items()}
    own["tiny_vit"] = _tiny_vit
    model: Any = own[name](**how) if name in own else timm.create_model(name, **how)
    if small_stem and isinstance(model, ResNet):
        _shrink_stem(model)
    if small_stem and name.startswith("efficientnet"):
        model.conv_stem.stride = (1, 1)
    return _of_timm(model, STAGES[name], **statistics)


def arguments(name: str, *, image_size: int, small_stem: bool, global_pool: bool) -> dict[str, Any]:
    """What the backbone of this name is made with, in timm's words; see `create_backbone`."""
    how: dict[str, Any] = {}
    if is_vit(name):  # local crops are smaller
        how = {"img_size": image_size, "patch_size": 4 if small_stem else 16, "dynamic_img_size": True}
        # not in the paper: the last norm stays before the mean, as the start has it; MAE's scripts begin a new one
        how |= {"global_pool": "avg", "fc_norm": False} if global_pool else {}
    elif name.startswith("swin"):
        # a detector's images are of other sizes; windows that do not divide one are padded with zeros
        how = {"img_size": image_size, "patch_size": 2 if small_stem else 4, "strict_img_size": False}
    return how


def is_timms(name: str, *, small_stem: bool) -> bool:
    """Whether timm makes this very network, by its name and `arguments`: not ours, nor a stem that we change."""
    patches = is_vit(name) or name.startswith("swin")  # their stem is an argument
    return timm.is_model(name) and (patches or not small_stem)


def _shrink_stem(model: Any) -> None:
    if not (isinstance(model, ResNet) and isinstance(model.conv1, nn.Conv2d)):
        raise ValueError(f"a small stem is known of {', '.join(STAGES)} and timm's other ResNets with a plain one")
    model.conv1 = nn.Conv2d(3, model.conv1.out_channels, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()


# not in the papers: four blocks at 96 channels learn by DINO and MAE in minutes on two cores
_tiny_vit = partial(VisionTransformer, embed_dim=96, depth=4, num_heads=3)


def _narrow_resnet(channels: int, **how: Any) -> Any:
    """One basic block a stage at 16-32-64-128 channels, then a 1 x 1 convolution to `channels`.

    Not in the papers: it learns CIFAR-100 in minutes on two cores. The widening is the end of stage 5, as a
    bottleneck's last convolution is: the papers' pooled feature has several times more channels than there
    are classes, and their effects in accuracy need that.
    """
    # with a "deep" stem timm makes the first block as wide as twice the stem; the stem itself is replaced
    how |= {"channels": (16, 32, 64, 128), "stem_type": "deep", "stem_width": 8}
    model = ResNet(BasicBlock, (1, 1, 1, 1), **how)
    model.conv1 = nn.Conv2d(3, 16, 7, stride=2, padding=3, bias=False)
    widening = nn.Conv2d(128, channels, 1, bias=False)
    for conv in (model.conv1, widening):
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    model.layer4 = nn.Sequential(model.layer4, widening, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
    model.num_features = channels
    return model
