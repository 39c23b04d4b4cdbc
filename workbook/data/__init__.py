"""Manifest -> images: data sets, their concept splits, and the copies that they are read from."""

from typing import TYPE_CHECKING

from workbook.lazy import loaded_on_demand

if TYPE_CHECKING:
    from workbook.data.images import Images as Images
    from workbook.data.manifests import ConceptSplit as ConceptSplit
    from workbook.data.manifests import Manifest as Manifest
    from workbook.data.manifests import data_root as data_root
    from workbook.data.manifests import list_manifests as list_manifests
    from workbook.data.manifests import load_manifest as load_manifest
    from workbook.data.sources import load_images as load_images
    from workbook.data.verify import Verification as Verification
    from workbook.data.verify import verify_data as verify_data

_HOMES = {
    "manifests": ("ConceptSplit", "Manifest", "data_root", "list_manifests", "load_manifest"),
    "images": ("Images",),
    "sources": ("load_images",),
    "verify": ("Verification", "verify_data"),
}
__getattr__ = loaded_on_demand(__name__, {name: home for home, names in _HOMES.items() for name in names})
