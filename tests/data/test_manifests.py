"""Manifests: the shipped ones hold together, and a wrong one says what is wrong with it."""

import numpy as np
import pytest
import yaml

from workbook.data.generated import CLASS_NAMES, FAMILIES, INKS
from workbook.data.manifests import ConceptSplit, Manifest, data_root, list_manifests, load_manifest
from workbook.data.sources import class_sides, load_images
from workbook.errors import ManifestError, PathError

PRETRAINING = ["digits", "generated", "generated-inks", "imagenet1k", "tiny-imagenet-200", "tiny-imagenet-32"]
DISTANCES = ["cifar100-distances", "generated-distances"]
# Paper A, Table 4, and paper B, Table 2
DOWNSTREAM = [
    *("chestx", "cropdisease", "deepweeds", "dtd", "eurosat", "flowers102", "kaokore", "omniglot", "resisc45"),
    *("imagenet-sketch", "svhn", "isic2018"),
    *("cifar10", "cifar100", "caltech256", "food101", "nabirds", "stanford-cars", "fgvc-aircraft", "oxford-pets"),
    *("stanford-dogs", "cub200", "mit-indoor-67", "sun397"),
]
MANY_LABELS = ["coco2014-multilabel", "coco2017", "generated-multilabel"]
SHIPPED = sorted(PRETRAINING + DISTANCES + DOWNSTREAM + MANY_LABELS)


def _valid() -> dict:
    return {
        "name": "mine",
        "title": "Mine",
        "task": "classification",
        "classes": ["cat", "dog", "car"],
        "splits": {"train": 6, "test": 3},
        "sources": [
            {
                "kind": "folder",
                "root": "mine",
                "splits": {"train": "train/{*}/*.png", "test": "test/{*}/*.png"},
            }
        ],
        "licence": "none",
        "citation": "none",
        "url": "none",
        "obtain": "copy it to {data_root}/mine",
        "concept_split": {"eval_classes": ["car"], "rule": "machines", "official": False},
    }


def _written(tmp_path, changes: dict) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(_valid() | changes))
    return str(path)


def test_every_shipped_manifest_is_listed_and_parses_under_its_own_name():
    assert list_manifests() == SHIPPED
    assert [load_manifest(name).name for name in SHIPPED] == SHIPPED


@pytest.mark.parametrize(
    ("name", "pre", "evaluation"),
    [("cifar100", 70, 30), ("tiny-imagenet-200", 126, 74), ("tiny-imagenet-32", 126, 74), ("imagenet1k", 652, 348)],
)
def test_concept_splits_have_their_sizes_and_share_no_class(name, pre, evaluation):
    manifest = load_manifest(name)
    sides = manifest.concept_split.sides(manifest.class_names)
    assert (len(sides["pre"]), len(sides["eval"])) == (pre, evaluation)
    assert set(sides["pre"]) | set(sides["eval"]) == set(manifest.class_names)
    assert not set(sides["pre"]) & set(sides["eval"])


def test_the_generated_set_splits_by_family():
    images = load_images("generated", "test")
    sides = class_sides(load_manifest("generated"), images.class_names)
    assert set(sides["pre"]) == set(FAMILIES["organic"])
    assert set(sides["eval"]) == set(FAMILIES["rectilinear"])


def test_the_inks_are_what_varies_within_the_classes_that_are_pretrained_on():
    forms, inks = (load_images(name, "train", side="pre") for name in ("generated", "generated-inks"))
    assert inks.class_names == forms.class_names and np.array_equal(inks.per_class(100).labels, forms.labels)
    unseen = load_images("generated-inks", "test", side="eval")
    assert unseen.class_names == INKS and len(unseen) == 20 * 200
    assert np.bincount(unseen.labels).min() > 300


@pytest.mark.parametrize(("name", "pre", "each"), [("cifar100-distances", 30, 20), ("generated-distances", 12, 8)])
def test_eval_ds_of_several_distances_have_one_size_and_share_no_class(name, pre, each):
    manifest = load_manifest(name)
    parts = manifest.concept_split.parts(manifest.class_names or CLASS_NAMES)
    assert {side: len(names) for side, names in parts.items() if side != "eval"} == {
        "pre": pre,
        "near": each,
        "middle": each,
        "far": each,
    }
    far_and_nearer = parts["near"] + parts["middle"] + parts["far"]
    assert len(set(far_and_nearer)) == 3 * each and set(far_and_nearer) < set(parts["eval"])


def test_far_is_of_the_eval_side_and_the_rest_of_the_pre_side_of_the_set_itself():
    for name in ("cifar100", "generated"):
        of_two, of_more = (load_manifest(one).concept_split for one in (name, f"{name}-distances"))
        names = load_manifest(name).class_names or CLASS_NAMES
        sides, parts = of_two.sides(names), of_more.parts(names)
        assert set(parts["far"]) < set(sides["eval"])
        assert {*parts["pre"], *parts["near"], *parts["middle"]} == set(sides["pre"])


def test_near_are_outlines_with_other_textures_and_middle_other_outlines():
    parts = load_manifest("generated-distances").concept_split.parts(CLASS_NAMES)
    of_part = {side: {tuple(name.rsplit("-", 1)) for name in parts[side]} for side in ("pre", "near", "middle")}
    seen = {outline for outline, _ in of_part["pre"]}
    assert {outline for outline, _ in of_part["near"]} < seen
    assert not {outline for outline, _ in of_part["middle"]} & seen
    assert {texture for _, texture in of_part["near"]} == {texture for _, texture in of_part["pre"]}


def test_cifar_100_at_distances_is_cifar_100():
    whole, apart = load_manifest("cifar100"), load_manifest("cifar100-distances")
    assert apart.classes == whole.classes and apart.sources == whole.sources and apart.splits == whole.splits


def test_tiny_imagenet_is_part_of_imagenet_and_on_the_same_sides():
    tiny, whole = load_manifest("tiny-imagenet-200"), load_manifest("imagenet1k")
    assert tiny.classes.items() <= whole.classes.items()
    assert set(tiny.concept_split.eval_classes) == set(tiny.class_names) & set(whole.concept_split.eval_classes)
    small = load_manifest("tiny-imagenet-32")
    assert small.classes == tiny.classes and small.concept_split == tiny.concept_split


@pytest.mark.parametrize("name", DOWNSTREAM)
def test_every_downstream_set_says_where_it_comes_from_and_how_to_get_it(name):
    manifest = load_manifest(name)
    assert manifest.url.startswith("http") and (manifest.downloads or "{data_root}" in manifest.obtain)
    assert manifest.licence and manifest.citation


def test_wordnet_ids_are_sorted_because_the_hubs_labels_count_them():
    names = load_manifest("imagenet1k").class_names
    assert list(names) == sorted(names)
    assert names[0] == "n01440764" and names[999] == "n15075141"


def test_only_splits_that_their_authors_published_are_official():
    official = {n for n in SHIPPED if (split := load_manifest(n).concept_split) and split.official}
    assert official == {"generated", "omniglot"}


def test_distances_are_of_the_eval_side_and_have_names_of_their_own():
    split = ConceptSplit(eval_classes=("d",), distances={"near": ("b*",), "far": ("c",)}, rule="", official=False)
    parts = split.parts(["a", "b2", "b1", "c", "d"])
    assert parts == {"pre": ["a"], "eval": ["b2", "b1", "c", "d"], "near": ["b2", "b1"], "far": ["c"]}
    assert split.sides(["a", "b2", "b1", "c", "d"]) == {side: parts[side] for side in ("pre", "eval")}
    with pytest.raises(ManifestError, match="entry 'c' matches none"):
        split.parts(["a", "b", "d"])
    with pytest.raises(ValueError, match="cannot be called 'pre'"):
        ConceptSplit(eval_classes=("d",), distances={"pre": ("a",)}, rule="", official=False)


def test_sides_take_names_and_patterns_and_keep_the_order_of_the_classes():
    split = ConceptSplit(eval_classes=("b/*", "c[1]"), rule="", official=False)
    assert split.sides(["b/2", "a", "c[1]", "b/1"]) == {"pre": ["a"], "eval": ["b/2", "c[1]", "b/1"]}


def test_an_entry_that_matches_no_class_is_an_error_with_a_near_name():
    split = ConceptSplit(eval_classes=("lawnmower",), rule="", official=False)
    with pytest.raises(ManifestError, match="'lawnmower' matches none of the 2 classes.*'lawn_mower'"):
        split.sides(["lawn_mower", "dog"])


def test_a_side_must_not_be_empty():
    with pytest.raises(ManifestError, match="all 2 classes"):
        ConceptSplit(eval_classes=("*",), rule="", official=False).sides(["a", "b"])


def test_a_path_loads_a_manifest_of_ones_own(tmp_path):
    manifest = load_manifest(_written(tmp_path, {}))
    assert isinstance(manifest, Manifest) and manifest.class_names == ("cat", "dog", "car")


def test_an_unknown_name_is_told_with_the_nearest_and_where_all_are_listed():
    with pytest.raises(ManifestError, match="no manifest 'cifar-100' .did you mean 'cifar100'.*`workbook data list`"):
        load_manifest("cifar-100")


def test_malformed_yaml_names_the_file(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("name: [unclosed\n")
    with pytest.raises(ManifestError, match="broken.yaml, line 2: .*expected"):
        load_manifest(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clases": 3}, "clases: Extra inputs"),
        ({"task": "detection"}, r"task: .*\(got 'detection'\)"),
        ({"splits": {"train": 6}}, "test is missing"),
        ({"classes": ["cat", "cat"]}, "each named once"),
        ({"classes": 1}, "at least two"),
        ({"sources": []}, "sources: "),
        ({"sources": [{"kind": "folders", "root": "x", "splits": {}}]}, "sources.0: .*folders"),
        (
            {"sources": [{"kind": "folder", "root": "x", "splits": {"train": "{*}/*.png"}}]},
            "folder source does not say where 'test' is",
        ),
        (
            {"sources": [{"kind": "folder", "root": "x", "splits": {"train": "a/*.png", "test": "b/*.png"}}]},
            "does not say where the class is",
        ),
        ({"concept_split": {"eval_classes": ["cars"], "rule": "", "official": False}}, "did you mean 'car'"),
        (
            {"holdout": {"of": "all", "test_per_class": 2, "seed": 0}},
            "2 a class for test, seed 0: 6 of 9 images in 3 classes, but splits.test is 3",
        ),
        (
            {"holdout": {"of": "all", "test_fraction": 0.5, "seed": 0}},
            "0.5 of every class for test, seed 0: 4 of 9 images in 3 classes, but splits.test is 3",
        ),
        ({"holdout": {"of": "all", "seed": 0}}, "either test_per_class or test_fraction"),
        (
            {"holdout": {"of": "all", "test_per_class": 1, "test_fraction": 0.5, "seed": 0}},
            "either test_per_class or test_fraction",
        ),
        ({"paper_sizes": {"B": {"training": 6}}}, "paper_sizes.B is about 'training', which is no split"),
        ({"paper_sizes": {"C": {"train": 6}}}, "paper_sizes.C"),
        (
            {"holdout": {"of": "all", "test_per_class": 1, "seed": 0}},
            "folder source does not say where 'all' is",
        ),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong_and_in_which_file(tmp_path, changes, message):
    with pytest.raises(ManifestError, match=message) as raised:
        load_manifest(_written(tmp_path, changes))
    assert "mine.yaml" in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train: 6", "train: -6", "line 9, splits.train: Input should be greater than or equal to 1 .got -6"),
        ("train: 6", "train: true", "line 9, splits.train: Input should be a valid integer .got True"),
        ("train: 6", "train: 6\n  train: 7", "mine.yaml, line 10: 'train' stands here and in line 9"),
        ("task: classification", "task: classification\nimage_size: 0", "image_size: .*greater than or equal to 1"),
        ("- dog", "- 1.50", "classes.*quotes"),
        ("- dog", "- true", "classes.*quotes"),
        ("classes:\n- cat\n- dog\n- car", "classes: 99999999999", "classes.*less than or equal to 10000000"),
        ("title: Mine", "title: [[[[", "mine.yaml, line .*: .*expected"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, old, new, message):
    path = tmp_path / "mine.yaml"
    text = yaml.safe_dump({name: value for name, value in _valid().items() if name != "concept_split"}, sort_keys=False)
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ManifestError, match=message):
        load_manifest(path)


def test_classes_may_be_called_what_yaml_takes_for_something_else(tmp_path):
    path = tmp_path / "mine.yaml"
    text = yaml.safe_dump(_valid()).replace("- dog", "- no").replace("- cat", "- 0").replace("- car", "- 2020-01-31")
    path.write_text(text)
    manifest = load_manifest(path)
    assert manifest.class_names == ("0", "no", "2020-01-31")
    assert manifest.concept_split.sides(manifest.class_names)["eval"] == ["2020-01-31"]


def test_a_message_does_not_write_out_what_aliases_repeat(tmp_path):
    path = tmp_path / "mine.yaml"
    doubled = "".join(f"b{i}: &b{i} [*b{i - 1}, *b{i - 1}, *b{i - 1}]\n" for i in range(1, 11))
    path.write_text(f"b0: &b0 [x, x]\n{doubled}")
    with pytest.raises(ManifestError, match="b10: Extra inputs") as raised:
        load_manifest(path)
    assert len(str(raised.value)) < 20_000


def test_checksums_must_name_their_algorithm(tmp_path):
    source = _valid()["sources"][0] | {"checksums": {"a.zip": "0" * 32}}
    with pytest.raises(ManifestError, match="checksums.a.zip"):
        load_manifest(_written(tmp_path, {"sources": [source]}))


def test_the_data_root_is_workbook_data_else_in_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    assert data_root() == tmp_path.resolve()
    monkeypatch.delenv("WORKBOOK_DATA")
    assert data_root().name == "data" and (data_root().parent / "data_manifests").is_dir()


def test_where_a_manifest_cannot_be_read_the_cause_is_told(tmp_path, monkeypatch):
    (tmp_path / "broken.yaml").symlink_to("gone.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name, cause in (("broken", "link to gone.yaml"), ("loop", "in a circle"), ("folder", "it is a folder")):
        with pytest.raises(ManifestError, match=f"{name}.yaml cannot be read .*{cause}"):
            load_manifest(tmp_path / f"{name}.yaml")
    for name in ("x" * 300, "x" * 300 + ".yaml", "gone.yaml"):
        with pytest.raises(ManifestError, match="there is no manifest"):
            load_manifest(name)
    with pytest.raises(PathError, match="nosuchuser"):
        load_manifest("~nosuchuser/x.yaml")
    monkeypatch.setenv("HOME", str(tmp_path))
    _written(tmp_path, {})
    assert load_manifest("~/mine.yaml").name == load_manifest(tmp_path / "mine.yaml").name


def test_both_years_of_coco_have_the_same_categories():
    assert load_manifest("coco2017").class_names == load_manifest("coco2014-multilabel").class_names
