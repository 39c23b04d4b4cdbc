"""t-ReX's prototypes by hand, what fills their memory, and the heads of later work as arms."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.pretraining.small import LABELS, SQUARES, START, WITH_OR_WITHOUT, embed, make_model, make_views, unit
from workbook.models.projectors import Reweighting, UnitLength
from workbook.pretraining.ablations import added_parameters, later_heads
from workbook.pretraining.loop import create_model
from workbook.pretraining.names import Projector, method_name
from workbook.pretraining.recipe import with_method
from workbook.pretraining.trex import Prototypes, TReXChoices

CHOICES = TReXChoices(temperature=0.5, memory=20)


def test_prototypes_are_the_means_of_their_classes_on_the_sphere():
    head = Prototypes(2, 3, CHOICES)
    head.remember(torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 5.0]]), torch.tensor([0, 0, 2]))
    expected = torch.tensor([[3.0, 1.0], [0.0, 0.0], [0.0, 5.0]])
    expected[[0, 2]] = unit(expected[[0, 2]])
    torch.testing.assert_close(head.weight, expected)
    logits = head(torch.tensor([[0.0, 2.0]]))
    torch.testing.assert_close(logits, torch.tensor([[1 / 10**0.5, 0.0, 1.0]]) / 0.5)


def test_the_oldest_embeddings_go_first():
    head = Prototypes(1, 20, TReXChoices(memory=5))
    head.remember(torch.ones(4, 1), torch.arange(4))
    head.remember(torch.ones(3, 1), torch.arange(10, 13))
    assert sorted(head.labels.tolist()) == [2, 3, 10, 11, 12]
    assert head.weight.flatten().nonzero().flatten().tolist() == [2, 3, 10, 11, 12]
    head.remember(torch.ones(7, 1), torch.arange(7))
    assert sorted(head.labels.tolist()) == [2, 3, 4, 5, 6], "of more than there is room for the last"


@WITH_OR_WITHOUT
def test_the_loss_is_of_the_prototypes_before_this_batch_and_the_target_fills_them(projector):
    model, (a, b) = make_model(CHOICES, projector), make_views(16, 16)
    assert model([a], LABELS, START).loss.item() == pytest.approx(math.log(4)), "nothing is known yet"
    prototypes, x = model.head.weight.clone(), embed(model, b)
    target = model.target(b)
    loss = model([b], LABELS, START).loss
    torch.testing.assert_close(loss, F.cross_entropy(unit(x) @ prototypes.T / 0.5, LABELS))
    torch.testing.assert_close(model.head.embeddings[8:16], target)
    loss.backward()
    assert all(p.grad is None for p in model.target.parameters())
    assert any(p.grad.abs().sum() > 0 for p in model.backbone.parameters())


def test_the_target_follows():
    model = make_model(TReXChoices(momentum=0.75, memory=20))
    online, target = next(model.backbone.parameters()), next(model.target.parameters())
    before = target.clone()
    with torch.no_grad():
        online.add_(1.0)
    model.after_step(START)
    torch.testing.assert_close(target, before + 0.25)


def test_its_classifier_is_found_in_what_is_stored():
    model, (a, b) = make_model(CHOICES), make_views(16, 16)
    model([a], LABELS, START)
    again = make_model(CHOICES)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.eval().classify(b), model.eval().classify(b))
    assert len(model.state_dict()["head.weight"]) == 4, "a stored run is asked there for its classes"


@pytest.mark.parametrize("changes", [{"temperature": 0.0}, {"memory": 0}, {"momentum": 1.0}])
def test_choices_that_cannot_be_are_refused(changes):
    with pytest.raises(ValueError, match="temperature must be above 0"):
        TReXChoices(**changes)


def test_the_arms_of_later_work_are_as_wide_as_the_backbone():
    one, three, fixed = later_heads(SQUARES)
    assert [arm.recipe.method for arm in (one, three, fixed)] == ["t-ReX, hidden layers: 1", "t-ReX", "SL, reweighted"]
    layers = [type(layer).__name__ for layer in create_model(three.recipe, 4).projector.layers]
    assert layers == ["UnitLength", *["Linear", "BatchNorm1d", "GELU"] * 3, "Linear"]
    assert added_parameters(one.recipe) == 1024 * 1024 + 1024 + 2 * 1024 + 1024 * 1024
    (weights,) = create_model(fixed.recipe, 4).projector.layers
    assert weights.weights[0] == 1
    assert float(weights.weights[-1]) == pytest.approx(0.01)
    assert added_parameters(fixed.recipe) == 0
    assert all(arm.recipe.augmentation == SQUARES.augmentation for arm in (one, three, fixed))


def test_channels_are_weighted_by_their_place():
    torch.testing.assert_close(Reweighting(3, 2.0)(torch.ones(1, 3)), torch.tensor([[1.0, 0.5, 0.25]]))
    assert UnitLength()(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8)],
        [0, 0],
    ]


def test_its_own_names():
    own = with_method(SQUARES, "t-ReX").projector
    assert method_name("t-ReX", own) == "t-ReX"
    assert method_name("t-ReX", None) == "t-ReX w/o MLP"
    assert method_name("SL", Projector(hidden_layers=2)) == "SL-MLP, hidden layers: 2"
