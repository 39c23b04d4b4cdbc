import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbook.metrics.prediction import RANK_COEFFICIENTS, log_odds_elsewhere, predict_transfer, weighted_tau

MODELS, SETS = 24, 5
NAMES = [f"m{i}" for i in range(MODELS)]
FAMILIES = pd.Series([f"f{i % 8}" for i in range(MODELS)], NAMES)


def pool(seed=0, noise=0.5, families=0.0):
    """Accuracies, and a measure that follows them: noise of its own, and of its family."""
    rng = np.random.default_rng(seed)
    good = rng.normal(size=MODELS)
    odds = good[:, None] + 0.3 * rng.normal(size=(MODELS, SETS))
    transfer = pd.DataFrame(100 / (1 + np.exp(-odds)), NAMES, [f"d{i}" for i in range(SETS)])
    shared = pd.Series(rng.normal(size=8), [f"f{i}" for i in range(8)])[FAMILIES].to_numpy()
    return transfer, pd.Series(good + noise * rng.normal(size=MODELS) + families * shared, NAMES)


def theirs(x, y):
    return stats.spearmanr(x, y)[0], stats.kendalltau(x, y)[0], stats.weightedtau(x, y)[0]


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_resampled_weighted_tau_is_scipy_s_on_repeated_models(decimals):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 30))
    if decimals is not None:  # ties
        x, y = np.round(x, decimals), np.round(y, decimals)
    counts = rng.multinomial(30, np.full(30, 1 / 30), size=20).astype(float)
    expected = [stats.weightedtau(np.repeat(x, c.astype(int)), np.repeat(y, c.astype(int)))[0] for c in counts]
    assert weighted_tau(counts, x, y) == pytest.approx(np.array(expected), abs=1e-12)


def test_values_are_the_mean_over_data_sets():
    transfer, measure = pool()
    per_set = pd.concat([measure.rename(name) + 0.2 * i for i, name in enumerate(transfer)], axis=1)
    prediction = predict_transfer({"one": measure, "each": per_set}, transfer, FAMILIES, resamples=100)
    found = prediction.values
    assert repr(prediction) == f"Prediction(values={found})"
    expected = np.mean([theirs(measure, transfer[name]) for name in transfer], axis=0)
    assert found.loc["one"].to_numpy() == pytest.approx(expected)
    assert found.loc["each"].to_numpy() == pytest.approx(expected)
    assert list(found) == list(RANK_COEFFICIENTS)


def test_a_measure_of_each_set_is_held_against_its_own_set():
    transfer, _ = pool()
    found = predict_transfer({"itself": transfer, "turned": -transfer}, transfer, FAMILIES, resamples=100)
    assert found.values.loc["itself"].to_numpy() == pytest.approx(1)
    assert found.values.loc["turned"].to_numpy() == pytest.approx(-1)
    rows = found.table().set_index(["measure", "coefficient"])
    assert (rows.loc["itself"].to_numpy() == pytest.approx(1)) and (rows.loc["turned"].to_numpy() == pytest.approx(-1))


def test_without_a_family_is_the_pool_without_it():
    transfer, measure = pool()
    found = predict_transfer({"one": measure}, transfer, FAMILIES, resamples=100)
    kept = FAMILIES[FAMILIES != "f3"].index
    alone = predict_transfer({"one": measure[kept]}, transfer.loc[kept], FAMILIES[kept], resamples=100)
    assert found.left_out["one"][3] == pytest.approx(alone.values.loc["one"].to_numpy())
    row = found.table().iloc[0]
    assert row["without_low"] == found.left_out["one"][:, 0].min()
    assert row["without_low"] <= row["value"] <= row["without_high"]


def test_one_data_set_is_enough_and_does_not_widen():
    transfer, measure = pool()
    one = predict_transfer({"one": measure}, transfer[["d0"]], FAMILIES, resamples=200)
    assert one.values.loc["one"].to_numpy() == pytest.approx(theirs(measure, transfer["d0"]))


def test_the_same_draws_make_a_difference_sharper_than_two_intervals():
    transfer, measure = pool(noise=0.8)
    found = predict_transfer({"one": measure, "worse": measure + 0.3 * np.arange(MODELS) % 1}, transfer, FAMILIES)
    widths = found.table().set_index(["measure", "coefficient"]).eval("high - low")
    gain = found.above("worse").set_index("coefficient")
    assert (gain["high"] - gain["low"] < widths.loc["one"]).all()
    assert gain["value"].to_numpy() == pytest.approx((found.values.loc["one"] - found.values.loc["worse"]).to_numpy())


def test_an_interval_can_come_out_each_way_and_without_a_relation_seldom_does():
    """Models of a family are alike, in the measure as in their accuracy: drawn one by one they would seem many."""
    came_out = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        good, own = (rng.normal(size=8)[np.arange(MODELS) % 8] + 0.5 * rng.normal(size=MODELS) for _ in range(2))
        odds = good[:, None] + rng.normal(size=(8, SETS))[np.arange(MODELS) % 8] / 2
        transfer = pd.DataFrame(odds + 0.3 * rng.normal(size=odds.shape), NAMES, [f"d{i}" for i in range(SETS)])
        measures = {"none": own, "for": 0.9 * good + 0.4 * own, "against": -0.9 * good + 0.4 * own}
        measures = {name: pd.Series(values, NAMES) for name, values in measures.items()}
        rows = (
            predict_transfer(measures, transfer, FAMILIES, resamples=200).table().set_index(["measure", "coefficient"])
        )
        came_out.append(rows.assign(above=rows["low"] > 0, below=rows["high"] < 0)[["above", "below"]])
    shares = sum(table.astype(float) for table in came_out) / len(came_out)
    assert (shares.loc["none"] <= 0.07).all(axis=None)
    assert (shares.loc["for", "above"] >= 0.8).all() and (shares.loc["for", "below"] == 0).all()
    assert (shares.loc["against", "below"] >= 0.8).all() and (shares.loc["against", "above"] == 0).all()


def test_elsewhere_leaves_the_set_itself_out():
    transfer, _ = pool()
    changed = transfer.assign(d1=transfer["d1"].to_numpy()[::-1])
    before, after = log_odds_elsewhere(transfer), log_odds_elsewhere(changed)
    assert after["d1"].to_numpy() == pytest.approx(before["d1"].to_numpy())
    odds = np.log(transfer / (100 - transfer))
    odds -= odds.mean()
    assert before["d0"].to_numpy() == pytest.approx(odds.drop(columns="d0").mean(axis=1).to_numpy())
    assert np.isfinite(log_odds_elsewhere(transfer.assign(d0=100.0)).to_numpy()).all()


def test_no_interval_where_resamples_hold_one_value_only():
    transfer, measure = pool()
    one = pd.Series((FAMILIES == "f0").astype(float), NAMES)  # a third of all resamples lack the family
    rows = predict_transfer({"rare": one, "one": measure}, transfer, FAMILIES, resamples=200).table()
    rare, other = rows[rows["measure"] == "rare"], rows[rows["measure"] == "one"]
    assert np.isfinite(rare["value"]).all() and rare[["low", "high"]].isna().all(axis=None)
    assert np.isfinite(rare["without_high"]).all() and np.isfinite(other[["low", "high"]]).all(axis=None)


def test_refusals():
    transfer, measure = pool()
    with pytest.raises(ValueError, match="one has no value of m0"):
        predict_transfer({"one": measure.drop("m0")}, transfer, FAMILIES)
    with pytest.raises(ValueError, match="one: a rank coefficient takes 4 or more finite values, not all alike"):
        predict_transfer({"one": measure.where(measure.index != "m3")}, transfer, FAMILIES)
    with pytest.raises(ValueError, match="one: a rank coefficient"):
        predict_transfer({"one": measure * 0}, transfer, FAMILIES)
    with pytest.raises(ValueError, match="an interval over families needs 3 of them"):
        predict_transfer({"one": measure}, transfer, FAMILIES.str.replace("[1-9]", "0", regex=True))
    with pytest.raises(ValueError, match="others than a data set need two of them"):
        log_odds_elsewhere(transfer[["d0"]])
