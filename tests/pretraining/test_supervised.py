import pytest
import torch
import torch.nn.functional as F

from tests.pretraining.small import LABELS, START, WITH_OR_WITHOUT, embed, make_model, make_views
from workbook.pretraining.supervised import CrossEntropy
from workbook.seeding import seeded


def logits_of(model, images: torch.Tensor) -> torch.Tensor:
    return model.head(model.projector(model.backbone(images)))


@WITH_OR_WITHOUT
def test_cross_entropy(projector):
    model, (images,) = make_model(CrossEntropy(), projector), make_views(16)
    result = model([images], LABELS, START)
    probabilities = model.head(embed(model, images)).exp()
    probabilities /= probabilities.sum(1, keepdim=True)
    torch.testing.assert_close(result.loss, -probabilities[range(8), LABELS].log().mean())
    assert result.correct == (probabilities.argmax(1) == LABELS).sum()


def test_label_smoothing_by_hand():
    """0.1 of each label is spread evenly over the four classes."""
    model, views = make_model(CrossEntropy(smoothing=0.1), None), make_views(16)
    result = model(views, LABELS, START)
    logits = logits_of(model, views[0])
    torch.testing.assert_close(result.loss, F.cross_entropy(logits, LABELS, label_smoothing=0.1))
    target = 0.9 * F.one_hot(LABELS, 4) + 0.1 / 4
    torch.testing.assert_close(result.loss, -(target * logits.log_softmax(1)).sum(1).mean())
    assert result.loss != make_model(CrossEntropy(), None)(views, LABELS, START).loss


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_images_and_labels_are_mixed_in_the_same_proportion(kind):
    model, (images,) = make_model(CrossEntropy(**{kind: 1.0}), None), make_views(16)
    with seeded(3):
        mixed, targets = model.mix(images, LABELS)
    share = targets[0, LABELS[0]]  # images 0 and 7, its partner, are of two classes
    assert 0.02 < share < 0.98
    rolled, one_hot = images.roll(1, 0), F.one_hot(LABELS, 4).float()
    torch.testing.assert_close(targets, share * one_hot + (1 - share) * one_hot.roll(1, 0))
    if kind == "mixup":
        torch.testing.assert_close(mixed, share * images + (1 - share) * rolled)
    else:
        kept = mixed == images
        assert torch.equal(mixed, torch.where(kept, images, rolled))
        torch.testing.assert_close(kept.float().mean(), share)
    with seeded(3):
        result = model([images], LABELS, START)
    torch.testing.assert_close(result.loss, F.cross_entropy(logits_of(model, mixed), targets))
    assert result.correct == (logits_of(model, mixed).argmax(1) == targets.argmax(1)).sum()


def test_mixing_follows_the_seed_and_takes_each_kind_in_turn():
    model, (images,) = make_model(CrossEntropy(mixup=0.8, cutmix=1.0), None), make_views(16)

    def mixed(seed: int) -> torch.Tensor:
        with seeded(seed):
            return model.mix(images, LABELS)[0]

    assert torch.equal(mixed(1), mixed(1)) and not torch.equal(mixed(1), mixed(2))
    untouched = [bool((mixed(seed) == images).float().mean() > 0.01) for seed in range(40)]
    assert 8 < sum(untouched) < 32, "cutmix leaves pixels as they were, mixup hardly any"


def test_a_random_head_reads_no_image():
    model = make_model(CrossEntropy(), None)
    before = model.head.weight.clone()
    model.begin(iter(()))
    assert torch.equal(model.head.weight, before)
