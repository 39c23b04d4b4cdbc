"""Masks as COCO's files and evaluation have them: run lengths, column by column."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbook.errors import MissingLibraryError


def coco_library() -> ModuleType:
    """faster-coco-eval; MissingLibraryError where it is not installed."""
    try:
        import faster_coco_eval
    except ImportError as error:
        raise MissingLibraryError(
            "COCO's masks and AP need faster-coco-eval: pip install 'transferability-workbook[detection]'"
        ) from error
    return faster_coco_eval


@dataclass(frozen=True)
class Runs:
    """The masks (n, height, width) of one image, run-length coded: a hundredth of the bytes."""

    codes: tuple[bytes, ...]
    height: int
    width: int

    @classmethod
    def of(cls, masks: Tensor) -> "Runs":
        """Of masks (n, H, W) bool; ValueError for others."""
        if masks.ndim != 3 or masks.dtype != torch.bool:
            raise ValueError(f"masks must be bool of shape (n, H, W), got {masks.dtype} {tuple(masks.shape)}")
        _, height, width = masks.shape
        # the library reads a column after the other, one mask after the other
        columns = masks.transpose(1, 2).contiguous().cpu().numpy().view(np.uint8).transpose(2, 1, 0)
        coded = coco_library().mask.encode(columns) if len(masks) else []
        return cls(tuple(one["counts"] for one in coded), height, width)

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.codes), self.height, self.width

    def decoded(self) -> Tensor:
        """(n, H, W) bool. Raises what the library does, a ValueError or RuntimeError, where a code is broken."""
        if not self.codes:
            return torch.zeros(self.shape, dtype=torch.bool)
        return torch.from_numpy(coco_library().mask.decode(self.in_coco())).permute(2, 0, 1).view(torch.bool)

    def in_coco(self) -> list[dict[str, Any]]:
        """As COCO's files have them compressed."""
        return [{"size": [self.height, self.width], "counts": code} for code in self.codes]
