import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf

from tests.metrics.brute_force import DATA, by_class
from workbook.metrics import blocks, feature_moments, ledoit_wolf_shrinkage
from workbook.metrics.moments import principal


def scatter(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(0)).T @ (x - x.mean(0))


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("block_size", [1, 40, 2**19])
def test_what_it_holds(data, block_size, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", block_size)
    x, y = DATA[data]()
    moments = feature_moments(x, y)
    classes = by_class(x, y)
    assert (len(moments), moments.shape) == (len(x), x.shape)
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.rows.means, [own.mean(0) for own in classes], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(moments.within, sum(map(scatter, classes)), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(moments.centred, scatter(x), rtol=1e-9, atol=1e-10)
    assert moments.fourth == pytest.approx((((x - x.mean(0)) ** 2).sum(1) ** 2).sum(), rel=1e-9)


def test_without_labels_all_samples_are_one_class():
    x, _ = DATA["unbalanced"]()
    moments = feature_moments(torch.from_numpy(x))
    np.testing.assert_allclose(moments.centred, scatter(x), rtol=1e-12)
    assert moments.rows.means.shape == (1, 6)


def test_a_narrow_class_far_from_the_others_keeps_its_digits():
    x, y = DATA["unbalanced"]()
    x = np.round(x * 2**20) / 2**20  # so that adding the offset is exact
    far = np.where(y[:, None] == 3, 2.0**30, -(2.0**30))
    np.testing.assert_allclose(feature_moments(x + far, y).within, feature_moments(x, y).within, rtol=0.2)
    two = (y == 3).astype(int)
    np.testing.assert_allclose(feature_moments(x + far, two).within, feature_moments(x, two).within, rtol=1e-6)


def test_a_large_offset_keeps_the_fourth_moment():
    x, y = DATA["unbalanced"]()
    x = np.round(x * 2**20) / 2**20
    assert feature_moments(x + 2.0**30, y).fourth == pytest.approx(feature_moments(x, y).fourth, rel=1e-9)


def test_a_constant_channel_is_exactly_constant():
    x, y = DATA["unbalanced"]()
    x = np.concatenate([x, np.full((len(x), 1), 0.1)], axis=1)
    assert (feature_moments(x, y).centred[-1] == 0).all()


def test_what_rounding_leaves_of_a_zero_is_no_direction():
    x, _ = DATA["unbalanced"]()
    products = torch.from_numpy(scatter(np.concatenate([x, x @ np.ones((6, 3))], axis=1)))
    values, axes = principal(products, "")
    assert axes.shape == (9, 6)
    np.testing.assert_allclose(axes @ torch.diag(values) @ axes.T, products, atol=1e-9)
    with pytest.raises(ValueError, match="^nothing there$"):
        principal(torch.zeros(3, 3, dtype=torch.float64), "nothing there")


@pytest.mark.parametrize("rows", [4, 30, 500])
def test_the_shrinkage_is_scikit_learn_s(rows):
    x = np.random.default_rng(0).normal(size=(rows, 12)) * np.linspace(1, 3, 12)
    assert ledoit_wolf_shrinkage(x) == pytest.approx(ledoit_wolf(x)[1], rel=1e-9)
    assert ledoit_wolf_shrinkage(x[:, :1]) == ledoit_wolf(x[:, :1])[1] == 0
