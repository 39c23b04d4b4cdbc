"""Images as a page shows them: one enlarged, many as a contact sheet, each with words for who cannot see it."""

import base64
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

_GAP = 3


def enlarged(image: Image.Image, side: int) -> Image.Image:
    """The image with its longer side at `side` pixels; small ones keep their pixels as squares."""
    scale = side / max(image.size)
    how = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.BICUBIC
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), how)


def contact_sheet(images: Sequence[Image.Image], colours: Sequence[str], *, side: int, columns: int) -> Image.Image:
    """Thumbnails of `side` pixels, row by row, each over a bar of its colour."""
    cell, bar = side + _GAP, 4
    rows = -(-len(images) // columns)
    sheet = Image.new("RGBA", (min(columns, len(images)) * cell - _GAP, rows * (cell + bar) - _GAP))
    draw = ImageDraw.Draw(sheet)
    for place, (image, colour) in enumerate(zip(images, colours, strict=True)):
        left, top = place % columns * cell, place // columns * (cell + bar)
        small = enlarged(image, side)
        sheet.paste(small, (left + (side - small.width) // 2, top + (side - small.height) // 2))
        draw.rectangle((left, top + side, left + side - 1, top + side + bar - 2), fill=colour)
    return sheet


def data_uri(image: Image.Image) -> str:
    """The image as a PNG within the page."""
    buffer = io.BytesIO()
    image.save(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
