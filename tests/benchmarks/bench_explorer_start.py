"""How long it takes until an explorer can be used, in Chromium, from a full store.

    python tests/benchmarks/bench_explorer_start.py [--profile smoke] [--repeats 3]

Prints a Markdown table, with the load of the machine. The first time is from the command `workbook explore`, Voila's
own start included, to the drawn map; the others from a page's request. Needs the system's Chromium. The store is
WORKBOOK_STORE: what it lacks is made before anything is timed. The aim is 15 s from the request.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser

DRAWN = ".explorer .js-plotly-plot .nsewdrag"


def seconds_until_usable(browser: Browser, address: str) -> float:
    page, start = browser.new_page(viewport={"width": 1400, "height": 900}), time.perf_counter()
    page.goto(address, timeout=3_600_000)
    page.locator(DRAWN).first.wait_for(timeout=3_600_000)
    taken = time.perf_counter() - start
    page.wait_for_timeout(30_000)  # a person looks; the page for the next tab is made meanwhile
    page.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.chromium import chromium, need_chromium
    from tests.explorers.servers import voila

    print("| explorer | from the command, s | from the request: median, s | slowest, s | load |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with chromium(need_chromium()) as browser, tempfile.TemporaryDirectory() as folder:
        for name in ("explore_features", "explore_diversity"):
            with voila(name, {"profile": args.profile}, {}, Path(folder)) as address:
                seconds_until_usable(browser, address)  # fills the store
            start = time.perf_counter()
            with voila(name, {"profile": args.profile}, {}, Path(folder)) as address:
                up = time.perf_counter() - start
                times = [seconds_until_usable(browser, address) for _ in range(args.repeats)]
            shown = f"{up + times[0]:.1f} | {statistics.median(times):.1f} | {max(times):.1f}"
            print(f"| {name} | {shown} | {os.getloadavg()[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
