from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.report.records import put_notebook, tagged
from workbook.errors import ReportError
from workbook.report.notebooks import (
    changed_since,
    declared_parameters,
    imports,
    main_figure,
    named_notebooks,
    title_of,
)


def test_the_title_is_the_first_heading():
    cells = [new_code_cell("# no"), new_markdown_cell("text\n\n## Two?"), new_markdown_cell("# Three")]
    assert title_of(new_notebook(cells=cells), otherwise="n") == "Two?"
    assert title_of(new_notebook(), otherwise="n") == "n"


def test_a_notebook_is_named_by_its_path_or_by_itself_and_never_taken_for_another(tmp_path, monkeypatch):
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    for folder, name in ((shipped, "01_a"), (shipped, "02_b"), (own, "02_b")):
        folder.mkdir(exist_ok=True)
        put_notebook(folder / f"{name}.ipynb")
    monkeypatch.chdir(own)
    paths = [Path("01_a"), Path("01_a.ipynb"), Path("02_b.ipynb"), shipped / "02_b.ipynb"]
    found = [shipped / "01_a.ipynb", shipped / "01_a.ipynb", Path("02_b.ipynb"), shipped / "02_b.ipynb"]
    assert named_notebooks(paths, shipped) == found
    assert named_notebooks(None, shipped) == [shipped / "01_a.ipynb", shipped / "02_b.ipynb"]
    with pytest.raises(ReportError, match="there is no notebook .*own/01_a.ipynb"):
        named_notebooks([own / "01_a.ipynb"], shipped)


def test_declared_names_are_those_of_the_tagged_cell():
    cell = tagged('a: int | None = None\nb = [\n  "x=1",\n]  # help\nbare: int\n# c = 3')
    notebook = new_notebook(cells=[new_code_cell("z = 1"), cell])
    assert declared_parameters(notebook, "n") == ["a", "b"]
    assert declared_parameters(new_notebook(), "n") == []
    with pytest.raises(ReportError, match="not plain Python"):
        declared_parameters(new_notebook(cells=[tagged("%matplotlib inline")]), "n")


def test_what_is_imported_from_this_package():
    cells = [new_code_cell("import torch\nfrom workbook import (Study,\n  Store)"), new_markdown_cell("from workbook")]
    cells += [new_code_cell("%magic"), new_code_cell("from workbook.papers import tables as t\nfrom os import path")]
    found = ["from workbook import Study, Store", "from workbook.papers import tables as t"]
    assert imports(new_notebook(cells=cells * 2)) == found


def test_no_figure_without_tag_or_notebook(tmp_path):
    assert main_figure(tmp_path / "none.ipynb") is None
    put_notebook(tmp_path / "n.ipynb", figure=False)
    assert main_figure(tmp_path / "n.ipynb") is None
    put_notebook(tmp_path / "n.ipynb")
    assert main_figure(tmp_path / "n.ipynb")["layout"]["title"]["text"] == "A </script> line"


def test_what_changed_is_the_code(tmp_path):
    executed, notebook = tmp_path / "e.ipynb", tmp_path / "n.ipynb"
    put_notebook(executed)
    assert not changed_since(executed, notebook), "it is gone"
    put_notebook(notebook, figure=False, title="Other words?")
    assert not changed_since(executed, notebook)
    put_notebook(notebook, source="draw(2)")
    assert changed_since(executed, notebook)
