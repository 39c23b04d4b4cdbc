"""SwAV's loss written out, its queue and its prototypes."""

import torch
from torch import Tensor

from tests.pretraining.small import (
    LABELS,
    SMALL_SWAV,
    START,
    WITH_OR_WITHOUT,
    embed,
    embed_three,
    make_model,
    make_views,
    unit,
)
from workbook.pretraining.model import Moment
from workbook.pretraining.swav import SwAVChoices


def sinkhorn_by_hand(scores: Tensor, epsilon: float, iterations: int = 3) -> Tensor:
    """(N, K) codes: rows sum to 1, columns to about N / K."""
    codes = (scores.double() / epsilon).exp()
    for _ in range(iterations):
        codes /= codes.sum(0) * codes.shape[1]
        codes /= codes.sum(1, keepdim=True)
    return codes.float()


@WITH_OR_WITHOUT
def test_swav_predicts_the_other_views_codes(projector):
    model, (a, b, local) = make_model(SMALL_SWAV, projector), make_views(16, 16, 8)
    scores = [model.prototypes(unit(rows)) for rows in embed_three(model, a, b, local)]
    codes = [sinkhorn_by_hand(rows.detach(), 0.05) for rows in scores[:2]]
    terms = [-(codes[i] * (scores[v] / 0.1).log_softmax(1)).sum(1).mean() for i in (0, 1) for v in (0, 1, 2) if v != i]
    torch.testing.assert_close(model([a, b, local], LABELS, START).loss, sum(terms) / 4)


def test_swav_s_queue_joins_once_it_is_full_and_its_time_has_come():
    objective = SwAVChoices(prototypes=10, local_count=0, queue=16, queue_from=0.05)
    model, views = make_model(objective), make_views(16, 16)
    full = [unit(embed(model, view)) for view in views]

    def joined(step: int) -> bool:
        return bool(model._queued(full, Moment(step, 100, 10)))

    assert [joined(step) for step in (0, 1, 4, 5)] == [False, False, False, True]
    model.objective = SwAVChoices(prototypes=10, queue=16, queue_from=0.0)
    assert [joined(step) for step in (1, 2)] == [False, True]


def test_swav_s_prototypes_rest_at_first_and_stay_on_the_sphere():
    model, views = make_model(SMALL_SWAV), make_views(16, 16, 8)
    torch.testing.assert_close(model.prototypes.weight.norm(dim=1), torch.ones(10))
    model(views, LABELS, START).loss.backward()
    model.after_backward(Moment(9, 100, 10))
    assert model.prototypes.weight.grad is None
    model(views, LABELS, START).loss.backward()
    model.after_backward(Moment(10, 100, 10))
    assert model.prototypes.weight.grad is not None
    with torch.no_grad():
        model.prototypes.weight.mul_(3)
    model.after_step(START)
    torch.testing.assert_close(model.prototypes.weight.norm(dim=1), torch.ones(10))
