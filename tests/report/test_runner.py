import fcntl
import io
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from contextlib import redirect_stderr
from pathlib import Path

import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from plotly.offline import get_plotlyjs_version

from tests.report.records import tagged, write_notebook
from workbook.errors import ReportError
from workbook.report import runner
from workbook.report.kernels import _Forked
from workbook.report.notebooks import read_notebook
from workbook.report.record import read_records
from workbook.report.runner import _environment, _folder, _plan, _scratch, _shared, run_reports
from workbook.report.survey import NOTEBOOKS, START_PAGE

STAGES = "01_stagewise_evaluation"
PARAMETERS = 'profile: str = "smoke"  # the size\nstages: int | None = None\noverrides: dict = {}'
FINDINGS = """
import pandas as pd
from workbook.papers.verdicts import Claim, judge, write_verdicts
claim = Claim(id="A.fig2", paper="A", place="Fig. 2", statement="SL-MLP above SL", number=3.1, unit="points")
verdicts = [judge(claim, pd.Series([1.0, 1.1, 0.9]), profile=profile)]
write_verdicts(verdicts, {"hardware": "one CPU", "python": "3.11"}, seeds=range(3))
"""
FIGURE = """
import plotly.graph_objects as go
go.Figure(go.Scatter(y=[1, 2]), layout_title_text="a </script> in a title")
"""
WIDGET = "import ipywidgets\nipywidgets.IntSlider()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report folder after one run of three notebooks, of which the second fails and the third dies."""
    base = tmp_path_factory.mktemp("reports")
    seen = "import os, pathlib\nprint('SEEN', profile, stages, overrides, os.environ['WORKBOOK_DATA'])"
    notebooks = [
        write_notebook(
            base / "01_passes.ipynb",
            new_markdown_cell("# Does $x$ help?\n\n$$\\phi = \\frac{a}{b}$$ costs \\$5, code `$y$`"),
            tagged(PARAMETERS),
            new_code_cell(seen),
            new_code_cell(FIGURE),
            new_code_cell(WIDGET),
            new_code_cell(FINDINGS),
        ),
        write_notebook(
            base / "02_fails.ipynb",
            new_markdown_cell("# Does it fail?"),
            tagged('profile: str = "smoke"'),
            new_code_cell("1 / 0"),
            new_code_cell("print('NEVER' + 'RUN')"),
        ),
        write_notebook(base / "03_dies.ipynb", new_code_cell("import os\nos._exit(1)")),
    ]
    given = {"stages": "3", "lr": "1e-3", "transfer.images_per_class": "null"}
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as stream:
        patch.chdir(base)
        patch.setenv("WORKBOOK_DATA", "relative/data")
        results = run_reports(notebooks, profile="pocket", parameters=given, out=Path("out"))
    return base / "out", results, stream.getvalue()


def test_failures_do_not_stop_the_others_and_keep_their_pages(folder):
    out, results, told = folder
    assert [(r.notebook, r.status, r.cell) for r in results] == [
        ("01_passes", "passed", None),
        ("02_fails", "failed", 3),  # as counted in the notebook's file, without the injected cell
        ("03_dies", "failed", 1),
    ]
    assert results[1].error == "ZeroDivisionError: division by zero"
    assert "cell 3: ZeroDivisionError: division by zero" in told
    page = (out / "02_fails.html").read_text()
    assert "This report stopped" in page
    assert "celltag_failed" in page
    assert "NEVERRUN" not in page
    names = {path.name for path in out.iterdir()}
    assert {f"{r.notebook}.{kind}" for r in results for kind in ("html", "ipynb", "json")} <= names
    assert not [name for name in names if name.startswith(".")]  # no temporary file stays


def test_parameters_reach_the_notebooks_that_know_them(folder):
    out, results, _ = folder
    assert results[0].parameters == {"stages": 3, "overrides": {"lr": 0.001, "transfer.images_per_class": None}}
    assert results[1].parameters == {}
    data = out.parent / "relative/data"
    text = (out / "01_passes.ipynb").read_text()
    assert f"SEEN pocket 3 {{'lr': 0.001, 'transfer.images_per_class': None}} {data}" in text


def test_page_needs_neither_network_nor_kernel(folder):
    page = (folder[0] / "01_passes.html").read_text()
    beside = f'<script src="plotly-{get_plotlyjs_version()}.min.js">'
    assert len(page) < 200_000 and page.count(beside) == 1
    assert not re.search(r"<script[^>]+src=|<link|@import|url\(|<img[^>]+src=.http", page.replace(beside, ""))
    assert "<math" in page
    assert "<mfrac>" in page
    assert "costs $5" in page
    assert "<code>$y$</code>" in page
    assert "Interactive here in JupyterLab" in page
    figures = re.findall(r'<div class="plotly-figure"[^>]*><script type="application/json">(.*?)</script>', page)
    assert len(figures) == 1
    assert json.loads(figures[0])["layout"]["title"]["text"] == "a </script> in a title"


def test_index_gathers_verdicts(folder):
    out, _, _ = folder
    index = (out / "index.html").read_text()
    assert "2 of 3 failed" in index
    assert 'data-profile="pocket" data-verdict="agrees"' in index
    assert "Other claims" in index  # one that is in no paper's list
    assert "3.1 points" in index
    assert "one CPU" in index
    assert "lr = 0.001 · transfer.images_per_class = None" in index
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", index)
    (record,) = [record for record in read_records(out) if record.verdicts]
    assert record.findings["seeds"] == [0, 1, 2]
    assert record.title == "Does $x$ help?"


def test_a_later_run_of_one_notebook_keeps_the_other_pages(folder):
    out, results, _ = folder
    write_notebook(out.parent / "03_dies.ipynb", new_markdown_cell("# It lives"))
    run_reports([out.parent / "03_dies.ipynb"], profile="pocket", parameters={}, out=out)
    records = {record.notebook: record for record in read_records(out)}
    assert records["03_dies"].status == "passed"
    assert records["01_passes"].date == results[0].date
    assert "1 of 3 failed" in (out / "index.html").read_text()


HOME = """
import os, pathlib, sys
print("SEEN", pathlib.Path(where).name, where)
print("\\x1b[32m" + where, file=sys.stderr)
if pathlib.Path(where, "broken").exists():
    raise ValueError(f"in {where}/x.yaml")
"""


def test_a_failed_run_leaves_the_page_that_passed_and_no_page_tells_the_home(tmp_path, monkeypatch, capsys):
    home = tmp_path / "home" / "me"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    notebook = write_notebook(
        tmp_path / "n.ipynb", new_markdown_cell("# N"), tagged("where = None"), new_code_cell(HOME)
    )
    out, given = tmp_path / "out", {"where": str(home)}

    def run() -> str:
        return run_reports([notebook], profile="smoke", parameters=given, out=out)[0].status

    assert run() == "passed"
    passed = {name: (out / name).read_bytes() for name in ("n.html", "n.ipynb", "n.json")}
    (home / "broken").touch()
    assert run() == "failed"
    assert {name: (out / name).read_bytes() for name in passed} == passed
    assert str(out / "n.failed.html") in capsys.readouterr().err
    index = (out / "index.html").read_text()
    assert 'a later run failed: <a href="n.failed.html">n</a>' in index and "of 1 failed" not in index
    for path in out.iterdir():
        if "plotly" not in path.name:
            assert str(home) not in path.read_text(), f"{path.name} tells whose home it was"
    assert "SEEN me ~" in (out / "n.html").read_text()
    assert json.loads((out / "n.failed.json").read_text())["error"] == "ValueError: in ~/x.yaml"
    (home / "broken").unlink()
    assert run() == "passed"
    assert not list(out.glob("*.failed.*")) and "later run failed" not in (out / "index.html").read_text()


def test_reports_that_can_no_longer_be_written_are_told(tmp_path, monkeypatch):
    notebook = write_notebook(tmp_path / "n.ipynb", new_markdown_cell("# N"))
    (tmp_path / "out" / "n.html").mkdir(parents=True)
    with pytest.raises(ReportError, match="out cannot be written .it is a folder"):
        run_reports([notebook], profile="smoke", parameters={}, out=tmp_path / "out")


MEETING = """
import os, pathlib, time
pathlib.Path("{own}").touch()
while not pathlib.Path("{other}").exists():
    time.sleep(0.05)
print("SHARE", os.environ["OMP_NUM_THREADS"], os.environ["WORKBOOK_REPORT"])
"""


def test_two_notebooks_run_at_a_time(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("workbook.report.runner.cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    slow = new_code_cell("while not pathlib.Path('out/02.json').exists():\n    time.sleep(0.05)")
    notebooks = [
        write_notebook(tmp_path / "01.ipynb", new_code_cell(MEETING.format(own="a", other="b")), slow),
        write_notebook(tmp_path / "02.ipynb", new_code_cell(MEETING.format(own="b", other="a"))),
        write_notebook(tmp_path / "03.ipynb", new_code_cell("1 / 0")),
    ]
    results = run_reports(notebooks, profile="smoke", parameters={}, out=tmp_path / "out", jobs=2)
    assert [(result.notebook, result.status) for result in results] == [
        ("01", "passed"),
        ("02", "passed"),
        ("03", "failed"),
    ]
    told = re.findall(r"\[\d/3\] (\d+)  (passed|FAILED)", capsys.readouterr().err)
    assert told.index(("02", "passed")) < told.index(("01", "passed")), "told as they come"
    seen = [
        re.search(r"SHARE (\d+) (\S+findings\.json)", (tmp_path / f"out/{name}.ipynb").read_text())
        for name in ("01", "02")
    ]
    assert [found[1] for found in seen] == ["3", "3"], "each has its share of the cores"
    assert seen[0][2] != seen[1][2], "and a place of its own for what it finds"
    assert "1 of 3 failed" in (tmp_path / "out/index.html").read_text()


def test_the_start_page_is_the_index(house):
    """It needs no kernel; a report leads to it, and what fails in it fails the run."""
    start = house / "notebooks/00_start_here.ipynb"
    back = new_markdown_cell("# It is so\n\n[back](00_start_here.ipynb#3)")
    other = write_notebook(house / f"notebooks/{STAGES}.ipynb", back)
    out = house / "reports/smoke"
    results = run_reports([start, other], profile="smoke", parameters={}, out=out)
    assert [(result.notebook, result.status) for result in results] == [(START_PAGE, "passed"), (STAGES, "passed")]
    assert not list(out.glob(f"{START_PAGE}.*"))
    assert '<a href="index.html#3">back</a>' in (out / f"{STAGES}.html").read_text()
    assert f'<a href="{STAGES}.html">It is so</a>' in (out / "index.html").read_text()
    write_notebook(start, new_markdown_cell("# What?"), tagged("profile = 'smoke'"), new_code_cell("1 / 0"))
    (result,) = run_reports([start], profile="smoke", parameters={}, out=out)
    assert (result.status, result.cell, result.error) == ("failed", 3, "ZeroDivisionError: division by zero")
    page = (out / "index.html").read_text()
    assert "This report stopped" in page and "celltag_failed" in page


@pytest.mark.parametrize(("given", "jobs", "threads"), [("5", 2, "5"), (None, 1, None)])
def test_threads_are_the_user_s_or_all(tmp_path, monkeypatch, given, jobs, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert _environment(jobs).get("OMP_NUM_THREADS") == threads


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda number: number.name
)
def test_what_is_stopped_leaves_no_kernel_and_says_so(tmp_path, number):
    told_pid = "import os, pathlib, signal, time\npathlib.Path(f'{os.getpid()}.pid').touch()\n"
    write_notebook(tmp_path / "01_first.ipynb", new_markdown_cell("# First"))
    write_notebook(tmp_path / "02_long.ipynb", new_code_cell(told_pid + "time.sleep(300)"))
    stubborn = """
import subprocess
child = subprocess.Popen(["sleep", "300"])
pathlib.Path(f"{child.pid}.pid").touch()
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    time.sleep(1)
"""
    write_notebook(tmp_path / "03_stubborn.ipynb", new_code_cell(told_pid + stubborn))
    write_notebook(tmp_path / "04_never.ipynb", new_code_cell("1"))
    program = (
        # a shell that starts this in the background has its children ignore an interrupt
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from workbook.report import kernels, runner\n"
        "kernels._PATIENCE = 2\n"
        "runner.run_reports(sorted(Path().glob('*.ipynb')), profile='smoke', parameters={}, out=Path('out'), jobs=2)"
    )
    (tmp_path / "temporary").mkdir()
    terminal, inside = os.openpty()
    with (tmp_path / "told").open("w") as told:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
            stdin=inside,
            stderr=inside if number == signal.SIGHUP else told,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    os.close(inside)
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 3 or process.poll() is not None)
    left = {int(path.stem) for path in tmp_path.glob("*.pid")}
    assert len(left) == 3 and all(map(is_running, left)), "two kernels, and what one of them started"
    if number == signal.SIGHUP:
        os.close(terminal)
    else:
        process.send_signal(number)
    assert process.wait(timeout=120) == {signal.SIGTERM: 143, signal.SIGHUP: 129}.get(number, -number)
    wait_for(lambda: sum(map(is_running, left)) <= (number == signal.SIGKILL))
    if number == signal.SIGKILL:  # nobody was left to write, or to end more than the kernels, which end by themselves
        (child,) = filter(is_running, left)
        os.kill(child, signal.SIGKILL)
        assert len(list((tmp_path / "out").glob(".running-*"))) == 2
        _folder(tmp_path / "out")
        assert not list((tmp_path / "out").glob(".running-*")), "the next run removes them"
        return
    assert not any(map(is_running, left))
    assert "KeyboardInterrupt" in (tmp_path / "told").read_text() or number != signal.SIGINT
    assert not list((tmp_path / "temporary").glob("*.json")), "files that say how to reach a kernel"
    assert "Interrupted: 1 of 4 notebooks were run" in (tmp_path / "out/index.html").read_text()
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written - {f"{name.stem}.html" for name in NOTEBOOKS.iterdir()} == {
        "index.html",
        f"plotly-{get_plotlyjs_version()}.min.js",
        *(f"01_first.{kind}" for kind in ("html", "ipynb", "json")),
    }


def test_what_notebooks_begin_with_is_done_once(tmp_path):
    bare = write_notebook(tmp_path / "bare.ipynb", new_code_cell("import torch\nfrom workbook.papers import claims"))
    declared = tagged("profile = 'smoke'\noverrides = {}")
    own = write_notebook(tmp_path / "own.ipynb", declared, new_code_cell("from workbook import Study"))
    assert _shared(_plan([bare], "smoke", {})) == ["from workbook.papers import claims"]
    *imported, drawn = _shared(_plan([bare, own], "smoke", {}))
    assert imported == ["from workbook.papers import claims", "from workbook import Study"]
    draws = "load_images('generated', 'train'); load_images('generated', 'test')"
    assert drawn == f"from workbook import load_images; {draws}"
    assert len(_shared(_plan([own], "smoke", {"dataset": "digits"}))) == 1, "what is read is read by each"


SHOWN = """
import os
import pandas as pd
print("printed", stages, os.environ["WORKBOOK_STORE"])
pd.DataFrame({"x": [1.5, 2.5]})
"""


def test_a_report_waits_for_no_library_that_it_does_not_use():
    told = "import sys, workbook.report.runner; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split()
    assert "jsonschema" in loaded and not {"torch", "lark"} & set(loaded)


def test_a_page_made_here_says_what_a_kernel_s_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBOOK_STORE", "store")
    cells = [tagged(PARAMETERS), new_code_cell(SHOWN), new_code_cell(FIGURE), new_code_cell(FINDINGS)]
    notebook = write_notebook(tmp_path / "n.ipynb", new_markdown_cell("# N"), *cells)
    for here, folder in ((True, "here"), (False, "kernel")):
        given = {"profile": "pocket", "parameters": {"stages": "3"}, "out": tmp_path / folder}
        (result,) = run_reports([notebook], here=here, **given)
        assert result.status == "passed" and result.findings["seeds"] == [0, 1, 2]
    pages = [(tmp_path / folder / "n.html").read_text() for folder in ("here", "kernel")]
    mains = [re.search("<main.*?</main>", page, re.DOTALL)[0] for page in pages]
    hidden = r"<[^>]+>|(In|Out)\s*(&nbsp;)?\[[^]]*\]:|\s+"  # tags, and prompts, which the page does not show
    here, kernel = (re.sub(hidden, " ", main).split() for main in mains)
    assert str(tmp_path / "store") in here and here == kernel


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_what_is_stopped_here_says_so(tmp_path, number):
    folder, environment = os.getcwd(), dict(os.environ)
    # a shell that starts the tests in the background has them ignore an interrupt
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    write_notebook(tmp_path / "01.ipynb", new_code_cell("1"))
    write_notebook(tmp_path / "02.ipynb", new_code_cell(f"import os\nos.kill(os.getpid(), {int(number)})\n1 / 0"))
    try:
        with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
            notebooks = sorted(tmp_path.glob("*.ipynb"))
            run_reports(notebooks, profile="smoke", parameters={}, out=tmp_path / "out", here=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Interrupted: 1 of 2 notebooks were run" in (tmp_path / "out/index.html").read_text()
    assert not list((tmp_path / "out").glob(".running-*"))
    assert (os.getcwd(), dict(os.environ)) == (folder, environment)


@pytest.mark.parametrize(("seconds", "notes"), [(0, ["Running: 1 of 2 notebooks are done.", ""]), (10, [""])])
def test_an_index_is_written_where_there_is_time_for_it(tmp_path, monkeypatch, seconds, notes):
    told = []
    monkeypatch.setattr(runner, "write_index", lambda out, *, note, **how: told.append(note))
    monkeypatch.setattr(runner, "_STALE", seconds)
    notebooks = [write_notebook(tmp_path / f"{name}.ipynb", new_code_cell("1")) for name in "ab"]
    run_reports(notebooks, profile="smoke", parameters={}, out=tmp_path / "out", here=True)
    assert told == notes


def test_only_what_nobody_runs_in_is_removed(tmp_path):
    for name, lock, age in ((".running-dead", True, 0), (".running-old", False, 7200), (".running-new", False, 0)):
        (tmp_path / name).mkdir()
        if lock:
            (tmp_path / name / "lock").touch()
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    with _scratch(tmp_path) as running:
        _folder(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {".running-new", running.name}


def test_a_notebook_that_does_not_name_its_kernel_runs(tmp_path):
    written = "import os, pathlib\nscratch = pathlib.Path(os.environ['WORKBOOK_REPORT']).parent\n"
    written += "print((scratch / 'executed.ipynb').stat().st_mtime_ns)"
    cells = [new_code_cell("print(6 * 7)"), new_code_cell(written), new_code_cell(written)]
    notebook = write_notebook(tmp_path / "bare.ipynb", new_markdown_cell("# Bare"), *cells)
    document = json.loads(notebook.read_text())
    notebook.write_text(json.dumps(document | {"metadata": {}}))
    (result,) = run_reports([notebook], profile="smoke", parameters={}, out=tmp_path / "out")
    assert result.error is None and "42" in (tmp_path / "out" / "bare.html").read_text()
    *_, first, second = read_notebook(tmp_path / "out" / "bare.ipynb").cells
    assert first.outputs[0].text == second.outputs[0].text, "nor is all written again after every cell"


def wait_for(condition, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def is_running(process: int) -> bool:
    """A zombie, whose parent has yet to hear of its end, is not."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_nothing_runs_when_a_parameter_is_unknown(tmp_path):
    notebook = write_notebook(tmp_path / "n.ipynb", tagged(PARAMETERS), new_code_cell("open('ran', 'w')"))
    with pytest.raises(ReportError, match="unknown parameter 'epoch'.*did you mean 'epochs'"):
        run_reports([notebook], profile="smoke", parameters={"epoch": "3"}, out=tmp_path / "o")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.ipynb"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no notebook"), ("{", "cannot be read"), ('{"cells": 3}', "cannot be read")],
)
def test_unreadable_notebooks_are_refused(tmp_path, content, message):
    path = tmp_path / "n.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ReportError, match=message):
        run_reports([path], profile="smoke", parameters={}, out=tmp_path)
    with pytest.raises(ReportError, match="no notebook to run"):
        run_reports([], profile="smoke", parameters={}, out=tmp_path)


def test_reports_cannot_be_written(tmp_path):
    notebook = write_notebook(tmp_path / "n.ipynb", new_markdown_cell("# A"))
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match="out cannot be written .*is a file"):
        run_reports([notebook], profile="smoke", parameters={}, out=tmp_path / "file" / "out")


def test_a_kernel_that_has_ended_meanwhile_is_signalled_without_a_word():
    """As `subprocess.Popen` does: a kernel may end just when a report loses its patience with it."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    kernel = _Forked(ended.pid)
    ended.wait()
    kernel.send_signal(signal.SIGTERM)
    kernel.terminate()
    kernel.kill()
    assert kernel.poll() is not None


def test_a_kernel_that_has_done_its_work_is_not_interrupted(tmp_path):
    """One that is not yet quite idle would take that for an error, in the output of a run that passed."""
    heard = "from pathlib import Path\n"
    heard += (
        "get_ipython().kernel.saved_sigint_handler = lambda *_: Path('interrupted').touch()  # what it goes back to"
    )
    write_notebook(tmp_path / "one.ipynb", new_code_cell(heard))
    (result,) = run_reports([tmp_path / "one.ipynb"], profile="smoke", parameters={}, out=tmp_path / "out")
    assert result.status == "passed" and not (tmp_path / "interrupted").exists()
