import base64
import io

import numpy as np
import pytest
from PIL import Image

from workbook.explorers.page import data_uri


def shown(image: Image.Image, side: int) -> Image.Image:
    kind, data = data_uri(image, side).split(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_small_image_is_the_image_and_the_page_makes_its_pixels_squares():
    two = Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]] * 2, dtype=np.uint8))
    np.testing.assert_array_equal(np.asarray(shown(two, 6)), np.asarray(two))


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (11, 11), (9, 30)])
def test_others_are_the_centre_square_at_the_size_of_the_page(size):
    assert shown(Image.new("RGB", size), 10).size == (10, 10)


def test_a_wide_image_is_not_bent():
    striped = np.zeros((10, 30, 3), dtype=np.uint8)
    striped[:, 10:20] = (255, 0, 0)
    assert np.asarray(shown(Image.fromarray(striped), 10))[5, 5].tolist() == [255, 0, 0]
