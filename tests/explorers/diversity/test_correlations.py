import numpy as np
import pandas as pd
import pytest

from workbook.explorers.diversity.correlations import RESAMPLES, SCORES, transfer_correlations
from workbook.explorers.diversity.words import correlations_html
from workbook.metrics import rank_correlations


def models(n: int, families: int) -> pd.DataFrame:
    drawn = np.random.default_rng(0).normal(size=(n, 4))
    table = pd.DataFrame(drawn, columns=[*SCORES, "linear"])
    return table.assign(family=[f"f{i % families}" for i in range(n)])


def test_the_table_is_that_of_rank_correlations():
    table = models(20, 6)
    found, said = transfer_correlations(table, "linear")
    assert said == "n = 20 models of 6 families."
    for score in SCORES:
        expected = rank_correlations(table[score], table["linear"], families=table["family"], resamples=RESAMPLES)
        rows = found[found["score"] == score].set_index("coefficient")
        pd.testing.assert_frame_equal(rows[["value", "low", "high"]], expected, check_names=False)


def test_few_families_have_values_without_an_interval_and_words_for_it():
    table = models(20, 2)
    found, said = transfer_correlations(table, "linear")
    expected = rank_correlations(table["accuracy"], table["linear"])["value"]
    np.testing.assert_allclose(found["value"][:4], expected)
    assert found["low"].isna().all()
    assert "No interval: it draws families, and 2 are too few" in said
    assert "<b>" not in correlations_html(found, said, transfer="linear probe")


def test_few_models_are_called_few():
    assert "read no conclusion" in transfer_correlations(models(6, 6), "linear")[1]
    found, said = transfer_correlations(models(3, 1), "linear")
    assert found.empty
    assert said == "n = 3 models of 1 family. Too few: a correlation needs at least 4 models."
    assert said in correlations_html(found, said, transfer="finetuning")


def test_models_without_transfer_do_not_count():
    table = models(12, 6)
    table.loc[[0, 1], "linear"] = np.nan
    found, said = transfer_correlations(table, "linear")
    assert said.startswith("n = 10 models of 6 families. 2 of the selected lack accuracy or transfer")
    without, _ = transfer_correlations(table.iloc[2:], "linear")
    pd.testing.assert_frame_equal(found, without)


def test_a_score_that_never_varies_has_no_correlation():
    found, said = transfer_correlations(models(8, 8).assign(accuracy=70.0), "linear")
    assert found.empty
    assert "never varies" in said


def test_the_page_has_a_row_a_score_and_the_best_in_bold():
    found, said = transfer_correlations(models(20, 6), "linear")
    page = correlations_html(found, said, transfer="linear probe")
    assert page.count("<tr>") == 4
    assert page.count("<b>") == 4
    best = found[found["coefficient"] == "spearman"]["value"].max()
    assert f"<b>{best:.2f}</b>".replace("-", "−") in page
    assert "linear probe" in page


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_selected_says_so(n):
    assert "Too few" in transfer_correlations(models(4, 4).iloc[:n], "linear")[1]
