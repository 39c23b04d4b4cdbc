import pandas as pd
import pytest

from workbook.papers.tables import DATA_SETS, FILES, load_table, models_of_paper_b, tables_of_paper_b


@pytest.mark.parametrize("name", FILES)
def test_every_table_is_typed(name):
    table = load_table(name)
    assert len(table) > 2
    numbers = table.drop(
        columns=[c for c in table if table[c].dtype == object or pd.api.types.is_string_dtype(table[c])]
    )
    assert len(numbers.columns) >= 1
    if "Transfer" in table:
        assert table[list(DATA_SETS)].dtypes.eq(float).all()
        assert table[list(DATA_SETS)].gt(0).all(axis=None)
        assert table[list(DATA_SETS)].lt(100).all(axis=None)


def test_cells_are_as_printed():
    assert load_table("B.9").at["SimCLR_T4", "Dogs"] == 88.2  # a misprint that stays
    assert load_table("B.4").at["SwAV", "ImageNet"] == 64.2
    assert load_table("B.2").at["ImNet", "train_size"] == 1281167
    assert load_table("B.7").loc["SwAV_T10", ["base", "control_cycle"]].tolist() == ["SwAV", 10]
    assert load_table("B.3").at["SimCLR_T4", "underlined"] == ("Aircraft", "Cars", "Flowers")
    assert load_table("B.3").at["SimCLR", "underlined"] == ()
    assert load_table("A.5")["input_fc"].tolist() == [False, True, True, True, False, True]


def test_models_and_transfer_go_together():
    models = models_of_paper_b()
    assert models.shape == (39, 11)
    assert models.loc["DINO_T4", ["accuracy", "cluster_cis", "linear", "finetune"]].tolist() == [
        77.46,
        53.47,
        22.6,
        0.126,
    ]
    assert not models.drop(columns="control_cycle").isna().any(axis=None)
    assert models["base"].value_counts().tolist() == [9, 9, 9, 9, 1, 1, 1]


def test_digits_say_what_rounding_hides():
    half = tables_of_paper_b()["B.6"].half_units
    assert half[["ImageNet", "msc", "intra_class_variance"]].tolist() == pytest.approx([0.005, 0.005, 0.0005])
    assert tables_of_paper_b()["B.7"].half_units.unique().tolist() == pytest.approx([0.05])


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="no table 'B.10'.*B.9"):
        load_table("B.10")
