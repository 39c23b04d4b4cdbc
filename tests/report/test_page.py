import pytest

from workbook.report.page import duration, formula


def test_formulas_become_mathml_or_stay_source():
    assert "<mtable" in formula(r"\begin{aligned}a&=b\\c&=d\end{aligned}", display=True)
    assert "&#x0223C;" in formula(r"x \sim y", display=False)
    assert formula(r"\left( x < 1", display=False) == r'<code class="latex">\left( x &lt; 1</code>'


@pytest.mark.parametrize(("seconds", "text"), [(41.6, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text
