import itertools

import numpy as np
import pytest
from lightning_fabric import Fabric
from PIL import Image

from tests.chromium import chromium, need_chromium
from workbook.data.images import Images
from workbook.devices import make_fabric
from workbook.lab import Lab
from workbook.store import Store


class Squares:
    """Decodes row r as a noisy square whose brightness is its class: learnable, and different for every row."""

    def __init__(self, classes: int, size: int) -> None:
        self.classes, self.size = classes, size

    def __call__(self, row: int) -> Image.Image:
        noise = np.random.default_rng(row).integers(0, 40, (self.size, self.size, 3))
        noise[2:-2, 2:-2] += 200 * (row % self.classes) // self.classes
        return Image.fromarray(noise.astype(np.uint8))


_OTHERS = itertools.count()  # one number for all images that are not squares: a digest names what they hold


def make_images(count: int = 64, classes: int = 4, size: int = 16, **changes) -> Images:
    """`count` images in memory, labels 0, 1, 2 ... repeating; a keyword replaces a field of Images."""
    fields = {
        "name": "squares",
        "split": "train",
        "decode": Squares(classes, size),
        "rows": np.arange(count),
        "labels": np.arange(count) % classes,
        "class_names": tuple(f"class{i}" for i in range(classes)),
        "digest": f"squares-{count}-{classes}-{size}" + (f"-{next(_OTHERS)}" if "decode" in changes else ""),
        "image_size": size,
    }
    return Images(**(fields | changes))


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    return make_fabric("cpu", "float32")


@pytest.fixture
def lab(store, fabric) -> Lab:
    return Lab(store, fabric)


@pytest.fixture(scope="module")  # while it is open, nothing else in the process can start an event loop
def browser():
    """The system's Chromium."""
    with chromium(need_chromium()) as running:
        yield running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The notebooks first: they take longest, and two processes share the tests file by file."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/test_notebooks.py"))
