from pathlib import Path

import papermill
import pytest
from nbformat.v4 import new_code_cell
from papermill.exceptions import PapermillExecutionError

from tests.report.records import tagged, write_notebook
from workbook import parameters
from workbook.errors import ManifestError, ReportError
from workbook.parameters import check_notebook, check_parameters, type_of
from workbook.report.notebooks import declared_parameters, read_notebook

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameter_of_every_notebook_is_held_to_a_type(path):
    declared = set(declared_parameters(read_notebook(path), path.stem)) - {"profile", "overrides", "models"}
    assert not {name for name in declared if type_of(name) is None}, "give it a type in workbook.parameters"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("others", ["BYOL", "BYOLL"], r"others\[1\]: 'BYOLL' is unknown .did you mean 'BYOL'"),
        ("pairs", ["SL"], r"pairs\[0\]: SL has no MLP"),
        ("methods", ["SL", 3], "methods takes list"),
        ("protocols", ["linaer"], r"protocols\[0\]: 'linaer' is unknown"),
        ("cycles", [1, 0], r"cycles\[1\] must be at least 1, got 0"),
        ("architectures", ["resnet18", "resnet81"], r"architectures\[1\]: timm has no model 'resnet81' .did you mean"),
        ("k", -1, "k must be at least 1, got -1"),
        ("num_classes", 2.5, "num_classes takes int, got 2.5"),
        ("image_size", 0, "image_size must be at least 1"),
        ("accuracy", 0.76, "accuracy must be greater than 1, got 0.76"),
        ("fresh", "maybe", "fresh takes bool, got 'maybe'"),
        ("models", [3], r"models takes .*, got \(3,\)"),
    ],
)
def test_a_value_that_a_parameter_does_not_take(name, value, message):
    with pytest.raises(ReportError, match=message):
        check_parameters({name: value})


def test_data_sets_are_looked_up():
    check_parameters({"sets": ["digits", "cifar100:eval"], "dataset": None, "stages": "nobody's"})
    for given in ({"sets": ["digits", "nope"]}, {"dataset": "cifar100:eval"}):
        with pytest.raises(ManifestError, match="there is no manifest"):
            check_parameters(given)


class Shell:
    def __init__(self, *cells: str) -> None:
        self.user_ns: dict = {}
        for cell in cells:
            exec(cell, self.user_ns)
        self.user_ns["In"] = ["", *cells]


@pytest.fixture
def kernel(monkeypatch):
    import IPython

    return lambda *cells: monkeypatch.setattr(IPython, "get_ipython", lambda: Shell(*cells))


CELL = 'profile: str = "smoke"  # help\nothers: list = ["BYOL"]\noverrides: dict = {}'


def test_what_is_injected_but_not_declared_is_refused(kernel):
    kernel(CELL, "# Parameters\nprofile = 'pocket'\nepochs = 1", "pass")
    with pytest.raises(ReportError, match="no parameter 'epochs'.*known: profile, others, .*-y 'overrides: {epochs: "):
        check_notebook()
    kernel(CELL, "# Parameters\nother = []")
    with pytest.raises(ReportError, match="no parameter 'other' .*did you mean 'others'"):
        check_notebook()
    kernel(CELL, "# Parameters\nothers = ['BYOLL']")
    with pytest.raises(ReportError, match="'BYOLL' is unknown"):
        check_notebook()


def test_what_is_declared_and_what_is_no_injection_is_taken(kernel):
    kernel(CELL, "# Parameters\nprofile = 'pocket'\nothers = []", "# Parameters\nepochs = 1")
    check_notebook()
    kernel(CELL, "import json", "# Parameters\nepochs = 1", "# of a person's own")
    check_notebook()
    kernel("x = 1", "# Parameters\nepochs = 1")
    check_notebook()
    kernel("# Parameters\nepochs = 1", CELL.replace("BYOL", "BYOLL"), CELL)  # the last counts: it was edited
    check_notebook()


def test_a_value_that_was_typed_into_the_cell_is_held_too(kernel):
    kernel(CELL.replace("BYOL", "BYOLL"))
    with pytest.raises(ReportError, match="'BYOLL' is unknown"):
        check_notebook()


def test_outside_a_kernel_nothing_is_checked(monkeypatch):
    monkeypatch.setattr(parameters, "sys", type("Sys", (), {"modules": {}}))
    check_notebook()


def test_under_plain_papermill_an_unknown_parameter_ends_the_notebook(tmp_path):
    cell = "from workbook import Study\nstudy = Study.of(profile, **overrides)\nprint('TRAINED' + '!')"
    notebook = write_notebook(tmp_path / "n.ipynb", tagged(CELL), new_code_cell(cell))
    with pytest.raises(PapermillExecutionError, match="ReportError: this notebook has no parameter 'epochs'"):
        papermill.execute_notebook(
            notebook,
            tmp_path / "out.ipynb",
            {"profile": "smoke", "epochs": 1},
            progress_bar=False,
            kernel_name="python3",
        )
    assert "TRAINED!" not in (tmp_path / "out.ipynb").read_text()
