import pytest

from workbook.cells import assigned


def test_the_names_that_a_cell_assigns():
    assert assigned('a: int | None = None\nb = [\n  "x=1",\n]  # help\nbare: int\nc.d = 3\nprint(a)') == ["a", "b"]
    with pytest.raises(SyntaxError):
        assigned("%matplotlib inline")
