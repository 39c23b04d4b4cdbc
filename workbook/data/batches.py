"""Batches on the device, in [0, 1] and channels-last: for training, augmented and shuffled; for evaluation, plain.

Small images are held in memory, on the device. Large ones are decoded and cropped by worker processes, which give the
same batches whatever their number. All else that augments them is done on the device, a batch at a time.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from joblib import cpu_count
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from workbook.data.augmentation import View
from workbook.data.batched import Steps, boxes, draws
from workbook.data.images import Images
from workbook.seeding import seeded

Batch = tuple[Tensor, Tensor]  # images float (N, 3, S, S) in [0, 1], labels (N,) int64
ViewBatch = tuple[list[Tensor], Tensor]  # the same images once for every view, each (N, 3, S, S); labels (N,)

_DECODED = 16  # images that a worker holds decoded at a time: boxes for all of them cost as much as for one
_CPU = torch.device("cpu")


class MemoryBatches:
    """All pixels on the device as uint8; random choices come from torch's global state, see `seeding.seeded`."""

    def __init__(self, images: Images, size: int, views: Sequence[View], device: torch.device) -> None:
        self.pixels = images.tensor(size).to(device)
        self.labels = torch.from_numpy(images.labels).to(device)
        whole = [(view.augmentation.crop(view.size), view.augmentation.after_crop(view.size)) for view in views]
        self.augment = [Steps(steps).to(device) for steps in whole]

    def batches(self, order: list[list[int]], seed: int) -> Iterator[ViewBatch]:
        """One batch for each list of indices."""
        device = self.pixels.device
        # at once: a copy for each batch would wait for the device
        for chosen in torch.tensor(order, device=device):
            plain, draw = self.pixels[chosen].float().div_(255), draws(len(chosen), device)
            views = [augment(plain, draw).contiguous(memory_format=torch.channels_last) for augment in self.augment]
            yield views, self.labels[chosen]


class WorkerBatches:
    """Images decoded and cropped by worker processes, which stay from epoch to epoch.

    An image's random choices follow from the seed and from its place in the epoch, whatever the number of workers,
    and of devices that share the batches: this one takes every `world`-th image of each, from its `rank` on.
    workers: None = the cores that this process may use, shared by the devices of this machine.
    """

    def __init__(
        self,
        images: Images,
        views: Sequence[View],
        device: torch.device,
        *,
        rank: int = 0,
        world: int = 1,
        workers: int | None = None,
    ) -> None:
        self.device, self.rank, self.world = device, rank, world
        self.augment = [view.augmentation.after_crop(view.size).to(device) for view in views]
        if workers is None:
            workers = max(1, cpu_count() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
        self.tasks: list[tuple[list[int], int, int]] = []  # of the epoch; the workers are told of the next one's
        self.loader: DataLoader = DataLoader(
            _Crops(images, views, rank, world),
            sampler=self.tasks,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )

    def batches(self, order: list[list[int]], seed: int) -> Iterator[ViewBatch]:
        """One batch for each list of indices; `seed` makes the random choices of this epoch."""
        self.tasks[:] = [(indices, seed, number) for number, indices in enumerate(order)]
        for number, (crops, labels) in enumerate(self.loader):
            floats = [pixels.to(self.device, non_blocking=True).float().div_(255) for pixels in crops]
            with seeded(seed, "changes", number):
                draw = draws(len(labels), self.device, rank=self.rank, world=self.world)
                views = [augment(pixels, draw) for augment, pixels in zip(self.augment, floats, strict=True)]
            last = [view.contiguous(memory_format=torch.channels_last) for view in views]
            yield last, labels.to(self.device, non_blocking=True)


class _Crops(Dataset):
    """Batches as workers make them: each image decoded once, and cropped and flipped for every view."""

    def __init__(self, images: Images, views: Sequence[View], rank: int, world: int) -> None:
        self.images, self.rank, self.world = images, rank, world
        self.crops = [view.augmentation.crop(view.size) for view in views]

    def __getitem__(self, task: tuple[list[int], int, int]) -> ViewBatch:
        """uint8 instead of float."""
        indices, seed, number = task
        with seeded(seed, "crops", number):
            draw = draws(len(indices), _CPU, rank=self.rank, world=self.world)
            drawn = [crop.drawn(draw) for crop in self.crops]
        # channels-last, as `_cut` and the device have them
        views = [torch.empty(len(indices), crop.size, crop.size, 3, dtype=torch.uint8) for crop in self.crops]
        for few in torch.arange(len(indices)).split(_DECODED):
            places = few.tolist()
            images = [self.images[indices[place]] for place in places]
            aspect = torch.tensor([image.width / image.height for image in images])
            for crop, view, (numbers, mirrored) in zip(self.crops, views, drawn, strict=True):
                cut = boxes(numbers[..., few], crop.scale, crop.ratio, aspect).T.tolist()
                for place, image, box in zip(places, images, cut, strict=True):
                    part = _cut(image, box, crop.size)
                    view[place] = part.flip(1) if mirrored[place] else part
        return [view.permute(0, 3, 1, 2) for view in views], torch.from_numpy(self.images.labels[indices])


def _cut(image: Image.Image, box: list[float], size: int) -> Tensor:
    """uint8 (size, size, 3): a box, in the fractions of `batched.boxes`, at whole pixels, resized and smoothed."""
    wide, tall, x, y = box
    width, height = max(1, round(wide * image.width)), max(1, round(tall * image.height))
    left, top = int(x * (image.width - width + 1)), int(y * (image.height - height + 1))
    # cut before it becomes an array: most of an image is not needed, and what is lies together
    pixels = torch.from_numpy(np.array(image.crop((left, top, left + width, top + height))))
    resized = F.interpolate(pixels[None].permute(0, 3, 1, 2), (size, size), mode="bilinear", antialias=True)
    return resized.permute(0, 2, 3, 1)[0]


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
    """All images in order, not augmented; of large ones the next batch is decoded while this one is used."""
    starts = range(0, len(images), batch_size)
    parts = iter(images.tensor(size).split(batch_size)) if images.small(size) else _ahead(images, size, starts)
    for start, pixels in zip(starts, parts, strict=True):
        batch = pixels.to(device).float().div_(255)
        labels = torch.from_numpy(images.labels[start : start + batch_size]).to(device)
        yield batch.contiguous(memory_format=torch.channels_last), labels


def _ahead(images: Images, size: int, starts: range) -> Iterator[Tensor]:
    """The pixels of each batch."""

    def decode(start: int) -> Tensor:
        return images.at(np.arange(start, min(start + starts.step, len(images))), size)

    with ThreadPoolExecutor(1) as ahead:
        coming = [ahead.submit(decode, start) for start in starts[:1]]
        for start in [*starts[1:], None]:
            pixels = coming.pop().result()
            if start is not None:
                coming.append(ahead.submit(decode, start))
            yield pixels
