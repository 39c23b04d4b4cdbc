import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from workbook.papers.reproduction import (
    R2_DEFINITIONS,
    correlations_again,
    nearest_added_models,
    one_more_model,
    printed_value,
    r2_attempts,
)
from workbook.papers.tables import models_of_paper_b


@pytest.fixture(scope="module")
def models():
    return models_of_paper_b()


def test_printed_cells():
    assert printed_value("linear", "spectral_cis", "kendall") == 0.75
    assert printed_value("finetune", "accuracy", "r2") == 0.47


def test_one_of_the_correlations_reproduces(models):
    again = correlations_again(models).set_index(["protocol", "score", "coefficient"])
    assert len(again) == 24
    assert list(again.index[again["reproduces"]]) == [
        ("finetune", "accuracy beside Transfer", "spearman"),
        ("finetune", "accuracy", "spearman"),
    ]
    assert again["difference"].abs().max() == pytest.approx(0.053, abs=0.001)
    found = again.at[("linear", "cluster_cis", "pearson"), "recomputed"]
    assert found == pytest.approx(np.corrcoef(models["cluster_cis"], models["linear"])[0, 1])


def scaled(v):
    return (v - v.min()) / (v.max() - v.min())


def test_definitions_against_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    y = x + rng.normal(size=20)
    slope, offset = np.polyfit(x, y, 1)
    r2 = {name: definition(x, y) for name, definition in R2_DEFINITIONS.items()}
    assert r2["r²: the best line"] == pytest.approx(r2_score(y, slope * x + offset))
    assert r2["min-max scaled score as prediction"] == pytest.approx(r2_score(scaled(y), scaled(x)))
    assert r2["2r − 1: standardised score as prediction"] == pytest.approx(r2_score(stats.zscore(y), stats.zscore(x)))
    ranks = stats.rankdata(x), stats.rankdata(y)
    assert r2["2ρ − 1: rank as prediction"] == pytest.approx(r2_score(ranks[1], ranks[0]))
    assert r2["best line, one model left out"] < r2["adjusted r²"] < r2["r²: the best line"]


def test_no_definition_gives_the_printed_values(models):
    attempts = r2_attempts(models)
    assert attempts.iloc[1:]["off"].min() > 0.1
    nearest = attempts.loc["min-max scaled score as prediction"].round(2)
    assert (nearest["linear spectral_cis"], nearest["finetune spectral_cis"]) == (0.74, 0.56)
    assert attempts.loc["r²: the best line", "excluded"] == 6


def test_an_added_model_is_one_more_point():
    rng = np.random.default_rng(1)
    x, y = np.round(rng.normal(size=(2, 15)), 1)
    wanted = {"spearman": 0.5, "pearson": 0.5, "r2": 0.5, "kendall": 0.5}
    tried = one_more_model(x, y, wanted, np.array([0.3, 2.5]), np.array([-1.0, 0.3, 4.0]))
    assert len(tried) == 6
    for row in tried.itertuples():
        xs, ys = np.append(x, row.x), np.append(y, row.y)
        assert row.pearson == pytest.approx(stats.pearsonr(xs, ys).statistic)
        assert row.spearman == pytest.approx(stats.spearmanr(xs, ys).statistic)
        assert row.kendall == pytest.approx(stats.kendalltau(xs, ys).statistic)
        assert row.r2 == pytest.approx(r2_score(scaled(ys), scaled(xs)))
        assert row.off == pytest.approx(max(abs(getattr(row, name) - 0.5) for name in wanted))


def test_one_more_model_mends_accuracy_and_not_the_rest(models):
    best = nearest_added_models(models)["off"]
    assert list(best.index[best < 0.005]) == [("linear", "accuracy"), ("finetune", "spectral_cis")]
    with_sum = nearest_added_models(models, transfer=2.5).loc[("linear", "accuracy")]
    assert with_sum["off"] < 0.005
    assert with_sum["x"] == pytest.approx(82.7, abs=0.1)
