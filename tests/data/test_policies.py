import pytest
import torch
from torchvision.transforms import InterpolationMode, v2

from workbook.data.augmentation import POLICIES
from workbook.data.batched import draws
from workbook.data.policies import GREY, OPERATIONS, Cutout, Erase, Policy, _below
from workbook.seeding import seeded

BINS, SIZE = 31, 32
CPU = torch.device("cpu")
SPACE = v2.RandAugment._AUGMENTATION_SPACE | v2.AutoAugment._AUGMENTATION_SPACE


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Smooth pictures with noise on them, and one of a single colour."""
    with seeded(0):
        smooth = torch.nn.functional.interpolate(torch.rand(12, 3, 5, 5), SIZE, mode="bicubic").clamp(0, 1)
        pictures = (smooth * 200 + 50 * torch.rand(12, 3, SIZE, SIZE)).byte()
    pictures[0] = torch.tensor([10, 200, 90], dtype=torch.uint8).view(3, 1, 1)
    return pictures


def by_torchvision(name: str, images: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    policy, nearest = v2.RandAugment(), InterpolationMode.NEAREST
    fill = {torch.Tensor: list(GREY)}
    pairs = zip(images, strength.tolist(), strict=True)
    apply = policy._apply_image_or_video_transform
    return torch.stack([apply(image, name, by, nearest, fill) for image, by in pairs])


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_each_operation_is_torchvision_s_image_by_image(images, name):
    """At all strengths, in both directions."""
    magnitudes, signed = SPACE[name][0](BINS, SIZE, SIZE), SPACE[name][1]
    strengths = torch.zeros(1) if magnitudes is None else magnitudes.float()
    for strength in torch.cat([strengths, -strengths]) if signed else strengths:
        of_each = strength.expand(len(images))
        ours = OPERATIONS[name](images, of_each.view(-1, 1, 1, 1))
        theirs = by_torchvision(name, images, of_each)
        assert ours.dtype == torch.uint8
        assert torch.equal(ours, theirs), f"at {strength}"


def test_an_operation_has_another_strength_for_every_image(images):
    strengths = torch.linspace(-30, 30, len(images))
    together = OPERATIONS["Rotate"](images, strengths.view(-1, 1, 1, 1))
    alone = [OPERATIONS["Rotate"](images[i : i + 1], strengths[i].view(1, 1, 1, 1))[0] for i in range(len(images))]
    assert torch.equal(together, torch.stack(alone))


@pytest.mark.parametrize("policy", list(POLICIES))
def test_every_operation_is_drawn_as_often_as_torchvision_draws_it(policy, monkeypatch):
    """Of 4,000 images: the share that each operation changes, and how strongly."""
    theirs: dict[str, list[float]] = {name: [] for name in OPERATIONS}
    ours: dict[str, list[float]] = {name: [] for name in OPERATIONS}
    transform, count = POLICIES[policy](), 4000

    def told(image, name, magnitude, interpolation, fill):
        theirs[name].append(magnitude)
        return image

    monkeypatch.setattr(transform, "_apply_image_or_video_transform", told)
    with seeded(0):
        for _ in range(count):
            transform(torch.zeros(3, SIZE, SIZE, dtype=torch.uint8))
    for name in OPERATIONS:
        monkeypatch.setitem(
            OPERATIONS, name, lambda images, by, name=name: ours[name].extend(by.flatten().tolist()) or images
        )
    with seeded(0):
        Policy(POLICIES[policy](), SIZE)(torch.zeros(count, 3, SIZE, SIZE, dtype=torch.uint8), draws(count, CPU))
    for name, expected in theirs.items():
        if name == "Identity":  # also what happens where torchvision does nothing
            continue
        found, share = torch.tensor(ours[name]), len(expected) / count
        assert len(found) / count == pytest.approx(share, abs=5 * (share / count) ** 0.5 + 1e-9), name
        if expected and max(expected) > 0:
            spread = 5 * torch.tensor(expected).std().item() / len(expected) ** 0.5 * 2**0.5
            assert found.mean().item() == pytest.approx(sum(expected) / len(expected), abs=spread + 1e-5), name


def test_patches_stay_inside_and_leave_the_rest(images):
    grey = torch.tensor(GREY, dtype=torch.uint8).view(3, 1, 1)
    for step in (Cutout(0.5), Erase(1.0, (0.02, 1 / 3), (0.3, 3.3))):
        with seeded(0):
            out = step(images, draws(len(images), CPU))
        changed = (out != images).any(1, keepdim=True)
        assert torch.equal(torch.where(changed, grey, images), out) and changed.any()


def test_what_is_erased_is_drawn_as_torchvision_draws_it():
    """Mean area, height and share of the images, over 4,000."""
    count, blank = 4000, torch.full((4000, 3, SIZE, SIZE), 255, dtype=torch.uint8)
    theirs = v2.RandomErasing(0.25, scale=(0.02, 1 / 3), ratio=(0.3, 3.3))
    with seeded(0):
        ours = Erase(0.25, (0.02, 1 / 3), (0.3, 3.3))(blank, draws(count, CPU))[:, 0] != 255
        theirs = torch.stack([theirs(image) for image in blank])[:, 0] != 255
    for measure in (lambda cut: cut.any((1, 2)), lambda cut: cut.sum((1, 2)), lambda cut: cut.any(2).sum(1)):
        one, other = measure(ours).double(), measure(theirs).double()
        assert one.mean().item() == pytest.approx(other.mean().item(), abs=5 * one.std().item() * (2 / count) ** 0.5)


@pytest.mark.parametrize("policy", list(POLICIES))
def test_devices_that_share_a_batch_change_its_images_as_one_does(images, policy):
    steps = (Policy(POLICIES[policy](), SIZE), Cutout(0.5), Erase(0.5, (0.02, 1 / 3), (0.3, 3.3)))
    for step in steps:
        with seeded(0):
            alone = step(images, draws(len(images), CPU))
        for rank in (0, 1):
            with seeded(0):
                assert torch.equal(step(images[rank::2], draws(6, CPU, rank=rank, world=2)), alone[rank::2])


def test_whole_numbers_stay_below_the_most():
    last = torch.tensor([0.0, 1 - 2**-24])  # the ends of what torch.rand gives
    assert all(_below(most, last).tolist() == [0, most - 1] for most in range(1, 3000))
