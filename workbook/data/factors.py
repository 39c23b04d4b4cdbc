"""Factors that vary within classes: those that embedded images were drawn with, and those that we apply to others.

Not in the papers: all of it; they speak of intra-class variation and do not say what varies.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from workbook.data.generated import UNIFORM_FACTORS
from workbook.data.images import Images, content_digest
from workbook.data.pixels import FULL_DEPTH, rgb

# Name -> (low, high), drawn uniformly, independently of the class and of each other. Lengths are fractions of the
# image's shorter side. The ranges are ours: as wide as a human still recognises a class of CIFAR-100.
APPLIED_FACTORS: dict[str, tuple[float, float]] = {
    "shift_x": (-0.15, 0.15),
    "shift_y": (-0.15, 0.15),
    "crop": (0.6, 0.9),
    "rotation": (-0.3, 0.3),
    "hue_shift": (-0.5, 0.5),
    "blur": (0.005, 0.05),
}
# name -> period of a factor whose ends meet
PERIODS: dict[str, float] = {
    name: high - low
    for name, (low, high) in (UNIFORM_FACTORS | APPLIED_FACTORS).items()
    if name in ("hue", "background_hue", "light", "hue_shift")
}
# Of the shorter side, mirrored around an image: what is furthest away comes from (0.5 + 0.15) 0.9 (cos 0.3 + sin 0.3)
# = 0.73 of a side from the centre, and so no border shows
_MARGIN = 0.25


# not in the papers: what an image shows by itself outweighs a small shift of it. Of an untrained network a readout
# within classes of CIFAR-100 finds the hue alone (R2 of 0.2, of all others 0.04 at most), among views of one image the
# others too
VIEWS = 8


@dataclass(frozen=True)
class Varied:
    """Images and the factors that vary among them.

    factors: (N, F) numbers, row for row. groups: (N,) int, within which they are compared: the images of a class, or
    the views of an image.
    """

    images: Images
    factors: pd.DataFrame
    groups: np.ndarray


def drawn_factors(images: Images) -> Varied:
    """What the embedded images were drawn with, see `generated.generate`; ValueError for images without factors."""
    if images.factors is None:
        raise ValueError(f"{images.name} comes without factors: `apply_factors` gives it some")
    return Varied(images, images.factors.select_dtypes("number"), images.labels)


def apply_factors(images: Images, *, views: int = VIEWS, seed: int = 0) -> Varied:
    """So many views of every image, each `transformed` by factors of its own, drawn from `APPLIED_FACTORS`.

    What a view gets follows from the image's row, its split, the view's number and the seed alone, whatever else is
    selected. Views of an image follow each other.
    factors (N, 6): `shift_x` and `shift_y`, by how much everything moves to the right and down; `crop`, the side of the
    part that fills the picture then; `rotation`, clockwise, radians; `hue_shift`, in turns (circular); `blur`, the
    standard deviation of a Gaussian. Lengths are fractions of the shorter side.
    """
    rows = (images.rows[:, None] * views + np.arange(views)).ravel()
    decode = partial(_decoded, images.decode, images.bits, images.split, seed, views)
    factors = pd.DataFrame([_drawn(images.split, seed, *divmod(int(row), views)) for row in rows])
    made = replace(
        images.select(np.repeat(np.arange(len(images)), views)),
        rows=rows,
        decode=decode,
        digest=content_digest(images.digest, "factors", str(views), str(seed), str(APPLIED_FACTORS)),
        factors=None,
        bits=FULL_DEPTH,
    )
    return Varied(made, factors, np.repeat(np.arange(len(images)), views))


def transformed(image: Image.Image, factors: Mapping[str, float]) -> Image.Image:
    """The centre square of an RGB image, as `Images.tensor` keeps it: turned, enlarged, moved, its hues, then blurred.

    factors: as in `apply_factors`. What comes in from beyond the border is the image mirrored.
    """
    side, margin = min(image.size), math.ceil(_MARGIN * min(image.size))
    pixels = F.to_dtype(F.to_image(image), torch.float32, scale=True)
    moved = F.affine(
        F.pad(pixels, [margin], padding_mode="reflect"),
        angle=math.degrees(factors["rotation"]),
        translate=[factors["shift_x"] * side, factors["shift_y"] * side],
        scale=1 / factors["crop"],
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BILINEAR,
    )
    hued = F.adjust_hue(F.center_crop(moved, [side]), factors["hue_shift"])
    reach = math.ceil(3 * APPLIED_FACTORS["blur"][1] * side)
    blurred = F.gaussian_blur(hued, 2 * reach + 1, factors["blur"] * side).clamp(0, 1)
    return F.to_pil_image(blurred.mul(255).round().to(torch.uint8))  # `to_dtype` rounds down


def _drawn(split: str, seed: int, row: int, view: int) -> dict[str, float]:
    low, high = np.transpose([*APPLIED_FACTORS.values()])
    drawn = np.random.default_rng(list(f"factors/{seed}/{split}/{row}/{view}".encode())).uniform(low, high)
    return dict(zip(APPLIED_FACTORS, drawn.tolist(), strict=True))


def _decoded(
    decode: Callable[[int], Image.Image], bits: int, split: str, seed: int, views: int, number: int
) -> Image.Image:
    row, view = divmod(number, views)
    return transformed(rgb(decode(row), bits), _drawn(split, seed, row, view))
