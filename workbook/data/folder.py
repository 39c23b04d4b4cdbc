"""Image files in folders: the class is part of the path, or stands in a file of annotations."""

import glob
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from workbook.data.manifests import FolderSource
from workbook.data.readers import Content, files_digest, open_image
from workbook.errors import ManifestError, MissingDataError

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")


@dataclass(frozen=True)
class _FileRows:
    base: str
    files: tuple[str, ...]

    def __call__(self, row: int) -> Image.Image:
        path = Path(self.base, self.files[row])
        return open_image(path, str(path))


def read_folder(source: FolderSource, split: str, base: Path) -> Content:
    files: list[str] = []
    classes: list[str] = []
    for pattern in source.splits[split]:
        if split in source.annotations:
            found = _annotated(base, pattern, source.annotations[split])
        else:
            found = _class_in_path(base, pattern)
        files += [file for file, _ in found]
        classes += [name for _, name in found]
    names, labels = np.unique(np.array(classes), return_inverse=True)
    return Content(
        decode=_FileRows(str(base), tuple(files)),
        labels=labels.astype(np.int64),
        class_names=tuple(str(name) for name in names),
        digest=files_digest(base, files),
    )


def _class_in_path(base: Path, pattern: str) -> list[tuple[str, str]]:
    before, _, rest = pattern.partition("{")
    inside, _, after = rest.partition("}")
    folders = sorted(glob.glob(before + inside + "/", root_dir=base))
    if not folders:
        raise MissingDataError(f"{base}/{pattern}")
    found = []
    for folder in folders:
        folder = folder.replace("\\", "/").rstrip("/")
        files = _images(base, glob.escape(folder) + after)
        if not files:
            raise ManifestError(
                f"the class folder {base / folder} holds no image ({pattern}). "
                "Unpack the data anew, or remove the folder if it is no class."
            )
        class_name = "/".join(folder.split("/")[-inside.count("/") - 1 :])
        found += [(file, class_name) for file in files]
    return found


def _annotated(base: Path, pattern: str, annotations: str) -> list[tuple[str, str]]:
    files, table = _images(base, pattern), base / annotations
    if not files or not table.is_file():
        raise MissingDataError(f"{base}/{pattern}, with {table}")
    lines = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines() if line)
    class_of = {fields[0]: fields[1] for fields in lines if len(fields) > 1}
    unnamed = [file for file in files if Path(file).name not in class_of]
    if unnamed:
        raise ManifestError(
            f"{table} gives no class to {len(unnamed)} of {len(files)} images, {unnamed[0]} among them. "
            "It must hold a line for each: file name, tab, class."
        )
    return [(file, class_of[Path(file).name]) for file in files]


def _images(base: Path, pattern: str) -> list[str]:
    found = glob.iglob(pattern, root_dir=base, recursive=True)
    return sorted(file.replace("\\", "/") for file in found if file.lower().endswith(_IMAGE_SUFFIXES))
