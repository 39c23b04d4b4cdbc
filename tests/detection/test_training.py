"""A detector's schedule by hand, what it learns from, and that it learns, resumes and is found again."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from tests.detection.toys import toy_scenes
from workbook.detection import training
from workbook.detection.detector import SMALL
from workbook.detection.training import (
    DetectionRecipe,
    _drawn,
    create_optimizer,
    detect,
    learning_rate,
    make_precise,
    train_detector,
)
from workbook.errors import DivergedError
from workbook.lab import Lab
from workbook.models.checkpoints import from_timm
from workbook.pretraining.resume import read_state
from workbook.store import Store

TINY = replace(
    SMALL, channels=16, head_width=32, mask_layers=1, candidates=50, proposals=30, anchors_drawn=32, boxes_drawn=32
)
RECIPE = DetectionRecipe(size=TINY, steps=4, batch_size=2, warmup_steps=1, precise_steps=2)


@pytest.fixture(scope="module")
def source():
    return from_timm("narrow_resnet", pretrained=False, image_size=64, small_stem=True)


@pytest.fixture(scope="module")
def overfitted(source, fabric, tmp_path_factory):
    """A detector of four scenes, which has seen nothing else."""
    lab = Lab(Store(tmp_path_factory.mktemp("overfitted")), fabric)
    recipe = DetectionRecipe(size=TINY, steps=120, batch_size=4, lr=0.08, warmup_steps=20, precise_steps=5)
    return train_detector(recipe, source, toy_scenes(4), lab)


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.02 / 1000),
        (500, 0.02 * (0.5 + 0.5 / 1000)),
        (1000, 0.02),
        (59_999, 0.02),
        (60_000, 0.002),
        (79_999, 0.002),
        (80_000, 0.0002),
        (89_999, 0.0002),
    ],
)
def test_the_rate_of_the_paper_s_schedule(step, rate):
    assert learning_rate(DetectionRecipe(), step) == pytest.approx(rate)


def test_the_rate_follows_the_batch_and_the_short_schedule_its_steps():
    short = DetectionRecipe().short()
    assert (short.steps, short.warmup_steps) == (12_000, 1000)
    assert learning_rate(short, 7_999) == pytest.approx(0.02)
    assert learning_rate(short, 8_000) == pytest.approx(0.002)
    assert learning_rate(replace(short, batch_size=8), 7_999) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 10, "warmup_steps": 11}, r"warmup_steps must lie in \[0, 10\], got 11"),
        ({"drops": (0.9, 0.5)}, "must ascend"),
        ({"drops": (1.0,)}, "must be less than 1"),
        ({"lr": 0.0}, "lr must be greater than 0"),
        ({"flip": 1.5}, "flip must be at most 1"),
    ],
)
def test_recipes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        DetectionRecipe(**changes)


def test_norms_are_not_decayed_and_everything_else_is():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.LayerNorm(4))
    decayed, free = create_optimizer(model, DetectionRecipe()).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (1e-4, 0)
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3, 1, 1), (4,)]
    assert len(free["params"]) == 4
    assert decayed["momentum"] == free["momentum"] == 0.9


def test_boxes_and_masks_are_mirrored_with_the_image():
    scenes = toy_scenes(1)
    pixels, objects = scenes.image(0), scenes.objects(0)
    image, target = _drawn((pixels, objects), 1.0, torch.device("cpu"))
    left, top, right, bottom = target["boxes"][0].int().tolist()
    assert torch.equal(image.flip(2), pixels / 255)
    assert target["labels"].tolist() == [objects.labels[0] + 1]
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    assert torch.equal(target["masks"][0], inside)
    plain, unchanged = _drawn((pixels, objects), 0.0, torch.device("cpu"))
    assert torch.equal(plain, pixels / 255)
    assert torch.equal(unchanged["boxes"], objects.boxes)


def test_crowds_and_what_has_no_area_are_no_examples():
    scenes = toy_scenes(40, most=4, crowd=0)
    objects = scenes.objects(0)
    _, target = _drawn((scenes.image(0), objects), 0.0, torch.device("cpu"))
    assert torch.equal(target["boxes"], objects.boxes[1:])
    objects.boxes[-1, 2] = objects.boxes[-1, 0]
    _, target = _drawn((scenes.image(0), objects), 0.0, torch.device("cpu"))
    assert len(target["boxes"]) == len(objects) - 2


def test_four_scenes_are_learned_by_heart(overfitted, fabric):
    scenes = toy_scenes(4)
    for at, found in enumerate(detect(overfitted.model(), scenes, fabric, batch_size=3)):
        objects = scenes.objects(at)
        assert float(box_iou(found.boxes[:1], objects.boxes)) > 0.7
        assert found.labels[:1].tolist() == objects.labels.tolist()
        mask = found.masks[0]
        assert float((mask & objects.masks[0]).sum() / (mask | objects.masks[0]).sum()) > 0.7
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_the_history_has_a_row_for_fifty_steps(overfitted):
    history = overfitted.history
    assert history["step"].tolist() == [50, 100, 120]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] / 2
    parts = ["loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"]
    assert history[parts].sum(axis=1).tolist() == pytest.approx(history["loss"].tolist())


def test_what_is_stored_is_not_trained_again(source, lab):
    scenes = toy_scenes(3)
    first, again = (train_detector(RECIPE, source, scenes, lab) for _ in range(2))
    assert (first.stored, again.stored) == (False, True)
    assert first.artefact.key == again.artefact.key
    other = train_detector(replace(RECIPE, seed=1), source, scenes, lab)
    assert other.artefact.key != first.artefact.key


def test_an_interrupted_training_ends_where_a_whole_one_does(source, lab, monkeypatch, tmp_path):
    monkeypatch.setattr(training, "_ROW", 2)
    monkeypatch.setattr(training, "RESUME_SECONDS", 0.0)
    scenes, folder = toy_scenes(3), tmp_path / "torn"
    folder.mkdir()
    whole = train_detector(RECIPE, source, scenes, lab)
    row = training._train_row

    def once(part, steps, bar):
        if steps.start:
            raise KeyboardInterrupt
        return row(part, steps, bar)

    monkeypatch.setattr(training, "_train_row", once)
    with pytest.raises(KeyboardInterrupt):
        training._train(RECIPE, source, scenes, folder, lab.fabric, "torn")
    assert read_state(folder / "resume.pt", lab.fabric)["history"][-1]["step"] == 2
    monkeypatch.setattr(training, "_train_row", lambda part, steps, bar: row(part, steps, bar))
    training._train(RECIPE, source, scenes, folder, lab.fabric, "torn")
    for name in (f"step-{step}.safetensors" for step in RECIPE.kept_steps):
        assert (folder / name).read_bytes() == whole.artefact.file(name).read_bytes()
    assert not (folder / "resume.pt").exists()


def test_precise_statistics_are_means_over_the_batches(source, fabric):
    """Of the first norm, whose inputs need no other norm: computed again from the same batches."""
    part = training._set_up(replace(RECIPE, precise_steps=3, flip=0.0), source, toy_scenes(5), fabric)
    backbone = part.model.backbone.backbone
    means = []
    hook = backbone.model.bn1.register_forward_pre_hook(lambda norm, inputs: means.append(inputs[0].mean((0, 2, 3))))
    make_precise(part)
    hook.remove()
    assert len(means) == 3
    torch.testing.assert_close(backbone.model.bn1.running_mean, torch.stack(means).mean(0))
    assert backbone.model.bn1.momentum == 0.1


def test_every_image_comes_once_in_a_turn(source, fabric):
    part = training._set_up(RECIPE, source, toy_scenes(5), fabric)
    order = [tuple(objects.boxes[0].tolist()) for batch in part.examples("order", range(5)) for _, objects in batch]
    every = {tuple(toy_scenes(5).objects(row).boxes[0].tolist()) for row in range(5)}
    assert len(order) == 10
    assert set(order[:5]) == set(order[5:]) == every
    assert order[:5] != order[5:]


def test_a_loss_that_is_not_finite_is_an_error(source, lab):
    with pytest.raises(DivergedError, match="the loss of the detector is .* by step .*: lower lr"):
        train_detector(replace(RECIPE, lr=1e12, warmup_steps=0), source, toy_scenes(2), lab)


def test_scenes_without_an_object_are_refused(source, lab):
    with pytest.raises(ValueError, match="no image of rectangles, train, has an object to learn from"):
        train_detector(RECIPE, source, toy_scenes(1, crowd=0), lab)
