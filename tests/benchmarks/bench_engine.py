"""What an engine costs and gains: ten jobs on two machines of a Ray cluster against one, and what a job costs.

    python tests/benchmarks/bench_engine.py [--seconds 2]

Prints two Markdown tables. Both machines are this one, as raylets with a CPU and a store of their own each; a job waits
for so many seconds, as a CPU does whose GPU is at work: what is measured is the engine, and not the cores. An empty job
writes one small result; workers are warm, as they have done a job before.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tqdm import tqdm

from workbook.devices import make_fabric
from workbook.engines import Engine
from workbook.engines.local import Local
from workbook.engines.ray import Ray
from workbook.lab import Lab
from workbook.store import Store

ROOT = Path(__file__).parents[2]
JOBS, EMPTY = 10, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args().seconds
    sys.path.insert(0, str(ROOT))
    took: dict[int, float] = {}
    empty = {"here": timed(Local(), 0.0, EMPTY), "two processes": timed(Local(2), 0.0, EMPTY)}
    for machines in (1, 2):
        with cluster(machines):
            timed(Ray(), 0.5, 2 * machines)  # every worker is there
            took[machines] = timed(Ray(), seconds, JOBS)
            empty[f"Ray, {machines} machine{'s' * (machines - 1)}"] = timed(Ray(), 0.0, EMPTY)
    print(f"| {JOBS} jobs of {seconds:g} s | seconds | speed-up |\n|---|---:|---:|")
    for machines, its in took.items():
        print(f"| {machines} machine{'s' * (machines - 1)} | {its:.1f} | {took[1] / its:.2f} |")
    print("\n| an empty job | ms |\n|---|---:|")
    for name, its in empty.items():
        print(f"| {name} | {1000 * its / EMPTY:.1f} |")


def timed(engine: Engine, seconds: float, jobs: int) -> float:
    """Seconds that so many jobs take, in a store of their own."""
    from tests.engines.slow import patient  # a module that workers know, too

    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Store(folder), make_fabric("cpu", "float32"), engine)
        began = time.monotonic()
        list(lab.map(partial(patient, seconds), range(jobs), tqdm(disable=True, total=0), str))
        return time.monotonic() - began


@contextmanager
def cluster(machines: int) -> Iterator[None]:
    """Raylets on loopback; nobody else's commands reach them."""
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    os.environ["PYTHONPATH"] = str(ROOT)
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster()
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(machines):
                made.add_node(num_cpus=1, env_vars=os.environ | {"WORKBOOK_STORE": f"{folder}/{number}"})
            os.environ["RAY_ADDRESS"] = made.address
            yield
        finally:
            ray.shutdown()
            made.shutdown()


if __name__ == "__main__":
    main()
