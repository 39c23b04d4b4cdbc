"""Augmentation of a batch on its device: other random choices for every image, which are drawn there, too.

The pictures are kornia's. Its own modules draw on the CPU, and a GPU would wait for their numbers.
"""

import math

import torch
import torch.nn.functional as F
from kornia import enhance
from kornia.color import rgb_to_grayscale
from kornia.filters import gaussian_blur2d
from torch import Tensor, nn

Range = tuple[float, float]
_DRAWS = 10  # of a box


class CropAndFlip(nn.Module):
    """A random resized crop and a horizontal flip, by one bilinear resampling: (N, 3, H, W) to (N, 3, size, size).

    The boxes are drawn as torchvision draws them, but end between pixels, too; what lies beyond the image's border is
    the border. As in kornia, an image that gets smaller is not smoothed first.
    """

    def __init__(self, size: int, scale: Range, ratio: Range, flip: float) -> None:
        super().__init__()
        self.size, self.scale, self.ratio, self.flip = size, scale, ratio, flip

    def forward(self, images: Tensor) -> Tensor:
        count, device = len(images), images.device
        width, height, x, y = draw_boxes(count, self.scale, self.ratio, device)
        mirrored = torch.rand(count, device=device) < self.flip
        # of every output pixel to its place in the image, whose borders are at -1 and 1
        places = torch.zeros(count, 2, 3, device=device)
        places[:, 0, 0], places[:, 0, 2] = torch.where(mirrored, -width, width), (2 * x - 1) * (1 - width)
        places[:, 1, 1], places[:, 1, 2] = height, (2 * y - 1) * (1 - height)
        grid = F.affine_grid(places, [count, 3, self.size, self.size], align_corners=False)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def draw_boxes(count: int, scale: Range, ratio: Range, device: torch.device) -> Tensor:
    """(4, N): width and height of crops of square images, and where they lie between left and right, top and bottom.

    All are fractions. Area and the logarithm of width over height are uniform; of ten draws the first that fits into
    the image counts, else what is left of the whole image at the nearest ratio, in the middle: torchvision's rule.
    """
    area, shape = torch.rand(2, _DRAWS, count, device=device)
    area = scale[0] + (scale[1] - scale[0]) * area
    low, high = map(math.log, ratio)
    shape = (low + (high - low) * shape).exp()
    boxes = torch.stack([(area * shape).sqrt(), (area / shape).sqrt(), *torch.rand(2, _DRAWS, count, device=device)])
    box, fits = first_that_fits((boxes[:2] <= 1).all(0), boxes)
    whole = torch.stack([torch.full_like(area[0], side) for side in (min(1, ratio[1]), min(1, 1 / ratio[0]), 0.5, 0.5)])
    return torch.where(fits, box, whole)


def first_that_fits(fits: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Of (K, draws, N) the first draw that fits, (K, N), and whether there is one; fits: (draws, N)."""
    first = fits.float().argmax(0).expand(len(drawn), 1, -1)
    return drawn.gather(1, first)[:, 0], fits.any(0)


class Sometimes(nn.Module):
    """A change that each image of (N, 3, H, W) in [0, 1] undergoes with this probability."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, images: Tensor) -> Tensor:
        chosen = torch.rand(len(images), device=images.device) < self.probability
        if images.device.type != "cpu":  # how many there are is not known here: all are changed, and some kept
            return torch.where(chosen[:, None, None, None], self.changed(images), images)
        out = images.clone()
        out[chosen] = self.changed(images[chosen])
        return out

    def changed(self, images: Tensor) -> Tensor:
        raise NotImplementedError


class ColourJitter(Sometimes):
    """Brightness, contrast, saturation and hue, in an order that a batch shares.

    strength: s of each; the first three are multiplied by 1 - s to 1 + s, and the hue turns by -s to s of its circle.
    """

    def __init__(self, strength: tuple[float, float, float, float], probability: float) -> None:
        super().__init__(probability)
        self.strength = strength

    def changed(self, images: Tensor) -> Tensor:
        for number in torch.randperm(4).tolist():
            if strength := self.strength[number]:
                by = strength * (2 * torch.rand(len(images), device=images.device) - 1)
                images = _JITTERS[number](images, by)
        return images.clamp(0, 1)


_JITTERS = (
    lambda images, by: enhance.adjust_brightness_accumulative(images, (1 + by).clamp(min=0)),
    lambda images, by: enhance.adjust_contrast_with_mean_subtraction(images, (1 + by).clamp(min=0)),
    lambda images, by: enhance.adjust_saturation_with_gray_subtraction(images, (1 + by).clamp(min=0)),
    lambda images, by: enhance.adjust_hue(images, by * 2 * math.pi),
)


class Greyscale(Sometimes):
    """Every channel the image's luma."""

    def changed(self, images: Tensor) -> Tensor:
        return rgb_to_grayscale(images).expand_as(images)


class Blur(Sometimes):
    """A Gaussian of `kernel` pixels whose standard deviation lies in `sigma`."""

    def __init__(self, kernel: int, sigma: Range, probability: float) -> None:
        super().__init__(probability)
        self.kernel, self.sigma = kernel, sigma

    def changed(self, images: Tensor) -> Tensor:
        low, high = self.sigma
        sigma = low + (high - low) * torch.rand(len(images), 1, device=images.device)
        return gaussian_blur2d(images, self.kernel, sigma.expand(-1, 2)) if len(images) else images


class Solarise(Sometimes):
    """What is brighter than a half, inverted."""

    def changed(self, images: Tensor) -> Tensor:
        return torch.where(images < 0.5, images, 1 - images)
