"""MoCo's loss written out, its queue and its groups."""

import pytest
import torch

from tests.pretraining.small import (
    LABELS,
    START,
    WITH_OR_WITHOUT,
    embed,
    make_model,
    make_views,
    unit,
)
from workbook.pretraining.moco import MoCoChoices


@WITH_OR_WITHOUT
def test_moco_tells_the_key_from_the_queue(projector):
    model, (a, b) = make_model(MoCoChoices(queue=32, temperature=0.2, norm_groups=2), projector), make_views(16, 16)
    queue = model.loss.memory_bank.bank.clone()
    q = torch.cat([model.head(embed(model, half)) for half in a.chunk(2)])
    torch.manual_seed(3)
    order = torch.randperm(8)
    mixed = torch.cat([model.target(b[half]) for half in order.chunk(2)])
    k = torch.empty_like(mixed)
    k[order] = mixed
    torch.manual_seed(3)
    loss = model([a, b], LABELS, START).loss
    positive = (unit(q) * unit(k)).sum(1, keepdim=True)
    logits = torch.cat([positive, unit(q) @ queue.T], dim=1) / 0.2
    torch.testing.assert_close(loss, -(logits[:, 0] - logits.logsumexp(1)).mean())
    after = model.loss.memory_bank.bank
    torch.testing.assert_close(after[:8], unit(k).detach())
    assert torch.equal(after[8:], queue[8:]) and model.loss.memory_bank.bank_ptr == 8


def test_moco_s_keys_do_not_share_their_batch_statistics_with_their_queries():
    """The same images give the key encoder other outputs when they are grouped another way."""
    model, (a,) = make_model(MoCoChoices(queue=32, norm_groups=2)), make_views(16)
    groups = [
        model._in_groups(model.target, a[torch.tensor(order)]) for order in ([*range(8)], [0, 2, 4, 6, 1, 3, 5, 7])
    ]
    assert not torch.allclose(groups[0][0], groups[1][0])


def test_groups_of_one_image_are_refused():
    with pytest.raises(ValueError, match="4 norm_groups need a batch_size of 2 each, got 4"):
        make_model(MoCoChoices(queue=32)).check(images=1400, batch_size=4)
