"""Augmentation of a batch on its device: other random choices for every image, which are drawn there, too.

The pictures are kornia's. Its own modules draw on the CPU, and a GPU would wait for their numbers.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from kornia import enhance
from kornia.color import rgb_to_grayscale
from kornia.filters import gaussian_blur2d
from torch import Tensor, nn

Range = tuple[float, float]
# (*shape) -> (*shape, N): numbers in [0, 1) for every image of a batch, at each call others
Draw = Callable[..., Tensor]
_DRAWS = 10  # of a box


def draws(count: int, device: torch.device, *, rank: int = 0, world: int = 1) -> Draw:
    """From torch's global state on the device, for `count` images.

    Where `world` devices share a batch, and each takes every `world`-th image from its `rank` on, all draw for the
    whole batch, from the same state, and keep their own: an image's numbers do not depend on how many there are.
    """
    return lambda *shape: torch.rand(*shape, count * world, device=device)[..., rank::world]


class Steps(nn.ModuleList):
    """One step after the other, from the same source of numbers."""

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        for step in self:
            images = step(images, draw)
        return images


class CropAndFlip(nn.Module):
    """A random resized crop and a horizontal flip, by one bilinear resampling: (N, 3, H, W) to (N, 3, size, size).

    The boxes are drawn as torchvision draws them, but end between pixels, too; what lies beyond the image's border is
    the border. As in kornia, an image that gets smaller is not smoothed first.
    """

    def __init__(self, size: int, scale: Range, ratio: Range, flip: float) -> None:
        super().__init__()
        self.size, self.scale, self.ratio, self.flip = size, scale, ratio, flip

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        count, device = len(images), images.device
        drawn, mirrored = self.drawn(draw)
        width, height, x, y = boxes(drawn, self.scale, self.ratio)
        # of every output pixel to its place in the image, whose borders are at -1 and 1
        places = torch.zeros(count, 2, 3, device=device)
        places[:, 0, 0], places[:, 0, 2] = torch.where(mirrored, -width, width), (2 * x - 1) * (1 - width)
        places[:, 1, 1], places[:, 1, 2] = height, (2 * y - 1) * (1 - height)
        grid = F.affine_grid(places, [count, 3, self.size, self.size], align_corners=False)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def drawn(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """What `boxes` takes, and (N,) bool: which images are mirrored."""
        return draw(4, _DRAWS), draw() < self.flip


def boxes(drawn: Tensor, scale: Range, ratio: Range, aspect: Tensor | None = None) -> Tensor:
    """(4, N): width and height of crops of images, and where they lie between left and right, top and bottom.

    drawn: (4, draws, N) in [0, 1). aspect: (N,), width over height of the images; None = they are square.
    All are fractions. Area and the logarithm of width over height are uniform; of ten draws the first that fits into
    the image counts, else what is left of the whole image at the nearest ratio, in the middle: torchvision's rule.
    """
    area, shape, *places = drawn
    area = scale[0] + (scale[1] - scale[0]) * area
    low, high = map(math.log, ratio)
    aspect = torch.ones_like(area[0]) if aspect is None else aspect
    shape = (low + (high - low) * shape).exp() / aspect  # of the fractions
    candidates = torch.stack([(area * shape).sqrt(), (area / shape).sqrt(), *places])
    box, fits = first_that_fits((candidates[:2] <= 1).all(0), candidates)
    widest, tallest = (ratio[1] / aspect).clamp(max=1), (aspect / ratio[0]).clamp(max=1)
    middle = torch.full_like(aspect, 0.5)
    return torch.where(fits, box, torch.stack([widest, tallest, middle, middle]))


def first_that_fits(fits: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Of (K, draws, N) the first draw that fits, (K, N), and whether there is one; fits: (draws, N)."""
    first = fits.float().argmax(0).expand(len(drawn), 1, -1)
    return drawn.gather(1, first)[:, 0], fits.any(0)


class Sometimes(nn.Module):
    """A change that each image of (N, 3, H, W) in [0, 1] undergoes with this probability.

    numbers: how many `changed` takes for each image, (numbers, N).
    """

    numbers = 0

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        first, *rest = draw(1 + self.numbers)
        chosen = first < self.probability
        if images.device.type != "cpu":  # how many there are is not known here: all are changed, and some kept
            return torch.where(chosen[:, None, None, None], self.changed(images, *rest), images)
        out = images.clone()
        out[chosen] = self.changed(images[chosen], *(numbers[chosen] for numbers in rest))
        return out

    def changed(self, images: Tensor, *numbers: Tensor) -> Tensor:
        """numbers: (N,) each, in [0, 1)."""
        raise NotImplementedError


class ColourJitter(Sometimes):
    """Brightness, contrast, saturation and hue, in an order that a batch shares.

    strength: s of each; the first three are multiplied by 1 - s to 1 + s, and the hue turns by -s to s of its circle.
    """

    numbers = 4

    def __init__(self, strength: tuple[float, float, float, float], probability: float) -> None:
        super().__init__(probability)
        self.strength = strength

    def changed(self, images: Tensor, *numbers: Tensor) -> Tensor:
        for number in torch.randperm(4).tolist():
            if strength := self.strength[number]:
                images = _JITTERS[number](images, strength * (2 * numbers[number] - 1))
        return images.clamp(0, 1)


_JITTERS = (
    lambda images, by: enhance.adjust_brightness_accumulative(images, (1 + by).clamp(min=0)),
    lambda images, by: enhance.adjust_contrast_with_mean_subtraction(images, (1 + by).clamp(min=0)),
    lambda images, by: enhance.adjust_saturation_with_gray_subtraction(images, (1 + by).clamp(min=0)),
    lambda images, by: enhance.adjust_hue(images, by * 2 * math.pi),
)


class Greyscale(Sometimes):
    """Every channel the image's luma."""

    def changed(self, images: Tensor, *numbers: Tensor) -> Tensor:
        return rgb_to_grayscale(images).expand_as(images)


class Blur(Sometimes):
    """A Gaussian of `kernel` pixels whose standard deviation lies in `sigma`."""

    numbers = 1

    def __init__(self, kernel: int, sigma: Range, probability: float) -> None:
        super().__init__(probability)
        self.kernel, self.sigma = kernel, sigma

    def changed(self, images: Tensor, *numbers: Tensor) -> Tensor:
        low, high = self.sigma
        sigma = low + (high - low) * numbers[0]
        if not len(images):
            return images
        # kornia takes views of what a convolution gave, which with some versions of torch follows the input's layout
        return gaussian_blur2d(images.contiguous(), self.kernel, sigma[:, None].expand(-1, 2))


class Solarise(Sometimes):
    """What is brighter than a half, inverted."""

    def changed(self, images: Tensor, *numbers: Tensor) -> Tensor:
        return torch.where(images < 0.5, images, 1 - images)
