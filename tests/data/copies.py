"""Tiny copies of one data set, in every kind of source that a manifest may name."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from workbook.data.manifests import Manifest

CLASSES = ("cat", "dog", "car")
SIZE = 8
FOLDER = {"kind": "folder", "root": "set", "splits": {"train": "train/{*}/*.png", "test": "test/{*}/*.png"}}
PARQUET = {"kind": "parquet", "root": "set", "splits": {"train": "train-*.parquet", "test": "test-*.parquet"}}
ARRAY = {
    "kind": "array",
    "root": "set",
    "splits": {
        "train": {"images": "train.npz:x", "labels": "train.npz:y"},
        "test": {"images": "test_x.npy", "labels": "test_y.npy"},
    },
}
TORCHVISION = {"kind": "torchvision", "root": "set/train", "dataset": "ImageFolder"}
TORCHVISION |= {"splits": {"train": {}, "test": {}}}


def pixels(label: int, number: int) -> np.ndarray:
    """(8, 8, 3): an image that tells its class and its number."""
    image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = 10 * label, number
    return image


def told(image: Image.Image) -> tuple[int, int]:
    """(label, number) of an image that `pixels` made."""
    red, green, _ = image.getpixel((0, 0))
    return red // 10, green


def encode(array: np.ndarray, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form)
    return buffer.getvalue()


def manifest(*sources: dict, **changes) -> Manifest:
    facts = {
        "name": "tiny",
        "title": "Tiny",
        "task": "classification",
        "image_size": SIZE,
        "classes": CLASSES,
        "splits": {"train": 6, "test": 3},
        "sources": sources,
        "licence": "none",
        "citation": "none",
        "url": "none",
        "obtain": "make it in {data_root}",
        "concept_split": {"eval_classes": ["car"], "rule": "machines", "official": False},
    }
    return Manifest.model_validate(facts | changes)


def write_folders(root, per_class=(("train", 2), ("test", 1))):
    for split, count in per_class:
        for label, name in enumerate(CLASSES):
            folder = root / "set" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.png").write_bytes(encode(pixels(label, number)))


def write_parquet(file, rows, *, label="label", names=CLASSES, row_group_size=2):
    """`rows` are (label, bytes); names go into the schema's metadata as the hub writes them."""
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": data, "path": None} for _, data in rows],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            label: pa.array([value for value, _ in rows]),
        }
    )
    if names is not None:
        features = {"image": {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=row_group_size)


def rows(count, order=(0, 1, 2)):
    return [(label, encode(pixels(label, number))) for number in range(count) for label in order]


def write_arrays(root):
    (root / "set").mkdir()
    grid = [(label, number) for number in range(2) for label in range(3)]
    images, labels = np.stack([pixels(*cell) for cell in grid]), np.array([cell[0] for cell in grid])
    np.savez(root / "set" / "train.npz", x=images, y=labels[:, None])
    np.save(root / "set" / "test_x.npy", images[:3])
    np.save(root / "set" / "test_y.npy", labels[:3].astype(np.uint8))


def assert_whole(images, count):
    assert len(images) == 3 * count and images.image_size == SIZE and images.class_names == CLASSES
    seen = [told(image) for image in images]
    assert sorted(seen) == [(label, number) for label in range(3) for number in range(count)]
    assert [label for label, _ in seen] == images.labels.tolist()
