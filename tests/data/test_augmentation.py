import numpy as np
import pytest
import torch
from PIL import Image

from workbook.data.augmentation import Augmentation, _blur_kernel
from workbook.seeding import seeded

STILL = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}
STRONG = Augmentation(jitter=0.8, greyscale=0.2, blur=(0.5, 0.5), solarise=(0.2, 0.2))


def on_batch(augmentation: Augmentation, images: torch.Tensor) -> torch.Tensor:
    with seeded(0):
        return augmentation.for_batches(images.shape[-1])(images)


def on_images(augmentation: Augmentation, images: torch.Tensor) -> torch.Tensor:
    """What the worker's path makes of a batch in [0, 1], back in [0, 1]."""
    bytes_ = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    with seeded(0):
        transform = augmentation.for_images(images.shape[-1])
        return torch.stack([transform(Image.fromarray(pixels)) for pixels in bytes_]).float() / 255


BOTH = pytest.mark.parametrize("path", [on_batch, on_images], ids=["batches", "images"])


@pytest.fixture
def images() -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 3, 16, 16))
    return torch.from_numpy(pixels).float() / 255


def test_by_default_an_image_is_cropped_and_flipped_and_nothing_else():
    names = [type(step).__name__ for step in Augmentation().for_batches(16)]
    assert names == ["RandomResizedCrop", "RandomHorizontalFlip"]
    assert len(Augmentation().for_images(16).transforms) == 3
    assert len(STRONG.for_batches(16)) == 6 and len(STRONG.for_images(16).transforms) == 7


@BOTH
def test_all_at_once_stays_in_range_and_differs_from_image_to_image(images, path):
    out = path(STRONG, images[:1].expand(16, -1, -1, -1))
    assert out.shape == (16, 3, 16, 16) and out.min() >= 0 and out.max() <= 1
    assert len({tuple(image.flatten().tolist()) for image in out}) == 16


@BOTH
def test_greyscale(images, path):
    out = path(Augmentation(**STILL, greyscale=1.0), images)
    torch.testing.assert_close(out, out[:, :1].expand_as(out))
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    torch.testing.assert_close(out[:, 0], (images * weights).sum(1), atol=1.5 / 255, rtol=0)


@BOTH
def test_solarisation_inverts_the_bright_half(images, path):
    out = path(Augmentation(**STILL, solarise=(1.0, 1.0)), images)
    torch.testing.assert_close(out, torch.where(images < 0.5, images, 1 - images), atol=1 / 255, rtol=0)


@BOTH
@pytest.mark.parametrize("part", [0, 1, 2])
def test_brightness_contrast_and_saturation_reach_as_far_as_they_say(path, part):
    """On one colour: brightness scales it by 0.6 to 1.4; the others pull towards the mean or the grey, or away."""
    strength = tuple(0.4 if i == part else 0.0 for i in range(4))
    image = torch.zeros(1, 3, 16, 16)
    image[:, 0], image[:, 1, :8] = 0.4, 0.4  # red below, yellow above
    out = path(Augmentation(**STILL, jitter=1.0, jitter_strength=strength), image.expand(500, -1, -1, -1))
    grey = (out * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
    measured = {
        0: out[:, 0, 8:].mean((1, 2)) / 0.4,
        1: (grey[:, :8] - grey[:, 8:]).mean((1, 2)) / (0.587 * 0.4),
        2: (out[:, 0] - out[:, 2])[:, 8:].mean((1, 2)) / 0.4,
    }[part]
    assert measured.max() <= 1.4 + 0.03
    assert measured.max() > 1.1 and measured.min() < 0.75


@BOTH
def test_hue_turns_by_a_fraction_of_the_circle(path):
    """Red turned by at most a tenth of the circle has at most 0.6 of green or blue."""
    red = torch.zeros(500, 3, 16, 16)
    red[:, 0] = 1
    out = path(Augmentation(**STILL, jitter=1.0, jitter_strength=(0.0, 0.0, 0.0, 0.1)), red).mean((2, 3))
    assert 0.5 < out[:, 1].max() < 0.62 and 0.5 < out[:, 2].max() < 0.62
    torch.testing.assert_close(out[:, 0], torch.ones(500), atol=1 / 255, rtol=0)


@BOTH
def test_half_the_images_are_blurred(images, path):
    out = path(Augmentation(**STILL, blur=(0.5, 0.5)), images)
    same = ((out - images).abs().amax((1, 2, 3)) < 2 / 255).float().mean()
    assert 0.3 < same < 0.7


def test_the_kernel_is_a_tenth_of_the_image_and_odd():
    assert [_blur_kernel(size) for size in (12, 32, 96, 224)] == [3, 3, 9, 23]


def test_a_pair_is_for_two_views_and_a_single_view_takes_the_mean():
    byol = Augmentation(blur=(1.0, 0.1), solarise=(0.0, 0.2))
    views = [byol.view(number) for number in (0, 1, None)]
    assert [view.blur for view in views] == [(1.0, 1.0), (0.1, 0.1), (0.55, 0.55)]
    assert [view.solarise for view in views] == [(0.0, 0.0), (0.2, 0.2), (0.1, 0.1)]
    assert Augmentation().view(None) == Augmentation().view(0) == Augmentation()


@BOTH
def test_the_second_view_of_byol_solarises_and_the_first_does_not(images, path):
    byol = Augmentation(**STILL, solarise=(0.0, 0.2))
    torch.testing.assert_close(path(byol.view(0), images), images, atol=1 / 255, rtol=0)
    changed = ((path(byol.view(1), images) - images).abs().amax((1, 2, 3)) > 2 / 255).float().mean()
    assert 0.05 < changed < 0.4
