import math

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from workbook.data import batched
from workbook.data.augmentation import Augmentation
from workbook.data.batched import Blur, ColourJitter, CropAndFlip, Greyscale, Sometimes, Steps, boxes, draws
from workbook.seeding import seeded

CPU = torch.device("cpu")


def changed(step: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    return step(images, draws(len(images), images.device))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((64, 3, 16, 16), dtype=np.float32))


@pytest.mark.parametrize("aspect", [1.0, 0.4])
def test_boxes_are_drawn_as_torchvision_draws_them(aspect):
    """The same quantiles of every number, within what 8,000 draws leave open; torchvision's end at whole pixels."""
    scale, ratio, count, tall = (0.3, 1.0), (3 / 4, 4 / 3), 8_000, 1000
    wide = int(tall * aspect)
    with seeded(0):
        ours = boxes(draws(count, CPU)(4, 10), scale, ratio, torch.full((count,), aspect))
        crop, image = v2.RandomResizedCrop(tall, scale, ratio), torch.empty(3, tall, wide)
        drawn = [crop.make_params([image]) for _ in range(count)]
    sides = {"width": wide, "height": tall, "left": wide, "top": tall}
    theirs = [torch.tensor([box[name] / side for box in drawn]) for name, side in sides.items()]
    ours = torch.stack([ours[0], ours[1], ours[2] * (1 - ours[0]), ours[3] * (1 - ours[1])])
    levels = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    for mine, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.quantile(levels), their.quantile(levels), atol=0.018, rtol=0)


@pytest.mark.parametrize(
    ("ratio", "aspect", "sides"),
    [
        ((2.0, 3.0), 1.0, (1.0, 0.5)),
        ((0.2, 0.25), 1.0, (0.25, 1.0)),
        ((1.0, 1.0), 2.0, (0.5, 1.0)),
        ((1.0, 1.0), 0.25, (1.0, 0.25)),
    ],
)
def test_where_no_box_fits_it_is_the_largest_of_the_nearest_ratio(ratio, aspect, sides):
    width, height, x, y = boxes(draws(3, CPU)(4, 10), (0.9, 1.0), ratio, torch.full((3,), aspect))
    assert width.tolist() == [sides[0]] * 3 and height.tolist() == [sides[1]] * 3
    assert x.tolist() == y.tolist() == [0.5] * 3


def test_a_crop_is_the_resized_box(images, monkeypatch):
    """On a box that ends at whole pixels: torchvision's crop and its bilinear resize, then the flip.

    At the edges of the box ours sees what lies beyond, which torchvision has cut away before.
    """
    box = torch.tensor([8 / 16, 4 / 16, 3 / 8, 5 / 12])[:, None].expand(4, len(images))  # 8 x 4 pixels from (3, 5)
    monkeypatch.setattr(batched, "boxes", lambda *given: box)
    expected = F.resized_crop(images, top=5, left=3, height=4, width=8, size=[16, 16], antialias=False)
    for flip, wanted in ((0.0, expected), (1.0, expected.flip(-1))):
        ours = changed(CropAndFlip(16, (1, 1), (1, 1), flip), images)
        torch.testing.assert_close(ours[..., 2:-2, 1:-1], wanted[..., 2:-2, 1:-1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", range(4))
def test_a_jitter_is_torchvisions_image_by_image(images, monkeypatch, number):
    """By the same factors; torchvision's contrast takes the mean grey, as ours does."""
    strength = tuple(0.4 if i == number else 0.0 for i in range(4))
    with seeded(0):
        ours = changed(ColourJitter(strength, 1.0), images)
    with seeded(0):
        by = 0.4 * (2 * torch.rand(5, 64)[1 + number] - 1)
    change = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)[number]
    theirs = [change(image, float(value + (number < 3))) for image, value in zip(images, by, strict=True)]
    torch.testing.assert_close(ours, torch.stack(theirs), atol=2e-3, rtol=0)


def test_the_order_of_the_jitters_changes(images):
    seen = set()
    for seed in range(40):
        with seeded(seed):
            seen.add(float(changed(ColourJitter((0.4, 0.4, 0.2, 0.1), 1.0), images[:1]).sum()))
    assert len(seen) == 40


def test_a_blur_is_torchvisions_image_by_image(images):
    with seeded(0):
        ours = changed(Blur(5, (0.1, 2.0), 1.0), images)
    with seeded(0):
        sigma = 0.1 + 1.9 * torch.rand(2, 64)[1]
    theirs = [F.gaussian_blur(image, [5, 5], [float(s), float(s)]) for image, s in zip(images, sigma, strict=True)]
    torch.testing.assert_close(ours, torch.stack(theirs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_so_many_images_change_and_the_given_batch_does_not(images, probability):
    many, before = images.repeat(30, 1, 1, 1), images.clone()
    share = (changed(Greyscale(probability), many) != many).any(3).any(2).any(1).float().mean()
    spread = 4 * math.sqrt(probability * (1 - probability) / len(many))
    assert abs(float(share) - probability) <= spread
    assert torch.equal(images, before)


@pytest.mark.parametrize("change", [ColourJitter((0.4, 0.4, 0.2, 0.1), 0.8), Greyscale(0.2), Blur(3, (0.1, 2.0), 0.5)])
def test_of_a_batch_none_may_change(images, change):
    assert torch.equal(change(images, lambda *shape: torch.ones(*shape, len(images))), images)


@pytest.mark.parametrize("change", [ColourJitter((0.4, 0.4, 0.2, 0.1), 0.8), Greyscale(0.2), Blur(3, (0.1, 2.0), 0.5)])
def test_devices_that_share_a_batch_change_its_images_as_one_does(images, change):
    with seeded(0):
        alone = changed(change, images)
    for rank in (0, 1):
        with seeded(0):
            shared = change(images[rank::2], draws(32, CPU, rank=rank, world=2))
        torch.testing.assert_close(shared, alone[rank::2])


def test_a_device_that_does_not_know_how_many_changes_the_same_ones(images):
    """What a GPU does, on the "meta" device's terms: the same shapes, and no number is asked for."""
    everything = Steps(
        [CropAndFlip(16, (0.3, 1.0), (3 / 4, 4 / 3), 0.5), ColourJitter((0.4, 0.4, 0.2, 0.1), 0.8), Greyscale(0.2)]
    )
    out = changed(everything, images.to("meta"))
    assert out.shape == images.shape and out.device.type == "meta"
    assert all(isinstance(step, Sometimes | CropAndFlip) for step in everything)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_no_step_waits_for_the_gpu(images):
    augmentation = Augmentation(jitter=0.8, greyscale=0.2, blur=(0.5, 0.5), solarise=(0.2, 0.2), policy="autoaugment")
    everything = Steps([augmentation.crop(16), augmentation.after_crop(16)]).cuda()
    on_device = images.cuda()
    changed(everything, on_device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        changed(everything, on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
