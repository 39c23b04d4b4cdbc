import pytest
import torch

from workbook.models.projectors import MLPProjector

ALL = {"input_fc": False, "norm": False, "relu": False, "output_fc": False}


@pytest.mark.parametrize(
    ("parts", "parameters"),
    [  # A Table 5 at 2048: (b), (c), (d), (e), SL-MLP
        (("input_fc",), 2048 * 2048 + 2048),
        (("input_fc", "norm", "output_fc"), 8_394_752),
        (("input_fc", "relu", "output_fc"), 8_390_656),
        (("norm", "relu"), 4_096),
        (("input_fc", "norm", "relu", "output_fc"), 8_394_752),
    ],
)
def test_parameter_counts_of_table_5(parts, parameters):
    projector = MLPProjector(2048, 2048, 2048, **(ALL | dict.fromkeys(parts, True)))
    assert sum(p.numel() for p in projector.parameters()) == parameters


@pytest.mark.parametrize(
    ("parts", "width"),
    [(("input_fc",), 7), (("norm",), 5), (("output_fc",), 3), (("input_fc", "output_fc"), 3)],
)
def test_the_output_is_as_wide_as_it_says(parts, width):
    projector = MLPProjector(5, 7, 3, **(ALL | dict.fromkeys(parts, True)))
    assert projector.out_features == width
    assert projector(torch.randn(4, 5)).shape == (4, width)


def test_it_is_the_papers_formula():
    projector = MLPProjector(5, 7, 3).eval()
    fc1, bn, _, fc2 = projector.layers
    bn.running_mean.uniform_(-1, 1)
    bn.running_var.uniform_(0.5, 2)
    x = torch.randn(4, 5)
    hidden = x @ fc1.weight.T + fc1.bias
    normed = (hidden - bn.running_mean) / (bn.running_var + bn.eps).sqrt()
    torch.testing.assert_close(projector(x), normed.clamp(min=0) @ fc2.weight.T)


def test_a_relu_alone_leaves_the_features_as_they_were():
    x = torch.randn(4, 5)
    before = x.clone()
    MLPProjector(5, 7, 3, **(ALL | {"relu": True}))(x)
    assert torch.equal(x, before)


def test_refusals():
    with pytest.raises(ValueError, match="hidden_dim must be at least 1, got 0"):
        MLPProjector(5, 0, 3)
    with pytest.raises(ValueError, match="no projector"):
        MLPProjector(5, 7, 3, **ALL)
    with pytest.raises(ValueError, match="3 hidden layers need an input FC each"):
        MLPProjector(5, 7, 3, input_fc=False, hidden_layers=3)
    with pytest.raises(ValueError, match="kappa must be above 0, got 0"):
        MLPProjector(5, 7, 3, kappa=0)
