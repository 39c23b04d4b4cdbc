"""`verify_data` and the command around it: all problems at one look, and an exit status."""

import errno
import hashlib

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from workbook.cli import app
from workbook.data import load_images, verify_data
from workbook.errors import CorruptDataError


@pytest.fixture
def manifest(tmp_path, monkeypatch) -> dict:
    """Facts of a manifest for two classes of ten images a split, which lie under the data root."""
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for i in range(10):
                pixels = np.full((8, 8), i, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "set" / split / name / f"{i}.png")
    archive = tmp_path / "set" / "set.zip"
    archive.write_bytes(b"archive")
    return {
        "name": "tiny",
        "title": "Tiny",
        "task": "classification",
        "image_size": 8,
        "classes": ["cat", "dog"],
        "splits": {"train": 20, "test": 20},
        "sources": [
            {
                "kind": "folder",
                "root": "set",
                "splits": {"train": "train/{*}/*.png", "test": "test/{*}/*.png"},
                "checksums": {
                    "set.zip": f"sha256:{hashlib.sha256(b'archive').hexdigest()}",
                    "gone.zip": f"md5:{'0' * 32}",
                },
            }
        ],
        "licence": "none",
        "citation": "none",
        "url": "none",
        "obtain": "make it",
        "concept_split": {"eval_classes": ["dog"], "rule": "barks", "official": False},
    }


@pytest.fixture
def written(manifest, tmp_path):
    """Write the facts, with changes; returns the path."""

    def write(**changes) -> str:
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(manifest | changes, sort_keys=False))
        return str(path)

    return write


def test_a_whole_set_has_no_problem(written):
    found = verify_data(written())
    assert found.problems == found.remarks == []
    text = "\n".join(found.checked)
    assert "20 images in 2 classes from the folder source" in text and "1 pre, 1 eval" in text
    assert "set.zip: sha256 as listed" in text and "gone.zip: not there" in text


def test_all_problems_are_found_at_one_look(written, tmp_path):
    (tmp_path / "set" / "set.zip").write_bytes(b"another")
    broken = tmp_path / "set" / "train" / "cat" / "3.png"
    broken.write_bytes(broken.read_bytes()[:40])
    problems = verify_data(written(image_size=9, splits={"train": 20, "test": 21}), every_image=True).problems
    assert len(problems) == 4
    assert "train/cat/3.png cannot be decoded" in problems[0]
    assert "19 of 20 decoded images are not 9x9, one is 8x8" in problems[1]
    assert "20 images came, the manifest says 21" in problems[2]
    assert "set.zip has sha256" in problems[3] and "Fetch the file again" in problems[3]


BROKEN = {
    "a link to nothing": (lambda path: path.symlink_to("gone.png"), "it is a link to gone.png, which is not there"),
    "a link to itself": (lambda path: path.symlink_to(path), "its links lead in a circle"),
    "a folder": (lambda path: path.mkdir(), "it is a folder, not a file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_file_is_named_and_the_rest_verified(written, tmp_path, name):
    make, cause = BROKEN[name]
    for number in (3, 4):
        path = tmp_path / "set" / "train" / "cat" / f"{number}.png"
        path.unlink()
        make(path)
    archive = tmp_path / "set" / "set.zip"
    archive.unlink()
    make(archive)
    found = verify_data(written())
    assert len(found.problems) == 2
    assert f"3.png cannot be read ({cause})" in found.problems[0] and "nor can 1 more" in found.problems[0]
    assert f"{archive} cannot be read ({cause})" in found.problems[1]
    assert "test: 20 images decoded" in found.checked
    with pytest.raises(CorruptDataError, match="3.png cannot be read"):
        load_images(written(), "train")


def test_whatever_is_raised_verify_goes_on_to_the_end(written, tmp_path, monkeypatch):
    def refuse(file, where):
        raise PermissionError(errno.EACCES, "Permission denied", str(file)) if "3.png" in where else KeyError("x")

    monkeypatch.setattr("workbook.data.readers.open_image", refuse)
    found = verify_data(written(), every_image=True)
    assert len(found.problems) == 40, "two splits of twenty images"
    assert sum("KeyError: 'x'" in problem for problem in found.problems) == 36
    monkeypatch.setattr("workbook.data.verify.open_split", lambda *_: {}["x"])
    assert verify_data(written()).problems[1].startswith("tiny, test cannot be read (KeyError: 'x'). Fetch")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root": "~nosuchuser/x"}, "'~nosuchuser/x' is no path on this machine"),
        ({"root": "loop"}, "the data is not on this machine"),
        ({"root": "x" * 300}, "the data is not on this machine"),
        ({"lists": {"train": {"tables": {"folder": ["file", "class"]}, "label": "{class}"}}}, "it is a folder"),
        ({"lists": {"train": {"tables": {"broken.csv": "header"}, "label": "{class}"}}}, "link to gone.csv"),
        ({"lists": {"train": {"tables": {"long.csv": "header"}, "label": "{class}"}}}, "the data is not on this"),
        ({"kind": "parquet", "splits": {"train": "folder", "test": "folder"}}, "folder cannot be read"),
        ({"kind": "parquet", "splits": {"train": "broken.csv", "test": "loop"}}, "link to gone.csv"),
        (
            {"kind": "array", "splits": {split: {"images": "loop", "labels": "x"} for split in ("train", "test")}},
            "circle",
        ),
    ],
)
def test_what_the_file_system_refuses_is_a_problem_in_words(written, manifest, tmp_path, changes, message):
    base = tmp_path / "set"
    (base / "folder").mkdir()
    (base / "loop").symlink_to("loop")
    (tmp_path / "loop").symlink_to("loop")
    (base / "broken.csv").symlink_to("gone.csv")
    (base / "long.csv").write_text(f"file,class\n{'x' * 300},cat\n")
    (source,) = manifest["sources"]
    changed = {name: value for name, value in source.items() if name in ("kind", "root", "splits")} | changes
    if "lists" in changes:
        changed["splits"] = source["splits"] | {"train": "train/{file}"}
    problems = verify_data(written(sources=[changed])).problems
    assert problems and message in problems[0]


def test_only_all_decodes_every_image(written, tmp_path, monkeypatch):
    monkeypatch.setattr("workbook.data.verify._SAMPLE", 2)  # the first and the last
    (tmp_path / "set" / "train" / "cat" / "3.png").write_bytes(b"")
    assert verify_data(written()).problems == []
    assert len(verify_data(written(), every_image=True).problems) == 1


def test_the_command_verifies_and_tells_by_its_exit_status(written, tmp_path):
    assert CliRunner().invoke(app, ["data", "verify", written()]).exit_code == 0
    result = CliRunner().invoke(app, ["data", "verify", written(splits={"train": 21, "test": 20}), "--all"])
    assert result.exit_code == 1 and "WRONG  tiny, train" in result.output


def test_sizes_that_a_paper_states_otherwise_are_noted_and_no_problem(written):
    path = written(paper_sizes={"B": {"train": 20, "test": 21}})
    found = verify_data(path)
    assert "train: 20 images, as paper B states" in found.checked and not found.problems
    assert found.remarks == ["tiny, test: paper B states 21 images, here are 20"]
    result = CliRunner().invoke(app, ["data", "verify", path])
    assert result.exit_code == 0 and "note   tiny, test: paper B states 21" in result.output


def test_the_command_shows_an_error_without_a_traceback():
    result = CliRunner().invoke(app, ["data", "show", "cifar-100"])
    assert result.exit_code == 1 and "did you mean 'cifar100'" in result.output
    assert "Traceback" not in result.output


def test_the_command_lists_and_shows():
    listed = CliRunner().invoke(app, ["data", "list"]).output
    assert "imagenet1k" in listed and "652 pre / 348 eval, not official" in listed
    assert "B (other sizes)" in listed and "A, B" in listed
    shown = CliRunner().invoke(app, ["data", "show", "omniglot"]).output
    assert "1,623" in shown and "official; By alphabet" in shown and "to get it" in shown
