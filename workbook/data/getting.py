"""Download a data set as its manifest says: whole into the data root, or not at all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workbook.data.manifests import Manifest, data_root, load_manifest
from workbook.data.readers import torchvision_class
from workbook.data.source_kinds import HubDownload, TorchvisionDownload
from workbook.data.sources import open_split
from workbook.data.verify import differing
from workbook.errors import CorruptDataError, ManifestError, MissingDataError
from workbook.files import told


def get_data(manifest: Manifest | str) -> str:
    """Have the data on this machine; one sentence on what was done.

    The manifest's downloads are tried in their order, each in a folder of its own within the data root. Its files are
    held against the manifest's checksums and moved into their places when all are there: one that fails or is
    interrupted leaves nothing. Data that is there already is left as it is.
    Raises MissingDataError, with what to do by hand, where no program gets it or every way failed; ManifestError and
    CorruptDataError for a copy that is there and wrong.
    """
    manifest = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    if _is_there(manifest):
        return f"{manifest.name} is on this machine already"
    if not manifest.downloads:
        raise MissingDataError(f"{manifest.name} is to be had by hand alone: {manifest.advice}")
    with told(MissingDataError, "written", data_root()):
        data_root().mkdir(parents=True, exist_ok=True)
    failed = []
    for download in manifest.downloads:
        try:
            _get(download, manifest)
        except ManifestError:  # a mistake of the manifest's, which another way would hide
            raise
        except Exception as error:  # whatever a server, the network or a library raises
            failed.append(f"  {download.told}: {' '.join(str(error).split()) or type(error).__name__}")
        else:
            return f"{manifest.name} came from {download.told} into {data_root()}"
    by_hand = manifest.obtain.replace("{data_root}", str(data_root())) or f"look at {manifest.url}"
    raise MissingDataError(
        f"{manifest.name} could not be downloaded:\n" + "\n".join(failed) + f"\nTry again, or by hand: {by_hand}"
    )


def _is_there(manifest: Manifest) -> bool:
    try:
        for split in manifest.splits:
            open_split(manifest, split)
    except MissingDataError:
        return False
    return True


def _get(download: TorchvisionDownload | HubDownload, manifest: Manifest) -> None:
    with TemporaryDirectory(dir=data_root(), prefix=f".{manifest.name}-") as scratch:
        base = Path(scratch, download.root)
        base.mkdir(parents=True, exist_ok=True)
        _WAYS[download.kind](download, base)
        for source in manifest.sources:
            for name, expected in getattr(source, "checksums", {}).items():
                path = Path(scratch, getattr(source, "root", "."), name)
                if path.exists() and (problem := differing(path, expected)):
                    raise CorruptDataError(problem)
        _move(Path(scratch), data_root())


def _by_torchvision(download: TorchvisionDownload, base: Path) -> None:
    for call in download.calls:
        torchvision_class(download.dataset)(base, download=True, **call)


def _by_the_hub(download: HubDownload, base: Path) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(download.repository, repo_type="dataset", local_dir=base)
    shutil.rmtree(base / ".cache", ignore_errors=True)  # what the client would go on from


_WAYS: dict[str, Callable[[Any, Path], None]] = {"torchvision": _by_torchvision, "hub": _by_the_hub}


def _move(source: Path, target: Path) -> None:
    """Every file to its place, whole; folders that are there stay, with what else they hold."""
    for path in source.iterdir():
        place = target / path.name
        if path.is_dir() and place.is_dir():
            _move(path, place)
        else:
            os.replace(path, place)
