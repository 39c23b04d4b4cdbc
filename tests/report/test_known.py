import plotly.graph_objects as go
import pytest

from tests.report.records import TINY, put, verdict
from workbook.report.known import known

DROPS = "A.stages.sl-drops"
STAGES = "01_stagewise_evaluation"


def drawn(table, title) -> go.Figure:
    return go.Figure(go.Scatter(x=table["epoch"], y=table["accuracy"]), {"title": title})


def put_known(house, profile: str, status: str, rows: int, notebook: str = STAGES) -> None:
    measured = [{"epoch": epoch, "accuracy": 50.0 + epoch} for epoch in range(rows)]
    found = {
        "hardware": "one <GPU>",
        "seeds": [5, 6, 7],
        "verdicts": [verdict(DROPS, status)],
        "measurements": measured,
    }
    put(house / f"notebooks/results/{profile}", notebook, [], profile=profile, findings=found)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_where_nothing_is_known_a_notebook_says_so_in_a_line_and_goes_on(house, elsewhere):
    if elsewhere:
        put_known(house, "pocket", "agrees", 3, notebook="02_mlp_ablation")
    before = known(STAGES)
    assert before._repr_html_().startswith("<p>Nothing that is kept as evidence")
    assert before.figure(drawn) is None


def test_what_decides_stands_first_and_the_figure_is_of_what_measured_most(house):
    put_known(house, "pocket", "agrees", 3)
    put_known(house, "study", "exploratory", 2)
    before = known(STAGES)
    assert [record.profile for record in before.records] == ["pocket", "study"]
    figure = before.figure(drawn)
    assert list(figure.data[0].y) == [50, 51, 52]
    assert figure.layout.title.text == "Measured before: pocket, 3 seeds, one &lt;GPU&gt;, 2024-01-01"
    shown = before._repr_html_()
    assert "<b>pocket, 3 seeds, one &lt;GPU&gt;, 2024-01-01</b>" in shown and "2.00 points" in shown
    for profile in ("pocket", "study"):
        assert f'id="known-{profile}-{DROPS}" href="00_start_here.ipynb#{DROPS}"' in shown


def test_the_rows_of_two_sets_of_a_profile_have_marks_of_their_own(house):
    for name, parameters in (("pocket", {}), ("pocket-tiny-imagenet-32", TINY)):
        put(house / f"notebooks/results/{name}", STAGES, [verdict(DROPS)], parameters=parameters)
    shown = known(STAGES)._repr_html_()
    told = [shown.index(text) for text in ("<b>pocket, one CPU", "<b>pocket, tiny-imagenet-32, one CPU")]
    assert told == sorted(told), "the profile's own set stands first"
    for mark in ("known-pocket-", "known-pocket/tiny-imagenet-32/"):
        assert shown.count(f'id="{mark}{DROPS}"') == 1


def test_a_run_without_measurements_draws_nothing(house):
    put(house / "notebooks/results/pocket", STAGES, [verdict(DROPS)])
    assert known(STAGES).figure(drawn) is None and "2.00 points" in known(STAGES)._repr_html_()
