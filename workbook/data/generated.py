"""The embedded data set: drawn forms in two families, with the factors that varied besides the class.

The concept split of Wang et al. 2022 (section 3.1) puts organisms on one side and man-made things on the
other. Here organic forms (seven outlines around a centre, each with four textures) stand for the first and
rectilinear ones (five pieces of furniture composed of boxes, each with four fills) for the second. Neighbours
share an outline or a texture, so that neither alone tells the class. Not in the paper: everything drawn here.

What tells the classes of the second family apart tells those of the first apart as well, shapes and marks. To ask for
what varies within the classes that were seen, its images may be named by their ink instead, see `by_ink`.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
import pandas as pd

OUTLINES = ("flower5-deep", "flower5-shallow", "flower7-deep", "flower7-shallow", "star6", "radiolaria", "cell")
TEXTURES = ("disc", "rings", "veins", "spots")
LAYOUTS = ("table", "chair", "frame", "shelf", "ladder")
FILLS = ("solid", "striped", "hollow", "chequered")

FAMILIES: dict[str, tuple[str, ...]] = {
    "organic": tuple(f"{outline}-{texture}" for outline in OUTLINES for texture in TEXTURES),
    "rectilinear": tuple(f"{layout}-{fill}" for layout in LAYOUTS for fill in FILLS),
}
CLASS_NAMES: tuple[str, ...] = FAMILIES["organic"] + FAMILIES["rectilinear"]

# Name -> (low, high), drawn uniformly and independently of the class and of each other.
UNIFORM_FACTORS: dict[str, tuple[float, float]] = {
    "x": (0.36, 0.64),
    "y": (0.36, 0.64),
    "size": (0.5, 0.8),
    # Narrower than the finest symmetry (9 spines: 0.70 rad), so that the rotation can be read off the image;
    # only round cells with a disc or rings hardly show it.
    "rotation": (-0.3, 0.3),
    "hue": (0.0, 1.0),
    "background_hue": (0.0, 1.0),
    "light": (0.0, 2 * np.pi),
}
# Name -> (low, high) of the magnitude; the sign is drawn, too, so that lightness says nothing of the class.
# An accent is at least 0.12 away from the background, so that no form vanishes.
SIGNED_FACTORS: dict[str, tuple[float, float]] = {"contrast": (0.36, 0.46), "accent_contrast": (0.16, 0.24)}
FACTOR_NAMES = (*UNIFORM_FACTORS, *SIGNED_FACTORS)

# Of the rectilinear family: the form's hue, in fifths of the colour circle, and whether what it carries is lighter
HUES = ("red", "yellow", "green", "blue", "purple")
ACCENTS = ("darker", "lighter")
INKS: tuple[str, ...] = tuple(f"ink-{hue}-{accent}" for hue in HUES for accent in ACCENTS)
SMALLEST_IMAGE = 16
JITTERS = 13  # draws an image in (-1, 1) for what varies within a class: the form's own proportions
NOISE = 0.03  # standard deviation, of a full scale of 1
_DRAWN = 64  # smaller images are drawn with at least so many pixels a side, then averaged
_MIDDLE_LIGHTNESS = 0.58  # OKLab, between form and background
_PIXELS_AT_ONCE = 2**17  # keeps the working arrays in the cache, and memory flat at any image size

Field = np.ndarray  # (n, S, S) float32, one value a pixel; or (n, 1, 1), one value an image
Edge = Field | float
Form = tuple[Field, Field, Field]  # coverage by the form, coverage by its texture or fill, relief


def generate(split: str, images_per_class: int, *, image_size: int = 32) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """The first `images_per_class` images of every class of a split, ordered by class.

    split: "train" or "test", from different random streams. image_size: S >= 16 pixels a side; the same
    pictures at every size, but for the noise. Image i of a class is the same however many are asked for.

    Returns pixels (N, S, S, 3) uint8 sRGB; labels (N,) int64, indices into `CLASS_NAMES`; factors, one row an
    image, all independent of the class but for the first two columns:
    - `family`, `class_name`
    - `x`, `y`: centre, fractions of the side from the left and the top, 0.36 to 0.64
    - `size`: diameter of the circle that the form about fills, fraction of the side, 0.5 to 0.8
    - `rotation`: clockwise, radians, -0.3 to 0.3
    - `hue`, `background_hue`: of form and background, fractions of the OKLab colour circle, 0 to 1 (circular)
    - `light`: where the light comes from, radians clockwise from the right, 0 to 2 pi (circular)
    - `contrast`: OKLab lightness of the form less the background's, 0.36 to 0.46 or its negative
    - `accent_contrast`: OKLab lightness of texture or fill less the form's, 0.16 to 0.24 or its negative

    Raises ValueError for an unknown split, no images, or a size below 16.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if images_per_class < 1:
        raise ValueError(f"images_per_class must be at least 1, got {images_per_class}")
    if image_size < SMALLEST_IMAGE:
        raise ValueError(f"image_size must be at least {SMALLEST_IMAGE} pixels, got {image_size}")
    pixels = np.empty((len(CLASS_NAMES), images_per_class, image_size, image_size, 3), dtype=np.uint8)
    factors = [_fill_class(pixels[label], split, name) for label, name in enumerate(CLASS_NAMES)]
    labels = np.repeat(np.arange(len(CLASS_NAMES), dtype=np.int64), images_per_class)
    return pixels.reshape(-1, image_size, image_size, 3), labels, pd.concat(factors, ignore_index=True)


def by_ink(labels: np.ndarray, factors: pd.DataFrame) -> tuple[np.ndarray, tuple[str, ...]]:
    """What `generate` returns, the rectilinear images of all layouts and fills named by their ink: labels, class names.

    An ink is the form's hue, in fifths of the circle, and whether texture or fill is lighter or darker than the form:
    what varies within every class of the organic family. labels: (N,) int64, indices into the class names, which are
    those of the organic family, then `INKS`.
    """
    first = len(FAMILIES["organic"])
    hue = (factors["hue"].to_numpy() * len(HUES)).astype(np.int64) % len(HUES)
    ink = first + hue * len(ACCENTS) + (factors["accent_contrast"].to_numpy() > 0)
    return np.where(labels < first, labels, ink), FAMILIES["organic"] + INKS


def generate_mosaics(split: str, images: int, *, image_size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """The first `images` images of a split that show four forms each, a quarter for each of them.

    Each form's class is drawn from the rectilinear family alone, the eval-D of `generate`, with repetition. An image's
    labels are its pieces of furniture, one to four; at 16 pixels a form their fills are hard to tell. split and
    image_size: as in `generate`, and S an even number >= 32. Image i is the same however many are asked for.

    Returns pixels (N, S, S, 3) uint8 sRGB; labels (N, 5) bool, which of `LAYOUTS` are there.
    Raises ValueError for an unknown split, no images, or a size that is odd or below 32.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    if images < 1:
        raise ValueError(f"images must be at least 1, got {images}")
    if image_size < 2 * SMALLEST_IMAGE or image_size % 2:
        raise ValueError(f"image_size must be an even number of at least {2 * SMALLEST_IMAGE}, got {image_size}")
    names, side = FAMILIES["rectilinear"], image_size // 2
    stream = np.random.default_rng(list(f"mosaic/{split}".encode()))
    classes = stream.integers(len(names), size=(images, 4))
    tiles = np.empty((images, 4, side, side, 3), dtype=np.uint8)
    for label, name in enumerate(names):
        forms = np.empty((np.count_nonzero(classes == label), side, side, 3), dtype=np.uint8)
        if len(forms):
            _fill_class(forms, f"mosaic/{split}", name)
        tiles[classes == label] = forms
    # (N, rows, columns, S/2, S/2, 3): quarters side by side
    pixels = tiles.reshape(images, 2, 2, side, side, 3).transpose(0, 1, 3, 2, 4, 5)
    layouts = classes // len(FILLS)  # the family's order
    labels = (layouts[:, :, None] == np.arange(len(LAYOUTS))).any(axis=1)
    return pixels.reshape(images, image_size, image_size, 3), labels


def _fill_class(pixels: np.ndarray, split: str, name: str) -> pd.DataFrame:
    """Fill pixels (n, S, S, 3) with a class, a few images at a time; returns their factors."""
    streams = np.random.SeedSequence(list(f"{split}/{name}".encode())).spawn(2)
    form_stream, noise_stream = (np.random.default_rng(stream) for stream in streams)
    # One row an image, so that the first images are the same however many are drawn.
    draws = form_stream.uniform(-1, 1, (len(pixels), len(FACTOR_NAMES) + JITTERS))
    factors = pd.DataFrame(factors_of(draws[:, : len(FACTOR_NAMES)]))
    size = pixels.shape[1]
    fine = fineness(size)
    step = max(1, _PIXELS_AT_ONCE // (fine * size) ** 2)
    for start in range(0, len(pixels), step):
        rows = slice(start, start + step)
        values = {key: factors[key].to_numpy(np.float32)[rows, None, None] for key in FACTOR_NAMES}
        jitter = draws[rows, len(FACTOR_NAMES) :].T.astype(np.float32)[:, :, None, None]
        image = _draw(name, values, jitter, fine * size)
        image = averaged(image, fine)
        image += NOISE * noise_stream.standard_normal(image.shape, dtype=np.float32)
        pixels[rows] = np.clip(image * 255 + 0.5, 0, 255)
    family = next(family for family, names in FAMILIES.items() if name in names)
    return pd.DataFrame({"family": family, "class_name": name}, index=factors.index).join(factors)


def fineness(size: int) -> int:
    """How many pixels a side are drawn for each pixel of an image of this size."""
    return -(-_DRAWN // size)


def averaged(image: np.ndarray, fine: int) -> np.ndarray:
    """Images (n, fine S, fine S, C) with `fine` pixels a side made one: (n, S, S, C)."""
    # Summed term by term: numpy's own order of summation may depend on how many images there are.
    return np.asarray(sum(image[:, i::fine, j::fine] for i in range(fine) for j in range(fine)) / fine**2)


def factors_of(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Draws in (-1, 1), (n, factors), spread over each factor's range: by name, each (n,)."""
    columns = {}
    for draw, (name, (low, high)) in zip(draws.T, (UNIFORM_FACTORS | SIGNED_FACTORS).items(), strict=True):
        if name in SIGNED_FACTORS:
            columns[name] = np.copysign(low + (high - low) * np.abs(draw), draw)
        else:
            columns[name] = low + (high - low) * (draw + 1) / 2
    return columns


def _draw(name: str, factors: dict[str, Field], jitter: np.ndarray, size: int) -> np.ndarray:
    """Images of a class without noise: (n, size, size, 3), about 0 to 1; jitter (jitters, n, 1, 1)."""
    colour, body = painted(name, factors, jitter, size)
    return backdrop(factors, size) * (1 - body) + colour * body


def painted(name: str, factors: dict[str, Field], jitter: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The forms of a class without what is behind them: colours (n, size, size, 3), about 0 to 1, right where a form
    is, and the share of each pixel that it covers (n, size, size, 1).

    factors: by name, each (n, 1, 1). jitter: (JITTERS, n, 1, 1), -1 to 1, the forms' own proportions.
    """
    across, down = _place(factors, size)
    # The same place in the form's own frame, turned back.
    cos, sin = np.cos(factors["rotation"]), np.sin(factors["rotation"])
    u, v = cos * across + sin * down, cos * down - sin * across
    shape, _, surface = name.rpartition("-")
    form = (_organic if shape in OUTLINES else _rectilinear)(shape, surface, u, v, jitter)
    body, accent, relief = (layer[..., None] for layer in form)
    lightness = _MIDDLE_LIGHTNESS + factors["contrast"] / 2
    own = _srgb(lightness, 0.11, factors["hue"])
    mark = _srgb(lightness + factors["accent_contrast"], 0.11, factors["hue"] + 0.15)
    return (own + accent * (mark - own)) * (_light(across, down, factors) + relief), body


def backdrop(factors: dict[str, Field], size: int) -> np.ndarray:
    """What is behind the forms, in their light: (n, size, size, 3), about 0 to 1. factors as in `painted`."""
    colour = _srgb(_MIDDLE_LIGHTNESS - factors["contrast"] / 2, 0.07, factors["background_hue"])
    return colour * _light(*_place(factors, size), factors)


def _place(factors: dict[str, Field], size: int) -> tuple[Field, Field]:
    """Each pixel's place right of and below the form's centre, in radii of the form."""
    middle = (np.arange(size, dtype=np.float32) + 0.5) / size
    columns, rows = np.meshgrid(middle, middle)
    across, down = ((at - factors[axis]) / (factors["size"] / 2) for at, axis in ((columns, "x"), (rows, "y")))
    return across, down


def _light(across: Field, down: Field, factors: dict[str, Field]) -> np.ndarray:
    slope = np.cos(factors["light"]) * across + np.sin(factors["light"]) * down
    return 1 + 0.24 * (slope * factors["size"] / 2)[..., None]


def _coverage(field: Field) -> Field:
    """The share of each pixel where the field is negative, from the field and its slope there."""
    down, across = np.gradient(field, axis=(1, 2))
    return np.clip(0.5 - field / (np.hypot(down, across) + 1e-6), 0, 1)


# Organic forms: an outline is a radius over the angle, a texture is drawn in polar coordinates.


def _crests(theta: Field, count: int) -> Field:
    """1 at `count` angles, 0 between: round crests with sharp notches."""
    return np.abs(np.cos(count / 2 * theta))


def _peaks(theta: Field, count: int) -> Field:
    """1 at `count` angles, 0 between: sharp crests with round notches."""
    return 1 - np.abs(np.sin(count / 2 * theta))


# Outline -> (arms, the radius at each angle given the angle and a jitter in (-1, 1) of the depth).
_OUTLINE: dict[str, tuple[int, Callable[[Field, Field], Field]]] = {
    "flower5-deep": (5, lambda theta, j: 1 - (0.52 + 0.1 * j) * (1 - _crests(theta, 5))),
    "flower5-shallow": (5, lambda theta, j: 0.95 - (0.28 + 0.1 * j) * (1 - _crests(theta, 5))),
    "flower7-deep": (7, lambda theta, j: 1 - (0.48 + 0.1 * j) * (1 - _crests(theta, 7))),
    "flower7-shallow": (7, lambda theta, j: 0.95 - (0.25 + 0.1 * j) * (1 - _crests(theta, 7))),
    "star6": (6, lambda theta, j: 0.58 + 0.09 * j + (0.46 - 0.09 * j) * _peaks(theta, 6)),
    "radiolaria": (9, lambda theta, j: 0.66 + 0.06 * j + 0.45 * _peaks(theta, 9) ** 2),
    "cell": (7, lambda theta, j: np.full_like(theta, 0.85) + 0.05 * j),
}


def _organic(outline: str, texture: str, u: Field, v: Field, jitter: np.ndarray) -> Form:
    """A form around a centre, domed: body, accent and relief, each (n, S, S)."""
    depth, width, phase, *rest = jitter
    radius, theta = np.hypot(u, v), np.arctan2(v, u)
    # Slow waves over the angle bend the form, so that no two of a class have the same silhouette.
    oval = 0.12 * rest[0] * np.sin(2 * theta + np.pi * rest[1])
    bend = oval + 0.07 * rest[2] * np.sin(3 * theta + np.pi * rest[3])
    arms, outline_radius = _OUTLINE[outline]
    rim = outline_radius(theta, depth) * (1 + (1.4 if outline == "cell" else 1) * bend)
    inward = radius / rim  # 0 at the centre, 1 at the rim
    field = {
        "disc": lambda: inward - (0.42 + 0.1 * width),
        "rings": lambda: np.cos(2 * np.pi * ((2.3 + 0.2 * width) * inward + 0.12 * phase)) + 0.1,
        "veins": lambda: np.abs(np.sin(arms / 2 * theta)) * radius * 2 / arms - (0.07 + 0.015 * width),
        "spots": lambda: _spots(u, v, rest[4:]) - (0.15 + 0.02 * width),
    }[texture]()
    return _coverage((inward - 1) * rim), _coverage(field), 0.12 - 0.3 * np.minimum(inward, 1) ** 2


def _spots(u: Field, v: Field, jitter: list[Field]) -> Field:
    """Distance to the nearest of seven spots: one in the middle, six around it, each a little misplaced."""
    nearest = np.hypot(u - 0.05 * jitter[0], v - 0.05 * jitter[1])
    for k in range(6):
        angle, reach = k * np.pi / 3 + 0.3 * jitter[k], 0.53 + 0.1 * jitter[(k + 3) % 6]
        nearest = np.minimum(nearest, np.hypot(u - reach * np.cos(angle), v - reach * np.sin(angle)))
    return nearest


# Rectilinear forms: bars in the form's colour, and panels that carry the fill.


def _box(u: Field, v: Field, first: tuple[Edge, Edge], last: tuple[Edge, Edge]) -> Field:
    """Negative inside the box from its first to its last corner, by the distance to its nearest side."""
    return np.maximum(np.maximum(first[0] - u, u - last[0]), np.maximum(first[1] - v, v - last[1]))


def _union(*fields: Field) -> Field:
    return reduce(np.minimum, fields)


# Each layout gives its bars and its panels. They overlap a little where they meet, or a seam would show.


def _table(u: Field, v: Field, jitter: list[Field]) -> tuple[Field, Field]:
    reach, thick, leg = 0.9 + 0.08 * jitter[0], 0.56 + 0.1 * jitter[1], 0.15 + 0.03 * jitter[2]
    top = -0.68 + 0.1 * jitter[3]
    left, right = reach - 0.1 - 2 * leg, reach - 0.1
    legs = _union(_box(u, v, (-right, top), (-left, 0.8)), _box(u, v, (left, top), (right, 0.8)))
    return legs, _box(u, v, (-reach, top), (reach, top + thick))


def _chair(u: Field, v: Field, jitter: list[Field]) -> tuple[Field, Field]:
    half, seat, leg = 0.56 + 0.08 * jitter[0], 0.12 + 0.1 * jitter[1], 0.14 + 0.03 * jitter[2]
    top = -0.92 + 0.07 * jitter[3]
    legs = _union(_box(u, v, (-half, seat), (leg - half, 0.95)), _box(u, v, (half - leg, seat), (half, 0.95)))
    cushion = _box(u, v, (-half - 0.18, seat - 0.08), (half + 0.18, seat + 0.18))
    return _union(legs, cushion), _box(u, v, (-half, top), (half, seat))


def _frame(u: Field, v: Field, jitter: list[Field]) -> tuple[Field, Field]:
    wide, high, border = 0.8 + 0.12 * jitter[0], 0.8 + 0.12 * jitter[1], 0.42 + 0.04 * jitter[2]
    opening = _box(u, v, (border - wide, border - high), (wide - border, high - border))
    picture = 0.12 + 0.04 * jitter[3]
    inset = _box(u, v, (-picture, -picture), (picture, picture))
    return inset, np.maximum(_box(u, v, (-wide, -high), (wide, high)), -opening)


def _shelf(u: Field, v: Field, jitter: list[Field]) -> tuple[Field, Field]:
    wide, high, board = 0.76 + 0.07 * jitter[0], 0.88 + 0.07 * jitter[1], 0.12 + 0.02 * jitter[2]
    middle, split = 0.12 * jitter[3], 0.15 * jitter[4]
    inside = _box(u, v, (board - wide, board - high), (wide - board, high - board))
    case = np.maximum(_box(u, v, (-wide, -high), (wide, high)), -inside)
    left, right, bottom = board - wide - 0.04, wide - board + 0.04, high - board + 0.04
    upper = _box(u, v, (left, middle - 0.58), (split, middle + 0.04))
    lower = _box(u, v, (-split, 0.32), (right, bottom))
    return _union(case, _box(u, v, (-wide, middle), (wide, middle + board))), _union(upper, lower)


def _ladder(u: Field, v: Field, jitter: list[Field]) -> tuple[Field, Field]:
    wide, rail, thick = 0.58 + 0.08 * jitter[0], 0.16 + 0.03 * jitter[1], 0.19 + 0.02 * jitter[2]
    gap, shift = 0.62 + 0.04 * jitter[3], 0.06 * jitter[4]
    rails = _union(_box(u, v, (-wide - rail, -1.0), (-wide, 1.0)), _box(u, v, (wide, -1.0), (wide + rail, 1.0)))
    heights = (shift - gap, shift, shift + gap)
    return rails, _union(*(_box(u, v, (-wide - 0.04, at - thick), (wide + 0.04, at + thick)) for at in heights))


_LAYOUT = {"table": _table, "chair": _chair, "frame": _frame, "shelf": _shelf, "ladder": _ladder}


def _rectilinear(layout: str, fill: str, u: Field, v: Field, jitter: np.ndarray) -> Form:
    """A piece of furniture seen from the front: body, accent and relief, each (n, S, S)."""
    period, across, along, rim, *proportions = jitter
    bars, panels = _LAYOUT[layout](u, v, proportions)
    step = 2 * np.pi / (0.54 + 0.06 * period)
    waves_across, waves_along = np.sin(step * u + np.pi * across), np.sin(step * v + np.pi * along)
    if fill == "hollow":
        panels = np.maximum(panels, -(panels + 0.14 + 0.02 * rim))
    accent = panel = _coverage(panels)
    if fill == "striped":
        accent = panel * _coverage(waves_across)
    elif fill == "chequered":
        accent = panel * _coverage(waves_across * waves_along)
    return _coverage(_union(bars, panels)), accent, np.zeros_like(u)


# Colour: the same palette for every class.


def _srgb(lightness: Field, chroma: float, hue: Field) -> np.ndarray:
    """OKLab colours (Ottosson 2020) in sRGB, 0 to 1, clipped to the gamut; hue in turns; (..., 3)."""
    a, b = chroma * np.cos(2 * np.pi * hue), chroma * np.sin(2 * np.pi * hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    linear = np.stack([red, green, blue], axis=-1).clip(0, 1)
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
