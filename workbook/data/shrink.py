"""Smaller JPEGs of a data set: a copy of its own, in Parquet files of the Hugging Face image schema.

Large photographs are decoded for nothing where a network sees 224 pixels. The copy is another data set: a name, a
manifest and a digest of its own.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from joblib import cpu_count
from PIL import Image

from workbook.data.images import Images
from workbook.data.manifests import Manifest, data_root, load_manifest
from workbook.data.source_kinds import Source
from workbook.data.sources import open_split, place
from workbook.errors import CorruptDataError, ManifestError, StoreError
from workbook.files import file_name, told, write_atomically, written
from workbook.plain_yaml import write_yaml

_QUALITY = 90  # of Pillow's JPEG
_LONGEST = 65_535  # pixels of a JPEG's side
_IMAGES_A_FILE = 8192  # about 250 MB at 256 pixels
_FILE = "{}-{}-of-{}.parquet"  # the hub's way
# what a split was held out of, what its images are stored as, and whence they come
_DONE_WITH = {"sources", "holdout", "bits", "image_size", "downloads"}
_SCHEMA = pa.schema(
    {"image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]), "label": pa.int64()},
)


def shrink_data(manifest: Manifest | str, side: int) -> Iterator[Path]:
    """Write every split with the shorter side of its images at most `side` pixels; each file as it lies there.

    The files go into the folder NAME-SIDE of the data root, the manifest last, as NAME-SIDE.yaml. What an interrupted
    call left whole is kept, as far as it is of the same images. Images that are small already keep their size.
    Raises ManifestError where all are, StoreError where the folder cannot be written or holds another copy of that
    name, and as `load_images` does.
    """
    manifest = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    if side < 1:
        raise ValueError(f"side must be at least 1 pixel, got {side}")
    if manifest.image_size and manifest.image_size <= side:
        size = f"the images of {manifest.name} are {manifest.image_size} pixels wide"
        raise ManifestError(f"{size}, so none gets smaller: choose a side below that, or use them as they are.")
    if manifest.task == "multilabel":
        raise ManifestError(f"an image of {manifest.name} has many labels, and the copy holds one: use it as it is.")
    name = file_name(f"{manifest.name}-{side}")
    folder = data_root() / name
    opened = {split: open_split(manifest, split) for split in manifest.splits}
    with told(StoreError, "written", folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", fallback_to_soft=False):
            for split, (images, _) in opened.items():
                yield from _files(images, split, side, folder)
            path = folder / f"{name}.yaml"
            write_atomically(path, write_yaml(_described(manifest, name, side, opened)))
    yield path


def _described(manifest: Manifest, name: str, side: int, opened: dict[str, tuple[Images, Source]]) -> dict[str, object]:
    """The facts of the copy's manifest."""
    made = f"shorter side {side} pixels where it was longer, bicubic, JPEG of quality {_QUALITY}"
    whence = "; ".join(
        f"{split} from {place(source)}, digest {images.digest}" for split, (images, source) in opened.items()
    )
    same = manifest.model_dump(mode="json", exclude_defaults=True, exclude=_DONE_WITH)
    changed = {
        "name": name,
        "title": f"{manifest.title}, {made}",
        # where a manifest only counts them, they are the copy's own
        "classes": same["classes"] if manifest.class_names else list(opened["train"][0].class_names),
        "sources": [
            {
                "kind": "parquet",
                "root": name,
                "splits": {split: _FILE.format(file_name(split), "?" * 5, "?" * 5) for split in manifest.splits},
            }
        ],
        "obtain": f"workbook data shrink {manifest.name} --side {side}. This one was made so by Pillow "
        f"{PIL.__version__}: {made}; {whence}.",
    }
    return Manifest.model_validate(same | changed).model_dump(mode="json", exclude_defaults=True)


def _files(images: Images, split: str, side: int, folder: Path) -> Iterator[Path]:
    """The Parquet files of a split; those that are there are left as they are."""
    starts = range(0, len(images), _IMAGES_A_FILE)
    for number, start in enumerate(starts):
        path = folder / _FILE.format(file_name(split), f"{number:05}", f"{len(starts):05}")
        rows = np.arange(start, min(start + _IMAGES_A_FILE, len(images)))
        schema = _schema(images, {"digest": images.digest, "side": side, "quality": _QUALITY, "file": path.name})
        if not _is_there(path, schema):
            with ThreadPoolExecutor(cpu_count()) as pool:
                encoded = list(pool.map(lambda row: _shrunk(images, int(row), side), rows))
            struct = [{"bytes": data, "path": None} for data in encoded]
            table = pa.table({"image": struct, "label": images.labels[rows]}, schema=schema)
            unfinished = path.with_suffix(".tmp")
            with written(unfinished) as file:
                pq.write_table(table, file, row_group_size=256, compression="none")  # a JPEG gets no smaller
            os.replace(unfinished, path)
        yield path


def _schema(images: Images, made: dict[str, object]) -> pa.Schema:
    """With the hub's description of the columns, and ours of what the images are made of."""
    label = {"names": list(images.class_names), "_type": "ClassLabel"}
    described = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
    return _SCHEMA.with_metadata({"huggingface": json.dumps(described), "workbook": json.dumps(made)})


def _is_there(path: Path, schema: pa.Schema) -> bool:
    """Whether this file was written already; StoreError where it is of other images, or broken."""
    if not path.exists():
        return False
    try:
        made = pq.read_schema(path).metadata
    except pa.ArrowInvalid:
        made = None
    if made != schema.metadata:
        raise StoreError(f"{path} is not of these images, or broken: move {path.parent} away, and all is made anew.")
    return True


def _shrunk(images: Images, index: int, side: int) -> bytes:
    image = images[index]
    if max(image.size) * min(1.0, side / min(image.size)) > _LONGEST:
        shape = "x".join(map(str, image.size))
        long = f"{images.name}, {images.split}, image {index}: {shape} pixels are too long for a JPEG"
        raise CorruptDataError(f"{long}: take it out of the set.")
    if (scale := side / min(image.size)) < 1:
        width, height = (max(side, round(length * scale)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
