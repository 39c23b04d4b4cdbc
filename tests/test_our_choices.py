"""The page of our choices: as the sources are, with nothing lost."""

import re

from tests.our_choices import MARK, PAGE, all_choices, choices, page
from workbook.files import CHECKOUT

SOURCE = '''"""A file. Not in the paper: it exists."""

LR = 0.1  # not in the paper: ten times more diverges. With 0.2 it ends 3 points lower

class Recipe:
    """What is chosen.

    Drawn. The values are ours, all
    of them.
    """

    # from A; not in the paper: the unit,
    # which is a batch
    step: int | None = None
    plain: int = 0  # A, 3.2

def train(
    # ours: of the data
    mean=(0.5, 0.4),
):
    """Not in the papers."""
    model = make(
        width=3,  # not in the paper
    )
'''


def test_a_choice_is_the_code_and_the_whole_of_what_is_said_about_it():
    found = {(choice.name, choice.code): choice.text for choice in choices("data/x.py", SOURCE)}
    assert found == {
        ("", "the whole file"): "Not in the paper: it exists.",
        ("Recipe", "class Recipe"): "The values are ours, all of them.",
        ("train()", "def train"): "Not in the papers: Not in the papers.",
        ("LR", "LR = 0.1"): "not in the paper: ten times more diverges. With 0.2 it ends 3 points lower",
        ("Recipe.step", "step: int | None = None"): "from A; not in the paper: the unit, which is a batch",
        ("train()", "mean=(0.5, 0.4)"): "ours: of the data",
        ("train()", "width=3"): "not in the paper",
    }


def test_a_row_says_what_where_why_and_what_was_measured():
    rows = [choice.row() for choice in choices("data/x.py", SOURCE)]
    where = "[data/x.py](../workbook/data/x.py)"
    assert f"| `LR = 0.1` | {where}, `LR` | ten times more diverges. | With 0.2 it ends 3 points lower |" in rows
    assert f"| `width=3` | {where}, `train()` | — | — |" in rows
    assert any(row.startswith("| `step: int \\| None = None` |") for row in rows), "a bar would end the cell"


def test_no_remark_is_lost():
    for path in sorted((CHECKOUT / "workbook").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        unwrapped = re.sub(r"\s*\n\s*(?:# )?", " ", source)
        said = " ".join(choice.text for choice in choices(path.name, source))
        assert len(MARK.findall(said)) == len(MARK.findall(unwrapped)), path


def test_the_committed_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(all_choices()), "run python -m tests.our_choices"
