import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from workbook.errors import ReportError
from workbook.report.index import write_index
from workbook.report.page import duration, formula
from workbook.report.parameters import declared_parameters, parse_assignments, parse_value, route
from workbook.report.progress import Progress, last_line
from workbook.report.record import ReportResult, read_records, write_record
from workbook.report.results import adopt, results_table, update_readme
from workbook.report.runner import _environment, run_reports

PARAMETERS = 'profile: str = "smoke"  # the size\nstages: int | None = None\noverrides: dict = {}'
FINDINGS = """
import os, json
from workbook.papers.verdicts import Claim, judge, write_verdicts
claim = Claim(id="a.fig2", paper="A", place="Fig. 2", statement="SL-MLP above SL", number=3.1, unit="points")
write_verdicts([judge(claim, [1.0, 1.1, 0.9], profile=profile)], profile=profile, notebook="01_passes",
               seeds=[0, 1, 2], provenance={"hardware": "one CPU", "python": "3.11"})
"""
FIGURE = """
import plotly.graph_objects as go
go.Figure(go.Scatter(y=[1, 2]), layout_title_text="a </script> in a title")
"""
WIDGET = "import ipywidgets\nipywidgets.IntSlider()"


def tagged(source: str) -> nbformat.NotebookNode:
    return new_code_cell(source, metadata={"tags": ["parameters"]})


def write_notebook(path: Path, *cells: nbformat.NotebookNode) -> Path:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=list(cells), metadata=kernel), path)
    return path


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
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        patch.setenv("WORKBOOK_DATA", "relative/data")
        results = run_reports(
            notebooks,
            profile="pocket",
            parameters={"stages": "3", "epochs": "1e-3"},
            out=Path("out"),
            override_fields={"epochs", "width"},
            stream=stream,
        )
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
    assert results[0].parameters == {"stages": 3, "overrides": {"epochs": 0.001}}
    assert results[1].parameters == {}
    data = out.parent / "relative/data"
    text = (out / "01_passes.ipynb").read_text()
    assert f"SEEN pocket 3 {{'epochs': 0.001}} {data}" in text


def test_page_needs_neither_network_nor_kernel(folder):
    page = (folder[0] / "01_passes.html").read_text()
    without_plotly = re.sub(r"<script>.{1000000,}?</script>", "", page, flags=re.DOTALL)
    assert len(without_plotly) < 200_000 < len(page)
    assert not re.search(r"<script[^>]+src=|<link|@import|url\(|<img[^>]+src=.http", without_plotly)
    assert "<math" in page
    assert "<mfrac>" in page
    assert "costs $5" in page
    assert "<code>$y$</code>" in page
    assert "Interactive here in JupyterLab" in page
    figures = re.findall(r'<div class="plotly-figure"><script type="application/json">(.*?)</script>', page)
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
    assert "epochs = 0.001" in index
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", index)
    (record,) = [record for record in read_records(out) if record.verdicts]
    assert record.findings["seeds"] == [0, 1, 2]
    assert record.title == "Does $x$ help?"


def test_a_later_run_of_one_notebook_keeps_the_other_pages(folder):
    out, results, _ = folder
    write_notebook(out.parent / "03_dies.ipynb", new_markdown_cell("# It lives"))
    run_reports([out.parent / "03_dies.ipynb"], profile="pocket", parameters={}, out=out, stream=io.StringIO())
    records = {record.notebook: record for record in read_records(out)}
    assert records["03_dies"].status == "passed"
    assert records["01_passes"].date == results[0].date
    assert "1 of 3 failed" in (out / "index.html").read_text()


MEETING = """
import os, pathlib, time
pathlib.Path("{own}").touch()
while not pathlib.Path("{other}").exists():
    time.sleep(0.05)
print("SHARE", os.environ["OMP_NUM_THREADS"], os.environ["WORKBOOK_REPORT"])
"""


def test_two_notebooks_run_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("workbook.report.runner.available_cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    slow = new_code_cell("while not pathlib.Path('out/02.json').exists():\n    time.sleep(0.05)")
    notebooks = [
        write_notebook(tmp_path / "01.ipynb", new_code_cell(MEETING.format(own="a", other="b")), slow),
        write_notebook(tmp_path / "02.ipynb", new_code_cell(MEETING.format(own="b", other="a"))),
        write_notebook(tmp_path / "03.ipynb", new_code_cell("1 / 0")),
    ]
    stream = io.StringIO()
    results = run_reports(notebooks, profile="smoke", parameters={}, out=tmp_path / "out", jobs=2, stream=stream)
    assert [(result.notebook, result.status) for result in results] == [
        ("01", "passed"),
        ("02", "passed"),
        ("03", "failed"),
    ]
    told = re.findall(r"\[\d/3\] (\d+)  (passed|FAILED)", stream.getvalue())
    assert told.index(("02", "passed")) < told.index(("01", "passed")), "told as they come"
    seen = [
        re.search(r"SHARE (\d+) (\S+findings\.json)", (tmp_path / f"out/{name}.ipynb").read_text())
        for name in ("01", "02")
    ]
    assert [found[1] for found in seen] == ["3", "3"], "each has its share of the cores"
    assert seen[0][2] != seen[1][2], "and a place of its own for what it finds"
    assert "1 of 3 failed" in (tmp_path / "out/index.html").read_text()


def test_the_start_page_waits_for_what_it_shows(tmp_path):
    """It is first by name, and would be done long before the other one."""
    seen = "from pathlib import Path\nassert Path('out/01.json').exists()"
    notebooks = [
        write_notebook(tmp_path / "00_start_here.ipynb", new_code_cell(seen)),
        write_notebook(tmp_path / "01.ipynb", new_code_cell("import time\ntime.sleep(1)")),
    ]
    results = run_reports(notebooks, profile="smoke", parameters={}, out=tmp_path / "out", jobs=2, stream=io.StringIO())
    assert [(result.notebook, result.status) for result in results] == [("00_start_here", "passed"), ("01", "passed")]


@pytest.mark.parametrize(("given", "jobs", "threads"), [("5", 2, "5"), (None, 1, None)])
def test_threads_are_the_user_s_or_all(tmp_path, monkeypatch, given, jobs, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert _environment(tmp_path, tmp_path, jobs).get("OMP_NUM_THREADS") == threads


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
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
    with (tmp_path / "told").open("w") as told:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stderr=told)
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 3 or process.poll() is not None)
    left = {int(path.stem) for path in tmp_path.glob("*.pid")}
    assert len(left) == 3 and all(map(is_running, left)), "two kernels, and what one of them started"
    process.send_signal(number)
    assert process.wait(timeout=120) == {signal.SIGTERM: 143}.get(number, -number)
    wait_for(lambda: sum(map(is_running, left)) <= (number == signal.SIGKILL))
    if number == signal.SIGKILL:  # nobody was left to write, or to end more than the kernels, which end by themselves
        (child,) = filter(is_running, left)
        os.kill(child, signal.SIGKILL)
        return
    assert not any(map(is_running, left))
    assert "KeyboardInterrupt" in (tmp_path / "told").read_text() or number == signal.SIGTERM
    assert "Interrupted: 1 of 4 notebooks were run" in (tmp_path / "out/index.html").read_text()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "index.html",
        *(f"01_first.{kind}" for kind in ("html", "ipynb", "json")),
    }


def wait_for(condition, seconds: float = 60) -> None:
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
    with pytest.raises(ReportError, match="unknown parameter 'epoch'; did you mean epochs"):
        run_reports(
            [notebook],
            profile="smoke",
            parameters={"epoch": "3"},
            out=tmp_path / "o",
            override_fields={"epochs"},
        )
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
    with pytest.raises(ReportError, match="cannot write reports"):
        run_reports([notebook], profile="smoke", parameters={}, out=tmp_path / "file" / "out")


class TestParameters:
    def test_declared_names_are_those_of_the_tagged_cell(self):
        cell = tagged('a: int | None = None\nb = [\n  "x=1",\n]  # help\nbare: int\n# c = 3')
        notebook = new_notebook(cells=[new_code_cell("z = 1"), cell])
        assert declared_parameters(notebook, "n") == ["a", "b"]
        assert declared_parameters(new_notebook(), "n") == []
        with pytest.raises(ReportError, match="not plain Python"):
            declared_parameters(new_notebook(cells=[tagged("%matplotlib inline")]), "n")

    def test_a_notebook_gets_only_what_it_knows(self):
        declared = {"one": ["profile", "k", "overrides"], "two": ["profile"], "three": ["seed", "overrides"]}
        routed = route(
            declared,
            {"k": "5", "seed": "1", "width": "8"},
            profile="pocket",
            override_fields={"seed", "width"},
        )
        assert routed == {
            "one": {"k": 5, "overrides": {"seed": 1, "width": 8}, "profile": "pocket"},
            "two": {"profile": "pocket"},
            "three": {"seed": 1, "overrides": {"width": 8}},  # declared by the notebook itself: no override
        }

    @pytest.mark.parametrize("name", ["profile", "overrides", "width", "nonsense"])
    def test_refusals(self, name):
        with pytest.raises(ReportError, match=name):
            route({"n": ["profile", "k"]}, {name: "1"}, profile="smoke", override_fields={"width"})

    @pytest.mark.parametrize(
        ("text", "value"),
        [("3", 3), ("1e-3", 0.001), ("[1, 2]", [1, 2]), ("None", None), ("null", None), ("true", True)]
        + [
            ("cifar100", "cifar100"),
            ("'3'", "3"),
            ('"00000000000000000e12"', "00000000000000000e12"),
            ("{a: b}", {"a": "b"}),
            ("", None),
            ("missing.yaml", "missing.yaml"),
        ],
    )
    def test_values(self, text, value):
        assert parse_value("x", text) == value

    def test_the_path_of_a_manifest_is_made_absolute(self, tmp_path, monkeypatch):
        (tmp_path / "mine.yaml").touch()
        monkeypatch.chdir(tmp_path)
        assert parse_value("dataset", "mine.yaml") == str(tmp_path / "mine.yaml")

    def test_assignments(self):
        assert parse_assignments(["a=1", "b=x=y", "a=2"]) == {"a": "2", "b": "x=y"}
        for bad in ("a", "=1", "a b=1"):
            with pytest.raises(ReportError, match="name=value"):
                parse_assignments([bad])
        with pytest.raises(ReportError, match="not YAML"):
            parse_value("x", "[1, 2")


def test_formulas_become_mathml_or_stay_source():
    assert "<mtable" in formula(r"\begin{aligned}a&=b\\c&=d\end{aligned}", display=True)
    assert "&#x0223C;" in formula(r"x \sim y", display=False)
    assert formula(r"\left( x < 1", display=False) == r'<code class="latex">\left( x &lt; 1</code>'


def test_the_last_line_of_a_bar(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_bytes("old\n\rSL:  10%|█  |\x1b[A\rSL:  20%|██ |\r".encode() + b"\xe2\x96")
    assert last_line(log).startswith("\ufffd") or last_line(log) == "SL:  20%|██ |"
    log.write_text("old\n\rSL:  10%|█  |\x1b[A\rSL:  20%|██ |\n")
    assert last_line(log) == "SL:  20%|██ |"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_rewrites_a_terminal_and_spares_a_log(tmp_path):
    (tmp_path / "log").write_text("SL: 20%\n")
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        with Progress(stream) as progress, progress.notebook("[1/2] n", 12, tmp_path / "log") as status:
            assert status.line() == "[1/2] n  cell 0/12  SL: 20%"
            status.cell(4)
            assert status.line() == "[1/2] n  cell 4/12", "what an earlier cell said is over"
            with (tmp_path / "log").open("a") as log:
                log.write("\rSL-MLP: 30%\r")
            assert status.line() == "[1/2] n  cell 4/12  SL-MLP: 30%"
            (tmp_path / "log").write_text("SL: 20%\n")
    assert terminal.getvalue().startswith("\r\x1b[K[1/2] n  cell 0/12  SL: 20%")
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert pipe.getvalue() == ""


def test_several_notebooks_have_a_line_each(tmp_path):
    terminal = Terminal()
    with Progress(terminal) as progress:
        with progress.notebook("[1/3] a", 2, tmp_path / "a"):
            with progress.notebook("[2/3] b", 2, tmp_path / "b"):
                assert screen(terminal) == ["[1/3] a  cell 0/2", "[2/3] b  cell 0/2"]
                progress.tell("[3/3] c  passed")
                assert screen(terminal) == ["[3/3] c  passed", "[1/3] a  cell 0/2", "[2/3] b  cell 0/2"]
            assert screen(terminal) == ["[3/3] c  passed", "[1/3] a  cell 0/2", ""]
        assert screen(terminal) == ["[3/3] c  passed", "", ""]


def screen(terminal: io.StringIO) -> list[str]:
    """What a terminal shows that knows a new line, a carriage return, erasing to the end of the line, and one up."""
    lines, at = [""], 0
    for part in re.findall(r"\x1b\[[KA]|[\r\n]|[^\x1b\r\n]+", terminal.getvalue()):
        if part == "\n":
            at += 1
            lines += [""] * (at == len(lines))
        elif part == "\x1b[A":
            at -= 1
        elif part == "\x1b[K":
            lines[at] = ""
        elif part != "\r":
            lines[at] += part
    return lines


def test_an_empty_folder_says_what_to_run(tmp_path):
    page = write_index(tmp_path, profile="pocket").read_text()
    assert "make reports PROFILE=pocket" in page


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "n.json").write_text("[1")
    with pytest.raises(ReportError, match="n.json.*delete it"):
        read_records(tmp_path)


def record(name: str, profile: str, **changes) -> ReportResult:
    claim = {
        "id": "a",
        "paper": "A",
        "place": "Fig. 2",
        "statement": "x | y",
        "number": 3.1,
        "unit": "points",
    }
    verdict = {
        "claim": claim,
        "status": "agrees",
        "measured": 2.0000001,
        "low": 1.0,
        "high": 3.0,
        "n": 3,
        "detail": "",
    }
    findings = {
        "hardware": "one CPU",
        "verdicts": [verdict],
        "measurements": [{"file": "/home/me/data/x.npz", "v": 1}],
    }
    given = {
        "title": "T",
        "status": "passed",
        "date": "2024-01-01T00:00:00",
        "seconds": 130.0,
        "findings": findings,
    }
    return ReportResult(notebook=name, profile=profile, **(given | changes))


def test_adopt_rounds_and_forgets_the_machine(tmp_path):
    (tmp_path / "reports/pocket").mkdir(parents=True)
    given = {"overrides": {"dataset": "/home/me/mine.yaml"}}
    write_record(tmp_path / "reports/pocket", record("01_a", "pocket", parameters=given))
    write_record(tmp_path / "reports/pocket", record("02_b", "pocket", status="failed"))
    write_record(tmp_path / "reports/pocket", record("03_c", "pocket", findings={}))
    adopted = adopt("pocket", reports=tmp_path / "reports", results=tmp_path / "results")
    assert [path.name for path in adopted] == ["01_a.json"]
    text = adopted[0].read_text()
    assert "/home" not in text
    assert "mine.yaml" in text
    assert json.loads(text)["verdicts"][0]["measured"] == 2.0
    with pytest.raises(ReportError, match="smoke results are no evidence"):
        adopt("smoke", reports=tmp_path / "reports", results=tmp_path / "results")
    with pytest.raises(ReportError, match="nothing to adopt.*make reports PROFILE=study"):
        adopt("study", reports=tmp_path / "reports", results=tmp_path / "results")


def test_readme_shows_the_strongest_evidence(tmp_path):
    notebooks, results = tmp_path / "notebooks", tmp_path / "notebooks/results"
    notebooks.mkdir()
    judged = new_code_cell("judge(CLAIMS['A.x'], values)")
    write_notebook(notebooks / "01_a.ipynb", new_markdown_cell("# Does a | b?"), judged)
    write_notebook(notebooks / "02_b.ipynb", new_markdown_cell("text\n\n## Two?"), judged)
    write_notebook(notebooks / "tool.ipynb", new_markdown_cell("# What is mine like?"))
    for profile, hardware in (("study", "one GPU"), ("pocket", "one CPU")):
        (results / profile).mkdir(parents=True)
        findings = record("01_a", profile).findings | {"hardware": hardware}
        write_record(results / profile, record("01_a", profile, findings=findings))
    readme = tmp_path / "README.md"
    readme.write_text("head\n<!-- results:begin -->\nold\n<!-- results:end -->\ntail\n")
    assert update_readme(readme, notebooks=notebooks, results=results)
    assert not update_readme(readme, notebooks=notebooks, results=results)
    rows = readme.read_text().splitlines()
    assert (rows[0], rows[-1]) == ("head", "tail")
    assert rows[4] == (
        r"| Does a \| b? | [01_a](notebooks/01_a.ipynb) | x \| y (A, Fig. 2): 3.1 points "
        r"| **agrees**: 2.00 points, [1.00, 3.00], n = 3 | one GPU; study | 2 |"
    )
    assert rows[5] == "| Two? | [02_b](notebooks/02_b.ipynb) |  | not measured yet |  |  |"
    assert rows[6] == "<!-- results:end -->", "a notebook without claims has no row"
    readme.write_text("no place")
    with pytest.raises(ReportError, match="results:begin"):
        update_readme(readme, notebooks=notebooks, results=results)


def test_the_readme_counts_what_it_does_not_show(tmp_path):
    notebooks, results = tmp_path / "notebooks", tmp_path / "notebooks/results"
    (results / "pocket").mkdir(parents=True)
    write_notebook(notebooks / "01_a.ipynb", new_markdown_cell("# Many?"), new_code_cell("CLAIMS"))
    findings = record("01_a", "pocket").findings
    (verdict,) = findings["verdicts"]
    many = [verdict | {"status": "agrees" if number < 7 else "differs"} for number in range(9)]
    write_record(results / "pocket", record("01_a", "pocket", findings=findings | {"verdicts": many}))
    rows = results_table(notebooks, results).splitlines()[2:]
    assert len(rows) == 7
    assert rows[-1] == "|  |  | [3 more](notebooks/results/pocket/01_a.json) | 1 agrees, 2 differs |  |  |"


@pytest.mark.parametrize(("seconds", "text"), [(41.6, "42 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text
