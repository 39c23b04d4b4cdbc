import numpy as np
import pytest
import torch

from workbook.data import generated as forms
from workbook.detection import generated
from workbook.detection.generated import CLASS_NAMES, generated_scenes


def test_the_classes_are_the_outlines_and_layouts_of_the_embedded_forms():
    assert tuple(dict.fromkeys(name.rpartition("-")[0] for name in forms.CLASS_NAMES)) == CLASS_NAMES
    scenes = generated_scenes("train", 150)
    counts = torch.cat([scenes.objects(index).labels for index in range(len(scenes))]).bincount(minlength=12)
    assert len(counts) == 12 and counts.min() > 10


def test_an_image_has_one_to_four_forms_each_seen():
    scenes = generated_scenes("train", 100)
    found = [scenes.objects(index) for index in range(len(scenes))]
    counts = np.bincount([len(one) for one in found], minlength=6)
    assert counts[0] == counts[5:].sum() == 0 and counts[1:5].min() > 10
    assert all(one.masks.any(dim=(1, 2)).all() and not one.crowds.any() for one in found)
    assert len(scenes.annotated()) == 100
    assert all(len(generated_scenes("train", 20, forms=(2, 2)).objects(index)) == 2 for index in range(20))


@pytest.mark.parametrize("size", [32, 64, 100])
def test_boxes_and_areas_are_the_masks(size):
    scenes = generated_scenes("test", 12, image_size=size)
    for index in range(len(scenes)):
        found, image = scenes.objects(index), scenes.image(index)
        assert (image.shape, image.dtype) == ((3, size, size), torch.uint8)
        assert (found.masks.shape[1:], found.boxes.dtype, found.labels.dtype) == (
            (size,) * 2,
            torch.float32,
            torch.int64,
        )
        for mask, box, area in zip(found.masks, found.boxes.tolist(), found.areas.tolist(), strict=True):
            rows, columns = (places.tolist() for places in mask.nonzero().T)
            assert box == [min(columns), min(rows), max(columns) + 1, max(rows) + 1]
            assert area == len(rows)


@pytest.fixture
def drawn(monkeypatch):
    """Draws a scene without noise; gives it with every form that was tried for it: name, factors, jitter, body."""

    def draw(index, size):
        tried = []

        def painted(name, factors, jitter, fine_size):
            colour, body = original(name, factors, jitter, fine_size)
            tried.append((name, factors, jitter, body[0, :, :, 0]))
            return colour, body

        original = forms.painted
        generated._scene.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(forms, "painted", painted)
            patch.setattr(forms, "NOISE", 0)
            scenes = generated_scenes("train", index + 1, image_size=size, forms=(4, 4))
            tried.clear()
            generated._scene.cache_clear()
            scene = scenes.image(index), scenes.objects(index)
        generated._scene.cache_clear()
        return *scene, tried

    return draw


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("size", [32, 64])
def test_masks_are_what_is_seen_of_forms_drawn_alone(drawn, index, size):
    """Pixel by pixel: forms one behind the other, a form that is hidden by more than half taken back."""
    image, found, tried = drawn(index, size)
    fine = 64 // size
    clear, masks, alone = np.ones((64, 64)), [], []
    for name, factors, jitter, body in tried:
        whole, seen = np.zeros((2, size, size), dtype=bool)
        for row in range(size):
            for column in range(size):
                block = np.s_[row * fine : (row + 1) * fine, column * fine : (column + 1) * fine]
                whole[row, column] = body[block].mean() >= 0.5
                seen[row, column] = (body * clear)[block].mean() >= 0.5
        if seen.sum() < 0.5 * whole.sum():
            continue
        masks.append(seen)
        alone.append((name, factors, jitter, (body * clear)))
        clear = clear * (1 - body)
    assert np.array_equal(found.masks.numpy(), np.stack(masks))
    assert [CLASS_NAMES[label] for label in found.labels] == [name.rpartition("-")[0] for name, *_ in alone]
    for name, factors, jitter, seen in alone:
        picture = forms.averaged(forms._draw(name, factors, jitter, 64), fine)[0]
        pixels = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
        inside = forms.averaged(seen[None, :, :, None], fine)[0, :, :, 0] == 1
        assert inside.any() and np.array_equal(image.permute(1, 2, 0).numpy()[inside], pixels[inside])


def test_some_form_was_hidden_and_drawn_elsewhere(drawn):
    assert any(len(tried) > len(found) for _, found, tried in (drawn(index, 64) for index in range(8)))


def test_a_form_in_front_takes_its_pixels_from_what_is_behind():
    scenes = generated_scenes("train", 60, forms=(4, 4))
    found = [scenes.objects(index).masks for index in range(len(scenes))]
    assert all((masks.sum(dim=0) <= 1).all() for masks in found)


def test_fewer_scenes_are_the_first_of_more():
    few, many = generated_scenes("test", 2), generated_scenes("test", 9)
    for index in range(2):
        generated._scene.cache_clear()
        image, found = few.image(index), few.objects(index)
        for other in (8, 5):
            many.image(other)
        generated._scene.cache_clear()
        assert torch.equal(image, many.image(index)) and torch.equal(found.masks, many.objects(index).masks)
        assert found.labels.tolist() == many.objects(index).labels.tolist()


def test_what_a_caller_does_to_a_scene_changes_none():
    scenes = generated_scenes("train", 1)
    scenes.image(0).zero_(), scenes.objects(0).masks.zero_(), scenes.objects(0).labels.zero_()
    assert scenes.image(0).any() and scenes.objects(0).masks.any()


def test_splits_and_scenes_differ():
    images = [generated_scenes(split, 8).image(index) for split in ("train", "test") for index in range(8)]
    assert len({image.numpy().tobytes() for image in images}) == 16


def test_the_digest_names_what_is_drawn(monkeypatch):
    first = generated_scenes("train", 5).digest
    assert generated_scenes("train", 5).digest == first
    others = [("test", 5, {}), ("train", 6, {}), ("train", 5, {"image_size": 65}), ("train", 5, {"forms": (1, 3)})]
    assert len({first} | {generated_scenes(split, count, **how).digest for split, count, how in others}) == 5
    monkeypatch.setattr(forms, "NOISE", 0.02)
    generated._scene.cache_clear()
    assert generated_scenes("train", 5).digest != first
    generated._scene.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "how", "message"),
    [
        (("val", 1), {}, "split must be 'train' or 'test', got 'val'"),
        (("train", 0), {}, "count must be at least 1, got 0"),
        (("train", 1), {"image_size": 31}, "image_size must be at least 32 pixels, got 31"),
        (("train", 1), {"forms": (0, 2)}, r"forms must be .* at least 1, got \(0, 2\)"),
        (("train", 1), {"forms": (3, 2)}, r"forms must be .* got \(3, 2\)"),
    ],
)
def test_refuses(arguments, how, message):
    with pytest.raises(ValueError, match=message):
        generated_scenes(*arguments, **how)
