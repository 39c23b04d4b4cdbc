import pytest

from workbook.papers.cells import Cell, read_difference, trajectory
from workbook.papers.tables import load_table
from workbook.papers.transfer import transferability

A_2 = "A.2[SL-MLP, ResNet50, 300, top1] - A.2[SL, ResNet50, 300, top1]"
B_7 = "B.7[SwAV_T3, Transfer] - B.7[SwAV, Transfer]"


def test_a_difference_has_the_digits_of_its_cells_and_what_they_hide():
    found = read_difference(A_2)
    assert found.value == 9.7  # 64.1 - 54.4, which floats miss
    assert found.rounding == pytest.approx(0.1)
    assert read_difference("A.1[SL, 300, redundancy] - A.1[SL-MLP, 300, redundancy]").value == 0.053


def test_a_quotient_by_hand():
    found = read_difference("B.6[SwAV_T3, cis_clustering] / B.6[SwAV_T3, ImageNet] - B.6[SwAV, cis_clustering] / B.6[SwAV, ImageNet]")  # fmt: skip # noqa: E501
    assert found.value == round(53.78 / 78.59 - 49.67 / 72.00, 4)
    # |d(a / b)| <= (half a unit of a + a / b times that of b) / b
    by_hand = 0.005 * (1 + 53.78 / 78.59) / 78.59 + 0.005 * (1 + 49.67 / 72.00) / 72.00
    assert found.rounding == pytest.approx(by_hand)


def test_trailing_zeros_count():
    assert load_table("B.4").at["MoCo-v2_T1", "DTD"] == 70  # printed so, among 69.3 and 71.3
    assert Cell("B.4", ("MoCo-v2_T1",), "DTD").half_unit == 0.05


@pytest.mark.parametrize(
    "text",
    [
        "A.2[SL, ResNet50, 200, top1] - A.2[SL, ResNet50, 300, top1]",  # no such row
        "A.2[SL, ResNet50, top1] - A.2[SL, ResNet50, 300, top1]",  # of several rows
        "A.2[SL, ResNet50, 300, top5] - A.2[SL, ResNet50, 300, top1]",
        "A.9[SL, 300, top1] - A.1[SL, 300, top1]",
        "B.7[SwAV_T7, Transfer] - B.7[SwAV, Transfer]",
        "A.1[SL, 300, top1]",
        "A.1[SL, 300, top1] + A.1[SL, 100, top1]",
        "2 * A.1[SL, 300, top1] - A.1[SL, 100, top1]",
        "A.1[SL, 300, top1] - 3",
    ],
)
def test_what_names_no_cell_is_refused(text):
    with pytest.raises(ValueError, match=r"no table of the papers|not a difference"):
        read_difference(text)


def test_a_mean_opens_into_its_data_sets():
    linear = "A.4[linear evaluation, {}, average]"
    on_sets = read_difference(f"{linear.format('SL-MLP')} - {linear.format('SL')}").over_data_sets()
    assert len(on_sets) == 12 and on_sets["Omniglot"] == pytest.approx(76.73 - 64.14)
    assert on_sets.mean() == pytest.approx(5.79, abs=0.005)
    in_log_odds = read_difference(B_7).over_data_sets()
    scores = transferability(load_table("B.7")[list(in_log_odds.index)])["mean"]
    assert len(in_log_odds) == 14 and in_log_odds.mean() == pytest.approx(scores["SwAV_T3"] - scores["SwAV"])
    with pytest.raises(ValueError, match="no mean over data sets"):
        read_difference(A_2).over_data_sets()


def test_linear_probes_are_printed_in_hundreds():
    hundred = read_difference("B.9[DINO_T4, Transfer] - B.9[DINO, Transfer]")
    assert hundred.over_data_sets().mean() == pytest.approx(hundred.value, abs=0.5)


def test_a_family_is_compared_with_its_other_cycles():
    family = read_difference("B.7[SwAV_T3, Transfer] - B.7[SwAV_T2, Transfer]").over_family()
    along = trajectory("B.7", "SwAV")
    assert list(along.columns) == [1, 2, 3, 4, 5, 10, 50, 100]
    assert list(family.columns) == [1, 2, 4, 5, 10, 50, 100]
    assert family[4].tolist() == pytest.approx((along[3] - along[4]).tolist())


def test_a_name_is_taken_whole():
    assert len(trajectory("B.7", "DINO").columns) == 8
    assert trajectory("B.8", "DINO").loc["CUB", 1] != trajectory("B.7", "DINO").loc["CUB", 1]
