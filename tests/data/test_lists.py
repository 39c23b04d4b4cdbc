"""Tables beside images: how they are read and joined, and what is said of a wrong one."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.io import savemat

from workbook.data.lists import listed_files
from workbook.data.source_kinds import FileList, FolderSource
from workbook.errors import CorruptDataError, ManifestError, MissingDataError


@pytest.fixture
def base(tmp_path):
    for name in ("a.jpg", "b.jpg", "c d.jpg"):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / name).touch()
    return tmp_path


def listed(base, tables, label="{class}", patterns=("images/{file}",), **fields):
    return listed_files(base, patterns, FileList.model_validate({"tables": tables, "label": label, **fields}))


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("list.csv", 'file,class\nb.jpg,"dog, large"\na.jpg,cat\n', "header"),
        ("list.csv", '\ufeffb.jpg,"dog, large"\r\na.jpg,cat\r\n\r\n', ["file", "class"]),
        ("list.tsv", "file\tclass\nb.jpg\tdog, large\na.jpg\tcat\n", "header"),
        ("list.txt", "b.jpg   dog, large\na.jpg cat \n", ["file", "class"]),
        ("list.txt", "file class\nb.jpg dog, large\na.jpg cat\n", "header"),
    ],
)
def test_every_form_of_a_table_gives_the_same_rows_sorted_by_file(base, name, text, columns):
    (base / name).write_bytes(text.encode())
    assert listed(base, {name: columns}) == [("images/a.jpg", "cat"), ("images/b.jpg", "dog, large")]


def test_a_mat_table_has_a_variable_a_column(base):
    savemat(base / "list.mat", {"name": np.array([["b"], ["c d"]], dtype=object), "kind": np.array([[2], [10]])})
    rows = listed(base, {"list.mat": ["name", "kind"]}, "{kind}", ("images/{name}.jpg",))
    assert rows == [("images/b.jpg", "2"), ("images/c d.jpg", "10")]


def test_a_mat_table_may_hold_one_row(base):
    savemat(base / "list.mat", {"name": np.array([["b"]], dtype=object)})
    assert listed(base, {"list.mat": ["name"]}, "{name}", ("images/{name}.jpg",)) == [("images/b.jpg", "b")]


def test_tables_are_joined_on_the_columns_that_they_share_and_filtered(base):
    (base / "files.txt").write_text("1 a.jpg\n2 b.jpg\n3 c d.jpg\n")
    (base / "classes.csv").write_text("id,kind\n3,0\n2,1\n1,1\n")
    (base / "names.csv").write_text("kind,class,good\n0,cat,yes\n1,dog,no\n")
    tables = {"files.txt": ["id", "file"], "classes.csv": "header", "names.csv": "header"}
    assert listed(base, tables) == [("images/a.jpg", "dog"), ("images/b.jpg", "dog"), ("images/c d.jpg", "cat")]
    assert listed(base, tables, where={"id": [1, 3]}) == [("images/a.jpg", "dog"), ("images/c d.jpg", "cat")]
    assert listed(base, tables, where={"good": "yes", "kind": 0}) == [("images/c d.jpg", "cat")]


def test_the_first_folder_that_has_the_file_is_taken(base):
    (base / "more_2" / "images").mkdir(parents=True)
    (base / "more_2" / "images" / "e.jpg").touch()
    (base / "list.csv").write_text("file,class\na.jpg,cat\ne.jpg,dog\n")
    rows = listed(base, {"list.csv": "header"}, patterns=("images/{file}", "more_*/images/{file}"))
    assert rows == [("images/a.jpg", "cat"), ("more_2/images/e.jpg", "dog")]


def test_the_class_can_be_part_of_a_column_or_of_several(base):
    (base / "list.csv").write_text("file,x,y\na.jpg,1,left\nb.jpg,2,right\n")
    table = {"list.csv": "header"}
    assert [name for _, name in listed(base, table, "{y} of {x}")] == ["left of 1", "right of 2"]
    assert [name for _, name in listed(base, table, "{y}", label_pattern="^(.)")] == ["l", "r"]


def test_the_class_can_be_the_column_that_is_not_zero(base):
    (base / "list.csv").write_text("file,cat,dog\na.jpg,0.0,1.0\nb.jpg,1,0\n")
    assert [name for _, name in listed(base, {"list.csv": "header"}, ["cat", "dog"])] == ["dog", "cat"]


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        ("file,class\na.jpg\n", {}, r"line 2 of .*list.csv has 1 columns, not 2 \(file, class\)"),
        ("file,class\na.jpg,cat\n", {"label": "{kind}"}, "no column 'kind'; they have file, class"),
        ("file,class\na.jpg,cat\n", {"patterns": ("images/{name}",)}, "no column 'name'"),
        ("file,class\na.jpg,cat\n", {"where": {"part": 1}}, "no column 'part'"),
        ("file,class\na.jpg,cat\n", {"where": {"class": ["x", "y"]}}, "list no image where class is x or y"),
        ("file,class\n", {}, "list.csv in .* list no image. Correct"),
        ("", {}, "list no image|no column"),
        ("file,class\na.jpg,cat\n", {"label_pattern": "(dog)"}, r"'\(dog\)' finds no class in 'cat'"),
        ("file,class\na.jpg,cat\na.jpg,dog\n", {}, "images/a.jpg is listed more than once"),
        ("file,class\na.jpg,cat\nx.jpg,dog\n", {}, "1 of 2 listed images are not in .*, images/x.jpg among them"),
        ("file,u,v\na.jpg,1,1\nb.jpg,0,1\n", {"label": ["u", "v"]}, "1 rows have not one class among u, v"),
        ("file,u,v\na.jpg,1,much\n", {"label": ["u", "v"]}, "u, v must be numbers"),
    ],
)
def test_a_list_that_does_not_fit_says_what_is_wrong(base, text, fields, message):
    (base / "list.csv").write_text(text)
    with pytest.raises(ManifestError, match=message):
        listed(base, {"list.csv": "header"}, **fields)


def test_the_time_of_a_pattern_grows_with_the_text_alone(base):
    (base / "list.csv").write_text(f"file,class\na.jpg,{'a' * 4000}!\n")
    with pytest.raises(ManifestError, match="finds no class"):
        listed(base, {"list.csv": "header"}, label_pattern="^((?:a+)+)$")


def test_a_join_that_multiplies_is_refused(base):
    (base / "files.csv").write_text("id,file\n" + "1,a.jpg\n" * 3000)
    (base / "classes.csv").write_text("id,class\n" + "1,cat\n" * 3000)
    with pytest.raises(ManifestError, match="both have rows alike in id"):
        listed(base, {"files.csv": "header", "classes.csv": "header"})


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (f'file,class\na.jpg,"{"x" * 200_000}"\n', CorruptDataError, "is no table .field larger"),
        ("file,class,class\na.jpg,cat,dog\n", ManifestError, "more than one column 'class'"),
    ],
)
def test_a_table_that_is_none(base, text, error, message):
    (base / "list.csv").write_text(text)
    with pytest.raises(error, match=message):
        listed(base, {"list.csv": "header"})


def test_tables_without_a_common_column(base):
    (base / "list.csv").write_text("file,class\na.jpg,cat\n")
    (base / "split.txt").write_text("1 1\n")
    with pytest.raises(ManifestError, match=r"split.txt has the columns id, train, none of which .*\(file, class\)"):
        listed(base, {"list.csv": "header", "split.txt": ["id", "train"]})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("header", "no first line"),
        (["names"], "no variable 'names'; it has name, kind"),
        (["name", "kind"], "differ in length: name 2, kind 3"),
    ],
)
def test_mat_variables_that_do_not_fit(base, columns, message):
    savemat(base / "list.mat", {"name": np.array(["a", "b"], dtype=object), "kind": [1, 2, 3]})
    with pytest.raises(ManifestError, match=message):
        listed(base, {"list.mat": columns}, "{name}", ("images/{name}.jpg",))


def test_missing_and_unreadable_tables(base):
    with pytest.raises(MissingDataError, match=r"list.csv"):
        listed(base, {"list.csv": "header"})
    (base / "list.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorruptDataError, match=r"list.csv is no text"):
        listed(base, {"list.csv": "header"})
    (base / "list.csv").write_text("file,class\nx.jpg,cat\ny.jpg,dog\n")
    with pytest.raises(MissingDataError, match=r"images/x.jpg and 1 more"):
        listed(base, {"list.csv": "header"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": "images/*.jpg"}}, "must name the column that holds the files"),
        ({"splits": {"test": "{*}/*.jpg"}}, "'train', for which splits gives no pattern"),
        ({"lists": {"train": {"tables": {}, "label": "{x}"}}}, "at least 1 item"),
        ({"lists": {"train": {"tables": {"a.csv": "file"}, "label": "{x}"}}}, "'header'|tuple"),
        ({"lists": {"train": {"tables": {"a.csv": "header"}, "label": "{x}", "label_pattern": "("}}}, "not a regular"),
        ({"lists": {"train": {"tables": {"a.csv": "header"}, "label": "{x}", "label_pattern": "x"}}}, "one group"),
    ],
)
def test_a_manifest_with_wrong_lists_is_refused(changes, message):
    lists = {"train": {"tables": {"a.csv": "header"}, "label": "{class}"}}
    facts = {"kind": "folder", "root": "x", "splits": {"train": "images/{file}"}, "lists": lists}
    with pytest.raises(ValidationError, match=message):
        FolderSource.model_validate(facts | changes)
