"""The old way of augmenting in worker processes: torchvision's PIL transforms, one image at a time, all of them.

It is what torch's DataLoader is commonly fed with, and what the benches hold ours against.
"""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from workbook.data.augmentation import Augmentation, View
from workbook.data.images import Images
from workbook.seeding import seeded


class ImageByImage(Dataset):
    """Items are (index, seed)."""

    def __init__(self, images: Images, views: Sequence[View]) -> None:
        self.images = images
        self.transforms = [transform(view.augmentation, view.size) for view in views]

    def __getitem__(self, index_and_seed: tuple[int, int]) -> tuple[list[Tensor], int]:
        index, seed = index_and_seed
        image = self.images[index]
        with seeded(seed):
            return [change(image) for change in self.transforms], int(self.images.labels[index])


def transform(augmentation: Augmentation, size: int) -> v2.Transform:
    """A PIL image to uint8 (3, size, size); without policies and patches."""
    steps: list[Callable] = [v2.RandomResizedCrop(size, augmentation.crop_scale, augmentation.crop_ratio)]
    steps.append(v2.RandomHorizontalFlip(augmentation.flip))
    blur = v2.GaussianBlur(max(3, size // 10 // 2 * 2 + 1), (0.1, 2.0))
    likely = {
        v2.ColorJitter(*augmentation.jitter_strength): augmentation.jitter,
        v2.Grayscale(3): augmentation.greyscale,
        blur: augmentation.blur[0],
        v2.RandomSolarize(128, 1.0): augmentation.solarise[0],
    }
    steps += [v2.RandomApply([step], probability) for step, probability in likely.items() if probability]
    return v2.Compose([*steps, v2.PILToTensor()])
