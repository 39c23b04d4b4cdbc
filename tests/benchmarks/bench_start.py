"""How long a command takes to its answer: CPU seconds of it and of all that it starts, the old way against the new.

    python tests/benchmarks/bench_start.py [--repeats 3]

Prints a Markdown table; the least of the repeats counts, with one thread a process. Old: whatever a command needed was
imported by all of them, and a model was scored in a kernel, beside the process that kernels are forked from.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
RUN = "from workbook.cli import app; import sys; app(sys.argv[1:], standalone_mode=False)"
ALL = "import workbook.study, workbook.evaluation.scoring, workbook.report.runner; "
IN_KERNEL = """
from workbook.report import runner
run = runner.run_reports
runner.run_reports = lambda *notebooks, **given: run(*notebooks, **given | {"here": False})
"""
COMMANDS = {
    "workbook --help": (ALL + RUN, ["--help"]),
    "workbook data list": (ALL + RUN, ["data", "list"]),
    "workbook store list": (ALL + RUN, ["store", "list"]),
    "workbook score resnet18 --fresh": (ALL + IN_KERNEL + RUN, ["score", "resnet18", "--fresh"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print("| command | old (s) | new (s) | old / new |")
    print("|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (before, words) in COMMANDS.items():
            given = [*words, "--out", f"{folder}/out"] if words[0] == "score" else words
            old, new = (min(cpu_seconds(code, given, folder) for _ in range(repeats)) for code in (before, RUN))
            print(f"| `{name}` | {old:.1f} | {new:.1f} | {old / new:.1f} |", flush=True)


def cpu_seconds(code: str, words: list[str], folder: str) -> float:
    """Of a command and its children, which are waited for; and of the kernels, which are forked by one of them."""
    environment = {"OMP_NUM_THREADS": "1", "WORKBOOK_STORE": f"{folder}/store"}
    environment["PYTHONPATH"] = str(ROOT)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=os.environ | environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        kernels: dict[int, float] = {}
        while process.poll() is None:
            with suppress(psutil.Error):
                children = psutil.Process(process.pid).children()
                forked = [kernel for child in children for kernel in child.children(recursive=True)]
                kernels |= {kernel.pid: sum(kernel.cpu_times()[:2]) for kernel in forked}
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + sum(kernels.values())


if __name__ == "__main__":
    main()
