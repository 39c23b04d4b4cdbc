"""Manifest -> images: data sets, their concept splits, and the copies that they are read from."""

from workbook.data.images import Images
from workbook.data.manifests import ConceptSplit, Manifest, data_root, list_manifests, load_manifest
from workbook.data.sources import load_images
from workbook.data.verify import Verification, verify_data
