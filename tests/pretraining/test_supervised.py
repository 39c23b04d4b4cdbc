import pytest
import torch
import torch.nn.functional as F

from tests.pretraining.small import LABELS, START, make_method, make_views
from workbook.pretraining.supervised import Centroids, CrossEntropy
from workbook.seeding import seeded


def logits_of(method, images: torch.Tensor) -> torch.Tensor:
    return method.head(method.projector(method.backbone(images)))


def test_label_smoothing_by_hand():
    """0.1 of each label is spread evenly over the four classes."""
    method, views = make_method(CrossEntropy(smoothing=0.1), None), make_views(16)
    result = method(views, LABELS, START)
    logits = logits_of(method, views[0])
    torch.testing.assert_close(result.loss, F.cross_entropy(logits, LABELS, label_smoothing=0.1))
    target = 0.9 * F.one_hot(LABELS, 4) + 0.1 / 4
    torch.testing.assert_close(result.loss, -(target * logits.log_softmax(1)).sum(1).mean())
    assert result.loss != make_method(CrossEntropy(), None)(views, LABELS, START).loss


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_images_and_labels_are_mixed_in_the_same_proportion(kind):
    method, (images,) = make_method(CrossEntropy(**{kind: 1.0}), None), make_views(16)
    with seeded(3):
        mixed, targets = method.mix(images, LABELS)
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
        result = method([images], LABELS, START)
    torch.testing.assert_close(result.loss, F.cross_entropy(logits_of(method, mixed), targets))
    assert result.correct == (logits_of(method, mixed).argmax(1) == targets.argmax(1)).sum()


def test_mixing_follows_the_seed_and_takes_each_kind_in_turn():
    method, (images,) = make_method(CrossEntropy(mixup=0.8, cutmix=1.0), None), make_views(16)

    def mixed(seed: int) -> torch.Tensor:
        with seeded(seed):
            return method.mix(images, LABELS)[0]

    assert torch.equal(mixed(1), mixed(1)) and not torch.equal(mixed(1), mixed(2))
    untouched = [bool((mixed(seed) == images).float().mean() > 0.01) for seed in range(40)]
    assert 8 < sum(untouched) < 32, "cutmix leaves pixels as they were, mixup hardly any"


def test_centroids_are_class_means():
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 0.0]])
    weight, bias = Centroids().weights(features, torch.tensor([0, 0, 2]), 4)
    expected = torch.tensor([[2.0, 3.0], [0.0, 0.0], [10.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    assert torch.equal(weight, expected)
    assert bias.tolist() == [-(2**2 + 3**2) / 2, 0, -(10**2) / 2, 0]
    _, none = Centroids(bias=False).weights(features, torch.tensor([0, 0, 2]), 4)
    assert none.tolist() == [0, 0, 0, 0]


def test_centroids_choose_the_nearest_one():
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(60, 5, generator=generator) + 3, torch.arange(60) % 4
    weight, bias = Centroids().weights(features, labels, 4)
    distances = torch.cdist(features.double(), weight)
    assert torch.equal((features.double() @ weight.T + bias).argmax(1), distances.argmin(1))


def test_the_head_begins_with_features_in_evaluation_mode_that_go_through_the_projector():
    method, (images,) = make_method(CrossEntropy(head=Centroids())), make_views(16)
    before = {name: value.clone() for name, value in method.state_dict().items() if not name.startswith("head")}
    method.begin(iter([(images[:5], LABELS[:5]), (images[5:], LABELS[5:])]))
    assert method.training
    assert all(torch.equal(value, method.state_dict()[name]) for name, value in before.items())
    with torch.no_grad():
        features = method.eval().projector(method.backbone(images))
    for label in range(4):
        mean = features[label == LABELS].mean(0)
        torch.testing.assert_close(method.head.weight[label], mean)
        torch.testing.assert_close(method.head.bias[label], -(mean @ mean) / 2)


def test_a_random_head_reads_no_image():
    method = make_method(CrossEntropy(), None)
    before = method.head.weight.clone()
    method.begin(iter(()))
    assert torch.equal(method.head.weight, before)
