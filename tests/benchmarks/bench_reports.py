"""How long smoke's reports take from a full store: each notebook by papermill itself, and by `workbook report`.

    python tests/benchmarks/bench_reports.py [--jobs 2]

By the clock, as many at a time in both ways, after one run that fills a store of its own (some minutes). Papermill
starts every kernel anew, which is what reports did before; neither writes an index then, papermill no pages.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN = "from workbook.cli import app; import sys; app(sys.argv[1:], standalone_mode=False)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"WORKBOOK_STORE": f"{folder}/store", "OMP_NUM_THREADS": "1"}

        def reports() -> None:
            run([sys.executable, "-c", RUN, "report", "--jobs", str(jobs), "--out", f"{folder}/reports"], environment)

        def by_papermill() -> None:
            out = Path(folder)
            commands = [[sys.executable, "-m", "papermill", book, out / book.name] for book in NOTEBOOKS]
            with ThreadPoolExecutor(jobs) as pool:
                list(pool.map(lambda command: run(command, environment), commands))

        cold = seconds(reports)
        old, new = seconds(by_papermill), seconds(reports)
        print(f"{len(NOTEBOOKS)} notebooks, {jobs} at a time: {cold:.0f} s from an empty store")
        print(f"from a full one: papermill {old:.0f} s, reports {new:.0f} s, {old / new:.1f} times as fast")


def run(command: list, environment: dict[str, str]) -> None:
    subprocess.run(command, cwd=ROOT / "notebooks", env=environment, check=True, capture_output=True)


def seconds(job) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
