import re

import pytest

from workbook.files import CHECKOUT
from workbook.papers.cells import Cell
from workbook.papers.claims import CLAIMS, claim_of, claims_of, topics
from workbook.papers.statistics import STATISTICS
from workbook.papers.tables import models_of_paper_b
from workbook.pretraining.recipe import METHODS

ROW = {"id": "A.x", "paper": "A", "place": "1", "statement": "s", "number": "", "unit": "", "topic": "t"}
ROW |= {"notebooks": "", "statistic": "paired over seeds", "n": "3", "learns": ""}


def test_claims_are_named_by_their_paper():
    assert {claim.paper for claim in CLAIMS.values()} == {"A", "B", "W"}
    assert all(key == claim.id and key.startswith(f"{claim.paper}.") for key, claim in CLAIMS.items())


def test_the_ledger_is_complete():
    judged = [claim for claim in CLAIMS.values() if claim.notebooks]
    assert len(judged) >= 110
    printed = [claim for claim in judged if STATISTICS[claim.statistic].evidence == "printed tables"]
    assert len(printed) >= 110 and len(judged) - len(printed) >= 50


def test_numbers_are_the_papers_differences():
    by_hand = {
        "A.pooled.slmlp-above": 64.1 - 54.4,
        "A.redundancy.sl": 0.087 - 0.034,
        "A.redundancy.byol": 0.247 - 0.037,
        "A.transfer.linear": 81.68 - 75.89,
        "A.components.norm": 61.0 - 55.9,
        "A.table2.sl-falls-resnet34": 50.1 - 50.2,
        "A.table3.byol-above-sl": 39.4 - 40.1,
        "B.cis.linear.spectral.spearman": 0.91 - 0.55,
        "B.injected.vit.mae": 0.131 + 0.425,
        "B.above.linear.dino.supcon": 22.6 - 12.6,
    }
    assert {claim: CLAIMS[claim].number for claim in by_hand} == pytest.approx(by_hand)
    assert CLAIMS["A.mlp.mocov2"].number == 3.7 and CLAIMS["A.mlp.mocov2"].cells is None, "the text alone prints it"
    assert CLAIMS["A.stages.sl-drops"].number is None, "a curve without printed values"


def test_a_number_that_names_no_cell_is_refused_with_its_claim():
    with pytest.raises(ValueError, match=r"claim A\.x: no table .* A\.1\[SL, 200, top1\]"):
        claim_of(ROW | {"number": "A.1[SL, 200, top1] - A.1[SL, 300, top1]"})
    with pytest.raises(ValueError, match=r"claim A\.x: not a difference"):
        claim_of(ROW | {"number": "about 3"})
    assert claim_of(ROW | {"number": "-1.5"}).number == -1.5


def test_statements_are_sentences_that_differ():
    statements = [claim.statement for claim in CLAIMS.values()]
    assert len(set(statements)) == len(statements) and all(statements)
    assert all(claim.place and claim.topic for claim in CLAIMS.values())


def test_no_two_claims_rest_on_one_measurement():
    """Evidence counts once: nothing is judged twice from the same cells by the same statistic."""
    of_cells = [(claim.cells, claim.statistic) for claim in CLAIMS.values() if claim.cells]
    assert [pair for pair in of_cells if of_cells.count(pair) > 1] == []
    assert not [claim for claim in CLAIMS if claim.endswith((".r2", "variation.accuracy", "stages.slmlp-above"))]
    moco = models_of_paper_b().query("base == 'MoCo-v2'").dropna(subset="control_cycle")
    assert (moco["cluster_cis"].rank() == moco["spectral_cis"].rank()).all(), "so its agreement in rank is one claim"
    assert not [claim for claim in CLAIMS if claim.endswith("moco-v2.spectral") and "aligned" in claim]


def test_every_claim_names_a_statistic_and_what_it_needs():
    for claim in CLAIMS.values():
        statistic = STATISTICS[claim.statistic]
        assert claim.n >= 1
        if statistic.evidence == "runs":
            assert claim.n in (3, 5), claim.id
        elif statistic.values is not None:
            assert claim.cells is not None, claim.id


def test_what_must_have_learned_is_a_method_that_the_claim_names():
    learning = [claim for claim in CLAIMS.values() if claim.learns]
    assert learning and all(claim.learns in METHODS for claim in learning)
    assert all(claim.learns.partition(" w/")[0] in claim.statement for claim in learning)
    others = "BYOL|MoCo|SupCon"
    for claim in CLAIMS.values():  # of A's own runs, each that says something of another method than SL and SL-MLP
        named = claim.notebooks and claim.notebooks[0][:2] in ("01", "02", "03", "04", "05")
        if named and claim.paper == "A" and re.search(others, claim.statement) and "batch" not in claim.statement:
            assert claim.learns or "augmentation" in claim.statement, claim.id


def test_what_is_injected_is_the_cycle_of_the_best_cis():
    """Picked from Table 6, without a look at transfer."""
    kinds = {"finetune": "cis_clustering", "linear": "cis_spectral"}
    found = 0
    for claim in CLAIMS.values():
        match = re.match(r"B\.(?:injected|above)\.(finetune|linear)\.", claim.id)
        if match and claim.cells:
            base, cycle = claim.cells.left[0].row[0].split("_T")
            cis = {t: Cell("B.6", (f"{base}_T{t}",), kinds[match[1]]).value for t in (1, 2, 3, 4, 5, 10, 50, 100)}
            assert int(cycle) == max(cis, key=lambda t: cis[t]), claim.id
            found += 1
    assert found == 20


def test_every_claim_has_one_topic():
    found = [claim for claims in topics().values() for claim in claims]
    assert sorted(claim.id for claim in found) == sorted(CLAIMS)
    assert all(claim.topic == topic for topic, claims in topics().items() for claim in claims)
    assert next(iter(topics().items()))[1][0] == next(iter(CLAIMS.values()))


def test_a_notebook_answers_the_claims_that_name_it():
    assert [claim.id for claim in claims_of("02_mlp_ablation")][:2] == ["A.pooled.slmlp-above", "A.mlp.byol"]
    assert claims_of("explore_features") == []
    named = {notebook for claim in CLAIMS.values() for notebook in claim.notebooks}
    assert all((CHECKOUT / "notebooks" / f"{notebook}.ipynb").exists() for notebook in named)
