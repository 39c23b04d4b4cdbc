import csv

import pytest

from tests.report.ledger import EARLIER, best, changes, totals
from tests.report.records import TINY, put, verdict
from workbook.papers.claims import CLAIMS
from workbook.report.survey import NOTEBOOKS, read_adopted

DROPS, POOLED, RISES = "A.stages.sl-drops", "A.pooled.slmlp-above", "A.stages.slmlp-rises"
CIS = "B.cis.linear.spectral.spearman"
STAGES, ABLATION, PREDICTS = "01_stagewise_evaluation", "02_mlp_ablation", "10_what_predicts_transfer"


@pytest.fixture
def sources(tmp_path):
    """Of pocket on two sets and of a study; two notebooks of pocket judge one claim."""
    put(tmp_path / "pocket", STAGES, [verdict(DROPS, "differs"), verdict(POOLED), verdict(RISES, "not evaluated")])
    put(tmp_path / "pocket", ABLATION, [verdict(POOLED, n=5)])
    put(tmp_path / "pocket", PREDICTS, [verdict(CIS, "inconclusive", evidence="printed tables")])
    put(tmp_path / "pocket-tiny-imagenet-32", STAGES, [verdict(DROPS), verdict(RISES)], parameters=TINY)
    put(tmp_path / "study", STAGES, [verdict(DROPS, "exploratory", said="agrees")], profile="study")
    return read_adopted(tmp_path)


def rows(text: str) -> dict[str, list[str]]:
    """First cell -> the others, of the rows of a table."""
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {first: others for first, *others in cells[2:]}


def test_each_claim_is_counted_once_by_its_strongest_verdict(sources):
    text = totals(sources)
    table = rows(text)
    assert table["agrees"] == ["2", "0"] and table["differs"] == ["1", "0"] and table["inconclusive"] == ["0", "1"]
    assert "exploratory" not in table and "not evaluated" not in table
    runs, printed = map(int, table["together"])
    assert runs + printed == len(CLAIMS)
    assert table["not measured"] == [str(runs - 3), str(printed - 1)]
    assert f"Of the {runs} claims on own runs 3 ({300 / runs:.0f} %) are evaluated" in text
    assert text.endswith("at `pocket`, 1 of them on tiny-imagenet-32 alone.")


def test_the_best_of_a_claim_that_nothing_decides_says_that_it_was_measured(sources):
    (own,) = [source for source in sources if str(source.setting) == "pocket"]
    assert best([own], RISES).outcome == "not evaluated" and best(sources, RISES).outcome == "agrees"
    assert best(sources, "A.mlp.byol") is None


def test_what_the_protocol_decides_otherwise_is_told_with_both_values(sources, tmp_path):
    before = [(DROPS, "agrees", 7.0), (POOLED, "agrees", 3.0), (RISES, "not evaluated", 1.0), ("", "agrees", 4.0)]
    before.append(("A.mlp.byol", "differs", -1.0))
    lines = ["then,claim,outcome,n,measured,low,high,date"]
    lines += [f"x{i},{name},{said},5,{value},0.5,9,2026-11-22" for i, (name, said, value) in enumerate(before)]
    (tmp_path / EARLIER).write_text("\n".join(lines) + "\n")
    text = changes(sources, tmp_path / EARLIER)
    assert text.startswith("Of 5 claims") and "4 still ask the same; 1 of them had too few seeds" in text
    assert "judged for 3. Of these the protocol decides 2 by now, 1 otherwise: 1 agrees → differs." in text
    table = {name.partition(" (")[0]: cells for name, cells in rows(text).items()}
    assert set(table) == {CLAIMS[name].statement for name in (DROPS,)}
    assert table[CLAIMS[DROPS].statement] == [
        "**agrees**: 7.00 points, [0.500, 9.00], n = 5 seeds, 2026-11-22",
        "**differs**: 2.00 points, [1.00, 3.00], n = 3 seeds, `pocket`",
    ]


def test_what_was_said_earlier_is_of_claims_that_there_are():
    with (NOTEBOOKS / "results" / EARLIER).open(encoding="utf-8", newline="") as file:
        earlier = list(csv.DictReader(file))
    assert {row["claim"] for row in earlier} - {""} <= set(CLAIMS)
    assert len({row["then"] for row in earlier}) == len(earlier)
