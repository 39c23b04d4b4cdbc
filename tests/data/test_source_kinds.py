import pytest
from pydantic import TypeAdapter, ValidationError

from tests.data.copies import ARRAY, FOLDER, PARQUET, TORCHVISION
from workbook.data.source_kinds import Source

SOURCE = TypeAdapter(Source)


@pytest.mark.parametrize("facts", [FOLDER, PARQUET, ARRAY, TORCHVISION], ids=lambda facts: facts["kind"])
def test_a_kind_is_told_by_its_name(facts):
    assert SOURCE.validate_python(facts).kind == facts["kind"]


def test_one_pattern_is_as_good_as_a_list():
    assert SOURCE.validate_python(PARQUET).splits["train"] == ("train-*.parquet",)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (FOLDER | {"kind": "zip"}, "does not match any of the expected tags"),
        (FOLDER | {"colour": "blue"}, "colour"),
        (FOLDER | {"splits": {"train": "train/*/*.png"}}, "does not say where the class is"),
        (FOLDER | {"splits": {"train": "train/a{*}/*.png"}}, "put one whole folder in braces"),
        (FOLDER | {"splits": {"train": []}}, "at least 1 item"),
        (FOLDER | {"lists": {"val": {"tables": {"a.txt": ["file"]}, "label": "{file}"}}}, "lists are of 'val'"),
        (PARQUET | {"checksums": {"train-0.parquet": "sha1:0"}}, "should match pattern"),
        (PARQUET | {"label_names": "guess"}, "metadata"),
    ],
)
def test_what_cannot_be_a_source(facts, message):
    with pytest.raises(ValidationError, match=message):
        SOURCE.validate_python(facts)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(.+", "is not a regular expression"),
        (".+", "must have one group"),
        ("(a)(b)", "must have one group"),
        (r"(a)\1", "is not a regular expression"),  # RE2 looks at nothing twice
        ("(a{1000}){1000}", "is not a regular expression"),
        ("(a))(", "is not a regular expression"),
    ],
)
def test_the_pattern_of_a_label(pattern, message):
    lists = {"train": {"tables": {"a.txt": ["file"]}, "label": "{file}", "label_pattern": pattern}}
    with pytest.raises(ValidationError, match=message):
        SOURCE.validate_python(FOLDER | {"splits": {"train": "images/{file}"}, "lists": lists})
