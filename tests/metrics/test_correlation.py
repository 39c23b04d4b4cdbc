import numpy as np
import pytest
from scipy import stats

from workbook.metrics import correlation_differences, rank_correlations
from workbook.metrics.correlation import coefficients


def scores(n=39, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    return np.round(y + rng.normal(size=n), 1), np.round(y + 2 * rng.normal(size=n), 1), np.round(y, 1)  # with ties


def test_by_hand():
    # of the 6 pairs of (1, 2, 3, 4) and (1, 3, 2, 4) one is discordant: tau = (5 - 1) / 6
    # rho = 1 - 6 (0 + 1 + 1 + 0) / (4 (16 - 1)) = 0.8, and the values are their own ranks
    found = rank_correlations([1, 2, 3, 4], [1, 3, 2, 4], resamples=100)["value"]
    assert found["kendall"] == pytest.approx(4 / 6)
    assert found["spearman"] == pytest.approx(0.8)
    assert found["pearson"] == pytest.approx(0.8)
    assert found["r2"] == pytest.approx(0.64)


def oracle(x, y):
    pearson = stats.pearsonr(x, y).statistic
    return stats.spearmanr(x, y).statistic, pearson, pearson**2, stats.kendalltau(x, y).statistic


def test_values_agree_with_scipy_on_ties():
    x, _, y = scores()
    assert rank_correlations(x, y, resamples=100)["value"].to_numpy() == pytest.approx(oracle(x, y))


def test_a_resample_is_the_sample_with_repetitions():
    x, _, y = scores()
    drawn = np.random.default_rng(1).integers(39, size=(5, 39))
    counts = np.stack([np.bincount(row, minlength=39) for row in drawn]).astype(float)
    expected = [oracle(x[row], y[row]) for row in drawn]
    assert coefficients(counts, x, y) == pytest.approx(np.array(expected))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda x: 3 * x + 5, ["spearman", "pearson", "r2", "kendall"]),
        (lambda x: np.exp(x), ["spearman", "kendall"]),
    ],
)
def test_invariances(change, same):
    x, _, y = scores()
    before, after = (rank_correlations(v, y, resamples=100) for v in (x, change(x)))
    assert after.loc[same].to_numpy() == pytest.approx(before.loc[same].to_numpy())


def test_the_interval_covers_independent_models():
    """95 % intervals of Pearson, 300 samples of 40 models, true value 0.8."""
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(300):
        y = rng.normal(size=40)
        found = rank_correlations(0.8 * y + 0.6 * rng.normal(size=40), y, resamples=300, generator=rng).loc["pearson"]
        covered.append(found["low"] <= 0.8 <= found["high"])
    assert 0.88 < np.mean(covered) < 0.98


def test_families_that_move_together_widen_the_interval():
    rng = np.random.default_rng(3)
    families = np.repeat(np.arange(6), 8)
    x, y = (rng.normal(size=6)[families] + 0.05 * rng.normal(size=48) for _ in range(2))
    by_model = rank_correlations(x, y)
    by_family = rank_correlations(x, y, families=families)
    assert by_family["value"].equals(by_model["value"])
    width = [(table["high"] - table["low"])["spearman"] for table in (by_model, by_family)]
    assert width[1] > 1.5 * width[0]


def test_singletons_as_families_are_models():
    x, _, y = scores()
    assert rank_correlations(x, y, families=np.arange(39)).equals(rank_correlations(x, y))


def test_differences_are_paired():
    x, other, y = scores()
    found = correlation_differences(x, other, y)
    apart = rank_correlations(x, y), rank_correlations(other, y)
    assert (found["value"]).to_numpy() == pytest.approx((apart[0]["value"] - apart[1]["value"]).to_numpy())
    same = correlation_differences(x, 2 * x + 1, y)
    assert same.to_numpy() == pytest.approx(np.zeros((4, 3)), abs=1e-12)
    swapped = correlation_differences(other, x, y)
    assert swapped["low"].to_numpy() == pytest.approx(-found["high"].to_numpy(), abs=0.02)


def test_the_same_draws_every_time_and_other_ones_on_request():
    x, _, y = scores()
    assert rank_correlations(x, y).equals(rank_correlations(x, y))
    other = rank_correlations(x, y, generator=np.random.default_rng(7))
    assert not other["low"].equals(rank_correlations(x, y)["low"])


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([1, 2, 3], [1, 2, 3], {}, r"one shape \(n,\) with n >= 4"),
        ([1, 2, 3, 4], [1, 2, 3, 4, 5], {}, "one shape"),
        ([1, 2, 3, np.nan], [1, 2, 3, 4], {}, "finite"),
        ([1, 1, 1, 1], [1, 2, 3, 4], {}, "never varies"),
        ([1, 2, 3, 4], [1, 2, 4, 3], {"families": ["a", "a", "b", "b"]}, "needs 3"),
        ([1, 2, 3, 4], [1, 2, 4, 3], {"families": ["a", "b", "c"]}, r"shape \(4,\)"),
        ([1, 2, 3, 4], [1, 2, 4, 3], {"families": ["a", "b", "c", "c"]}, "too few families"),
        ([1, 2, 3, 4], [1, 2, 4, 3], {"resamples": 10}, "at least 100"),
    ],
)
def test_refusals(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        rank_correlations(x, y, **options)
