import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from tests.conftest import make_images
from tests.pretraining.small import LABELS, SQUARES, START, make_model, make_views
from tests.pretraining.test_loop import StopAfter, same
from workbook.pretraining.label_injection import LabelInjection, LabelInjector
from workbook.pretraining.loop import create_model, pretrain
from workbook.pretraining.supervised import CrossEntropy

RECIPE = replace(SQUARES, epochs=3, lr=0.5, warmup_epochs=0, checkpoint_epochs=(0,))  # 4 steps an epoch


def trained(folder, fabric, objective, **changes) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The weights before and after."""
    folder.mkdir(exist_ok=True)
    recipe = replace(RECIPE, objective=objective, **changes)
    pretrain(recipe, make_images(), folder, fabric)
    return load_file(folder / "epoch_0000.safetensors"), load_file(folder / f"epoch_{recipe.epochs:04d}.safetensors")


def backbone(weights: dict[str, torch.Tensor], *, statistics: bool = True) -> dict[str, torch.Tensor]:
    left_out = () if statistics else ("running_mean", "running_var", "num_batches_tracked")
    return {name: w for name, w in weights.items() if name.startswith("backbone.") and not name.endswith(left_out)}


def test_a_cycle_of_1_is_finetuning_bit_for_bit(tmp_path, fabric):
    _, plain = trained(tmp_path / "plain", fabric, CrossEntropy(smoothing=0.1), ema=0.9)
    _, injected = trained(tmp_path / "cli", fabric, LabelInjection(control_cycle=1, smoothing=0.1), ema=0.9)
    assert same(plain, injected)


def test_without_a_cycle_the_backbone_never_changes_by_a_bit(tmp_path, fabric):
    start, end = trained(tmp_path, fabric, LabelInjection(control_cycle=None, skipped_statistics="keep"))
    assert same(backbone(start), backbone(end))
    assert not torch.equal(start["head.weight"], end["head.weight"])


@pytest.mark.parametrize("update", ["rest", "coast"])
def test_without_a_cycle_its_statistics_alone_move_where_they_may(tmp_path, fabric, update):
    start, end = trained(tmp_path, fabric, LabelInjection(control_cycle=None, skipped_update=update))
    assert same(backbone(start, statistics=False), backbone(end, statistics=False))
    assert not same(backbone(start), backbone(end))


@pytest.fixture
def changed_at(monkeypatch):
    """The steps, counted from 1, at which the backbone's and the head's weights changed."""
    steps: dict[str, list[int]] = {"backbone": [], "head": []}
    before: dict[str, list[torch.Tensor]] = {}

    def after_step(self, moment):
        for part in steps:
            now = [parameter.detach().clone() for parameter in getattr(self, part).parameters()]
            if part in before and any(not torch.equal(a, b) for a, b in zip(before[part], now, strict=True)):
                steps[part].append(moment.step + 1)
            before[part] = now

    original = LabelInjector.begin

    def begin(self, batches):
        original(self, batches)
        for part in steps:
            before[part] = [parameter.detach().clone() for parameter in getattr(self, part).parameters()]

    monkeypatch.setattr(LabelInjector, "after_step", after_step)
    monkeypatch.setattr(LabelInjector, "begin", begin)
    return steps


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize(("cycle", "expected"), [(3, [3, 6, 9, 12]), (5, [5, 10]), (100, [])])
def test_the_backbone_changes_at_the_steps_that_the_cycle_divides(
    tmp_path, fabric, changed_at, passes, cycle, expected
):
    trained(tmp_path, fabric, LabelInjection(control_cycle=cycle, backward_passes=passes))
    assert changed_at["backbone"] == expected
    # the very last step's rate is not zero: the cosine ends after it
    assert changed_at["head"] == list(range(1, 13))


def test_coasting_the_momentum_goes_on_and_resting_it_waits(tmp_path, fabric, changed_at):
    trained(tmp_path, fabric, LabelInjection(control_cycle=5, skipped_update="coast"), weight_decay=0.0)
    assert changed_at["backbone"] == list(range(5, 13)), "from the first update on, at every step"


@pytest.mark.parametrize("passes", [1, 2])
def test_a_run_that_stops_within_a_cycle_goes_on_in_it(tmp_path, fabric, monkeypatch, passes):
    objective = LabelInjection(control_cycle=5, backward_passes=passes)
    _, whole = trained(tmp_path / "whole", fabric, objective, ema=0.9)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        StopAfter(patch, 6)
        trained(tmp_path / "cut", fabric, objective, ema=0.9)
    _, resumed = trained(tmp_path / "cut", fabric, objective, ema=0.9)
    assert same(whole, resumed)


def test_two_passes_are_algorithm_1_line_by_line():
    """Line 4 moves the head; line 6 moves the backbone by the loss under the head just moved."""
    eta, (images,) = 0.1, make_views(16)
    model = make_model(LabelInjection(control_cycle=1, backward_passes=2), projector=None)
    by_hand = copy.deepcopy(model)

    optimizer = torch.optim.SGD(model.parameters(), lr=eta)
    for part in model.parts(START):
        model([images], LABELS, part).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    features = by_hand.backbone(images)
    loss = F.cross_entropy(by_hand.head(features), LABELS)
    gradients = torch.autograd.grad(loss, list(by_hand.head.parameters()), retain_graph=True)
    head = [p.detach() - eta * g for p, g in zip(by_hand.head.parameters(), gradients, strict=True)]
    again = F.cross_entropy(F.linear(features, *head), LABELS)
    weights = list(by_hand.backbone.parameters())
    expected = [p - eta * g for p, g in zip(weights, torch.autograd.grad(again, weights), strict=True)]

    for found, wanted in zip(model.head.parameters(), head, strict=True):
        torch.testing.assert_close(found, wanted)
    for found, wanted in zip(model.backbone.parameters(), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_skipped_step_computes_no_gradient_of_the_backbone():
    model = make_model(LabelInjection(control_cycle=2), projector=None)
    model(make_views(16), LABELS, START).loss.backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert all(parameter.grad is not None for parameter in model.head.parameters())
    model(make_views(16), LABELS, START._replace(step=1)).loss.backward()
    assert all(parameter.grad is not None for parameter in model.backbone.parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"control_cycle": 0}, "control_cycle must be at least 1, or None for never, got 0"),
        ({"backward_passes": 3}, "backward_passes must be 1 or 2, got 3"),
        ({"skipped_update": "stop"}, "skipped_update must be .* got 'stop'"),
        ({"skipped_statistics": "frozen"}, "skipped_statistics must be .* got 'frozen'"),
        ({"smoothing": 1.0}, "smoothing must lie in"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        LabelInjection(**fields)


def test_the_model_is_made_of_its_recipe():
    model = create_model(replace(RECIPE, objective=LabelInjection(control_cycle=7)), 4)
    assert isinstance(model, LabelInjector) and not model.reaches_backbone(START)
    assert model.reaches_backbone(START._replace(step=6))
