import numpy as np
import pandas as pd
import pytest

from workbook.papers.importance import (
    CHANGES,
    FACTORS,
    INPUT_SETS,
    held_out_r2,
    importance_inputs,
    importance_study,
    importances,
    lead,
    leads,
    permutation_importance,
    share_together,
    without_each_family,
)
from workbook.papers.tables import models_of_paper_b

RNG = np.random.default_rng(0)
INPUTS = pd.DataFrame(RNG.normal(size=(30, 3)), columns=["CIS", "CKA", "MSC"])
FAMILIES = pd.Series(np.repeat(list("abcde"), 6))
TRANSFER = 3 * INPUTS["CIS"] + 0.1 * INPUTS["CKA"]


@pytest.fixture(scope="module")
def models():
    return models_of_paper_b()


def test_what_is_fed(models):
    inputs = {kind: importance_inputs(models, "cluster", kind) for kind in INPUT_SETS}
    others = list(FACTORS.values())
    assert list(inputs["as captioned"]) == ["CIS", *others]
    assert list(inputs["with accuracy"]) == ["CIS", "accuracy", *others]
    assert list(inputs["as in App. F"]) == ["accuracy", "diversity", *others]
    assert list(inputs["accuracy for CIS"]) == ["accuracy", *others]
    product = inputs["as in App. F"]["accuracy"] * inputs["as in App. F"]["diversity"]
    assert product.tolist() == pytest.approx(models["cluster_cis"].tolist())


def test_importance_is_a_share_and_finds_what_matters():
    found = importances(INPUTS, TRANSFER)
    assert found.sum().tolist() == pytest.approx([1, 1])
    assert found.idxmax().tolist() == ["CIS", "CIS"]
    pd.testing.assert_frame_equal(found, importances(INPUTS, TRANSFER))  # no chance in it


def test_a_study_refits_after_every_change():
    inputs = INPUTS.assign(V_intra=0.0, S_inter=0.0)
    study = importance_study(inputs, TRANSFER, FAMILIES, np.random.default_rng(1).integers(5, size=(3, 5)))
    fits = study.groupby("change", sort=False)["refit"].nunique()
    assert fits.to_dict() == dict(zip(CHANGES, (1, 10, 3, 30, 5), strict=True))
    assert study.groupby(["change", "refit"])["gain"].sum().tolist() == pytest.approx([1] * 49)
    ahead = lead(study, "CIS", "total_gain")
    assert len(ahead) == 49
    assert ahead["lead"].min() > 0.5
    one = study[(study["change"] == "none")].set_index("input")["gain"]
    assert lead(study, "CIS", "gain").set_index("change").at["none", "lead"] == pytest.approx(
        one["CIS"] - one.drop("CIS").max()
    )


def test_a_lead_over_each_factor_and_a_share_together():
    found = pd.Series({"CIS": 0.4, "CKA": 0.1, "MSC": 0.05, "V_intra": 0.3, "S_inter": 0.15})
    assert leads(found).round(2).to_dict() == {"CKA": 0.3, "MSC": 0.35, "V_intra": 0.1, "S_inter": 0.25}
    assert share_together(pd.Series({"accuracy": 0.5, "diversity": 0.3, "CKA": 0.2})).tolist() == pytest.approx([0.3])


def test_every_family_is_left_out_once():
    inputs = INPUTS.assign(V_intra=0.0, S_inter=0.0)
    found = without_each_family(inputs, TRANSFER, FAMILIES, lambda importance: leads(importance["gain"]))
    assert list(found.index) == ["none", *"abcde"] and list(found) == list(FACTORS.values())
    kept = FAMILIES != "b"
    assert found.loc["b"].tolist() == leads(importances(inputs[kept], TRANSFER[kept])["gain"]).tolist()


def test_an_unknown_change_is_refused():
    with pytest.raises(ValueError, match="changes must be among"):
        importance_study(INPUTS, TRANSFER, FAMILIES, np.zeros((1, 5), dtype=int), changes=("seed",))


def test_held_out_prediction():
    exact = held_out_r2(INPUTS, TRANSFER, FAMILIES, trees=False)
    assert list(exact.values()) == pytest.approx([1, 1, 1])
    noise = pd.Series(np.random.default_rng(2).normal(size=30))
    trees = held_out_r2(INPUTS, noise, FAMILIES, trees=True)
    assert trees["in sample"] > 0.99  # trees fit anything
    assert trees["families left out"] < 0.1


def test_permutation_tells_use_from_memory():
    found = permutation_importance(INPUTS, TRANSFER, FAMILIES, draws=3, generator=np.random.default_rng(3))
    assert found["CIS"] > 0.5
    assert abs(found["MSC"]) < 0.1


def test_the_papers_figure(models):
    for diversity in ("cluster", "spectral"):
        gain = importances(importance_inputs(models, diversity, "as captioned"), models["linear"])["gain"]
        assert gain.idxmax() == "CIS"
    accuracy = importances(importance_inputs(models, "cluster", "accuracy for CIS"), models["finetune"])["gain"]
    assert accuracy.idxmax() == "accuracy"
