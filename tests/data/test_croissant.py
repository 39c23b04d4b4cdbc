"""Every manifest as Croissant: mlcroissant takes it, and its fields find images and labels."""

import json
import re

import mlcroissant
import pytest
from typer.testing import CliRunner

from tests.data.copies import ARRAY, FOLDER, PARQUET, manifest
from workbook.cli import app
from workbook.data import list_manifests, load_manifest
from workbook.data.croissant import croissant


def checked(document: dict) -> mlcroissant.Metadata:
    """Its errors raise; warnings are of what is recommended and no manifest knows, such as a date."""
    return mlcroissant.Dataset(jsonld=json.loads(json.dumps(document))).metadata


@pytest.mark.parametrize("name", list_manifests())
def test_every_shipped_manifest_is_valid(name):
    shipped = load_manifest(name)
    found = checked(croissant(shipped))
    assert (found.name, found.url, found.cite_as) == (shipped.name, shipped.url, shipped.citation)
    sizes = next(records for records in found.record_sets if records.name == "splits").data
    assert {row["splits/name"]: row["splits/images"] for row in sizes} == shipped.splits


@pytest.mark.parametrize("source", [FOLDER, PARQUET, ARRAY], ids=["folder", "parquet", "array"])
def test_images_and_labels_have_a_place_in_every_copy(source):
    found = checked(croissant(manifest(source)))
    for split in ("train", "test"):
        records = next(records for records in found.record_sets if records.name == split)
        assert [field.name for field in records.fields] == ["image", "label"]


def test_the_class_is_found_in_the_path():
    for pattern, path, label in (
        ("train/{*}/*.png", "set/train/cat/1.png", "cat"),
        ("{*/*}/**/*.png", "latin/a/deep/er/1.png", "latin/a"),
    ):
        document = croissant(manifest(FOLDER | {"splits": {"train": pattern, "test": pattern}}))
        records = next(records for records in document["recordSet"] if records["name"] == "train")
        assert re.search(records["field"][1]["source"]["transform"]["regex"], path)[1] == label


def test_a_copy_of_the_hub_says_its_repository_and_checksums_go_along():
    hub = {"kind": "hub", "repository": "us/tiny", "root": "set"}
    document = croissant(manifest(FOLDER | {"checksums": {"set.zip": f"md5:{'0' * 32}"}}, downloads=[hub]))
    copy, archive, *_ = document["distribution"]
    assert copy["contentUrl"] == "https://huggingface.co/datasets/us/tiny" and copy["encodingFormat"] == "git+https"
    assert archive["md5"] == "0" * 32 and archive["encodingFormat"] == "application/zip"
    assert document["description"] == "Tiny: images of 3 classes, for classification."
    holdout = {"of": "all", "test_per_class": 1, "seed": 0}
    source = FOLDER | {"splits": {"all": "all/{*}/*.png"}}
    assert "Of 'all', 1 a class for test" in croissant(manifest(source, holdout=holdout))["description"]


def test_the_command_prints_or_writes(tmp_path):
    printed = CliRunner().invoke(app, ["data", "croissant", "cifar100"])
    assert printed.exit_code == 0 and json.loads(printed.output)["name"] == "cifar100"
    written = CliRunner().invoke(app, ["data", "croissant", "cifar100", "--out", str(tmp_path / "c.json")])
    assert written.exit_code == 0 and json.loads((tmp_path / "c.json").read_text()) == json.loads(printed.output)
