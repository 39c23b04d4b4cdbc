"""Batches on the device, in [0, 1] and channels-last: for training, augmented and shuffled; for evaluation, plain.

Small images are held in memory, on the device, and are augmented there a batch at a time. Large ones are decoded
and augmented by worker processes. Both give the same batches whatever the number of workers.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from workbook.data.augmentation import View
from workbook.data.images import Images
from workbook.seeding import derive_seed, seeded

Batch = tuple[Tensor, Tensor]  # images float (N, 3, S, S) in [0, 1], labels (N,) int64
ViewBatch = tuple[list[Tensor], Tensor]  # the same images once for every view, each (N, 3, S, S); labels (N,)


class MemoryBatches:
    """All pixels on the device as uint8; random choices come from torch's global state, see `seeding.seeded`."""

    def __init__(self, images: Images, size: int, views: Sequence[View], device: torch.device) -> None:
        self.pixels = images.tensor(size).to(device)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.augment = [view.augmentation.for_batches(view.size) for view in views]

    def batches(self, order: list[list[int]], seed: int) -> Iterator[ViewBatch]:
        """One batch for each list of indices."""
        # at once: a copy for each batch would wait for the device
        for chosen in torch.tensor(order, device=self.pixels.device):
            plain = self.pixels[chosen].float().div_(255)
            views = [augment(plain).contiguous(memory_format=torch.channels_last) for augment in self.augment]
            yield views, self.labels[chosen]


class WorkerBatches:
    """Images decoded and augmented by worker processes; each image's random choices come from its own seed."""

    def __init__(self, images: Images, views: Sequence[View], device: torch.device, workers: int | None = None) -> None:
        self.views = _Views(images, views)
        self.device = device
        self.workers = min(16, os.cpu_count() or 1) if workers is None else workers

    def batches(self, order: list[list[int]], seed: int) -> Iterator[ViewBatch]:
        """One batch for each list of indices; `seed` makes the random choices of this epoch."""
        sampler = [[(index, derive_seed(seed, index)) for index in indices] for indices in order]
        pinned = self.device.type == "cuda"
        loader: DataLoader = DataLoader(self.views, batch_sampler=sampler, num_workers=self.workers, pin_memory=pinned)
        for views, labels in loader:
            floats = [pixels.to(self.device, non_blocking=True).float().div_(255) for pixels in views]
            last = [view.contiguous(memory_format=torch.channels_last) for view in floats]
            yield last, labels.to(self.device, non_blocking=True)


class _Views(Dataset):
    def __init__(self, images: Images, views: Sequence[View]) -> None:
        self.images = images
        self.transforms = [view.augmentation.for_images(view.size) for view in views]

    def __getitem__(self, index_and_seed: tuple[int, int]) -> tuple[list[Tensor], int]:
        index, seed = index_and_seed
        image = self.images[index]
        with seeded(seed):
            return [transform(image) for transform in self.transforms], int(self.images.labels[index])


def shuffled(
    count: int, batch_size: int, generator: torch.Generator, *, rank: int = 0, world: int = 1
) -> list[list[int]]:
    """The indices of one epoch's batches: a permutation cut into whole batches, and of each this rank's share.

    The remainder that fills no batch is left out, so that every step sees as many images.
    """
    if count < batch_size:
        raise ValueError(f"a batch of {batch_size} images cannot be filled from {count}: lower batch_size")
    if batch_size % world:
        raise ValueError(f"batch_size {batch_size} cannot be shared evenly by {world} devices")
    order = torch.randperm(count, generator=generator).tolist()
    whole = count // batch_size * batch_size
    return [order[start + rank : start + batch_size : world] for start in range(0, whole, batch_size)]


def plain_batches(images: Images, size: int, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """All images in order, not augmented; the next batch is decoded while this one is used."""

    def decode(start: int) -> Batch:
        part = images.select(torch.arange(start, min(start + batch_size, len(images))).numpy())
        return part.tensor(size), torch.from_numpy(part.labels)

    with ThreadPoolExecutor(1) as ahead:
        starts = range(0, len(images), batch_size)
        coming = [ahead.submit(decode, start) for start in starts[:1]]
        for start in [*starts[1:], None]:
            pixels, labels = coming.pop().result()
            if start is not None:
                coming.append(ahead.submit(decode, start))
            batch = pixels.to(device).float().div_(255)
            yield batch.contiguous(memory_format=torch.channels_last), labels.to(device)
