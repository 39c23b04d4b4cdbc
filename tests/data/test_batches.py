import gc

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import make_images
from workbook.data.augmentation import Augmentation, View
from workbook.data.batches import MemoryBatches, WorkerBatches, shuffled
from workbook.data.readers import PixelRows
from workbook.seeding import seeded

CPU = torch.device("cpu")
ORDER = [[3, 1, 2], [0, 5, 4]]


def make(kind, images, *views, **keywords):
    """A source of batches of images, with one view of 12 pixels if none is named."""
    views = views or (View(Augmentation(), 12),)
    size = {"size": images.image_size} if kind is MemoryBatches else {}
    return kind(images, views=views, device=CPU, **size, **keywords)


def collect(source, seed, order=ORDER):
    """The first view of every batch, and the labels."""
    with seeded(seed):
        return [(views[0].clone(), labels) for views, labels in source.batches(order, seed=seed)]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


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


STRONG = Augmentation(jitter=0.8, greyscale=0.2, blur=(0.5, 0.5), policy="rand-m9", cutout=0.5)


def test_the_number_of_workers_changes_nothing_and_they_stay_from_epoch_to_epoch():
    images = make_images(size=20)
    inline, forked = (make(WorkerBatches, images, View(STRONG, 12), workers=n) for n in (0, 2))
    processes = []
    for seed in (1, 2, 1):
        one, other = collect(inline, seed), collect(forked, seed)
        assert all(same(a, b) for a, b in zip(one, other, strict=True))
        processes.append({worker.pid for worker in forked.loader._iterator._workers})
    assert processes[0] == processes[1] == processes[2] and len(processes[0]) == 2


def test_an_epoch_that_was_left_does_not_come_into_the_next_one():
    source = make(WorkerBatches, make_images(), workers=2)
    whole = collect(source, 1)
    next(iter(source.batches(ORDER, seed=2)))
    assert all(same(a, b) for a, b in zip(whole, collect(source, 1), strict=True))


@pytest.mark.parametrize("kind", [MemoryBatches, WorkerBatches])
@pytest.mark.parametrize("policy", ["autoaugment", "rand-m9"])
def test_all_that_augments_is_on_the_device(kind, policy):
    """On the "meta" device, which like a GPU does not compute with what lies elsewhere."""
    augmentation = Augmentation(jitter=0.8, greyscale=0.2, solarise=(0.2, 0.2), policy=policy, cutout=0.5, erase=0.25)
    size = {"size": 16} if kind is MemoryBatches else {"workers": 0}
    source = kind(make_images(), views=[View(augmentation, 16)], device=torch.device("meta"), **size)
    (((view,), labels),) = source.batches([[0, 1, 2]], seed=0)
    assert view.device.type == labels.device.type == "meta" and view.shape == (3, 3, 16, 16)


def test_workers_do_not_outlive_their_source():
    source = make(WorkerBatches, make_images(), workers=2)
    collect(source, 1)
    workers = source.loader._iterator._workers
    del source
    gc.collect()
    for worker in workers:
        worker.join(timeout=5)
    assert not any(worker.is_alive() for worker in workers)


def test_devices_that_share_the_batches_see_what_one_device_does():
    images = make_images(size=20)
    (alone, _), (after, _) = collect(make(WorkerBatches, images, View(STRONG, 12), workers=0), 1, [[0, 1, 2, 3]] * 2)
    assert not torch.equal(alone, after)
    for rank in (0, 1):
        source = make(WorkerBatches, images, View(STRONG, 12), rank=rank, world=2, workers=0)
        ((shared, labels), _) = collect(source, 1, [[rank, rank + 2]] * 2)
        torch.testing.assert_close(shared, alone[rank::2])
        assert labels.tolist() == images.labels[[rank, rank + 2]].tolist()


def test_ranks_share_the_cores_that_this_process_may_use(monkeypatch):
    """Not those of the machine: a container or a batch system lends a few of them."""
    monkeypatch.setattr("workbook.data.batches.cpu_count", lambda: 2)
    assert make(WorkerBatches, make_images()).loader.num_workers == 2
    for ranks in ("2", "3"):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
        assert make(WorkerBatches, make_images()).loader.num_workers == 1


def test_a_crop_of_a_photograph_is_torchvisions_resize(monkeypatch):
    """Of 40 x 30 pixels the box at half of the sides, a quarter from the left and three quarters from the top."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 30, 40, 3), dtype=np.uint8)
    box = torch.tensor([[0.5], [0.5], [0.25], [0.75]])
    monkeypatch.setattr("workbook.data.batches.boxes", lambda *given: box)
    source = make(WorkerBatches, make_images(1, decode=PixelRows(pixels)), View(Augmentation(flip=1.0), 8), workers=0)
    ((crop, _),) = collect(source, 0, [[0]])
    image = Image.fromarray(pixels[0]).crop((5, 12, 25, 27)).resize((8, 8), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1).flip(-1).float() / 255
    torch.testing.assert_close(crop[0], expected, atol=1.01 / 255, rtol=0)


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
