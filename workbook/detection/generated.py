"""A generated detection set: several of the embedded forms before one background, with exact boxes and masks.

Not in the papers: everything here. It asks of a detector what COCO asks, to find objects beside and behind each other
and to name them, at a size at which a CPU trains one in minutes.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor

from workbook.data import generated
from workbook.data.images import content_digest
from workbook.detection.runs import Runs
from workbook.detection.scenes import Objects, Scenes, tight_boxes
from workbook.seeding import derive_seed

# not in the papers: a class is an outline or a layout, whatever its texture or fill, which is hardly to be told on 20
# pixels. AP50 of a small network without pretraining ends at 64 after three minutes of one CPU core, and still rises
CLASS_NAMES = (*generated.OUTLINES, *generated.LAYOUTS)
SMALLEST_SCENE = 32  # below, the thinnest forms cover no pixel by half

_SIZES = (0.3, 0.6)  # not in the papers: of a form, fractions of the image's side, 19 to 38 of 64 pixels
_SHARED = ("background_hue", "light", "contrast")  # by all forms of an image, as they are before one background
_PLACES = 20  # not in the papers: how many are tried for a form, before the image does without it
_HALF = 0.5  # not in the papers: of a pixel, that it is the form's; of a form, that it may stay where it is
_IN_DIGEST = 4  # scenes that stand there for all, so that a change of the drawing shows
_HELD = 1024  # scenes a process, which is 24 MB of 64 pixels a side
_MIDDLE = np.full((1, 1, 1), 0.5, np.float32)


@dataclass(frozen=True)
class _Kind:
    """What a generated set draws."""

    split: str
    image_size: int
    forms: tuple[int, int]


def generated_scenes(split: str, count: int, *, image_size: int = 64, forms: tuple[int, int] = (1, 4)) -> Scenes:
    """The first `count` scenes of a split, of forms of 12 classes.

    split: "train" or "test", from different random streams. image_size: S >= 32 pixels a side. forms: the fewest and
    the most of an image; it has fewer where another is not to be placed so that half of it is seen. Scene i is the same
    however many are asked for.

    A mask is the pixels of which what is seen of the form covers at least half: a form in front takes them from what is
    behind it. Boxes are the smallest around the masks, areas the masks' pixels; there are no crowds.

    Raises ValueError for an unknown split, no scene, a size below 32, or numbers of forms that do not ascend from 1.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if image_size < SMALLEST_SCENE:
        raise ValueError(f"image_size must be at least {SMALLEST_SCENE} pixels, got {image_size}")
    if not 1 <= forms[0] <= forms[1]:
        raise ValueError(f"forms must be the fewest and the most, at least 1, got {forms}")
    kind = _Kind(split, image_size, forms)
    drawn = (_scene(kind, index) for index in range(_IN_DIGEST))
    content = [part.tobytes() for scene in drawn for part in (scene.pixels, scene.masks, scene.labels)]
    return Scenes(
        name="generated",
        split=split,
        class_names=CLASS_NAMES,
        digest=content_digest(repr((kind, count)), *content),
        ids=tuple(range(count)),
        image_at=partial(_image, kind),
        objects_at=partial(_objects, kind),
        with_examples=(True,) * count,
    )


def _image(kind: _Kind, index: int) -> Tensor:
    return torch.from_numpy(_scene(kind, index).pixels).permute(2, 0, 1).contiguous()


def _objects(kind: _Kind, index: int) -> Objects:
    scene = _scene(kind, index)
    masks = torch.tensor(scene.masks)
    return Objects(
        boxes=tight_boxes(masks),
        labels=torch.tensor(scene.labels),
        runs=Runs.of(masks),
        areas=masks.sum(dim=(1, 2), dtype=torch.float32),
        crowds=torch.zeros(len(masks), dtype=torch.bool),
    )


@dataclass(frozen=True)
class _Scene:
    """pixels (S, S, 3) uint8; masks (n, S, S) bool and labels (n,) int64, the form in front first."""

    pixels: np.ndarray
    masks: np.ndarray
    labels: np.ndarray


@lru_cache(maxsize=_HELD)
def _scene(kind: _Kind, index: int) -> _Scene:
    """Not to be written to: it is held for whoever asks next."""
    stream = np.random.default_rng(derive_seed("generated scenes", kind.split, index))
    fine = generated.fineness(kind.image_size)
    common = _factors(stream) | {"x": _MIDDLE, "y": _MIDDLE}
    clear = np.ones((1, fine * kind.image_size, fine * kind.image_size, 1), np.float32)  # of each pixel's share
    image: np.ndarray = np.zeros_like(clear)
    masks, labels = [], []
    for _ in range(stream.integers(*kind.forms, endpoint=True)):
        if (form := _behind(clear, common, stream, fine)) is None:
            continue
        image = image + form.colour * (form.body * clear)
        clear = clear * (1 - form.body)
        masks.append(form.mask)
        labels.append(CLASS_NAMES.index(form.name.rpartition("-")[0]))
    image = generated.averaged(image + generated.backdrop(common, clear.shape[1]) * clear, fine)
    image += generated.NOISE * stream.standard_normal(image.shape, dtype=np.float32)
    return _Scene(np.clip(image[0] * 255 + 0.5, 0, 255).astype(np.uint8), np.stack(masks), np.array(labels, np.int64))


@dataclass(frozen=True)
class _Form:
    """colour (1, s, s, 3) and body (1, s, s, 1), see `painted`, of the s pixels drawn; mask (S, S), what is seen."""

    name: str
    colour: np.ndarray
    body: np.ndarray
    mask: np.ndarray


def _behind(clear: np.ndarray, common: dict[str, np.ndarray], stream: np.random.Generator, fine: int) -> _Form | None:
    """A form behind those that leave this share (1, s, s, 1) of the pixels clear; None where none is seen by half."""
    name = str(stream.choice(generated.CLASS_NAMES))
    jitter = stream.uniform(-1, 1, (generated.JITTERS, 1, 1, 1)).astype(np.float32)
    for _ in range(_PLACES):
        colour, body = generated.painted(name, _placed(common, stream), jitter, clear.shape[1])
        alone, seen = (generated.averaged(share, fine)[0, :, :, 0] >= _HALF for share in (body, body * clear))
        if seen.sum() >= max(1, _HALF * alone.sum()):
            return _Form(name, colour, body, seen)
    return None


def _placed(common: dict[str, np.ndarray], stream: np.random.Generator) -> dict[str, np.ndarray]:
    """The factors of a form that lies within the image, in the light and the contrast of that."""
    size = np.float32(stream.uniform(*_SIZES))
    x, y = stream.uniform(size / 2, 1 - size / 2, 2).astype(np.float32)
    own = {"size": size, "x": x, "y": y}
    return (
        _factors(stream)
        | {name: np.full((1, 1, 1), value) for name, value in own.items()}
        | {name: common[name] for name in _SHARED}
    )


def _factors(stream: np.random.Generator) -> dict[str, np.ndarray]:
    """Drawn by name, each (1, 1, 1)."""
    drawn = generated.factors_of(stream.uniform(-1, 1, (1, len(generated.FACTOR_NAMES))))
    return {name: values.astype(np.float32)[:, None, None] for name, values in drawn.items()}
