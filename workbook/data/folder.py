"""Image files in folders: the class is part of the path, or stands in a list of the files."""

import glob
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from workbook.data.lists import listed_files
from workbook.data.readers import Content, files_digest, open_image
from workbook.data.source_kinds import FolderSource
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
    patterns = source.splits[split]
    if split in source.lists:
        found = listed_files(base, patterns, source.lists[split])
    else:
        found = [file for pattern in patterns for file in _class_in_path(base, pattern)]
    files = [file for file, _ in found]
    names, labels = np.unique(np.array([name for _, name in found]), return_inverse=True)
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


def _images(base: Path, pattern: str) -> list[str]:
    found = glob.iglob(pattern, root_dir=base, recursive=True)
    return sorted(file.replace("\\", "/") for file in found if file.lower().endswith(_IMAGE_SUFFIXES))
