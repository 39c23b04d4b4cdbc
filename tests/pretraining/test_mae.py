"""MAE's loss written out."""

import pytest
import torch

from tests.pretraining.small import (
    LABELS,
    PROJECTOR,
    SMALL_MAE,
    START,
    make_model,
    make_views,
)
from workbook.pretraining.mae import MAEChoices


def test_mae_paints_the_hidden_patches_normalised():
    model, (images,) = make_model(SMALL_MAE, None, "tiny_vit"), make_views(16)
    torch.manual_seed(3)
    loss = model([images], LABELS, START).loss

    torch.manual_seed(3)
    order = torch.cat([torch.full((8, 1), -1.0), torch.rand(8, 17)[:, 1:]], dim=1).argsort(dim=1)
    kept, hidden = order[:, :5], order[:, 5:]  # the class token and a quarter of 16 patches
    assert hidden.shape[1] / 16 == 0.75
    vit, normal = model.backbone.model, model.backbone.normalised(images)
    tokens = vit._pos_embed(vit.patch_embed(normal))
    encoded = vit.norm(vit.blocks(torch.stack([row[i] for row, i in zip(tokens, kept, strict=True)])))
    total = 0.0
    for n in range(8):
        line = model.decoder.mask_token[0].repeat(17, 1)
        line[kept[n]] = model.embed(encoded[n])
        painted = model.predict(model.decoder.norm(model.decoder.blocks((line + model.decoder.pos_embed[0])[None])))[0]
        for token in hidden[n].tolist():
            row, column = divmod(token - 1, 4)
            patch = normal[n, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].permute(1, 2, 0).flatten()
            patch = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            total += ((painted[token] - patch) ** 2).mean()
    torch.testing.assert_close(loss, total / (8 * 12))


def test_mae_is_for_vision_transformers_without_a_projector():
    with pytest.raises(ValueError, match="patches of a vision transformer, got ResNet"):
        make_model(MAEChoices(), None)
    with pytest.raises(ValueError, match="use projector=None"):
        make_model(MAEChoices(), PROJECTOR, "tiny_vit")


def test_mae_s_weights_lie_once_in_its_state():
    state = make_model(SMALL_MAE, None, "tiny_vit").state_dict()
    pointers = [tensor.data_ptr() for tensor in state.values()]
    assert len(set(pointers)) == len(pointers)
