"""What every feature metric starts with: the checks at the door, and features read in blocks of rows."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Tensor | np.ndarray

# Numbers in a block, 4 MiB in float64: large enough for a matrix product, small enough for a CPU's cache.
BLOCK_SIZE = 2**19
# Columns of a panel of a Gram matrix, see `add_gram`.
_PANEL = 128


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The labels as positions among the classes, which are in the sorted order of their ids."""

    ids: np.ndarray  # (C,)
    counts: np.ndarray  # (C,) samples of each class
    first: np.ndarray  # (C,) row of the first sample of each class
    index: np.ndarray  # (N,) position in `ids`

    def rows(self) -> list[np.ndarray]:
        """The rows of each class, ascending."""
        return np.split(np.argsort(self.index, kind="stable"), np.cumsum(self.counts)[:-1])

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, rows: slice | np.ndarray, device: torch.device) -> Tensor:
        return torch.from_numpy(self.index[rows]).to(device)

    def sizes(self, features: Array) -> Tensor:
        return torch.from_numpy(self.counts).to(device_of(features), torch.float64)


def check_features(features: Array, name: str = "features") -> None:
    if not isinstance(features, Tensor | np.ndarray):
        raise ValueError(f"{name} must be a tensor or an array, got {type(features).__name__}")
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"{name} must have shape (N, D), neither of them 0, got {tuple(features.shape)}")
    floating = features.is_floating_point() if isinstance(features, Tensor) else features.dtype.kind == "f"
    if not floating:
        raise ValueError(f"{name} must be floating-point numbers, got {features.dtype}")


def check_classes(features: Array, labels: Any, samples: int = 1) -> Classes:
    """Both arguments of a metric, checked; every class has at least `samples` samples, and there are two or more."""
    check_features(features)
    values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if values.shape != (len(features),):
        raise ValueError(f"labels must have shape ({len(features)},), got {values.shape}")
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"labels must be integers, got {values.dtype}")
    ids, first, index, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    classes = Classes(ids=ids, counts=counts, first=first, index=index)
    check_samples(classes, samples)
    return classes


def check_samples(classes: Classes, samples: int) -> None:
    """Refuses fewer than two classes, and a class with fewer than `samples` samples."""
    ids, counts = classes.ids, classes.counts
    if len(ids) < 2:
        raise ValueError(f"labels must name at least two classes, got {ids.tolist()}")
    if counts.min() < samples:
        rare = ids[counts < samples]
        raise ValueError(
            f"every class must have at least {samples} samples, got {counts.min()} of class {rare[0]} "
            f"({len(rare)} of {len(ids)} classes have too few)"
        )


def one_class(features: Array) -> Classes:
    """What features without labels are: all samples in one class."""
    index, first = np.zeros(len(features), dtype=np.int64), np.zeros(1, dtype=np.int64)
    return Classes(ids=first, counts=np.array([len(features)]), first=first, index=index)


def drawn(features: Array, rows: int, seed: int) -> np.ndarray:
    """The numbers of at most so many rows, ascending: all, or drawn without replacement."""
    check_features(features)
    if rows < 2:
        raise ValueError(f"a sample must have at least two rows, got {rows}")
    if rows >= len(features):
        return np.arange(len(features))
    return np.sort(np.random.default_rng(seed).choice(len(features), rows, replace=False))


def device_of(features: Array) -> torch.device:
    return features.device if isinstance(features, Tensor) else torch.device("cpu")


def read(features: Array, rows: slice | np.ndarray, columns: slice = slice(None), *, name: str = "features") -> Tensor:
    """These rows and columns in float64 on the features' own device, refused unless all are finite.

    Always a copy: who reads it may change it in place, which saves a third of the time, and a map's pages can go.
    """
    part = features[rows, columns]
    if isinstance(part, Tensor):
        block = part.detach().to(torch.float64, copy=True)
    else:
        block = torch.from_numpy(np.array(part, dtype=np.float64))
        _release_pages(features)
    if not torch.isfinite(block.sum()):  # several times faster than to look at each number
        bad = (~torch.isfinite(block)).nonzero()
        if len(bad):
            value, row = block[tuple(bad[0])].item(), np.arange(len(features))[rows][int(bad[0, 0])]
            raise ValueError(f"{name} must be finite, got {value} in row {row}")
    return block


def row_blocks(features: Array, *, width: int = 1, name: str = "features") -> Iterator[tuple[slice, Tensor]]:
    """Blocks (n, D) of consecutive rows in float64, each with the slice that it is.

    n is chosen so that (n, D) and (n, width) are within the size of a block.
    """
    height = max(1, BLOCK_SIZE // max(features.shape[1], width))
    for start in range(0, len(features), height):
        rows = slice(start, min(start + height, len(features)))
        yield rows, read(features, rows, name=name)


def blocks_of(features: Array, rows: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Blocks (n, D) of these rows in float64, each with the numbers of its rows."""
    height = max(1, BLOCK_SIZE // features.shape[1])
    for start in range(0, len(rows), height):
        part = rows[start : start + height]
        yield part, read(features, part)


def unit_or_zero(block: Tensor) -> Tensor:
    """Scales the rows to length 1 in place and returns their lengths (n, 1); a zero vector stays one.

    A product of two such rows is their cosine, that of a zero vector with any other 0.
    """
    length = torch.linalg.vector_norm(block, dim=1, keepdim=True)
    block /= torch.where(length == 0, 1.0, length)
    return length


def check_directions(lengths: Tensor, name: str = "features") -> None:
    """Refuses rows of which none has a length; single zero vectors, such as a dead image's, stop nothing."""
    if not lengths.any():
        raise ValueError(f"every row of the {name} is the zero vector, which has no direction")


def to_unit_length(block: Tensor, numbers: range | np.ndarray, name: str = "features") -> Tensor:
    """`unit_or_zero` where no row may be zero; `numbers` are the rows' own, for the message that refuses one."""
    length = unit_or_zero(block)
    if not length.all():
        row = numbers[int((length[:, 0] == 0).nonzero()[0])]
        raise ValueError(f"a zero vector has no cosine, got one in row {row} of {name}")
    return length


def spread_of_means(means: Tensor) -> float:
    """Mean squared distance of the rows to their mean; exactly 0 where all are the same."""
    shifted = means - means[0]
    return float((shifted - shifted.mean(0)).square().sum(1).mean())


def add_gram(gram: Tensor, block: Tensor) -> None:
    """Adds block.T @ block to the upper triangle of `gram` (D, D); `mirror` makes it whole.

    Panel by panel, so that nearly half of the work, the lower triangle, is left out.
    """
    for start in range(0, len(gram), _PANEL):
        gram[start : start + _PANEL, start:].addmm_(block[:, start : start + _PANEL].T, block[:, start:])


def mirror(gram: Tensor) -> Tensor:
    """Copies the upper triangle of `gram` to its lower one, in place."""
    gram.triu_()
    gram += gram.triu(1).T
    return gram


def _release_pages(array: Any) -> None:
    """Gives back the pages of the memory map that lies under `array`, if one does.

    What has been read of a file through a map counts as memory of this process until then, and would grow to the
    size of the file. The pages stay in the system's cache and cost next to nothing to read again.
    """
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and array.mode == "c":
            return  # copy on write: its pages may hold changes that no file has
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)
