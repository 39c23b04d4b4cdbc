"""What is done to an image each time it is seen, on the device for batches or in a worker for one image."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, NamedTuple

from annotated_types import Le
from torch import Tensor, nn
from torchvision.transforms import v2

from workbook.data.batched import Blur, ColourJitter, CropAndFlip, Greyscale, Solarise, Sometimes
from workbook.data.policies import Cutout, Erase, Policy
from workbook.fields import ASCENDING, NotNegative, Positive, Probability, UpToOne, check_fields, one_of
from workbook.keys import added

# "rand-m9" is what timm's and MAE's scripts mean by it, and what RandAugment's authors give a ResNet-50: magnitude 9
# of 10, a rotation by 27 degrees. torchvision counts to 30, and its default, 9 of those, turns by 9 degrees
POLICIES: dict[str, Callable[..., v2.Transform]] = {
    "autoaugment": v2.AutoAugment,
    "rand-m9": partial(v2.RandAugment, magnitude=27, num_magnitude_bins=31),
}
Hue = Annotated[NotNegative, Le(0.5)]  # half a turn is the furthest


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Crop, flip, colour jitter, greyscale, blur, solarisation, policy, cutout, erasing, in this order.

    The same choices on both paths.

    The defaults are supervised pretraining's: a random resized crop and a horizontal flip. Names of probabilities
    are those of what happens. A pair holds the probabilities in the first and in the second view of an image
    (BYOL's two views differ); a single view takes their mean, which the papers leave open.
    """

    # not in the paper: its augmentation for SL is "following [20]"; these are the usual ones of that line of work
    crop_scale: Annotated[tuple[UpToOne, UpToOne], ASCENDING] = (0.08, 1.0)  # area, a fraction of the image's
    crop_ratio: Annotated[tuple[Positive, Positive], ASCENDING] = (3 / 4, 4 / 3)  # width over height of the crop
    flip: Probability = 0.5  # probability of a horizontal flip
    jitter: Probability = added(0.0)  # probability of a colour jitter
    # brightness, contrast, saturation, hue
    jitter_strength: tuple[NotNegative, NotNegative, NotNegative, Hue] = added((0.4, 0.4, 0.2, 0.1))
    greyscale: Probability = added(0.0)
    blur: tuple[Probability, Probability] = added((0.0, 0.0))
    solarise: tuple[Probability, Probability] = added((0.0, 0.0))
    # "autoaugment": ImageNet's policy (Cubuk et al. 2019), whatever the data; "rand-m9": two operations of one strength
    # (Cubuk et al. 2020). not in the papers: that strength, see `POLICIES`; the grey where an image was moved away
    policy: Annotated[str, one_of(POLICIES)] | None = added(None)
    # a grey square (DeVries and Taylor 2017) in every image; this is its side as a fraction of the image's, and
    # its centre is anywhere in the image, so that a part may fall outside. B's "length 0.5" says no more
    cutout: Probability = added(0.0)
    erase: Probability = added(0.0)  # probability of a grey rectangle of 2 to 33 % of the image (Zhong et al. 2020)

    def __post_init__(self) -> None:
        check_fields(self)

    def view(self, number: int | None) -> "Augmentation":
        """The augmentation of one view: number 0 or 1; None for a method that looks at each image once."""
        blur, solarise = (sum(pair) / 2 if number is None else pair[number] for pair in (self.blur, self.solarise))
        return replace(self, blur=(blur, blur), solarise=(solarise, solarise))

    def for_batches(self, size: int) -> nn.Module:
        """float (N, 3, H, W) in [0, 1] to (N, 3, size, size), other random choices for every image."""
        steps: list[nn.Module] = [CropAndFlip(size, self.crop_scale, self.crop_ratio, self.flip)]
        likely: list[Sometimes] = [
            ColourJitter(self.jitter_strength, self.jitter),
            Greyscale(self.greyscale),
            Blur(_blur_kernel(size), _BLUR_SIGMA, self.blur[0]),
            Solarise(self.solarise[0]),
        ]
        steps += [step for step in likely if step.probability]
        if last := self._last_steps(size):
            steps.append(_Bytes(last))
        return nn.Sequential(*steps)

    def for_images(self, size: int) -> v2.Transform:
        """A PIL image to uint8 (3, size, size)."""
        steps: list[Callable] = [
            v2.RandomResizedCrop(size, scale=self.crop_scale, ratio=self.crop_ratio),
            v2.RandomHorizontalFlip(self.flip),
        ]
        if self.jitter:
            steps.append(v2.RandomApply([v2.ColorJitter(*self.jitter_strength)], self.jitter))
        if self.greyscale:
            steps.append(v2.RandomGrayscale(self.greyscale))
        if self.blur[0]:
            steps.append(v2.RandomApply([v2.GaussianBlur(_blur_kernel(size), _BLUR_SIGMA)], self.blur[0]))
        if self.solarise[0]:
            steps.append(v2.RandomSolarize(128, self.solarise[0]))
        steps.append(v2.PILToTensor())
        if last := self._last_steps(size):
            steps.append(_OneImage(last))
        return v2.Compose(steps)

    def _last_steps(self, size: int) -> list[nn.Module]:
        """What takes uint8 (N, 3, size, size), and is the same code on both paths."""
        steps: list[nn.Module] = []
        if self.policy:
            steps.append(Policy(POLICIES[self.policy](), size))
        if self.cutout:
            steps.append(Cutout(self.cutout))
        if self.erase:
            steps.append(Erase(self.erase, scale=(0.02, 1 / 3), ratio=(0.3, 3.3)))
        return steps


class _Bytes(nn.Module):
    """Steps on bytes for a batch in [0, 1]."""

    def __init__(self, steps: list[nn.Module]) -> None:
        super().__init__()
        self.steps = nn.Sequential(*steps)

    def forward(self, images: Tensor) -> Tensor:
        return self.steps((images * 255).round().clamp(0, 255).byte()).float().div_(255)


class _OneImage(nn.Module):
    """Steps for a batch on one image."""

    def __init__(self, steps: list[nn.Module]) -> None:
        super().__init__()
        self.steps = nn.Sequential(*steps)

    def forward(self, image: Tensor) -> Tensor:
        return self.steps(image[None])[0]


class View(NamedTuple):
    """One look at an image: how it is augmented (both numbers of a pair are equal), and its side in pixels."""

    augmentation: Augmentation
    size: int


_BLUR_SIGMA = (0.1, 2.0)


def _blur_kernel(size: int) -> int:
    """A tenth of the image's side, as SimCLR and BYOL blur; odd, and at least 3."""
    return max(3, size // 10 // 2 * 2 + 1)
