"""What is done to an image each time it is seen: it is cropped, and then changed with its batch, on the device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, NamedTuple

from annotated_types import Le
from torch import Tensor, nn
from torchvision.transforms import v2

from workbook.data.batched import Blur, ColourJitter, CropAndFlip, Draw, Greyscale, Solarise, Sometimes, Steps
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

    def crop(self, size: int) -> CropAndFlip:
        """The first step, of which a worker makes a version of its own, see `batches.WorkerBatches`."""
        return CropAndFlip(size, self.crop_scale, self.crop_ratio, self.flip)

    def after_crop(self, size: int) -> Steps:
        """All that follows: float (N, 3, size, size) in [0, 1], other random choices for every image."""
        likely: list[Sometimes] = [
            ColourJitter(self.jitter_strength, self.jitter),
            Greyscale(self.greyscale),
            Blur(_blur_kernel(size), _BLUR_SIGMA, self.blur[0]),
            Solarise(self.solarise[0]),
        ]
        steps: list[nn.Module] = [step for step in likely if step.probability]
        if on_bytes := self._on_bytes(size):
            steps.append(_Bytes(on_bytes))
        return Steps(steps)

    def _on_bytes(self, size: int) -> list[nn.Module]:
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
        self.steps = Steps(steps)

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        return self.steps((images * 255).round().clamp(0, 255).byte(), draw).float().div_(255)


class View(NamedTuple):
    """One look at an image: how it is augmented (both numbers of a pair are equal), and its side in pixels."""

    augmentation: Augmentation
    size: int


_BLUR_SIGMA = (0.1, 2.0)


def _blur_kernel(size: int) -> int:
    """A tenth of the image's side, as SimCLR and BYOL blur; odd, and at least 3."""
    return max(3, size // 10 // 2 * 2 + 1)
