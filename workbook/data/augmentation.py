"""What is done to an image each time it is seen, on the device for batches or in a worker for one image."""

from dataclasses import dataclass

import kornia.augmentation as kornia
from torch import nn
from torchvision.transforms import v2


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random resized crop and horizontal flip, the same choices on both paths."""

    # not in the paper: its augmentation for SL is "following [20]"; these are the usual ones of that line of work
    crop_scale: tuple[float, float] = (0.08, 1.0)  # area of the crop as a fraction of the image's
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width over height of the crop
    flip: float = 0.5  # probability of a horizontal flip

    def for_batches(self, size: int) -> nn.Module:
        """float (N, 3, H, W) in [0, 1] to (N, 3, size, size), other random choices for every image."""
        return nn.Sequential(
            kornia.RandomResizedCrop(
                (size, size), scale=self.crop_scale, ratio=self.crop_ratio, cropping_mode="resample"
            ),
            kornia.RandomHorizontalFlip(p=self.flip),
        )

    def for_images(self, size: int) -> v2.Transform:
        """A PIL image to uint8 (3, size, size)."""
        return v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=self.crop_scale, ratio=self.crop_ratio),
                v2.RandomHorizontalFlip(self.flip),
                v2.PILToTensor(),
            ]
        )
