"""The losses of SimCLR, SupCon, SelfSupCon and CE+SelfSupCon written out."""

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import NTXentLoss
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor

from tests.pretraining.small import (
    LABELS,
    START,
    WITH_OR_WITHOUT,
    embed,
    make_model,
    make_views,
    unit,
)
from workbook.pretraining.contrastive import (
    CESelfSupConChoices,
    SelfSupConChoices,
    SimCLRChoices,
    SupConChoices,
    contrast,
    own_names,
)


def contrast_by_hand(embeddings: Tensor, names: Tensor, temperature: float) -> Tensor:
    """The printed double sum of SupCon's L_out; with a name an image it is NT-Xent."""
    z, total = unit(embeddings).double(), 0.0
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        denominator = sum((z[i] @ z[a] / temperature).exp() for a in others)
        positives = [p for p in others if names[p] == names[i]]
        total -= sum(((z[i] @ z[p] / temperature).exp() / denominator).log() for p in positives) / len(positives)
    return (total / len(z)).float()


@WITH_OR_WITHOUT
@pytest.mark.parametrize(
    "objective", [SimCLRChoices(temperature=0.2), SelfSupConChoices(temperature=0.2), SupConChoices(temperature=0.2)]
)
def test_contrast_within_a_batch(objective, projector):
    model, (a, b) = make_model(objective, projector), make_views(16, 16)
    names = LABELS if objective.name == "SupCon" else torch.arange(8)
    by_hand = contrast_by_hand(embed(model, torch.cat([a, b])), names.repeat(2), 0.2)
    torch.testing.assert_close(model([a, b], LABELS, START).loss, by_hand)


@WITH_OR_WITHOUT
def test_cross_entropy_and_self_sup_con_are_added(projector):
    model, (a, b) = make_model(CESelfSupConChoices(weight=0.5), projector), make_views(16, 16)
    features = model.backbone(torch.cat([a, b]))
    contrast = contrast_by_hand(model.projector(features), torch.arange(8).repeat(2), 0.1)
    classes = F.cross_entropy(model.head(features), torch.cat([LABELS, LABELS]))
    result = model([a, b], LABELS, START)
    torch.testing.assert_close(result.loss, classes + 0.5 * contrast)
    assert 0 <= result.correct <= 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_libraries_loss_with_their_gradients(dtype):
    embeddings = torch.randn(16, 12, generator=torch.Generator().manual_seed(2)).to(dtype)
    theirs_of = {
        "by class": lambda rows: SupConLoss(0.2)(rows.float(), LABELS.repeat(2)),
        "own": lambda rows: NTXentLoss(0.2)(*rows.float().chunk(2)),
    }
    for names, theirs in zip((LABELS, own_names(LABELS)), theirs_of.values(), strict=True):
        rows = [embeddings.clone().requires_grad_() for _ in range(2)]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = contrast(rows[0], names, 0.2)
        expected = theirs(rows[1])
        torch.testing.assert_close(loss, expected)
        ours, libraries = (torch.autograd.grad(*pair)[0] for pair in ((loss, rows[0]), (expected, rows[1])))
        torch.testing.assert_close(ours, libraries)
