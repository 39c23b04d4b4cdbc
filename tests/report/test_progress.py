import io
import re

from workbook.report.progress import Progress, last_line


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
