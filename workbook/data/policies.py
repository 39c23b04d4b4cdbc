"""Policies and patches for a batch on its device: another choice for every image, each as torchvision's own.

Images are uint8 (N, 3, H, W): policies were made on bytes, and torchvision's operations cut their results to bytes.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from workbook.data.batched import Draw, Range, first_that_fits

# Channel means in bytes of what the backbones subtract: a patch of this colour is nothing to them.
GREY = (124, 116, 104)


class Policy(nn.Module):
    """AutoAugment (Cubuk et al. 2019) or RandAugment (Cubuk et al. 2020) with torchvision's operations and magnitudes.

    Two operations for each image, which may change nothing. AutoAugment draws one of its pairs, each with a probability
    of its own; RandAugment draws twice from one list. Where an image was moved away it is grey.
    """

    def __init__(self, policy: v2.AutoAugment | v2.RandAugment, size: int) -> None:
        super().__init__()
        space = policy._AUGMENTATION_SPACE
        if isinstance(policy, v2.RandAugment):
            steps = policy.num_ops
            bins, rows = policy.num_magnitude_bins, [[(name, 1.0, policy.magnitude)] * steps for name in space]
        else:
            bins, rows = 10, policy._policies
        self.pairs = isinstance(policy, v2.AutoAugment)

        def strength(name: str, number: int | None) -> float:
            magnitudes = space[name][0](bins, size, size)
            return 0.0 if magnitudes is None else float(magnitudes[number])

        def table(value: Callable[..., float]) -> nn.Buffer:  # (choices, steps)
            return nn.Buffer(torch.tensor([[value(*step) for step in row] for row in rows]))

        self.operation = table(lambda name, probability, number: _NAMES.index(name))
        self.probability = table(lambda name, probability, number: probability)
        self.strength = table(lambda name, probability, number: strength(name, number))
        self.signed = table(lambda name, probability, number: space[name][1])

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        choices, steps = self.operation.shape
        chosen = _below(choices, draw(1 if self.pairs else steps)).T.expand(-1, steps)  # (N, steps)
        operation, probability, strength, signed = (
            table.gather(0, chosen) for table in (self.operation, self.probability, self.strength, self.signed)
        )
        happens, turns = draw(2, steps).mT
        operation = operation.where(happens < probability, _NAMES.index("Identity"))
        strength = torch.where(signed & (turns < 0.5), -strength, strength)
        for step in range(steps):
            images = _changed(images, operation[:, step], strength[:, step, None, None, None])
        return images


def _below(most: int, drawn: Tensor) -> Tensor:
    """Whole numbers below `most`, each as likely, of numbers in [0, 1)."""
    return (most * drawn).long()


def _changed(images: Tensor, operation: Tensor, strength: Tensor) -> Tensor:
    """Each image by the operation of its number."""
    out = images.clone()
    for number, change in enumerate(OPERATIONS.values()):
        chosen = operation == number
        if images.device.type != "cpu":  # how many there are is not known here: all are changed, and some kept
            out = torch.where(chosen[:, None, None, None], change(images, strength), out)
        elif chosen.any():
            out[chosen] = change(images[chosen], strength[chosen])
    return out


def _blended(towards: Callable[[Tensor], Tensor], images: Tensor, strength: Tensor) -> Tensor:
    """The images at 0, at -1 what is not seen in them any more, beyond 0 more of what is."""
    by, seen = 1 + strength.double(), images.float()
    other = towards(seen).expand_as(seen)
    # in torchvision's order of rounding: cut to bytes, an error of any size is a whole step
    return (seen * by.float()).addcmul_(other, (1 - by).float()).clamp_(0, 255).byte()


def _grey(images: Tensor) -> Tensor:
    return tv.rgb_to_grayscale(images, num_output_channels=1).floor_()


def _sharpened(images: Tensor, strength: Tensor) -> Tensor:
    seen = images.float()
    away = tv.adjust_sharpness(images, 0).float().sub_(seen)
    return seen.addcmul_(away, -strength).clamp_(0, 255).byte()


def _moved(whence: Callable[..., tuple[Tensor, ...]], images: Tensor, strength: Tensor) -> Tensor:
    """Each pixel is the nearest one to where `whence` says that it came from: x' = a x + b y + c, y' = d x + e y + f.

    In pixels from the middle.
    """
    count, size = strength.numel(), images.shape[-1]
    by = strength.double().view(count)
    none = torch.zeros_like(by)
    places = torch.stack(whence(by, none, none + 1, size), 1).view(count, 2, 3).float()
    middle = torch.linspace((1 - size) / 2, (size - 1) / 2, size, device=images.device)
    by_x, by_y, fixed = (places / (size / 2))[..., None, None].unbind(2)  # (N, 2, 1, 1) each
    grid = (by_x * middle + by_y * middle[:, None] + fixed).permute(0, 2, 3, 1)
    grey = torch.tensor(GREY, dtype=torch.float32, device=images.device).view(3, 1, 1)
    moved = F.grid_sample(images.float().sub_(grey), grid, mode="nearest", align_corners=False)  # outside is 0
    return moved.add_(grey).byte()


def _turned(by: Tensor, none: Tensor, one: Tensor, size: int) -> tuple[Tensor, ...]:
    turn = torch.deg2rad(by)
    return turn.cos(), -turn.sin(), none, turn.sin(), turn.cos(), none


# a shear leaves the first row, or the first column, where it was
_WHENCE: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "ShearX": lambda by, none, one, size: (one, by, by * size / 2, none, one, none),
    "ShearY": lambda by, none, one, size: (one, none, none, by, one, by * size / 2),
    "TranslateX": lambda by, none, one, size: (one, none, -by.trunc(), none, one, none),
    "TranslateY": lambda by, none, one, size: (one, none, none, none, one, -by.trunc()),
    "Rotate": _turned,
}
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Identity": lambda images, strength: images,
    **{name: partial(_moved, whence) for name, whence in _WHENCE.items()},
    "Brightness": partial(_blended, torch.zeros_like),
    "Color": partial(_blended, _grey),
    "Contrast": partial(_blended, lambda images: _grey(images).mean((1, 2, 3), keepdim=True)),
    "Sharpness": _sharpened,
    "Posterize": lambda images, bits: images & (256 - 2.0 ** (8 - bits)).byte(),
    "Solarize": lambda images, strength: torch.where(images >= 255 * strength, 255 - images, images),
    "AutoContrast": lambda images, strength: tv.autocontrast(images),
    "Equalize": lambda images, strength: tv.equalize(images),
    "Invert": lambda images, strength: tv.invert(images),
}
_NAMES = list(OPERATIONS)


class Cutout(nn.Module):
    """A grey square (DeVries and Taylor 2017) around any point of the image, so that a part may fall outside.

    length: its side as a fraction of the image's.
    """

    def __init__(self, length: float) -> None:
        super().__init__()
        self.length = length

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        height, width = images.shape[-2:]
        side = round(self.length * min(height, width))
        top, left = _below(height, draw()) - side // 2, _below(width, draw()) - side // 2
        return _patched(images, top, left, top + side, left + side)


class Erase(nn.Module):
    """A grey rectangle within the image (Zhong et al. 2020), drawn as torchvision draws it, with a probability.

    scale: its area as a fraction of the image's. ratio: its height over its width.
    """

    def __init__(self, probability: float, scale: Range, ratio: Range) -> None:
        super().__init__()
        self.probability, self.scale, self.ratio = probability, scale, ratio

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        height, width = images.shape[-2:]
        drawn = draw(5, _DRAWS)
        area = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * drawn[0])
        low, high = map(math.log, self.ratio)
        shape = (low + (high - low) * drawn[1]).exp()
        tall, wide = (area * shape).sqrt().round(), (area / shape).sqrt().round()
        top, left = (drawn[2] * (height - tall + 1)).floor(), (drawn[3] * (width - wide + 1)).floor()
        box, fits = first_that_fits((tall < height) & (wide < width), torch.stack([top, left, tall, wide]))
        top, left, tall, wide = box * (fits & (drawn[4, 0] < self.probability))  # of no size where nothing happens
        return _patched(images, top, left, top + tall, left + wide)


_DRAWS = 10  # of a rectangle


def _patched(images: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    y, x = (torch.arange(side, device=images.device) for side in images.shape[-2:])
    rows = (y >= top[:, None]) & (y < bottom[:, None])
    columns = (x >= left[:, None]) & (x < right[:, None])
    grey = torch.tensor(GREY, dtype=images.dtype, device=images.device).view(3, 1, 1)
    # by bits, which is the same and on a CPU three times as fast as to ask at every byte
    bits = 255 * (rows[:, :, None] & columns[:, None, :])[:, None].byte()
    return (images & ~bits) | (grey & bits)
