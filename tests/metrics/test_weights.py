from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from torch import nn

from workbook.metrics import (
    DiversityChoices,
    cluster_diversity,
    mean_diversity,
    model_diversity,
    spectral_diversity,
    weight_features,
)


def same(matrices, expected):
    assert len(matrices) == len(expected)
    for matrix, other in zip(matrices, expected, strict=True):
        torch.testing.assert_close(matrix, other, rtol=0, atol=0)


def test_a_convolution_has_a_row_a_filter():
    conv = nn.Conv2d(3, 8, 5)
    features = weight_features(nn.Sequential(conv))
    same(features["0"], [conv.weight.detach().reshape(8, 75)])


def test_a_grouped_convolution_has_a_matrix_a_group():
    conv = nn.Conv2d(6, 4, 3, groups=2)
    weight = conv.weight.detach()
    same(weight_features(nn.Sequential(conv))["0"], [weight[:2].reshape(2, 27), weight[2:].reshape(2, 27)])


def test_a_transposed_convolution_has_a_row_an_output_channel():
    conv = nn.ConvTranspose2d(4, 6, 3, groups=2)  # weight (4, 3, 3, 3)
    expected = [
        torch.stack([conv.weight.detach()[group * 2 : group * 2 + 2, out].flatten() for out in range(3)])
        for group in range(2)
    ]
    same(weight_features(nn.Sequential(conv))["0"], expected)


@pytest.mark.parametrize(("depthwise", "shapes"), [("joined", [(5, 9)]), ("split", [(1, 9)] * 5)])
def test_depthwise_filters(depthwise, shapes):
    model = nn.Sequential(nn.Conv2d(5, 5, 3, groups=5))
    features = weight_features(model, DiversityChoices(depthwise=depthwise))
    assert [tuple(matrix.shape) for matrix in features["0"]] == shapes


def test_depthwise_layers_can_be_left_out():
    model = nn.Sequential(nn.Conv2d(5, 5, 3, groups=5), nn.Conv2d(5, 7, 1))
    assert list(weight_features(model, DiversityChoices(depthwise="left out"))) == ["1"]


def heads_of(weight, heads):
    return list(weight.detach().reshape(heads, -1, weight.shape[1]))


def test_timm_attention_is_split_into_q_k_v_of_each_head():
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1)
    features = weight_features(model)
    assert list(features) == [
        "patch_embed.proj",
        "blocks.0.attn",
        "blocks.0.attn.proj",
        "blocks.0.mlp.fc1",
        "blocks.0.mlp.fc2",
    ]
    query, key, value = model.blocks[0].attn.qkv.weight.detach().chunk(3)
    same(features["blocks.0.attn"], heads_of(query, 3) + heads_of(key, 3) + heads_of(value, 3))


def test_the_heads_are_those_that_attention_computes_with():
    """Zeroing one head's V silences that head alone in the model's own forward pass."""
    attention = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1).blocks[0].attn
    attention.proj = nn.Identity()
    features = weight_features(nn.ModuleDict({"attn": attention}))["attn"]
    before = attention(torch.randn(1, 4, 192, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        features[2 * 3 + 1].zero_()  # V of the second head
        attention.qkv.bias.zero_()
    after = attention(torch.randn(1, 4, 192, generator=torch.Generator().manual_seed(0)))
    assert (after[..., 64:128] == 0).all()
    assert not (after[..., :64] == 0).any()
    assert before.shape == after.shape


def test_swin_attention():
    model = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, depths=(1, 1, 1, 1))
    features = weight_features(model)
    attention = features["layers.1.blocks.0.attn"]
    assert [tuple(matrix.shape) for matrix in attention] == [(32, 192)] * 18
    same(attention[:6], heads_of(model.layers[1].blocks[0].attn.qkv.weight[:192], 6))


def test_torch_attention_fused_and_separate():
    fused = nn.MultiheadAttention(8, 2)
    same(weight_features(nn.ModuleDict({"a": fused}))["a"], heads_of(fused.in_proj_weight, 6))
    separate = nn.MultiheadAttention(8, 2, kdim=5, vdim=3)
    expected = [
        part
        for weight in (separate.q_proj_weight, separate.k_proj_weight, separate.v_proj_weight)
        for part in heads_of(weight, 2)
    ]
    features = weight_features(nn.ModuleDict({"a": separate}))
    same(features["a"], expected)
    assert list(features) == ["a", "a.out_proj"]


class Separate(nn.Module):
    def __init__(self, names):
        super().__init__()
        self.num_heads = 2
        for name, width in names.items():
            setattr(self, name, nn.Linear(6, width))


@pytest.mark.parametrize(
    "names", [{"q": 8, "k": 8, "v": 8}, {"q_proj": 8, "k_proj": 8, "v_proj": 8}, {"q": 8, "kv": 16}]
)
def test_separate_projections_are_split_like_fused_ones(names):
    module = Separate(names)
    features = weight_features(nn.ModuleDict({"a": module}))
    assert list(features) == ["a"]
    stacked = torch.cat([getattr(module, name).weight for name in names])
    same(features["a"], heads_of(stacked, 6))


def test_heads_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="layer a: 7 rows cannot be shared by 2 heads"):
        weight_features(nn.ModuleDict({"a": Separate({"q": 7, "k": 7, "v": 7})}))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_035", "efficientnet_b0", "vit_tiny_patch16_224"])
def test_the_classifier_does_not_count_and_everything_else_does(name):
    whole, headless = timm.create_model(name), timm.create_model(name, num_classes=0)
    assert weight_features(whole).keys() == weight_features(headless).keys()
    every = weight_features(whole, DiversityChoices(left_out=()))
    assert len(every) == len(weight_features(whole)) + 1
    counted = sum(matrix.numel() for matrices in every.values() for matrix in matrices)
    layers = (nn.modules.conv._ConvNd, nn.Linear)
    assert counted == sum(module.weight.numel() for module in whole.modules() if isinstance(module, layers))


def test_kinds_of_layers_can_be_chosen():
    model = timm.create_model("vit_tiny_patch16_224", depth=1)
    assert list(weight_features(model, DiversityChoices(kinds=("conv", "attention")))) == [
        "patch_embed.proj",
        "blocks.0.attn",
    ]


def tiny_model():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3, groups=2), nn.Linear(9, 5))
    for parameter in model.parameters():
        parameter.data.normal_(generator=generator)
    return model


def test_model_diversity_has_a_row_a_layer():
    model = tiny_model()
    table = model_diversity(model)
    assert list(table.index) == ["0", "1", "2"]
    assert table["kind"].tolist() == ["conv", "conv", "linear"]
    assert table["matrices"].tolist() == [1, 2, 1]
    for layer, matrices in weight_features(model).items():
        for column, measure in (("cluster", cluster_diversity), ("spectral", spectral_diversity)):
            assert table.loc[layer, column] == pytest.approx(np.mean([measure(matrix) for matrix in matrices]))


def test_the_model_is_the_mean_over_layers_or_over_matrices():
    table = model_diversity(tiny_model())
    for column in ("cluster", "spectral"):
        first, second, third = table[column]
        assert mean_diversity(table)[column] == pytest.approx((first + second + third) / 3)
        by_matrix = mean_diversity(table, DiversityChoices(average="matrices"))
        assert by_matrix[column] == pytest.approx((first + 2 * second + third) / 4)


def test_a_weight_that_is_not_finite_is_refused_with_its_layer():
    model = tiny_model()
    model[1].weight.data[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="layer 1: weights must be finite, got 1 that"):
        model_diversity(model)


def test_a_model_without_values_is_refused_with_its_layer():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(ValueError, match="layer 0"):
        model_diversity(model)


def test_a_model_without_layers_that_count_is_refused():
    with pytest.raises(ValueError, match="no layer of Sequential counts"):
        model_diversity(nn.Sequential(nn.BatchNorm2d(3)))


@pytest.mark.parametrize("changes", [{"depthwise": "none"}, {"average": "filters"}, {"kinds": ("norm",)}])
def test_unknown_choices_are_refused(changes):
    with pytest.raises(ValueError, match="must be"):
        DiversityChoices(**changes)


def test_a_module_with_heads_but_no_projections_is_no_attention():
    module = nn.Sequential(nn.Linear(3, 4))
    module.num_heads = 2
    module.config = SimpleNamespace()
    assert list(weight_features(module)) == ["0"]
