"""Does every method learn? Trains each on generated images, less than a minute of one core a run, and writes a table.

    python -m tests.benchmarks.learn_methods                                # all of them, 3 seeds: about an hour
    python -m tests.benchmarks.learn_methods --methods SimCLR BYOL --seeds 1

One JSON file, by default notebooks/results/learning.json: what was measured, on what. The runs of methods that are not
trained now stay in it; each run says which code made it.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from tests.pretraining.learning import learn, recipe_of
from workbook.devices import make_fabric
from workbook.files import write_atomically
from workbook.pretraining.recipe import METHODS
from workbook.provenance import provenance

OUT = Path(__file__).parents[2] / "notebooks" / "results" / "learning.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    fabric, rows = make_fabric("cpu", "float32"), []
    for method in args.methods:
        for seed in range(args.seeds):
            rows.append(asdict(learn(recipe_of(method, seed), fabric)) | {"code": provenance()["code"]})
    before = json.loads(args.out.read_text())["runs"] if args.out.exists() else []
    kept = [run for run in before if run["method"] not in args.methods]
    table = pd.DataFrame([*kept, *rows]).round(3)
    record = provenance() | {"question": __doc__.splitlines()[0], "runs": json.loads(table.to_json(orient="records"))}
    write_atomically(args.out, (json.dumps(record, indent=1) + "\n").encode())
    print(table.drop(columns=["seed", "code"]).groupby(["method", "backbone"], sort=False).mean().round(2).to_string())


if __name__ == "__main__":
    main()
