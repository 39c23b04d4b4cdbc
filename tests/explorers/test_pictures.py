import base64
import io

import numpy as np
from PIL import Image

from workbook.explorers.pictures import contact_sheet, data_uri, enlarged

RED = Image.new("RGB", (4, 4), "#ff0000")


def test_small_images_keep_their_pixels():
    two = Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]] * 2, dtype=np.uint8))
    assert np.array_equal(np.asarray(enlarged(two, 6))[0, :, 0], [0, 0, 0, 255, 255, 255])


def test_a_wide_image_is_not_bent():
    assert enlarged(Image.new("RGB", (40, 20)), 10).size == (10, 5)


def test_a_sheet_has_its_images_row_by_row_over_bars_of_their_colours():
    sheet = contact_sheet([RED] * 3, ["#0000ff", "#00ff00", "#0000ff"], side=8, columns=2)
    assert sheet.size == (2 * 11 - 3, 2 * 15 - 3)
    pixels = np.asarray(sheet)
    assert tuple(pixels[2, 2]) == tuple(pixels[2, 13]) == tuple(pixels[17, 2]) == (255, 0, 0, 255)
    assert tuple(pixels[9, 2]) == (0, 0, 255, 255)
    assert tuple(pixels[9, 13]) == (0, 255, 0, 255)
    assert tuple(pixels[17, 13]) == (0, 0, 0, 0)


def test_the_image_within_the_page_is_the_image():
    kind, data = data_uri(RED).split(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), np.asarray(RED))
