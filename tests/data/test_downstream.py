"""Every downstream set, read through its shipped manifest from a few tiny files in the set's own layout."""

import csv
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image
from scipy.io import savemat
from torchvision.datasets.utils import calculate_md5

from workbook.data import Images, load_images, load_manifest, verify_data
from workbook.data.manifests import Manifest
from workbook.errors import CorruptDataError, ManifestError, MissingDataError

PUBLISHED = os.environ.get("WORKBOOK_DATA")  # before the tests point it elsewhere


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path))
    return tmp_path


def draw(file: Path, label: int, number: int = 0) -> None:
    """An image of 8 pixels that tells its class and its number, through JPEG as well."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (20 * label, 20 * number, 0)).save(file, quality=95)


def told(image: Image.Image) -> tuple[int, int]:
    red, green, _ = image.convert("RGB").getpixel((4, 4))
    return round(red / 20), round(green / 20)


def write(file: Path, *lines: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def small(name: str, splits: dict[str, int], classes: tuple[str, ...] | int | None = None) -> Manifest:
    """The shipped manifest with fewer images, and with the first or the given classes only."""
    manifest = load_manifest(name)
    kept = classes if classes is not None else manifest.classes[:2]
    return manifest.model_copy(update={"splits": splits, "classes": kept, "image_size": 8})


def assert_told(manifest: Manifest, split: str, expected: set[tuple[int, int]]) -> Images:
    """`expected` are (label, number) of all images; their labels must be what the manifest's reader says."""
    images = load_images(manifest, split)
    seen = [told(image) for image in images]
    assert set(seen) == expected and len(seen) == len(expected)
    assert [label for label, _ in seen] == images.labels.tolist()
    assert load_images(manifest, split).digest == images.digest
    return images


def every(labels: int, numbers: range) -> set[tuple[int, int]]:
    return {(label, number) for label in range(labels) for number in numbers}


def test_dtd(root):
    base = root / "dtd" / "dtd"
    for number, split in enumerate(("train", "val", "test")):
        names = [f"{name}/{name}_{number}.jpg" for name in ("blotchy", "banded")]
        write(base / "labels" / f"{split}1.txt", *names)
        for name in names:
            draw(base / "images" / name, label=int("blotchy" in name), number=number)
    manifest = small("dtd", {"train": 2, "val": 2, "test": 2})
    for number, split in enumerate(("train", "val", "test")):
        assert_told(manifest, split, every(2, range(number, number + 1)))


def test_torchvision_digest_follows_the_files(root):
    test_dtd(root)
    manifest = small("dtd", {"train": 2, "val": 2, "test": 2})
    before = load_images(manifest, "train").digest
    draw(root / "dtd" / "dtd" / "images" / "banded" / "banded_0.jpg", label=0, number=9)
    assert load_images(manifest, "train").digest != before


def test_flowers(root, monkeypatch):
    base = root / "flowers-102"
    for number in range(6):
        draw(base / "jpg" / f"image_{number + 1:05d}.jpg", label=number % 2, number=number)
    savemat(base / "imagelabels.mat", {"labels": [1, 2] * 3})
    savemat(base / "setid.mat", {"trnid": [1, 2], "valid": [3, 4], "tstid": [6, 5]})
    files = torchvision.datasets.Flowers102._file_dict
    changed = {kind: (name, calculate_md5(base / name)) for kind, (name, _) in files.items() if kind != "image"}
    monkeypatch.setattr(torchvision.datasets.Flowers102, "_file_dict", files | changed)
    monkeypatch.setattr(
        torchvision.datasets.Flowers102, "classes", ["pink primrose", "hard-leaved pocket orchid"], raising=False
    )
    manifest = small("flowers102", {"train": 2, "val": 2, "test": 2})
    assert_told(manifest, "train", {(0, 0), (1, 1)})
    assert_told(manifest, "val", {(0, 2), (1, 3)})
    assert_told(manifest, "test", {(0, 4), (1, 5)})


def test_svhn_calls_the_tenth_class_zero(root, monkeypatch):
    (root / "svhn").mkdir()
    split_list = dict(torchvision.datasets.SVHN.split_list)
    for split, digits in (("train", [10, 1, 1]), ("test", [1, 10])):
        pixels = np.zeros((8, 8, 3, len(digits)), np.uint8)
        pixels[:, :, 0], pixels[:, :, 1] = 20 * (np.array(digits) % 10), 20 * np.arange(len(digits))
        file = root / "svhn" / f"{split}_32x32.mat"
        savemat(file, {"X": pixels, "y": np.array(digits, np.uint8)[:, None]})
        split_list[split] = [split_list[split][0], file.name, calculate_md5(file)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", split_list)
    manifest = small("svhn", {"train": 3, "test": 2})
    assert_told(manifest, "train", {(0, 0), (1, 1), (1, 2)})
    assert_told(manifest, "test", {(1, 0), (0, 1)})


def test_pets(root):
    base = root / "oxford-iiit-pet"
    for number, split in enumerate(("trainval", "test")):
        names = [f"american_bulldog_{number}", f"Abyssinian_{number}"]
        write(base / "annotations" / f"{split}.txt", f"{names[0]} 2 2 1", f"{names[1]} 1 1 1")
        for label, name in enumerate(reversed(names)):
            draw(base / "images" / f"{name}.jpg", label, number)
    manifest = small("oxford-pets", {"train": 2, "test": 2})
    assert_told(manifest, "train", every(2, range(1)))
    assert_told(manifest, "test", every(2, range(1, 2)))


def test_aircraft_variants_may_have_spaces(root):
    base = root / "fgvc-aircraft-2013b" / "data"
    classes = ("BAE 146-200", "707-320")
    write(base / "variants.txt", *reversed(classes))
    for number, split in enumerate(("train", "val", "test")):
        write(base / f"images_variant_{split}.txt", *(f"{number}{label} {name}" for label, name in enumerate(classes)))
        for label in range(2):
            draw(base / "images" / f"{number}{label}.jpg", label, number)
    manifest = small("fgvc-aircraft", {"train": 2, "val": 2, "test": 2}, classes)
    for number, split in enumerate(("train", "val", "test")):
        assert_told(manifest, split, every(2, range(number, number + 1)))


def test_food(root):
    base = root / "food-101"
    for number, split in enumerate(("train", "test")):
        listed = {name: [f"{name}/{number}"] for name in ("baby_back_ribs", "apple_pie")}
        write(base / "meta" / f"{split}.json", json.dumps(listed))
        for label, name in enumerate(("apple_pie", "baby_back_ribs")):
            draw(base / "images" / name / f"{number}.jpg", label, number)
    manifest = small("food101", {"train": 2, "test": 2})
    assert_told(manifest, "train", every(2, range(1)))
    assert_told(manifest, "test", every(2, range(1, 2)))


def test_cars_keep_files_and_labels_in_pairs(root):
    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    names = np.array(["Acura Integra", "Audi S4"], dtype=object)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": names})
    places = {"train": base / "devkit" / "cars_train_annos.mat", "test": base / "cars_test_annos_withlabels.mat"}
    for number, (split, place) in enumerate(places.items()):
        rows = [(f"{label}.jpg", label + 1) for label in (1, 0)]
        savemat(place, {"annotations": np.array(rows, dtype=[("fname", object), ("class", object)])})
        for label in range(2):
            draw(base / f"cars_{split}" / f"{label}.jpg", label, number)
    manifest = small("stanford-cars", {"train": 2, "test": 2}, classes=2)
    images = assert_told(manifest, "train", every(2, range(1)))
    assert images.class_names == ("Acura Integra", "Audi S4")
    assert_told(manifest, "test", every(2, range(1, 2)))


def test_cifar10(root, monkeypatch):
    cifar10 = torchvision.datasets.CIFAR10
    base = root / cifar10.base_folder
    base.mkdir()
    pixels = np.zeros((2, 3, 32, 32), np.uint8)
    pixels[1, 0] = 20
    batch = {"data": pixels.reshape(2, -1), "labels": [0, 1]}
    contents = {"data_batch_1": batch, "test_batch": batch, "batches.meta": {"label_names": ["airplane", "automobile"]}}
    for name, content in contents.items():
        (base / name).write_bytes(pickle.dumps(content))
    monkeypatch.setattr(cifar10, "train_list", [["data_batch_1", calculate_md5(base / "data_batch_1")]])
    monkeypatch.setattr(cifar10, "test_list", [["test_batch", calculate_md5(base / "test_batch")]])
    monkeypatch.setattr(cifar10, "meta", cifar10.meta | {"md5": calculate_md5(base / "batches.meta")})
    manifest = small("cifar10", {"train": 2, "test": 2})
    for split in ("train", "test"):
        assert_told(manifest, split, {(0, 0), (1, 0)})


def held_out(manifest: Manifest, labels: int, numbers: int) -> None:
    """Train and test share no image and together are all of them."""
    train, test = ([told(image) for image in load_images(manifest, split)] for split in ("train", "test"))
    assert not set(train) & set(test) and set(train) | set(test) == every(labels, range(numbers))
    assert {label for label, _ in train} == {label for label, _ in test} == set(range(labels))


@pytest.mark.parametrize(
    ("name", "place", "classes"),
    [
        ("eurosat", "eurosat/2750/{}/{}_{}.jpg", ("AnnualCrop", "Forest")),
        ("resisc45", "NWPU-RESISC45/{}/{}_{}.jpg", ("airplane", "airport")),
        ("imagenet-sketch", "imagenet-sketch/sketch/{}/{}_{}.JPEG", ("n01440764", "n01443537")),
        ("caltech256", "caltech256/256_ObjectCategories/{}/{}_{}.jpg", ("001.ak47", "257.clutter")),
    ],
)
def test_sets_of_folders_without_a_split(root, name, place, classes):
    for label, class_name in enumerate(classes):
        for number in range(10):
            draw(root / place.format(class_name, class_name, number), label, number)
    manifest = small(name, {"train": 14, "test": 6}, classes)
    if name == "resisc45":
        manifest = manifest.model_copy(update={"holdout": manifest.holdout.model_copy(update={"test_per_class": 3})})
    if name == "caltech256":
        manifest = manifest.model_copy(update={"splits": {"train": 16, "test": 4}})
    held_out(manifest, labels=2, numbers=10)


def test_folders_read_what_torchvisions_own_classes_read(root):
    for label, (eurosat, caltech) in enumerate((("AnnualCrop", "001.ak47"), ("Forest", "002.american-flag"))):
        for number in range(3):
            draw(root / "eurosat" / "2750" / eurosat / f"{eurosat}_{number + 1}.jpg", label, number)
            file = root / "caltech256" / "256_ObjectCategories" / caltech / f"{label + 1:03d}_{number + 1:04d}.jpg"
            draw(file, label, number)
    (root / "caltech256" / "256_ObjectCategories" / "001.ak47" / "RENAME2").write_text("no image")  # as in 198.spider
    draw(root / "caltech256" / "256_ObjectCategories" / "002.american-flag" / "greg" / "1.jpg", 0)  # as in 056.dog
    for name, dataset, classes in (
        ("eurosat", torchvision.datasets.EuroSAT(root), ("AnnualCrop", "Forest")),
        ("caltech256", torchvision.datasets.Caltech256(root), ("001.ak47", "002.american-flag")),
    ):
        manifest = small(name, {"train": 5, "test": 1}, classes)
        manifest = manifest.model_copy(update={"holdout": None, "splits": {"all": 6}})
        images = load_images(manifest, "all")
        assert [told(image) for image in images] == [told(dataset[row][0]) for row in range(len(dataset))]
        assert images.labels.tolist() == [dataset[row][1] for row in range(len(dataset))]


def test_cropdisease(root):
    for number, split in enumerate(("train", "test")):
        for label, name in enumerate(("Apple___Apple_scab", "Corn_(maize)___Cercospora_leaf_spot Gray_leaf_spot")):
            draw(root / "cropdisease" / "dataset" / split / name / f"{number}.JPG", label, number)
    manifest = small("cropdisease", {"train": 2, "test": 2}, classes=2)
    assert_told(manifest, "train", every(2, range(1)))
    assert_told(manifest, "test", every(2, range(1, 2)))


def test_sun397_by_the_authors_lists(root):
    base = root / "SUN397"
    places = ["/a/abbey", "/a/apartment_building/outdoor"]
    write(base / "ClassName.txt", *places)
    for number, name in enumerate(("Training_01.txt", "Testing_01.txt")):
        write(base / "Partitions" / name, *(f"{place}/sun_{number}.jpg" for place in reversed(places)))
        for label, place in enumerate(places):
            draw(base / place[1:] / f"sun_{number}.jpg", label, number)
    draw(base / "a" / "abbey" / "sun_9.jpg", 0, 9)  # in neither list
    manifest = small("sun397", {"train": 2, "test": 2}, classes=2)
    images = assert_told(manifest, "train", every(2, range(1)))
    assert_told(manifest, "test", every(2, range(1, 2)))
    assert list(images.class_names) == torchvision.datasets.SUN397(root).classes


@pytest.mark.parametrize(("name", "folder"), [("cub200", "CUB_200_2011"), ("nabirds", "nabirds")])
def test_birds_by_joined_lists(root, name, folder):
    base, files = root / folder, []
    for label, place in enumerate(("001.Black_footed_Albatross", "002.Laysan_Albatross")):
        for number in range(2):
            files.append(f"{place}/{number}.jpg")
            draw(base / "images" / files[-1], label, number)
    write(base / "images.txt", *(f"id{i} {file}" for i, file in enumerate(files)))
    write(base / "image_class_labels.txt", *(f"id{i} {7 + i // 2}" for i in reversed(range(4))))
    write(base / "train_test_split.txt", *(f"id{i} {1 - i % 2}" for i in range(4)))
    manifest = small(name, {"train": 2, "test": 2}, classes=2)
    images = assert_told(manifest, "train", every(2, range(1)))
    assert_told(manifest, "test", every(2, range(1, 2)))
    assert images.class_names == (("7", "8") if name == "nabirds" else tuple(sorted({f[:-6] for f in files})))


def test_dogs_by_mat_lists(root):
    base = root / "stanford-dogs"
    places = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")
    for number, split in enumerate(("train", "test")):
        files = [f"{place}/{place[:9]}_{number}.jpg" for place in places]
        for label, file in enumerate(files):
            draw(base / "Images" / file, label, number)
        cells = np.array(files, dtype=object)[:, None]
        savemat(base / f"{split}_list.mat", {"file_list": cells, "annotation_list": cells, "labels": [[1], [2]]})
    manifest = small("stanford-dogs", {"train": 2, "test": 2}, classes=2)
    images = assert_told(manifest, "train", every(2, range(1)))
    assert_told(manifest, "test", every(2, range(1, 2)))
    assert images.class_names == places


def test_indoor_files_may_have_spaces(root):
    base = root / "mit-indoor-67"
    for number, name in enumerate(("TrainImages.txt", "TestImages.txt")):
        files = [f"{place}/a room {number}.jpg" for place in ("airport_inside", "artstudio")]
        write(base / name, *files)
        for label, file in enumerate(files):
            draw(base / "Images" / file, label, number)
    manifest = small("mit-indoor-67", {"train": 2, "test": 2})
    assert_told(manifest, "train", every(2, range(1)))
    assert_told(manifest, "test", every(2, range(1, 2)))


def test_deepweeds(root):
    for number, split in enumerate(("train", "val", "test")):
        rows = [f"2017-{number}-{label}.jpg,{label}" for label in range(2)]
        write(root / "DeepWeeds" / "labels" / f"{split}_subset0.csv", "Filename,Label", *rows)
        for label in range(2):
            draw(root / "DeepWeeds" / "images" / f"2017-{number}-{label}.jpg", label, number)
    manifest = small("deepweeds", {"train": 2, "val": 2, "test": 2})
    for number, split in enumerate(("train", "val", "test")):
        images = assert_told(manifest, split, every(2, range(number, number + 1)))
    assert images.class_names == ("Chinee apple", "Lantana")


def test_kaokore_crosses_gender_and_status(root):
    rows = ["image,gender,status,set"]
    for number, split in enumerate(("train", "dev", "test")):
        for label in range(8):
            rows.append(f"{number}{label}.jpg,{label // 4},{label % 4},{split}")
            draw(root / "kaokore" / "images_256" / f"{number}{label}.jpg", label, number)
    write(root / "kaokore" / "labels.csv", *rows)
    manifest = small("kaokore", {"train": 8, "val": 8, "test": 8}, load_manifest("kaokore").class_names)
    for number, split in enumerate(("train", "val", "test")):
        assert_told(manifest, split, every(8, range(number, number + 1)))


def test_isic_reads_one_hot_columns(root):
    base, names = root / "isic2018", load_manifest("isic2018").class_names
    for number, part in enumerate(("Training", "Validation", "Test")):
        folder = f"ISIC2018_Task3_{part}"
        rows = []
        for label in range(7):
            rows.append(f"ISIC_{label}," + ",".join(str(float(label == other)) for other in range(7)))
            draw(base / f"{folder}_Input" / f"ISIC_{label}.jpg", label, number)
        write(base / f"{folder}_GroundTruth" / f"{folder}_GroundTruth.csv", "image," + ",".join(names), *rows)
    manifest = small("isic2018", {"train": 7, "val": 7, "test": 7}, names)
    for number, split in enumerate(("train", "val", "test")):
        assert_told(manifest, split, every(7, range(number, number + 1)))


def test_chestx_takes_images_with_exactly_one_of_the_seven_findings(root):
    names = load_manifest("chestx").class_names
    # the header of the release, whose commas cut two of its columns
    header = "Image Index,Finding Labels,Follow-up #,OriginalImage[Width,Height],"
    rows, others = [], ("No Finding", "Pneumonia", "Hernia", "Mass|Nodule", "Mass|Hernia")
    for number in range(10):
        for label, name in enumerate((*names, *others)):
            rows.append(f"{number:04d}_{label:03d}.png,{name},0,8,8,")
            if label < 7:
                folder = root / "chestx" / ("images_001" if number < 5 else "images_012") / "images"
                draw(folder / f"{number:04d}_{label:03d}.png", label, number)
    write(root / "chestx" / "Data_Entry_2017.csv", header, *rows)
    held_out(small("chestx", {"train": 49, "test": 21}, names), labels=7, numbers=10)


# --- where something is missing or wrong in a set that has lists


def test_without_its_lists_a_set_is_missing_and_says_how_to_get_it(root):
    draw(root / "mit-indoor-67" / "Images" / "artstudio" / "0.jpg", 1)
    with pytest.raises(MissingDataError, match="(?s)TrainImages.txt.*To get it: unpack indoorCVPR_09.tar"):
        load_images("mit-indoor-67", "train")


def test_without_its_images_a_set_is_missing(root):
    write(root / "mit-indoor-67" / "TrainImages.txt", "artstudio/0.jpg", "artstudio/1.jpg")
    with pytest.raises(MissingDataError, match=r"Images/artstudio/0.jpg and 1 more that are listed"):
        load_images("mit-indoor-67", "train")


def test_a_listed_image_that_is_not_there_is_named(root):
    test_indoor_files_may_have_spaces(root)
    (root / "mit-indoor-67" / "Images" / "artstudio" / "a room 0.jpg").unlink()
    with pytest.raises(ManifestError, match="1 of 2 listed images are not in .*, Images/artstudio/a room 0.jpg among"):
        load_images("mit-indoor-67", "train")


def test_a_broken_mat_list_is_named(root):
    test_dogs_by_mat_lists(root)
    (root / "stanford-dogs" / "train_list.mat").write_bytes(b"not a .mat file")
    with pytest.raises(CorruptDataError, match="train_list.mat cannot be read as a .mat file"):
        load_images("stanford-dogs", "train")


# --- what the papers state


def table2() -> dict[str, tuple[int, int]]:
    """Paper B's Table 2: symbol -> train and test size."""
    file = Path(__file__).parents[2] / "workbook" / "papers" / "tables" / "diverse_table2_datasets.csv"
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    return {row["symbol"]: tuple(int(row[f"{s}_size"].replace(",", "")) for s in ("train", "test")) for row in rows}


SYMBOLS = {
    "imagenet1k": "ImNet",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "caltech256": "Caltech",
    "food101": "Food",
    "nabirds": "Birds",
    "stanford-cars": "Cars",
    "fgvc-aircraft": "Aircraft",
    "oxford-pets": "Pets",
    "flowers102": "Flowers",
    "stanford-dogs": "Dogs",
    "cub200": "CUB",
    "dtd": "DTD",
    "mit-indoor-67": "Indoor",
    "sun397": "SUN",
}


@pytest.mark.parametrize("name", SYMBOLS)
def test_the_sizes_of_paper_b_are_those_of_its_table(name):
    stated = load_manifest(name).paper_sizes["B"]
    assert (stated["train"], stated["test"]) == table2()[SYMBOLS[name]]


def test_every_data_set_of_table_2_has_a_manifest_but_the_multi_label_one():
    assert set(table2()) - set(SYMBOLS.values()) == {"COCO"}


@pytest.mark.skipif(not PUBLISHED, reason="WORKBOOK_DATA names no folder of published data")
@pytest.mark.parametrize("name", ["cifar100", "omniglot"])
def test_published_copies(name, monkeypatch):
    monkeypatch.setenv("WORKBOOK_DATA", str(PUBLISHED))
    found = verify_data(name)
    if any("is not on this machine" in problem for problem in found.problems):
        pytest.skip(f"{name} is not in {PUBLISHED}")
    assert not found.problems
