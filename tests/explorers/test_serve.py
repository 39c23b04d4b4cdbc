from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbook.cli import app
from workbook.explorers.serve import dashboard

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("explore_*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_dashboard_is_the_title_and_the_explorer_with_the_profile(path):
    title, code = dashboard(path, {"profile": "pocket"}).cells
    assert title.source.startswith("# ") and "\n" not in title.source
    lines = code.source.splitlines()
    assert lines.index('profile = "pocket"') > lines.index(next(line for line in lines if line.startswith("profile:")))
    assert "Explorer(" in lines[-1]
    for only_in_the_report in ("class_maps(points", "score_contours(shown", "write_verdicts(", "atlas.measures("):
        assert only_in_the_report not in code.source


def test_a_name_that_is_no_explorers_is_refused():
    refused = CliRunner().invoke(app, ["explore", "explore_feature", "--profile", "pocket"])
    assert refused.exit_code == 1
    assert "did you mean 'explore_features'" in refused.output
