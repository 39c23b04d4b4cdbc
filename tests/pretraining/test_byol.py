"""BYOL's loss written out."""

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
from workbook.pretraining.byol import BYOLChoices


@WITH_OR_WITHOUT
def test_byol_is_the_squared_distance_summed_over_both_directions(projector):
    model, (a, b) = make_model(BYOLChoices(), projector), make_views(16, 16)
    predictions = [unit(model.predictor(embed(model, view))) for view in (a, b)]
    targets = [unit(model.target(view)) for view in (a, b)]
    by_hand = sum(((p - t) ** 2).sum(1).mean() for p, t in zip(predictions, reversed(targets), strict=True))
    torch.testing.assert_close(model([a, b], LABELS, START).loss, by_hand)
    # 2 - 2 cos for one direction: 4 where nothing but chance connects the views
    assert 0 <= by_hand.detach() <= 8
