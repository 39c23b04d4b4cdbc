import pytest
from nbformat.v4 import new_markdown_cell

from tests.report.records import put, write_notebook
from workbook.report.notebooks import read_notebook
from workbook.report.page import duration, formula, render_page


def test_formulas_become_mathml_or_stay_source():
    assert "<mtable" in formula(r"\begin{aligned}a&=b\\c&=d\end{aligned}", display=True)
    assert "&#x0223C;" in formula(r"x \sim y", display=False)
    assert formula(r"\left( x < 1", display=False) == r'<code class="latex">\left( x &lt; 1</code>'


@pytest.mark.parametrize(("seconds", "text"), [(41.6, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("rows", [[{"accuracy": 1.5}], []])
def test_a_page_links_its_table_where_there_is_one(tmp_path, rows):
    result = put(tmp_path, "a b", [], findings={"measurements": rows})
    source = write_notebook(tmp_path / "a b.ipynb", new_markdown_cell("# N"))
    page = render_page(read_notebook(source), result, source=source, out=tmp_path)
    assert ('href="a%20b.csv"' in page) == bool(rows)
