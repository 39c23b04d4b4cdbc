import pytest
from tqdm.notebook import tqdm as notebook_bar

from workbook.progress import Hiding, count_earlier, expect, progress_bar, waiting


def lines_of(path) -> list[str]:
    return [line for line in path.read_text().replace("\r", "\n").splitlines() if line.strip()]


def test_a_line_of_a_report_says_all(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_PROGRESS", str(tmp_path / "log"))
    with progress_bar("run 2 of 3: SL, seed 1", 400) as bar:
        count_earlier(bar, 100)
        bar.set_postfix({"epoch": "2/4"})
        assert lines_of(tmp_path / "log")[-1] == "run 2 of 3: SL, seed 1: 25%, ? images/s, ? left, epoch=2/4"
        bar.update(200)
        bar.start_t -= 100  # as if it had taken so long
        with waiting("waits for a, seed 0"), progress_bar("maps", 2, unit="maps") as inner:
            inner.refresh()
    (line,) = [line for line in lines_of(tmp_path / "log") if "maps" in line and "? maps" in line]
    assert line == "run 2 of 3: SL, seed 1 75%, 00:50 left › waits for a, seed 0 › maps: 0%, ? maps/s, ? left"
    assert lines_of(tmp_path / "log")[-1].startswith("run 2 of 3: SL, seed 1: 75%"), "the outer one is the last again"


def test_a_bar_that_is_closed_is_in_no_later_line(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_PROGRESS", str(tmp_path / "log"))
    with progress_bar("outer", 2):
        for title in ("first", "second"):
            with progress_bar(title, 2) as bar:
                bar.refresh()
    seconds = [line for line in lines_of(tmp_path / "log") if "second" in line]
    assert seconds and all(line.startswith("outer 0% › second") for line in seconds)


def test_in_a_terminal_bars_are_their_own(monkeypatch, capsys):
    monkeypatch.delenv("WORKBOOK_PROGRESS", raising=False)
    with progress_bar("outer", 4, unit="runs") as outer, progress_bar("inner", 2) as inner:
        outer.refresh()
        inner.refresh()
    shown = capsys.readouterr().err
    assert "outer:   0%" in shown and "inner:   0%" in shown
    assert "›" not in shown


def test_a_hidden_bar_takes_everything(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBOOK_PROGRESS", str(tmp_path / "log"))
    with progress_bar("hidden", 4, shown=False) as bar:
        count_earlier(bar, 2)
        expect(bar, 2)
        with progress_bar("inner", 2) as inner:
            inner.refresh()
    assert "hidden" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("done", [2, 1])
def test_a_notebooks_bar_is_hidden_when_it_is_done_or_an_error_ended_it(done):
    class Bar(Hiding, notebook_bar):
        pass

    shown, not_yet = Bar(total=2, leave=False), Bar(total=2, leave=False, delay=60)
    for bar in (shown, not_yet):
        bar.update(done)
        bar.close()
    assert shown.container.layout.display == "none"
    assert shown.container.comm is not None, "what is closed stays on the page as 'model not found'"
    assert not_yet.container.comm is None
