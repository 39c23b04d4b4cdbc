"""MoCo's loss written out, its queue and its groups."""

from itertools import pairwise

import pytest
import torch
from lightly.loss import NTXentLoss

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
    queue = model.queue.clone()
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
    torch.testing.assert_close(model.queue[:8], unit(k).detach())
    assert torch.equal(model.queue[8:], queue[8:]) and model.oldest == 8


def test_the_oldest_keys_go_first_and_the_queue_has_no_seam():
    model, (a, b) = make_model(MoCoChoices(queue=20, norm_groups=2)), make_views(16, 16)
    seen = []
    for _ in range(3):
        model([a, b], LABELS, START)
        seen.append(model.queue.clone())
    assert model.oldest == 24 % 20
    changed = [(one != other).any(1).nonzero().flatten().tolist() for one, other in pairwise(seen)]
    assert changed == [[*range(8, 16)], [*range(4), *range(16, 20)]]


def test_its_loss_is_lightly_s():
    model, queries, keys = make_model(MoCoChoices(queue=32)), *make_embeddings(2)
    theirs = NTXentLoss(0.2, memory_bank_size=(32, 12))
    theirs.memory_bank.bank = model.queue.clone()
    torch.testing.assert_close(model._told_apart(queries, keys), theirs(queries.requires_grad_(), keys))
    assert torch.equal(model.queue, theirs.memory_bank.bank)


def test_moco_s_keys_do_not_share_their_batch_statistics_with_their_queries():
    """The same images give the key encoder other outputs when they are grouped another way."""
    model, (a,) = make_model(MoCoChoices(queue=32, norm_groups=2)), make_views(16)
    groups = [
        model._in_groups(model.target, a[torch.tensor(order)]) for order in ([*range(8)], [0, 2, 4, 6, 1, 3, 5, 7])
    ]
    assert not torch.allclose(groups[0][0], groups[1][0])


def make_embeddings(count: int) -> list[torch.Tensor]:
    """Of eight images each."""
    return list(torch.randn(count, 8, 12, generator=torch.Generator().manual_seed(2)))


def test_a_queue_shorter_than_a_batch_is_refused():
    with pytest.raises(ValueError, match="a queue of 32 keys does not hold those of one batch of 64 images"):
        make_model(MoCoChoices(queue=32)).check(images=1400, batch_size=64)


def test_groups_of_one_image_are_refused():
    with pytest.raises(ValueError, match="4 norm_groups need a batch_size of 2 each, got 4"):
        make_model(MoCoChoices(queue=32)).check(images=1400, batch_size=4)
