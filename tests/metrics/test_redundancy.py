import numpy as np
import pytest
import torch

from tests.metrics import brute_force
from tests.metrics.brute_force import DATA, KINDS, as_kind, clusters
from workbook.metrics import blocks, channel_correlation, feature_redundancy, varying_channels


def test_by_hand():
    features = torch.tensor([[0.0, 1.0, 5.0], [1.0, 3.0, 5.0], [2.0, 2.0, 5.0]])
    # centred: (-1, 0, 1) and (-1, 1, 0); the third is constant
    rho = (1 + 0 + 0) / 2
    assert channel_correlation(features) == pytest.approx(np.array([[1, rho, 0], [rho, 1, 0], [0, 0, 0]]))
    assert feature_redundancy(features) == pytest.approx((1 + 1 + 2 * rho) / 3**2)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("block_size", [1, 40, 2**19])
def test_the_printed_sum(data, block_size, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
    x, _ = DATA[data]()
    assert feature_redundancy(x) == pytest.approx(brute_force.feature_redundancy(x), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_features(kind):
    features, exact = as_kind(clusters()[0], kind)
    assert feature_redundancy(features) == pytest.approx(brute_force.feature_redundancy(exact), rel=1e-6)


@pytest.mark.parametrize("dim", [1, 127, 128, 129, 300])
def test_correlation_is_numpy_s_over_panels(dim):
    x = np.random.default_rng(0).normal(size=(900, dim)) @ np.random.default_rng(1).normal(size=(dim, dim))
    correlation = channel_correlation(x)
    np.testing.assert_allclose(correlation, np.atleast_2d(np.corrcoef(x.T)), atol=1e-12)
    assert (correlation.diagonal() == 1).all()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("scale of each channel", True),
        ("offset of each channel", True),
        ("permuted rows", True),
        ("permuted channels", True),
        ("rotation", False),
        ("scale of each sample", False),
    ],
)
def test_invariances(change, same):
    x, rng = clusters()[0], np.random.default_rng(1)
    rows, dim = x.shape
    after = {
        "scale of each channel": x * np.linspace(-3, 50, dim),
        "offset of each channel": x + np.arange(dim),
        "permuted rows": x[rng.permutation(rows)],
        "permuted channels": x[:, rng.permutation(dim)],
        "rotation": x @ np.linalg.qr(rng.normal(size=(dim, dim)))[0],
        "scale of each sample": x * rng.uniform(0.1, 9, (rows, 1)),
    }[change]
    assert (feature_redundancy(after) == pytest.approx(feature_redundancy(x), rel=1e-9)) == same


def test_a_large_offset_cancels_nothing():
    x = np.round(clusters()[0] * 2**20) / 2**20  # so that adding the offset is exact
    assert feature_redundancy(x + 2.0**30) == pytest.approx(brute_force.feature_redundancy(x), rel=1e-9)


def test_equal_and_opposite_channels_are_wholly_redundant():
    x = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    assert feature_redundancy(torch.cat([x, -2 * x, 3 * x + 1], dim=1)) == pytest.approx(1, rel=1e-6)


def test_constant_channels_count_nothing():
    assert feature_redundancy(torch.full((20, 3), 0.1)) == 0


def test_share_of_channels_that_vary():
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    x[:, 1] = 0.1  # not exact in binary
    x[:, 2] = [1e-6] + 19 * [0]
    assert varying_channels(x) == 0.75
    assert varying_channels(torch.full((20, 3), 0.1)) == 0


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match=r"at least two samples, got features of shape \(1, 3\)"):
        feature_redundancy(torch.rand(1, 3))
