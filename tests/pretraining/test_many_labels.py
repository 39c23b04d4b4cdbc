import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.pretraining.small import START, make_model, make_views
from workbook.errors import ManifestError
from workbook.keys import plain, restored
from workbook.pretraining.heads import CENTROIDS, LabelCentroids
from workbook.pretraining.many_labels import MultiLabel, asymmetric_loss
from workbook.pretraining.methods import Objective
from workbook.pretraining.recipe import Recipe
from workbook.pretraining.runs import pretraining_images
from workbook.pretraining.supervised import CrossEntropy
from workbook.seeding import seeded

LABELS = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]] * 2, dtype=torch.bool)


def logits_of(model, images):
    return model.head(model.backbone(images))


def test_binary_cross_entropy_by_hand():
    model, (images,) = make_model(MultiLabel(loss="bce"), None), make_views(16)
    result = model([images], LABELS, START)
    logits = logits_of(model, images)
    p = logits.sigmoid()
    torch.testing.assert_close(result.loss, -torch.where(LABELS, p, 1 - p).log().sum())
    largest = logits.argmax(1)
    assert result.correct == LABELS[range(8), largest].sum()


def test_the_asymmetric_loss_by_hand():
    """A label that is there: -log p. One that is not: -(p - 0.05)^4 log(1 - (p - 0.05)), nothing below 0.05."""
    p = torch.tensor([[0.7, 0.6, 0.02]], dtype=torch.float64)
    targets = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    by_hand = -np.log(0.7) - 0.55**4 * np.log(0.45)
    assert float(asymmetric_loss(p.logit(), targets)) == pytest.approx(by_hand)


def test_no_gradient_goes_through_the_focus():
    """d/dz of -w log(1 - p + 0.05) with w held: w p (1 - p) / (1.05 - p)."""
    logits = torch.tensor([[0.3, -6.0]], dtype=torch.float64, requires_grad=True)
    asymmetric_loss(logits, torch.zeros(1, 2, dtype=torch.float64)).backward()
    p = 1 / (1 + np.exp(-0.3))
    assert float(logits.grad[0, 0]) == pytest.approx((p - 0.05) ** 4 * p * (1 - p) / (1.05 - p))
    assert logits.grad[0, 1] == 0, "an absent label that is sure teaches nothing"


@pytest.mark.parametrize("loss", ["asl", "bce"])
def test_smoothing_spreads_a_part_of_an_image_s_labels_over_all(loss):
    model, (images,) = make_model(MultiLabel(loss=loss, smoothing=0.1), None), make_views(16)
    targets = 0.9 * LABELS.float() + 0.1 * LABELS.float().mean(1, keepdim=True)
    logits = logits_of(model, images)
    expected = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    found = model([images], LABELS, START).loss
    torch.testing.assert_close(found, asymmetric_loss(logits, targets) if loss == "asl" else expected)


def test_labels_are_mixed_with_their_images():
    model, (images,) = make_model(MultiLabel(mixup=1.0), None), make_views(16)
    with seeded(3):
        mixed, targets = model.mixed(images, LABELS)
    share = targets[0, 0]  # image 7, its partner, has no label
    torch.testing.assert_close(mixed, share * images + (1 - share) * images.roll(1, 0))
    torch.testing.assert_close(targets, share * LABELS.float() + (1 - share) * LABELS.float().roll(1, 0))


def test_the_head_starts_as_the_nearer_of_two_centroids():
    model, (images,) = make_model(MultiLabel(head=LabelCentroids()), None), make_views(16)
    labels = LABELS.clone()
    labels[:, 3] = False  # of no image
    model.begin(iter([(images, labels)]))
    with torch.no_grad():
        features = model.eval().backbone(images).double()
        logits = features @ model.head.weight.double().T + model.head.bias.double()
    for label in range(3):
        having, lacking = (features[labels[:, label] == one].mean(0) for one in (True, False))
        expected = ((features - lacking).square().sum(1) - (features - having).square().sum(1)) / 2
        torch.testing.assert_close(logits[:, label], expected, atol=1e-5, rtol=1e-4)
    assert not logits[:, 3].any()


def test_what_it_does_not_take():
    with pytest.raises(ValueError, match="loss must be one of asl, bce, got 'mse'"):
        MultiLabel(loss="mse")
    with pytest.raises(ValueError, match="starts from LabelCentroids or at random"):
        MultiLabel(head=CENTROIDS)


@pytest.mark.parametrize(
    ("dataset", "objective", "words"),
    [
        ("generated-multilabel", CrossEntropy(), "has many labels, and the objective SL takes one"),
        ("digits", MultiLabel(), "has one label, and the objective many labels takes many"),
    ],
)
def test_an_objective_for_other_labels_is_refused_before_anything_is_trained(dataset, objective, words):
    with pytest.raises(ManifestError, match=words):
        pretraining_images(Recipe(dataset=dataset, side=None, objective=objective))


def test_the_store_gives_the_objective_back():
    for objective in (MultiLabel(smoothing=0.1, head=LabelCentroids()), MultiLabel(loss="bce"), CrossEntropy()):
        assert restored(Objective, plain(objective)) == objective
