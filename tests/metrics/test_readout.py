"""Linear readouts of factors: exact where a factor was put in, nothing on noise; the ridge is scikit-learn's."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV

from workbook.metrics import readout_over_classes, readout_within_classes
from workbook.metrics.readout import PENALTIES, _left_out, _less_means, _members, _ridge

BOTH = pytest.mark.parametrize("readout", [readout_within_classes, readout_over_classes])
CLASSES = 8


def made(per_class: int = 20, dims: int = 12, seed: int = 0):
    """Noise around class means, labels, and three factors of which it knows nothing; the last goes round."""
    rng = np.random.default_rng(seed)
    labels = np.arange(CLASSES * per_class) % CLASSES
    features = rng.normal(size=(len(labels), dims)) + 2 * rng.normal(size=(CLASSES, dims))[labels]
    factors = pd.DataFrame(rng.uniform(size=(len(labels), 3)), columns=["x", "y", "hue"])
    return features, factors, labels


def put_in(features, *columns):
    """The features without what happens to lie along random directions, in which these columns are instead."""
    directions, _ = np.linalg.qr(np.random.default_rng(9).normal(size=(features.shape[1], len(columns))))
    return features - features @ directions @ directions.T + np.stack(columns, axis=1) @ directions.T


@BOTH
@pytest.mark.parametrize("dims", [12, 400])  # fewer and more than images
def test_a_factor_that_was_put_in_is_found_and_no_other(readout, dims):
    features, factors, labels = made(dims=dims)
    found = readout(put_in(features, 30 * factors["x"]), factors, labels)
    assert found["x"] > (0.999 if dims == 12 else 0.99)
    assert abs(found["y"]) < 0.1


@BOTH
def test_a_factor_alone_in_a_channel_is_found_exactly(readout):
    _, factors, labels = made()
    assert readout(factors[["x", "y"]].to_numpy() * [1.0, 100.0], factors, labels)["x"] == pytest.approx(1, abs=1e-6)


@BOTH
def test_a_circular_factor_is_found_across_its_seam(readout):
    """Hues around 0 and 1 are neighbours: a straight line from 0 to 1 misses what lies there, the circle does not."""
    features, factors, labels = made()
    factors["hue"] = (factors["hue"] - 0.5) / 5 % 1  # within 0.1 of the seam
    features = put_in(features, np.sin(2 * np.pi * factors["hue"]), np.cos(2 * np.pi * factors["hue"]))
    assert readout(features, factors, labels, periods={"hue": 1.0})["hue"] > 0.999
    turned = factors.assign(hue=(factors["hue"] + 0.3) * 7 + 14)  # another zero, another period, two rounds more
    assert readout(features, turned, labels, periods={"hue": 7.0})["hue"] > 0.999


@BOTH
@pytest.mark.parametrize("dims", [12, 400])
def test_noise_gives_nothing(readout, dims):
    """The 95 % interval over 30 draws holds 0, or ends less than 0.01 below: what a penalty chosen by chance costs."""
    drawn = [np.mean([*readout(*made(dims=dims, seed=seed)).values()]) for seed in range(30)]
    half = 2.05 * np.std(drawn, ddof=1) / np.sqrt(30)
    assert np.mean(drawn) - half < 0 and np.mean(drawn) + half > -0.01


def test_the_class_s_mean_is_no_readout_of_a_factor():
    """A factor that the class tells, and nothing else: over classes it is found, within them there is nothing."""
    features, factors, labels = made()
    factors["x"] = labels + 0.01 * factors["x"]
    features = put_in(features, factors["x"] - 0.01 * factors["y"])
    assert readout_over_classes(features, factors, labels)["x"] > 0.9
    assert abs(readout_within_classes(put_in(features, labels), factors, labels)["x"]) < 0.1


def test_what_means_the_contrary_in_each_class_is_not_carried_over():
    features, factors, labels = made(per_class=40)
    sign = np.where(labels % 2, 1, -1)
    found = readout_over_classes(put_in(features, 3 * sign * factors["x"]), factors, labels)
    assert found["x"] < 0.1


def test_by_hand():
    """Two classes of four, one image a part; a feature that is the factor, and one part of the variance each."""
    labels, factor = np.repeat([0, 1], 4), np.array([0.0, 1, 2, 3, 10, 11, 12, 13])
    found = readout_within_classes(factor[:, None] + 7, pd.DataFrame({"x": factor}), labels)["x"]
    assert found == pytest.approx(1, abs=1e-9)
    assert readout_within_classes(np.ones((8, 2)), pd.DataFrame({"x": factor}), labels)["x"] == 0.0


@pytest.mark.parametrize("dims", [5, 90])
def test_the_ridge_is_scikit_learn_s(dims):
    rng = np.random.default_rng(1)
    x, y, others = rng.normal(size=(60, dims)), rng.normal(size=(60, 4)), rng.normal(size=(7, dims))
    y[:, 0] += x[:, 0]
    y[:, 1] += 9 * x[:, 1]
    one, everyone = torch.zeros(60, dtype=torch.int64), torch.ones(60, dtype=torch.bool)
    own_x, own_y = (_less_means(torch.from_numpy(values), one, everyone) for values in (x, y))
    found = _ridge(
        own_x,
        own_y,
        torch.full((60,), 1 / 60, dtype=torch.float64),
        torch.arange(60)[:, None],
        torch.from_numpy(others - x.mean(0)),
    ).numpy()
    theirs = RidgeCV(np.array(PENALTIES) * x.var(axis=0).sum(), alpha_per_target=True).fit(x, y)
    expected = theirs.predict(others) - y.mean(0)
    assert len(set(theirs.alpha_)) > 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("dims", [5, 90])
@pytest.mark.parametrize("units", ["images of a class", "classes"])
def test_the_error_of_what_is_left_out_is_that_of_fitting_without_it(units, dims):
    """Means and readout refitted without each image of 4 classes, or without each of 4 unequal classes, in turn."""
    rng = np.random.default_rng(2)
    classes = np.array([*np.arange(24) % 4, 0, 0, 1])
    x, y = rng.normal(size=(27, dims)), rng.normal(size=(27, 2)) + classes[:, None]
    groups, units = (classes, np.arange(27)) if units == "images of a class" else (np.zeros(27, dtype=int), classes)
    everyone, group = torch.ones(27, dtype=torch.bool), torch.from_numpy(groups)
    own_x, own_y = (_less_means(torch.from_numpy(values), group, everyone) for values in (x, y))
    left, roots, _ = torch.linalg.svd(own_x, full_matrices=False)
    left, squares = left[:, roots > 1e-9], roots[roots > 1e-9] ** 2
    for penalty in (1e-3, 1.0, 100.0):
        missed = np.zeros(2)
        for unit in np.unique(units):
            rest = units != unit
            known = [k for k in np.unique(groups) if (rest & (groups == k)).any()]
            means = [{k: values[rest & (groups == k)].mean(0) for k in known} for values in (x, y)]
            from_x, from_y = (
                np.stack([v - m[k] for v, k in zip(a, groups, strict=True)]) for a, m in zip((x, y), means, strict=True)
            )
            fitted = Ridge(penalty, fit_intercept=False, solver="svd").fit(from_x[rest], from_y[rest])
            missed += ((from_y[~rest] - fitted.predict(from_x[~rest])) ** 2).sum(axis=0)
        share = (1 / torch.bincount(group).double())[group]
        passed = squares / (squares + penalty)
        found = _left_out(own_y, left, left.T @ own_y, passed, share, _members(units))
        np.testing.assert_allclose(found.numpy(), missed, rtol=1e-6)


@BOTH
def test_what_does_not_matter(readout):
    """Scale, rotation and offset, and a dead channel; names of classes; units of a factor."""
    features, factors, labels = made()
    features = put_in(features, factors["x"], np.sin(2 * np.pi * factors["hue"]))
    found = readout(features, factors, labels, periods={"hue": 1.0})
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))
    changed = np.hstack([100 * features @ rotation + 5, np.full((len(features), 1), 3.0)])
    same = readout(changed, factors.assign(x=100 * factors["x"] - 3), labels * 10 + 3, periods={"hue": 1.0})
    assert same == pytest.approx(found, abs=1e-9)
    assert readout(torch.from_numpy(features), factors, torch.from_numpy(labels), periods={"hue": 1.0}) == found


@BOTH
def test_a_channel_that_speaks_once_does_not_drown_the_others(readout):
    """Silent but for a whisper in one image, and then loud in another."""
    features, factors, labels = made()
    features = put_in(features, 3 * factors["x"])
    rare = np.zeros((len(features), 1))
    rare[3], rare[11] = 1e-6, 1.0
    assert readout(np.hstack([features, rare]), factors, labels)["x"] > 0.99


@BOTH
def test_constant_features_tell_nothing(readout):
    _, factors, labels = made()
    assert list(readout(np.ones((len(labels), 3)), factors, labels).values()) == [0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": lambda f: f.iloc[:-1]}, "one row for each of 160 samples, got 159"),
        ({"factors": lambda f: f.assign(y=1.0)}, "never varies cannot be told, got y"),
        ({"factors": lambda f: f.assign(y=np.nan)}, "finite, got 160 values"),
        ({"features": lambda x: np.where(x > 4, np.nan, x)}, "features must be finite"),
        ({"labels": lambda y: np.where(y == 3, 2, y)[:-1]}, "labels must have shape"),
    ],
)
@BOTH
def test_refusals(readout, changes, message):
    given = dict(zip(("features", "factors", "labels"), made(), strict=True))
    given |= {name: change(given[name]) for name, change in changes.items()}
    with pytest.raises(ValueError, match=message):
        readout(**given)


def test_too_few_classes_and_images():
    features, factors, labels = made()
    with pytest.raises(ValueError, match="at least 4 classes, got 2"):
        readout_over_classes(features, factors, labels % 2)
    labels[labels == 5] = np.where(np.arange(20) < 3, 5, 4)
    with pytest.raises(ValueError, match="at least 4 samples, got 3 of class 5"):
        readout_within_classes(features, factors, labels)
