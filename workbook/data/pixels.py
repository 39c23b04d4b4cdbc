"""What a decoder gives, made RGB by one rule for every source: upright, on white, 8 bits a channel."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image

from workbook.errors import CorruptDataError

# Pillow reports a broken file by any of these, depending on the format and on where it breaks.
BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, OverflowError, RuntimeError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
FULL_DEPTH = 16  # bits of a pixel that has more than 8
# Stands in the digest of a set with an image that is turned or has transparency: such a set had other pixels before
# there was this rule, and every other set has the same.
RULE = "upright, on white"
# not in the papers: what is transparent shows white, as on a page; what lies under it in the file is chance
_WHITE = (255, 255, 255, 255)
# EXIF's orientations 2 to 8, and how each is undone
_TURNS = dict(
    zip(
        range(2, 9),
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        strict=True,
    )
)
# What JPEG and PNG files that are turned or transparent hold; a PNG's colour types 4 and 6 have alpha, besides.
_JPEG, _JPEG_MARKS = b"\xff\xd8", (b"Exif", b"Orientation")
_PNG, _PNG_MARKS = b"\x89PNG\r\n\x1a\n", (b"tRNS", b"eXIf", b"exif", b"xmp")


def rgb(image: Image.Image, bits: int = FULL_DEPTH) -> Image.Image:
    """The image upright, as its EXIF data say, in RGB and on white where it is transparent.

    bits: how many of a pixel of 16 bits hold data; the upper 8 of them are kept, where Pillow alone would make
    everything above 255 white. Raises CorruptDataError for pixels without a range, or beyond these bits.
    """
    if (turn := _turn_of(image)) is not None:
        image = image.transpose(turn)
    if image.mode.startswith("I;16"):
        image = _eight_bits(np.asarray(image), bits)
    if image.mode in ("I", "F"):
        raise CorruptDataError(
            f"an image of {'whole numbers' if image.mode == 'I' else 'floats'} has no range of its own: "
            "convert the files to 8 or 16 bits a pixel"
        )
    try:
        if not image.has_transparency_data:
            return image.convert("RGB")
        drawn = image.convert("RGBA")
    except ValueError as error:
        raise CorruptDataError(f"an image in {image.mode} is not read ({error}): convert the files to RGB") from error
    return Image.alpha_composite(Image.new("RGBA", drawn.size, _WHITE), drawn).convert("RGB")


def bits_used(image: Image.Image) -> int:
    """How many bits the largest pixel of a 16-bit image needs; 0 for any other image."""
    return int(np.asarray(image).max()).bit_length() if image.mode.startswith("I;16") else 0


def follows_rule(encoded: bytes) -> bool:
    """Whether RULE makes another picture of this file than its stored colours alone; of one that is broken, False."""
    if _is_plain(encoded):
        return False
    try:
        with Image.open(BytesIO(encoded)) as image:
            # Pillow itself has always turned TIFF
            return image.has_transparency_data or (image.format != "TIFF" and _turn_of(image) is not None)
    except BROKEN:  # which is told when it is decoded
        return False


def _is_plain(encoded: bytes) -> bool:
    """Certainly neither turned nor transparent: told without a decoder of the two formats that most sets are in."""
    if encoded.startswith(_JPEG):
        return not any(mark in encoded for mark in _JPEG_MARKS)
    return (
        encoded.startswith(_PNG)
        and encoded[25:26] not in (b"\4", b"\6")
        and not any(mark in encoded for mark in _PNG_MARKS)
    )


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    """What undoes the image's orientation; None for an upright one, and where its EXIF data cannot be read."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except BROKEN:
        return None


def _eight_bits(pixels: np.ndarray, bits: int) -> Image.Image:
    if (largest := int(pixels.max())) >= 2**bits:
        raise CorruptDataError(
            f"a pixel of {largest} needs more than the {bits} bits that the manifest states. Correct bits."
        )
    return Image.fromarray((pixels >> (bits - 8)).astype(np.uint8))
