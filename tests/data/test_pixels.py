"""One rule for what a decoder gives: turned, transparent, 16-bit and long images, and files that are none."""

import io
import unicodedata

import numpy as np
import pytest
import yaml
from PIL import ExifTags, Image

from tests.data.copies import (
    CLASSES,
    FOLDER,
    PARQUET,
    TORCHVISION,
    encode,
    manifest,
    pixels,
    write_folders,
    write_parquet,
)
from tests.data.copies import rows as parquet_rows
from workbook.data import images as images_module
from workbook.data import load_images, readers, verify_data
from workbook.data.images import content_digest, fit
from workbook.data.pixels import follows_rule, rgb
from workbook.errors import CorruptDataError
from workbook.files import file_digest

TURNED = ("JPEG", "PNG", "WEBP", "AVIF")
TRANSPARENT = [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "GIF"), ("RGBA", "AVIF")]


def saved(image: Image.Image, form: str, **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def with_orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = number
    return exif


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.fixture
def first(root):
    """Write these bytes as the first image of the copies; gives the folder source's images."""

    def put(data: bytes, name: str = "0.png"):
        (root / "set" / "train" / "car" / "0.png").unlink()
        (root / "set" / "train" / "car" / name).write_bytes(data)
        any_image = FOLDER | {"splits": {"train": "train/{*}/*", "test": "test/{*}/*"}}
        return load_images(manifest(any_image), "train")

    write_folders(root)
    return put


@pytest.mark.parametrize("number", range(1, 9))
def test_an_image_is_turned_as_its_exif_data_say(number):
    stored = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10)
    got = np.asarray(rgb(opened(saved(stored, "PNG", exif=with_orientation(number)))))[..., 0]
    # by EXIF's own words: where row 0 and column 0 of the stored image are to be seen
    mirrored, turned = np.asarray(stored)[:, ::-1], {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}[number]
    expected = np.rot90(mirrored if number in (2, 4, 5, 7) else np.asarray(stored), turned)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("form", TURNED)
def test_every_format_that_holds_an_orientation_is_turned(form):
    tall = saved(Image.new("RGB", (10, 6)), form, exif=with_orientation(6))
    assert rgb(opened(tall)).size == (6, 10) and follows_rule(tall)
    assert not follows_rule(saved(Image.new("RGB", (10, 6)), form, exif=with_orientation(1)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_exif_data_that_cannot_be_read_turn_nothing():
    broken = saved(Image.new("RGB", (10, 6)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert rgb(opened(broken)).size == (10, 6) and not follows_rule(broken)


@pytest.mark.parametrize(("mode", "form"), TRANSPARENT)
def test_what_is_transparent_is_white_whatever_lies_under_it(mode, form):
    image = Image.new("RGBA", (8, 8), (10, 10, 10, 0))
    image.paste((200, 200, 200, 255), (0, 0, 4, 8))
    data = saved(image.convert(mode), form)
    shown = np.asarray(rgb(opened(data))).astype(int)
    assert follows_rule(data)
    assert np.abs(shown[4, 6] - 255).max() <= 3 and np.abs(shown[4, 1] - 200).max() <= 3
    half = rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))
    assert half.getpixel((0, 0)) == (127, 127, 127)  # 255 - 128


def test_a_colour_that_is_called_transparent_is_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([9, 9, 9, 50, 60, 70])
    palette.putpixel((1, 0), 1)
    assert np.asarray(rgb(opened(saved(palette, "PNG", transparency=0))))[0].tolist() == [[255] * 3, [50, 60, 70]]
    grey = Image.fromarray(np.array([[7, 8]], dtype=np.uint8))
    assert np.asarray(rgb(opened(saved(grey, "PNG", transparency=7))))[0].tolist() == [[255] * 3, [8] * 3]


def test_the_digest_says_so_and_other_sets_keep_theirs(root, first):
    images, base = load_images(manifest(FOLDER), "train"), root / "set" / "train"
    files = content_digest(*(file_digest(base / name / f"{i}.png") for name in sorted(CLASSES) for i in (0, 1)))
    # as before there was a rule
    kept = content_digest(files, images.rows.tobytes(), images.labels.tobytes(), *CLASSES)
    assert images.digest == kept
    turned = first(saved(Image.fromarray(pixels(2, 0)), "PNG", exif=with_orientation(3)))
    plain = first(saved(Image.fromarray(pixels(2, 0)), "PNG", exif=with_orientation(1)))
    names = [turned.digest, plain.digest, kept]
    assert len(set(names)) == 3
    content = readers.files_digest(root / "set" / "train" / "car", ["0.png"])
    assert readers.images_digest(root / "set" / "train" / "car", ["0.png"]) == content
    first(saved(Image.new("RGBA", (8, 8)), "PNG"))
    content = readers.files_digest(root / "set" / "train" / "car", ["0.png"])
    assert readers.images_digest(root / "set" / "train" / "car", ["0.png"]) != content


def test_a_set_that_is_not_looked_through_may_hold_such_images(root, monkeypatch):
    write_folders(root)
    before = load_images(manifest(FOLDER), "train").digest
    monkeypatch.setattr(readers, "_WHOLE_BYTES", 0)
    base, names = root / "set" / "train" / "car", ["0.png"]
    assert readers.images_digest(base, names) != readers.files_digest(base, names)
    assert load_images(manifest(FOLDER), "train").digest != before


def test_parquet_and_torchvision_follow_the_same_rule(root, first):
    data = saved(Image.new("RGBA", (8, 8), (1, 2, 3, 0)), "PNG")
    assert first(data)[0].getpixel((0, 0)) == (255, 255, 255)
    assert load_images(manifest(TORCHVISION), "train")[0].getpixel((0, 0)) == (255, 255, 255)
    plain = parquet_rows(2)
    write_parquet(root / "set" / "train-0.parquet", plain)
    before = load_images(manifest(PARQUET), "train")
    write_parquet(root / "set" / "train-0.parquet", [(0, data), *plain[1:]])
    after = load_images(manifest(PARQUET), "train")
    assert after[0].getpixel((0, 0)) == (255, 255, 255) and after.digest != before.digest


@pytest.mark.parametrize("form", [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")])
def test_a_name_is_the_same_composed_or_not(root, form):
    other = unicodedata.normalize("NFD" if len(form) == 4 else "NFC", form)
    for split, names in (("train", (form, "tea")), ("test", (other, "tea"))):
        for name in names:
            (root / "set" / split / name).mkdir(parents=True)
            (root / "set" / split / name / "0.png").write_bytes(encode(pixels(0, 0)))
    facts = {"classes": [other, "tea"], "splits": {"train": 2, "test": 2}}
    facts["concept_split"] = {"eval_classes": [form], "rule": "beans", "official": False}
    for split in ("train", "test"):
        found = load_images(manifest(FOLDER, **facts), split, side="eval")
        assert found.class_names == ("café",) and len(found) == 1
    digests = {load_images(manifest(FOLDER, **facts), split).digest for split in ("train", "test")}
    assert len(digests) == 1, "and the same content"
    counted = manifest(FOLDER, **facts | {"classes": 2, "concept_split": None})
    assert load_images(counted, "train").class_names == ("café", "tea")


def test_both_forms_in_one_copy_are_one_class(root):
    for number, name in enumerate((unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), "tea")):
        for split in ("train", "test"):
            (root / "set" / split / name).mkdir(parents=True)
            (root / "set" / split / name / f"{number}.png").write_bytes(encode(pixels(0, number)))
    facts = {"classes": ["é", "tea"], "splits": {"train": 3, "test": 3}, "concept_split": None}
    assert load_images(manifest(FOLDER, **facts), "train").labels.tolist() == [1, 0, 0]
    write_parquet(root / "set" / "p.parquet", [(name, encode(pixels(0, 0))) for name in ("e\u0301", "é", "tea")])
    source = PARQUET | {"splits": {"train": "p.parquet", "test": "p.parquet"}}
    assert load_images(manifest(source, **facts), "train").labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "jp2", "avif", "AVIF"])
def test_more_endings_are_images(first, suffix):
    form = {"jfif": "JPEG", "jpe": "JPEG", "jp2": "JPEG2000"}.get(suffix, "AVIF")
    images = first(saved(Image.new("RGB", (8, 8), (200, 0, 0)), form), f"0.{suffix}")
    assert len(images) == 6 and images[0].getpixel((4, 4))[0] > 190


def written(root, data: np.ndarray, **changes) -> str:
    """The path of a manifest of a folder of 16-bit images."""
    write_folders(root)
    for file in (root / "set").rglob("*.png"):
        file.write_bytes(encode(data))
    facts = manifest(FOLDER, **changes).model_dump(mode="json", exclude_none=True)
    (root / "tiny.yaml").write_text(yaml.safe_dump(facts))
    return str(root / "tiny.yaml")


def test_twelve_bits_are_remarked_and_scaled(root):
    data = np.full((8, 8), 4000, dtype=np.uint16)
    (remark, _) = verify_data(written(root, data)).remarks
    assert "needs 12 of 16 bits, so all are dark" in remark and "bits: 12" in remark
    dark = load_images(str(root / "tiny.yaml"), "train")
    path = str(root / "scaled.yaml")
    (root / "scaled.yaml").write_text((root / "tiny.yaml").read_text().replace("bits: 16", "bits: 12"))
    assert verify_data(path).remarks == verify_data(path).problems == []
    scaled = load_images(path, "train")
    assert (dark[0].getpixel((0, 0))[0], scaled[0].getpixel((0, 0))[0]) == (4000 // 256, 4000 // 16)
    assert dark.digest != scaled.digest and np.asarray(scaled.select([0])[0]).max() == 250
    too_deep = r"0\.png: a pixel of 4000 needs more than the 11 bits"
    with pytest.raises(CorruptDataError, match=too_deep):
        load_images(manifest(FOLDER, bits=11), "train")[0]


@pytest.mark.parametrize("size", [(2, 20_000), (20_000, 2)])
def test_of_a_strip_only_what_is_kept_is_enlarged(size, monkeypatch):
    made = []
    resize = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda self, to, *a: made.append(to) or resize(self, to, *a))
    assert fit(Image.new("RGB", size), 224).size == (224, 224)
    assert max(width * height for width, height in made) <= 20_000 * 224


@pytest.mark.parametrize("size", [(3, 400), (400, 3), (517, 300), (300, 517), (40, 600)])
def test_a_strip_has_the_numbers_of_the_whole(size, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    whole = np.asarray(fit(Image.fromarray(noise), 64)).astype(int)
    monkeypatch.setattr(images_module, "_MOST_PIXELS", 0)
    cut = np.asarray(fit(Image.fromarray(noise), 64)).astype(int)
    assert np.abs(cut - whole).max() <= 2 and (cut != whole).mean() < 0.01


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (b"no image at all", "no image, or of a kind that Pillow .* does not read here"),
        (b"", "It is empty, no image"),
        (encode(pixels(0, 0))[:48], "Fetch the file again"),
        (b"P6 90000 90000 255\n", "too large for Pillow: make it smaller"),
    ],
)
def test_the_advice_fits_the_cause(first, data, advice):
    with pytest.raises(CorruptDataError, match=rf"tiny, train: .*car/0\.png cannot be decoded .*{advice}"):
        first(data)[0]


def test_an_image_that_went_away(root):
    write_folders(root)
    images = load_images(manifest(FOLDER), "train")
    (root / "set" / "train" / "car" / "0.png").unlink()
    with pytest.raises(CorruptDataError, match=r"car/0\.png cannot be read .it is not there.: correct its name"):
        images[0]


def test_colours_that_have_no_rgb_are_refused():
    with pytest.raises(CorruptDataError, match="an image in La is not read"):
        rgb(Image.new("La", (2, 2)))
