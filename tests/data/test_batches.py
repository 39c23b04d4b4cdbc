import pytest
import torch

from tests.conftest import make_images
from workbook.data.augmentation import Augmentation, View
from workbook.data.batches import MemoryBatches, WorkerBatches, shuffled
from workbook.seeding import seeded

CPU = torch.device("cpu")
ORDER = [[3, 1, 2], [0, 5, 4]]


def make(kind, images, *views, **keywords):
    """A source of batches of images, with one view of 12 pixels if none is named."""
    views = views or (View(Augmentation(), 12),)
    size = {"size": images.image_size} if kind is MemoryBatches else {}
    return kind(images, views=views, device=CPU, **size, **keywords)


def collect(source, *seed):
    """The first view of every batch, and the labels."""
    with seeded(*seed):
        return [(views[0].clone(), labels) for views, labels in source.batches(ORDER, seed=seed[0])]


@pytest.mark.parametrize("kind", [MemoryBatches, WorkerBatches])
@pytest.mark.parametrize("policy", ["autoaugment", "rand-m9"])
def test_policies_and_cutout_follow_the_seed(kind, policy):
    augmentation = Augmentation(policy=policy, cutout=0.5, erase=0.25)
    source = make(kind, make_images(), View(augmentation, 12))
    one, again, other = collect(source, 1), collect(source, 1), collect(source, 2)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, again, strict=True))
    assert not any(torch.equal(a[0], b[0]) for a, b in zip(one, other, strict=True))
    assert all(batch.min() >= 0 and batch.max() <= 1 for batch, _ in one)


@pytest.mark.parametrize("kind", [MemoryBatches, WorkerBatches])
def test_batches_are_in_range_in_order_and_repeatable(kind):
    images = make_images()
    source = make(kind, images)
    one, again, other = collect(source, 1), collect(source, 1), collect(source, 2)
    for (pixels, labels), indices in zip(one, ORDER, strict=True):
        assert pixels.shape == (3, 3, 12, 12)
        assert pixels.is_contiguous(memory_format=torch.channels_last)
        assert pixels.min() >= 0 and pixels.max() <= 1
        assert labels.tolist() == images.labels[indices].tolist()
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0][0], other[0][0])


def test_the_number_of_workers_changes_nothing():
    images = make_images(size=20)
    inline, forked = (make(WorkerBatches, images, workers=n) for n in (0, 2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(collect(inline, 1), collect(forked, 1), strict=True))


def test_every_image_gets_its_own_random_choices():
    images = make_images()
    source = make(MemoryBatches, images, View(Augmentation(crop_scale=(0.1, 0.5)), 16))
    with seeded(0):
        (((pixels,), _),) = source.batches([[7] * 8], seed=0)
    assert len({tuple(image.flatten().tolist()) for image in pixels}) == 8


def test_without_choices_left_the_image_is_unchanged():
    images = make_images()
    whole = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0)
    expected = images.tensor(16)[[3, 1, 2]].float() / 255
    for kind in (MemoryBatches, WorkerBatches):
        pixels = collect(make(kind, images, View(whole, 16)), 0)[0][0]
        torch.testing.assert_close(pixels, expected, atol=2 / 255, rtol=0)


def test_shuffled_is_a_permutation_cut_into_whole_batches():
    batches = shuffled(10, 4, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [4, 4]
    assert len({index for batch in batches for index in batch}) == 8


def test_ranks_share_each_batch():
    both = [shuffled(10, 4, torch.Generator().manual_seed(0), rank=rank, world=2) for rank in (0, 1)]
    alone = shuffled(10, 4, torch.Generator().manual_seed(0))
    assert [sorted(a + b) for a, b in zip(*both, strict=True)] == [sorted(batch) for batch in alone]


def test_refusals():
    with pytest.raises(ValueError, match="batch of 8 images cannot be filled from 7"):
        shuffled(7, 8, torch.Generator())
    with pytest.raises(ValueError, match="cannot be shared evenly by 3 devices"):
        shuffled(16, 8, torch.Generator(), world=3)
