import pytest

from workbook.papers.claims import CLAIMS, table1_claim
from workbook.papers.reproduction import printed_value


def test_claims_are_named_by_their_paper():
    assert all(key == claim.id and key.startswith(f"{claim.paper}.") for key, claim in CLAIMS.items())


def test_numbers_are_the_papers_differences():
    assert CLAIMS["A.pooled.slmlp-above"].number == round(64.1 - 54.4, 1)
    assert CLAIMS["A.redundancy.sl"].number == round(0.087 - 0.034, 3)
    assert CLAIMS["A.redundancy.byol"].number == round(0.247 - 0.037, 3)
    assert CLAIMS["A.transfer.linear"].number == round(81.68 - 75.89, 2)
    assert CLAIMS["A.transfer.finetune"].number == round(71.66 - 70.54, 2)
    assert CLAIMS["A.transfer.fewshot"].number == round(71.71 - 67.76, 2)
    assert CLAIMS["B.cis.linear"].number == round(0.91 - 0.55, 2)
    assert CLAIMS["B.cis.finetune"].number == round(0.93 - 0.74, 2)


def test_statements_are_sentences_that_differ():
    statements = [claim.statement for claim in CLAIMS.values()]
    assert len(set(statements)) == len(statements)


@pytest.mark.parametrize("protocol", ["linear", "finetune"])
@pytest.mark.parametrize("diversity", ["spectral", "cluster"])
@pytest.mark.parametrize("coefficient", ["spearman", "pearson", "kendall", "r2"])
def test_claims_of_table_1_are_its_differences(protocol, diversity, coefficient):
    score, accuracy = (printed_value(protocol, row, coefficient) for row in (f"{diversity}_cis", "accuracy"))
    assert CLAIMS[table1_claim(protocol, diversity, coefficient)].number == pytest.approx(score - accuracy, abs=1e-9)
