import pytest

from workbook.files import CHECKOUT
from workbook.papers.claims import CLAIMS, claims_of, topics
from workbook.papers.reproduction import printed_value


def test_claims_are_named_by_their_paper():
    assert {claim.paper for claim in CLAIMS.values()} == {"A", "B"}
    assert all(key == claim.id and key.startswith(f"{claim.paper}.") for key, claim in CLAIMS.items())


def test_numbers_are_the_papers_differences():
    assert CLAIMS["A.pooled.slmlp-above"].number == round(64.1 - 54.4, 1)
    assert CLAIMS["A.redundancy.sl"].number == round(0.087 - 0.034, 3)
    assert CLAIMS["A.redundancy.byol"].number == round(0.247 - 0.037, 3)
    assert CLAIMS["A.transfer.linear"].number == round(81.68 - 75.89, 2)
    assert CLAIMS["A.transfer.finetune"].number == round(71.66 - 70.54, 2)
    assert CLAIMS["A.transfer.fewshot"].number == round(71.71 - 67.76, 2)
    assert CLAIMS["B.cis.linear.spectral.spearman"].number == round(0.91 - 0.55, 2)
    assert CLAIMS["B.cis.finetune.cluster.spearman"].number == round(0.93 - 0.74, 2)
    assert CLAIMS["A.stages.sl-drops"].number is None, "a curve without printed values"


def test_statements_are_sentences_that_differ():
    statements = [claim.statement for claim in CLAIMS.values()]
    assert len(set(statements)) == len(statements) and all(statements)
    assert all(claim.place and claim.topic for claim in CLAIMS.values())


@pytest.mark.parametrize("protocol", ["linear", "finetune"])
@pytest.mark.parametrize("diversity", ["spectral", "cluster"])
@pytest.mark.parametrize("coefficient", ["spearman", "pearson", "kendall", "r2"])
def test_claims_of_table_1_are_its_differences(protocol, diversity, coefficient):
    score, accuracy = (printed_value(protocol, row, coefficient) for row in (f"{diversity}_cis", "accuracy"))
    claim = CLAIMS[f"B.cis.{protocol}.{diversity}.{coefficient}"]
    assert claim.number == pytest.approx(score - accuracy, abs=1e-9)


def test_every_claim_has_one_topic():
    found = [claim for claims in topics().values() for claim in claims]
    assert sorted(claim.id for claim in found) == sorted(CLAIMS)
    assert all(claim.topic == topic for topic, claims in topics().items() for claim in claims)
    first = next(iter(CLAIMS.values()))
    assert next(iter(topics().items()))[1][0] == first


def test_a_notebook_answers_the_claims_that_name_it():
    assert [claim.id for claim in claims_of("02_mlp_ablation")][:2] == ["A.pooled.slmlp-above", "A.mlp.byol"]
    assert claims_of("explore_features") == []
    named = {notebook for claim in CLAIMS.values() for notebook in claim.notebooks}
    assert all((CHECKOUT / "notebooks" / f"{notebook}.ipynb").exists() for notebook in named)
