from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.pretraining.small import DIGITS, LABELS, make_model, make_views
from workbook.keys import key_of
from workbook.pretraining.heads import Centroids, ProbeHead
from workbook.pretraining.supervised import CrossEntropy


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
    model, (images,) = make_model(CrossEntropy(head=Centroids())), make_views(16)
    before = {name: value.clone() for name, value in model.state_dict().items() if not name.startswith("head")}
    model.begin(iter([(images[:5], LABELS[:5]), (images[5:], LABELS[5:])]))
    assert model.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    with torch.no_grad():
        features = model.eval().projector(model.backbone(images))
    for label in range(4):
        mean = features[label == LABELS].mean(0)
        torch.testing.assert_close(model.head.weight[label], mean)
        torch.testing.assert_close(model.head.bias[label], -(mean @ mean) / 2)


def test_a_probe_s_weights_are_those_of_scikit_learn():
    """On features with a constant channel and channels of other scales, whose standardisation is folded in."""
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = generator.normal(size=(60, 4)) * [1, 10, 0.1, 0] + y[:, None] + [0, 5, 0, 2]
    x[:, 3] = 2.0
    weight, bias = ProbeHead(c_values=(0.3,)).weights(torch.tensor(x), torch.tensor(y), 3)
    scale = np.where(x.std(0) > 1e-6, x.std(0), np.inf)
    reference = LogisticRegression(C=0.3, tol=1e-10, max_iter=10_000).fit((x - x.mean(0)) / scale, y)
    expected = reference.predict_proba((x - x.mean(0)) / scale)
    np.testing.assert_allclose((torch.tensor(x) @ weight.T + bias).softmax(1), expected, atol=2e-3)
    assert torch.equal(weight[:, 3], torch.zeros(3, dtype=torch.float64))


def test_a_probe_needs_an_image_of_every_class():
    with pytest.raises(ValueError, match="must hold each of"):
        ProbeHead(c_values=(1.0,)).weights(torch.rand(6, 2), torch.tensor([0, 1, 0, 1, 0, 1]), 3)


def test_how_a_head_starts_is_part_of_the_key():
    heads = [None, Centroids(), Centroids(bias=False), ProbeHead(), ProbeHead(c_values=(1.0,))]
    recipes = [replace(DIGITS, objective=CrossEntropy(head=head)) for head in heads]
    assert len({key_of({"recipe": recipe}) for recipe in recipes}) == 5
