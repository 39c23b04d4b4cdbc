"""Images: labels in memory, pixels decoded when asked for."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from workbook.data.pixels import FULL_DEPTH, rgb
from workbook.errors import CorruptDataError, ManifestError

_IMAGES_A_TASK = 16  # so that a batch of 256 is work for many cores; fewer would be handed out as long as decoded
_HELD_BYTES = 2**28  # a process: all of CIFAR-100 is 184 MB
_MOST_PIXELS = 2**24  # 64 MiB: what an image is enlarged to before its centre is cut out

_held: dict[tuple[str, int], Tensor] = {}  # pixels by (digest, side), see `Images.tensor`
_HOLDING = Lock()


@dataclass(frozen=True, kw_only=True)
class Images:
    """One split of a data set, or a selection of it.

    `decode(row)` gives the PIL image of a row of the source; `rows` (N,) int64 says which rows of the
    source this selection holds, in order, and `labels` (N,) int64 are indices into `class_names`; where an image has
    many labels they are (N, K) bool, which of the K classes it has.
    `digest` names the content: two selections with the same digest hold the same images and labels.
    `factors`, where a source knows them, has one row an image: what varied besides the class.
    `image_size` is the side that all images have by nature, in pixels; None where they vary or are large.
    `bits`: of a pixel of 16 bits, how many hold data.
    """

    name: str
    split: str
    decode: Callable[[int], Image.Image]
    rows: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    digest: str
    factors: pd.DataFrame | None = None
    image_size: int | None = None
    bits: int = FULL_DEPTH

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Images({self.name}, {self.split}: {len(self):,} of {len(self.class_names):,} classes)"

    @property
    def many_labels(self) -> bool:
        """Whether an image has any number of labels, and not one."""
        return self.labels.ndim == 2

    def one_label(self, what: str) -> "Images":
        """These images; ManifestError where they have many labels, of which `what`, such as "k-NN", takes one."""
        if self.many_labels:
            raise ManifestError(f"an image of {self.name} has many labels, and {what} takes one. Choose another set.")
        return self

    def __getitem__(self, index: int) -> Image.Image:
        """The image as `pixels.rgb` makes it; CorruptDataError, with the file or row, if it cannot be decoded."""
        return self.in_rgb(self.as_stored(index), index)

    def as_stored(self, index: int) -> Image.Image:
        """The image as the source has it, in a mode of its own. Raises as `images[index]` does."""
        with self._about(""):
            return self.decode(int(self.rows[index]))

    def in_rgb(self, stored: Image.Image, index: int) -> Image.Image:
        """What `images[index]` is, of what `as_stored` gave."""
        with self._about(f", {getattr(stored, 'filename', '') or f'row {self.rows[index]}'}"):
            return rgb(stored, self.bits)

    @contextmanager
    def _about(self, place: str) -> Iterator[None]:
        try:
            yield
        except CorruptDataError as error:
            raise CorruptDataError(f"{self.name}, {self.split}{place}: {error}") from error

    def select(self, indices: np.ndarray) -> "Images":
        """These images, in this order. `indices` (n,) are integers below len(self)."""
        indices = np.asarray(indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise ValueError(f"indices must be integers (n,), got {indices.dtype} {indices.shape}")
        indices = indices.astype(np.int64)
        return replace(
            self,
            rows=self.rows[indices],
            labels=self.labels[indices],
            digest=content_digest(self.digest, "select", indices.tobytes()),
            factors=None if self.factors is None else self.factors.iloc[indices].reset_index(drop=True),
        )

    def only_classes(self, names: Sequence[str]) -> "Images":
        """The images of these classes, relabelled 0 ... len(names) - 1 in the order of `class_names`.

        Raises ValueError for an unknown class, and ManifestError where an image has many labels: classes share images.
        """
        self.one_label("a side or a part of the classes")
        if unknown := sorted(set(names) - set(self.class_names)):
            raise ValueError(f"{self.name} has no class {unknown[0]!r}; it has {len(self.class_names)} classes")
        wanted = set(names)
        kept = [i for i, name in enumerate(self.class_names) if name in wanted]
        class_names = tuple(self.class_names[i] for i in kept)
        chosen = self.select(np.flatnonzero(np.isin(self.labels, kept)))
        labels, digest = np.searchsorted(kept, chosen.labels), content_digest(chosen.digest, "relabel", *class_names)
        return replace(chosen, labels=labels, class_names=class_names, digest=digest)

    def some_classes(self, count: int | None, seed: int = 0) -> "Images":
        """The images of at most `count` classes, drawn with `seed`; None keeps all. Fewer classes are among more.

        Raises as `only_classes` does.
        """
        if count is None:
            return self
        if count < 2:
            raise ValueError(f"count must be at least 2 classes, got {count}")
        return self.only_classes(np.random.default_rng(seed).permutation(self.class_names)[:count].tolist())

    def per_class(self, count: int | None, seed: int = 0) -> "Images":
        """At most `count` images of each class, drawn with `seed`; None keeps all.

        Of images with many labels, which count for several classes, as many as that would be: `count` times K of them.
        """
        if count is None:
            return self
        if count < 1:
            raise ValueError(f"count must be at least 1 image a class, got {count}")
        if self.many_labels:
            return self.drawn(count * len(self.class_names), seed)
        shuffled = np.random.default_rng(seed).permutation(len(self))
        order = shuffled[np.argsort(self.labels[shuffled], kind="stable")]
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.labels, minlength=len(self.class_names)))[:-1]])
        rank = np.arange(len(order)) - starts[self.labels[order]]
        return self.select(np.sort(order[rank < count]))

    def drawn(self, count: int | None, seed: int = 0) -> "Images":
        """At most `count` images, drawn over all with `seed`, so that a class may be left without; None keeps all."""
        if count is None:
            return self
        if count < 1:
            raise ValueError(f"count must be at least 1 image, got {count}")
        return self.select(np.sort(np.random.default_rng(seed).permutation(len(self))[:count]))

    def small(self, size: int) -> bool:
        """Whether all of them, decoded to this side, are little enough to be held for the next who asks."""
        return self.image_size is not None and len(self) * 3 * size**2 <= _HELD_BYTES

    def tensor(self, size: int) -> Tensor:
        """All images as uint8 (N, 3, size, size), in memory; the shorter side resized, the centre kept.

        Of small ones the latest are held, as every run and every checkpoint asks for the same: not to be written to.
        """
        if not self.small(size):
            return self.decoded(size)
        with _HOLDING:
            found = _held.pop((self.digest, size), None)
            _held[self.digest, size] = pixels = self.decoded(size) if found is None else found
            while sum(held.nbytes for held in _held.values()) > _HELD_BYTES:
                del _held[next(iter(_held))]  # the one that was asked for longest ago
        return pixels

    def at(self, indices: np.ndarray, size: int) -> Tensor:
        """`tensor(size)[indices]`, for which no other large images are decoded."""
        return self.tensor(size)[indices] if self.small(size) else self.select(indices).decoded(size)

    def decoded(self, size: int) -> Tensor:
        """What `tensor` gives, held for nobody."""
        pixels = torch.empty((len(self), 3, size, size), dtype=torch.uint8)
        channels_last = pixels.numpy().transpose(0, 2, 3, 1)

        def fill(start: int) -> None:
            for i in range(start, min(start + _IMAGES_A_TASK, len(self))):
                channels_last[i] = np.asarray(fit(self[i], size))

        with ThreadPoolExecutor() as pool:
            list(pool.map(fill, range(0, len(self), _IMAGES_A_TASK)))  # list: an error in a thread shows here
        return pixels


def fit(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to `size` (bicubic, antialiased) and keep the centre square."""
    if image.size == (size, size):
        return image
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    if width * height <= _MOST_PIXELS:
        return image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))
    # Of a long strip only what is kept is made, first across and then down, as Pillow does it. Not of all images: the
    # ends of such a box are single-precision numbers, by which a pixel in a few hundred is rounded otherwise
    across, down = image.width / width, image.height / height
    right, bottom = min((left + size) * across, image.width), min((top + size) * down, image.height)
    columns = image.resize((size, image.height), Image.Resampling.BICUBIC, (left * across, 0, right, image.height))
    return columns.resize((size, size), Image.Resampling.BICUBIC, (0, top * down, size, bottom))


def content_digest(*parts: str | bytes) -> str:
    """32 hex digits that name these parts, in this order and with these borders."""
    blake = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        blake.update(len(data).to_bytes(8, "little") + data)
    return blake.hexdigest()
