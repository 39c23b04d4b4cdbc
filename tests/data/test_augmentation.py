import numpy as np
import pytest
import torch

from tests.conftest import make_images
from workbook.data.augmentation import POLICIES, Augmentation, View, _blur_kernel
from workbook.data.batches import MemoryBatches, WorkerBatches
from workbook.data.policies import GREY
from workbook.data.readers import PixelRows
from workbook.models.backbones import create_backbone
from workbook.seeding import seeded

STILL = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}
STRONG = Augmentation(jitter=0.8, greyscale=0.2, blur=(0.5, 0.5), solarise=(0.2, 0.2))


def seen(kind, augmentation: Augmentation, images: torch.Tensor, **size) -> torch.Tensor:
    """What a source of batches makes of a batch in [0, 1]."""
    pixels = PixelRows((images * 255).round().byte().permute(0, 2, 3, 1).numpy())
    source = make_images(len(images), size=images.shape[-1], decode=pixels)
    batches = kind(source, views=[View(augmentation, images.shape[-1])], device=torch.device("cpu"), **size)
    with seeded(0):
        (((view,), _),) = batches.batches([list(range(len(images)))], seed=0)
    return view


def in_memory(augmentation: Augmentation, images: torch.Tensor) -> torch.Tensor:
    return seen(MemoryBatches, augmentation, images, size=images.shape[-1])


def by_workers(augmentation: Augmentation, images: torch.Tensor) -> torch.Tensor:
    return seen(WorkerBatches, augmentation, images, workers=0)


BOTH = pytest.mark.parametrize("path", [in_memory, by_workers])


@pytest.fixture
def images() -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 3, 16, 16))
    return torch.from_numpy(pixels).float() / 255


def test_by_default_an_image_is_cropped_and_flipped_and_nothing_else():
    assert len(Augmentation().after_crop(16)) == 0
    assert len(STRONG.after_crop(16)) == 4


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


def grey(images: torch.Tensor) -> torch.Tensor:
    """(N, S, S): where an image is of the one colour that the backbones map to 0."""
    return ((images * 255).round() == torch.tensor(GREY).view(1, 3, 1, 1)).all(1)


def test_grey_is_nothing_to_a_backbone():
    colour = torch.tensor(GREY).view(1, 3, 1, 1) / 255
    seen = create_backbone("narrow_resnet", image_size=16).normalised(colour)
    assert seen.abs().max() < 0.5 / 255 / 0.22


@BOTH
def test_cutout_is_a_square_of_its_size_around_any_point(path):
    """A centre near the border leaves a part of the square outside; elsewhere all 8 x 8 pixels of it are there."""
    images = torch.ones(400, 3, 16, 16)
    cut = grey(path(Augmentation(**STILL, cutout=0.5), images))
    heights, widths = cut.any(2).sum(1), cut.any(1).sum(1)
    assert torch.equal(cut.sum((1, 2)), heights * widths), "a filled rectangle"
    assert heights.max() == widths.max() == 8 and heights.min() == widths.min() == 4
    whole = ((heights == 8) & (widths == 8)).float().mean()
    assert whole == pytest.approx((9 / 16) ** 2, abs=0.08)
    changed = (path(Augmentation(**STILL, cutout=0.5), images) != 1).any(1)
    assert torch.equal(changed, cut)


@BOTH
def test_a_quarter_of_the_images_has_a_rectangle_erased(path):
    cut = grey(path(Augmentation(**STILL, erase=0.25), torch.ones(400, 3, 32, 32)))
    erased = cut.any((1, 2))
    assert erased.float().mean() == pytest.approx(0.25, abs=0.07)
    area = cut[erased].float().mean((1, 2))
    assert 0.01 < area.min() < 0.08 and 0.2 < area.max() < 0.35


@BOTH
@pytest.mark.parametrize("policy", list(POLICIES))
def test_a_policy_chooses_for_every_image_and_again_for_the_same_seed(images, path, policy):
    augmentation = Augmentation(**STILL, policy=policy)
    same = images[:1].expand(48, -1, -1, -1)
    out = path(augmentation, same)
    assert out.shape == same.shape and out.min() >= 0 and out.max() <= 1
    assert len({tuple(image.flatten().tolist()) for image in out}) > 12
    assert torch.equal(out, path(augmentation, same))


def test_the_strength_of_randaugment_is_9_of_10():
    """timm's "rand-m9" rotates by 27 degrees and shears by 0.27; torchvision's own default is a third of it."""
    policy = POLICIES["rand-m9"]()
    space, bins = policy._AUGMENTATION_SPACE, policy.num_magnitude_bins
    strength = {name: float(space[name][0](bins, 100, 100)[policy.magnitude]) for name in ("Rotate", "ShearX", "Color")}
    assert strength == pytest.approx({"Rotate": 27.0, "ShearX": 0.27, "Color": 0.81})


def test_the_strength_of_autoaugment_is_its_authors():
    """Of ten magnitudes the last is the strongest: 30 degrees."""
    rotations = {number for pair in POLICIES["autoaugment"]()._policies for name, _, number in pair if name == "Rotate"}
    turn = POLICIES["autoaugment"]()._AUGMENTATION_SPACE["Rotate"][0]
    assert max(float(turn(10, 100, 100)[number]) for number in rotations) == 30.0


def test_refusals():
    with pytest.raises(ValueError, match="policy: 'trivial' is unknown; known: autoaugment, rand-m9"):
        Augmentation(policy="trivial")
    with pytest.raises(ValueError, match="cutout must be at most 1, got 1.5"):
        Augmentation(cutout=1.5)
